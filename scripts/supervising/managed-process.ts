/**
 * A child process that is kept alive; its states are in `managed-process-states.ts`.
 *
 * One that died, or could not be started for want of memory, processes or descriptors, comes back
 * after a pause that `Deaths` knows. After too many of these lately without durable progress, or one
 * with the status that says that a restart cannot help, it is given up. A death of a full disk is none
 * of those: it waits for room however long that takes. To be stopped it gets SIGTERM, then SIGKILL.
 *
 * It runs in a session of its own, so that a terminal's Ctrl-C reaches only the supervisor, and its
 * standard input is a pipe that ends with us: it then stops by itself.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Stream } from 'node:stream'
import {
  CountersinkError,
  describeError,
  EXIT_CONFIG,
  EXIT_DISK_FULL,
} from '../../shared/errors.ts'
import { deferred } from '../../shared/handoff.ts'
import { StateMachine } from '../../shared/state-table.ts'
import { Deaths, PAUSE_MAX_MS, type ProcessReport, type ProcessState } from '../state/index.ts'
import type { ChildLog } from './logs.ts'
import { PROCESS_STATES, type ProcessEvent } from './managed-process-states.ts'

export interface ManagedProcessOptions {
  readonly name: string
  /** The built main file and its arguments. */
  readonly command: readonly string[]
  readonly env: NodeJS.ProcessEnv
  /** Gets what it prints, and is closed when it has ended. */
  readonly log: ChildLog
  /** Further entries of `stdio`, from descriptor 3 on, asked for at each start. */
  readonly inherit: () => readonly Stream[]
  /** From SIGTERM to SIGKILL. */
  readonly stopTimeoutMs: number
  /** Why it would not get through a start now, though it did before. */
  readonly whyUnfit?: () => string | undefined
  /** What became of it, in a sentence. */
  readonly onNotice: (text: string) => void
  readonly onChange: () => void
  /** It has died of a full disk, and comes back when there may be room. */
  readonly onDiskFull?: (why: string) => void
}

const FIT_INTERVAL_MS = 1_000

export class ManagedProcess {
  readonly #options: ManagedProcessOptions
  readonly #end = deferred()
  readonly #log: ChildLog
  #child: ChildProcess | undefined
  readonly #states: StateMachine<ProcessState, ProcessEvent>
  #startedAtMs: number | undefined
  #restarts = 0
  readonly #deaths = new Deaths()
  #lastError = ''
  #isHangUpDue = false
  #toldOfUnfit: string | undefined
  #restartTimer: NodeJS.Timeout | undefined

  /** Resolves when it has ended for good: stopped, or by itself. Rejects when it failed. */
  readonly ended = this.#end.promise

