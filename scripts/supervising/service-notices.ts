/**
 * Tells the service manager (systemd, `Type=notify`) how the supervisor is.
 *
 * - **READY=1** once everything that it keeps has answered, whether or not MariaDB is there: a database
 *   of hours away is waited for by a service that is up, and to be started again would not bring it
 *   nearer. (`ping --ready` asks for more: whether files are counted now.)
 * - **STATUS=** what `status` says, in a sentence; what waits, and for what, stands in it first.
 * - **WATCHDOG=1** three times in the time allowed, unless a child hangs: it neither answers, nor works
 *   as far as the kernel can see, nor waits for the disk. That the supervisor itself hangs is known by
 *   its silence. A database that is away, a full disk, a child between two starts are no reasons: a new
 *   start would wait for the same. The supervisor ends a child that hangs, or has work and gets
 *   nowhere, by itself (`health-watch.ts`); the watchdog is for when that does not help.
 * - **STOPPING=1** when the stop begins. **RELOADING=1**, and READY=1 again, around a SIGHUP.
 *
 * Nothing of it is durable, nobody waits for it, and that it cannot be told is said in the log.
 */

import type { SupervisorState } from '../state/index.ts'
import { NotifySocket } from './notify-socket.ts'
import { statusSentence } from './status-sentence.ts'
import type { Supervisor } from './supervisor.ts'

export interface ServiceManager {
  readonly socketPath: string
  /** After so long without a WATCHDOG=1 it ends us; undefined: it does not watch. */
  readonly watchdogMs: number | undefined
}

/**
 * Who is to be told, if anybody. It is taken out of the environment, so that nothing that is started
 * from here speaks in our name.
 */
export function takeServiceManager(env: NodeJS.ProcessEnv): ServiceManager | undefined {
  const { NOTIFY_SOCKET: socketPath, WATCHDOG_USEC: usec = '', WATCHDOG_PID: pid } = env
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name]
  if (socketPath === undefined || socketPath === '') return undefined
  const isOurs = pid === undefined || pid === String(process.pid)
  const watchdogMs = isOurs && /^[1-9]\d{0,15}$/.test(usec) ? Number(usec) / 1_000 : undefined
  return { socketPath, watchdogMs }
}

const TELLS: Readonly<Record<SupervisorState, string | undefined>> = {
  starting: undefined,
  running: 'READY=1',
  draining: 'READY=1',
  stopping: 'STOPPING=1',
  stopped: undefined,
}

const STATUS_INTERVAL_MS = 1_000
/** What a timer of node's can wait. */
const BEAT_INTERVAL_MS_MAX = 2 ** 31 - 1

export class ServiceNotices {
  readonly #supervisor: Supervisor
  readonly #socket: NotifySocket
  readonly #timers: NodeJS.Timeout[] = []
  #told: string | undefined
  #status = ''

  constructor({ socketPath, watchdogMs }: ServiceManager, supervisor: Supervisor) {
    this.#supervisor = supervisor
    this.#socket = new NotifySocket(socketPath, text => supervisor.note(text))
    this.#timers.push(setInterval(() => this.look(), STATUS_INTERVAL_MS))
    if (watchdogMs !== undefined) {
      const intervalMs = Math.min(Math.ceil(watchdogMs / 3), BEAT_INTERVAL_MS_MAX)
      this.#timers.push(setInterval(() => this.#beat(), intervalMs))
    }
    this.look()
  }

  /** Tells what is new; also to be called when the supervisor's state has changed. */
  look(): void {
    const news = TELLS[this.#supervisor.state]
    const sentence = statusSentence(this.#supervisor)
    const assignments: string[] = []
    if (news !== undefined && news !== this.#told) assignments.push(news)
    if (sentence !== this.#status) assignments.push(`STATUS=${sentence}`)
    this.#told = news ?? this.#told
    this.#status = sentence
    if (assignments.length > 0) this.#socket.send(...assignments)
  }

  /** Around a reload: one that is not ready, or stops, is not made ready by it. */
  reloading(reload: () => void): void {
    const isReady = this.#told === 'READY=1'
    const nowUsec = process.hrtime.bigint() / 1_000n
    if (isReady) this.#socket.send('RELOADING=1', `MONOTONIC_USEC=${nowUsec}`)
    reload()
    if (isReady) this.#socket.send('READY=1')
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    await this.#socket.close()
  }

  /** The manager does not watch before it is told that we are ready. */
  #beat(): void {
    if (this.#told !== undefined && this.#supervisor.isAlive) this.#socket.send('WATCHDOG=1')
  }
}
