/**
 * Pings a child over its socket and judges whether it is alive.
 *
 * A missing pong alone is no death: a journal commit may stand behind gigabytes of write-back, and
 * a kill would only make it wait again. So a silent process is killed when it has also done
 * nothing the kernel can see (no CPU time, not waiting for the disk) for `SILENT_MS`, or after
 * `SILENT_MAX_MS` whatever it does; and one that answers, when it has work, a database and room,
 * and yet made no progress for `STALLED_MS`. One that says what it waits for waits: a fresh start
 * would wait for the same.
 */

import { Bell } from '../../shared/handoff.ts'
import { processActivity } from '../../shared/lifecycle.ts'
import type { Health } from '../../shared/protocol.ts'
import { type Channel, isOfThePeer, openChannel } from '../../shared/socket/index.ts'
import type { ManagedProcess } from './managed-process.ts'

export interface HealthWatchOptions {
  readonly process: ManagedProcess
  readonly socketPath: string
  readonly onHealth: (health: Health) => void
  /** It has made something durable. */
  readonly onProgress: () => void
}

export class HealthWatch {
  readonly #process: ManagedProcess
  readonly #socketPath: string
  readonly #onHealth: (health: Health) => void
  readonly #onProgress: () => void
  #channel: Channel | undefined
  #pid: number | undefined
  #health: Health | undefined
  #durable = 0
  #aliveAtMs = performance.now()
  #pongAtMs = performance.now()
  #cpuTicks = 0
  readonly #abort = new AbortController()
  readonly #loop: Promise<void>

  /** Never resolves; rejects when the watching itself fails. */
  readonly failed: Promise<never>

  constructor(options: HealthWatchOptions) {
    this.#process = options.process
    this.#socketPath = options.socketPath
    this.#onHealth = options.onHealth
    this.#onProgress = options.onProgress
    this.#loop = this.#run(this.#abort.signal)
    this.failed = this.#loop.then(() => new Promise<never>(() => {}))
  }

  /** The last pong of the process that runs now. */
  get health(): Health | undefined {
    return this.#health
  }

  get channel(): Channel | undefined {
    return this.#channel?.isOpen ? this.#channel : undefined
  }

  /** Whether it answers, or does something that the kernel can see, or has no process that could hang. */
  get isAlive(): boolean {
    return performance.now() - this.#aliveAtMs < HANGS_MS
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#loop
  }

  async #run(signal: AbortSignal): Promise<void> {
    const untilStopped = new Bell()
    while (!signal.aborted) {
      const { pid } = this.#process.report
      if (pid !== this.#pid) this.#startedAnew(pid)
      if (pid === undefined) this.#aliveAtMs = performance.now()
      else {
        await this.#ping(pid)
        if (!signal.aborted) this.#judge(pid)
      }
      await untilStopped.wait(
        signal,
        this.#health === undefined ? STARTING_INTERVAL_MS : INTERVAL_MS,
      )
    }
    this.#channel?.close()
  }

  #startedAnew(pid: number | undefined): void {
    this.#pid = pid
    this.#health = undefined
    this.#channel?.close()
    this.#channel = undefined
    this.#durable = 0
    this.#aliveAtMs = this.#pongAtMs = performance.now()
  }

  async #ping(pid: number): Promise<void> {
    const health = await this.#ask()
    if (health === undefined) return
    // A socket may still be that of the process before.
    if (health.pid !== pid || this.#process.report.pid !== pid) {
      this.#channel?.close()
      return
    }
    this.#pongAtMs = this.#aliveAtMs = performance.now()
    this.#health = health
    this.#process.ready()
    const durable = durableSteps(health)
    if (durable > this.#durable) {
      this.#process.progressed()
      this.#onProgress()
    }
    this.#durable = durable
    this.#onHealth(health)
  }

  /** undefined: it does not listen yet, or does not answer; `#judge` decides what that means. */
  async #ask(): Promise<Health | undefined> {
    try {
      if (!this.#channel?.isOpen) this.#channel = await openChannel(this.#socketPath, 'client')
      return (await this.#channel.request<'pong'>({ type: 'ping' }, PING_TIMEOUT_MS)).health
    } catch (error) {
      if (!isOfThePeer(error)) throw error
      return undefined
    }
  }

  #judge(pid: number): void {
    const nowMs = performance.now()
    const activity = processActivity(pid)
    if (activity !== undefined) {
      if (activity.waitsForDisk || activity.cpuTicks !== this.#cpuTicks) this.#aliveAtMs = nowMs
      this.#cpuTicks = activity.cpuTicks
    }
    const silentMs = nowMs - this.#pongAtMs
    if (nowMs - this.#aliveAtMs > SILENT_MS || silentMs > SILENT_MAX_MS) {
      this.#process.kill(`no answer for ${Math.round(silentMs / 1_000)} s`)
    } else if (this.#health !== undefined && isStalled(this.#health)) {
      this.#process.kill(`no progress for ${STALLED_MS / 60_000} minutes`)
    }
  }
}

const INTERVAL_MS = 250
const STARTING_INTERVAL_MS = 25
const PING_TIMEOUT_MS = 2_000
/** Long enough to be said of it, and short of its end. */
const HANGS_MS = 3_000
const SILENT_MS = 10_000
const SILENT_MAX_MS = 120_000
const STALLED_MS = 10 * 60_000

/** A number that grows with every durable step of this process. */
function durableSteps(health: Health): number {
  if (health.role === 'generator') return health.sinceStart.files
  // It makes nothing: that it answers is all that it is for.
  if (health.role === 'serving') return health.requests + 1
  const { applied, duplicate, quarantined, reverted, held } = health.sinceStart
  return applied + duplicate + quarantined + reverted + held
}

function isStalled(health: Health): boolean {
  const expected =
    health.role === 'parser'
      ? health.state === 'running' &&
        health.reason === undefined &&
        health.database === 'ready' &&
        health.queue.files > 0
      : health.role === 'generator' && health.state === 'writing'
  return expected && Date.now() - health.lastProgressAtMs > STALLED_MS
}