  constructor(options: ManagedProcessOptions) {
    this.#options = options
    this.#log = options.log
    this.#states = new StateMachine<ProcessState, ProcessEvent>(
      `the ${options.name}`,
      PROCESS_STATES,
      'starting',
      state => this.#entered(state),
    )
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
      state: this.#states.state,
      startedAtMs: this.#startedAtMs,
      restarts: this.#restarts,
    }
  }

  /** It answers. */
  ready(): void {
    this.#states.on('answered')
    if (this.#isHangUpDue) this.hangUp()
  }

  /** It has made something durable: earlier deaths no longer count. */
  progressed(): void {
    this.#deaths.forget()
  }

  /** It reads its configuration again: one that is only starting would die of it, and does so later. */
  hangUp(): void {
    this.#isHangUpDue = this.#states.state !== 'running'
    if (!this.#isHangUpDue) this.#child?.kill('SIGHUP')
  }

  /** Ends it the hard way; it is restarted like after any death. */
  kill(why: string): void {
    this.#log.note(`killed by the supervisor: ${why}`)
    this.#child?.kill('SIGKILL')
  }

  /** Ends it for good; repeatable. Resolves when it is gone. */
  async stop(): Promise<void> {
    const child = this.#askedToStop()
    if (child === undefined) return
    child.kill('SIGTERM')
    // One that somebody has stopped hears it only now.
    child.kill('SIGCONT')
    const timer = setTimeout(
      () => this.kill(`it did not stop within ${this.#options.stopTimeoutMs} ms`),
      this.#options.stopTimeoutMs,
    )
    await this.ended.finally(() => clearTimeout(timer))
  }

  /** Ends it at once and for good. */
  abandon(): void {
    this.#askedToStop()?.kill('SIGKILL')
  }

  /** @returns what has yet to end: between two starts, and afterwards, there is nothing. */
  #askedToStop(): ChildProcess | undefined {
    if (this.#states.on('stop asked') !== 'stopping') return undefined
    clearTimeout(this.#restartTimer)
    if (this.#child === undefined) this.#states.on('ended')
    return this.#child
  }

  #spawn(): void {
    this.#lastError = ''
    let child: ChildProcess
    try {
      child = spawn(process.execPath, [...this.#options.command], {
        detached: true,
        env: this.#options.env,
        stdio: ['pipe', 'pipe', 'pipe', ...this.#options.inherit()],
      })
    } catch (error) {
      this.#lastError = describeError(error)
      // Never from within the constructor: whoever makes one has not got it yet.
      setImmediate(() => this.#died('could not be started', undefined))
      return
    }
    this.#child = child
    this.#startedAtMs = Date.now()
    this.#states.on('spawned')
    for (const stream of [child.stdout, child.stderr] as (Readable | null | undefined)[]) {
      if (!stream) continue
      createInterface({ input: stream }).on('line', line => this.#said(line))
    }
    // The pipe is only there to end with us; a child that died first must not end us by EPIPE.
    child.stdin?.on('error', () => {})
    child.once('error', error => {
      this.#lastError = describeError(error)
      // Without a pid there never was a process, and not in all such cases does `close` follow.
      if (child.pid === undefined && this.#child === child) {
        this.#died('could not be started', undefined)
      }
    })
    child.once('close', (code, signal) => {
      if (this.#child !== child) return
      this.#died(signal === null ? `ended with status ${code}` : `was ended by ${signal}`, code)
    })
    this.#options.onChange()
  }

  #said(text: string): void {
    const line = this.#log.said(text)
    if (line?.level === 'error') this.#lastError = line.message
  }

  #died(how: string, code: number | null | undefined): void {
    this.#child = undefined
    this.#startedAtMs = undefined
    if (code === EXIT_DISK_FULL) this.#options.onDiskFull?.(this.#lastError)
    const pauseMs = code === 0 ? undefined : this.#pauseAfter(code)
    const died = pauseMs === undefined ? 'died for good' : 'died'
    const state = this.#states.on(code === 0 ? 'ended' : died)
    if (state === 'restarting') {
      const why = code === undefined ? ` (${this.#lastError})` : ''
      this.#startAgain(`${how}${why}`, pauseMs ?? 0)
    } else if (state === 'failed') {
      const why =
        code === EXIT_CONFIG ? how : `${how}, as too often lately without progress between`
      this.#end.reject(
        new CountersinkError('CHILD_FAILED', `the ${this.name} ${why}. ${this.#lastError}`.trim()),
      )
    }
  }

  /** undefined: another start would be no different. */
  #pauseAfter(code: number | null | undefined): number | undefined {
    if (code === EXIT_CONFIG) return undefined
    return code === EXIT_DISK_FULL ? PAUSE_MAX_MS : this.#deaths.note()
  }

  #startAgain(how: string, pauseMs: number): void {
    this.#restarts += 1
    this.#restartTimer = setTimeout(() => this.#spawnWhenFit(), pauseMs)
    const when = pauseMs === 0 ? 'at once' : `in ${pauseMs} ms`
    this.#options.onNotice(`the ${this.name} ${how}; it is started again ${when}`)
    this.#options.onChange()
  }

  /** A configuration that somebody is editing must not end what ran with the one before. */
  #spawnWhenFit(): void {
    const why = this.#options.whyUnfit?.()
    if (why !== undefined && why !== this.#toldOfUnfit) {
      this.#options.onNotice(`the ${this.name} waits to be started again: ${why}`)
    }
    this.#toldOfUnfit = why
    if (why === undefined) this.#spawn()
    else this.#restartTimer = setTimeout(() => this.#spawnWhenFit(), FIT_INTERVAL_MS)
  }

  #entered(state: ProcessState): void {
    this.#options.onChange()
    if (state === 'stopped' || state === 'failed') this.#log.close()
    if (state === 'stopped') this.#end.resolve()
  }
}
