import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Stream } from 'node:stream'
import { CountersinkError, EXIT_CONFIG } from '../shared/errors.ts'
import { deferred } from '../shared/handoff.ts'
import { levelOf } from '../shared/log.ts'
import { LogFile } from './log-file.ts'

export type ProcessState = 'starting' | 'running' | 'restarting' | 'stopping' | 'stopped' | 'failed'

/** What the supervisor tells of a child, in `status` and its own file. */
export interface ProcessReport {
  readonly pid: number | undefined
  readonly state: ProcessState
  readonly startedAtMs: number | undefined
  readonly restarts: number
}

export interface ManagedProcessOptions {
  readonly name: string
  /** The built main file and its arguments. */
  readonly command: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly logPath: string
  /** Further entries of `stdio`, from descriptor 3 on, asked for at each start. */
  readonly inherit: () => readonly Stream[]
  /** From SIGTERM to SIGKILL. */
  readonly stopTimeoutMs: number
  /** A warning or an error of the child, for the terminal. */
  readonly onTrouble: (line: string) => void
  readonly onChange: () => void
}

/** Deaths in a row without durable progress between them, after which it is given up. */
const DEATHS_MAX = 10
const RESTART_PAUSE_MAX_MS = 10_000

/**
 * A child process that is kept alive.
 *
 * - **starting**: spawned, not yet known to be well. **running**: `ready()` was called.
 * - **restarting**: it died; the first time it comes back at once, then after growing pauses. After
 *   ten deaths without durable progress between them, or one with the status that says that a
 *   restart cannot help, it is **failed**.
 * - **stopping** → **stopped**: asked to end, by SIGTERM, then SIGKILL; or it ended by itself with
 *   status 0.
 *
 * It runs in a session of its own, so that a terminal's Ctrl-C reaches only the supervisor, and its
 * standard input is a pipe that ends with us: it then stops by itself.
 */
export class ManagedProcess {
  readonly #options: ManagedProcessOptions
  readonly #end = deferred()
  readonly #log: LogFile
  #child: ChildProcess | undefined
  #state: ProcessState = 'starting'
  #startedAtMs: number | undefined
  #restarts = 0
  #deaths = 0
  #lastError = ''
  #restartTimer: NodeJS.Timeout | undefined

  /** Resolves when it has ended for good: stopped, or by itself. Rejects when it failed. */
  readonly ended = this.#end.promise

  constructor(options: ManagedProcessOptions) {
    this.#options = options
    this.#log = new LogFile(options.logPath)
    this.ended.catch(() => {
      // Whoever waits for it is told; nobody has to.
    })
    this.#spawn()
  }

  get name(): string {
    return this.#options.name
  }

  get report(): ProcessReport {
    return {
      pid: this.#child?.pid,
      state: this.#state,
      startedAtMs: this.#startedAtMs,
      restarts: this.#restarts,
    }
  }

  /** It answers. */
  ready(): void {
    if (this.#state === 'starting' || this.#state === 'restarting') this.#enter('running')
  }

  /** It has made something durable: earlier deaths no longer count. */
  progressed(): void {
    this.#deaths = 0
  }

  /** Ends it the hard way; it is restarted like after any death. */
  kill(why: string): void {
    this.#log.write(`-- killed by the supervisor: ${why}`)
    this.#child?.kill('SIGKILL')
  }

  /** Ends it for good; repeatable. Resolves when it is gone. */
  async stop(): Promise<void> {
    if (this.#state === 'stopped' || this.#state === 'failed') return
    this.#enter('stopping')
    clearTimeout(this.#restartTimer)
    if (this.#child === undefined) {
      this.#finish()
      return
    }
    this.#child.kill('SIGTERM')
    const timer = setTimeout(
      () => this.kill(`it did not stop within ${this.#options.stopTimeoutMs} ms`),
      this.#options.stopTimeoutMs,
    )
    await this.ended.finally(() => clearTimeout(timer))
  }

  /** Ends it at once and for good. */
  abandon(): void {
    this.#enter('stopping')
    clearTimeout(this.#restartTimer)
    this.#child?.kill('SIGKILL')
  }

  #spawn(): void {
    const child: ChildProcess = spawn(process.execPath, [...this.#options.command], {
      detached: true,
      env: this.#options.env,
      stdio: ['pipe', 'pipe', 'pipe', ...this.#options.inherit()],
    })
    this.#child = child
    this.#startedAtMs = Date.now()
    this.#lastError = ''
    for (const stream of [child.stdout, child.stderr] as (Readable | null)[]) {
      if (stream === null) continue
      createInterface({ input: stream }).on('line', line => this.#said(line))
    }
    // The pipe is only there to end with us; a child that died first must not end us by EPIPE.
    child.stdin?.on('error', () => {})
    child.on('error', error => this.#said(`spawn failed: ${error.message}`))
    child.once('close', (code, signal) => this.#died(code, signal))
    this.#options.onChange()
  }

  #said(line: string): void {
    this.#log.write(line)
    const level = levelOf(line)
    if (level === 'ERROR') this.#lastError = line.replace(/^\S+ ERROR \S+ /, '')
    if (level === 'ERROR' || level === 'WARN') this.#options.onTrouble(line)
  }

  #died(code: number | null, signal: string | null): void {
    this.#child = undefined
    this.#startedAtMs = undefined
    if (this.#state === 'stopping' || code === 0) {
      this.#finish()
      return
    }
    const how = signal === null ? `ended with status ${code}` : `was ended by ${signal}`
    this.#deaths += 1
    if (code === EXIT_CONFIG || this.#deaths > DEATHS_MAX) {
      const why =
        code === EXIT_CONFIG ? how : `${how}, the ${this.#deaths}th time without progress between`
      this.#enter('failed')
      this.#log.close()
      this.#end.reject(
        new CountersinkError('CHILD_FAILED', `the ${this.name} ${why}. ${this.#lastError}`.trim()),
      )
      return
    }
    const pauseMs = restartPauseMs(this.#deaths)
    this.#options.onTrouble(
      `the ${this.name} ${how}; it is started again ${pauseMs === 0 ? 'at once' : `in ${pauseMs} ms`}`,
    )
    this.#restarts += 1
    this.#enter('restarting')
    this.#restartTimer = setTimeout(() => this.#spawn(), pauseMs)
  }

  #finish(): void {
    this.#enter('stopped')
    this.#log.close()
    this.#end.resolve()
  }

  #enter(state: ProcessState): void {
    this.#state = state
    this.#options.onChange()
  }
}

/** At once, then 200 ms doubling to ten seconds. */
function restartPauseMs(deaths: number): number {
  return deaths <= 1 ? 0 : Math.min(RESTART_PAUSE_MAX_MS, 200 * 2 ** (deaths - 2))
}
