/**
 * What the generator is doing, for health and log.
 *
 * - **waiting**: for room or its directories, with the reason in a sentence; also while starting.
 * - **writing**: a file is being made or published.
 * - **draining**: all wanted files are published; it waits until they are settled.
 * - **stopping**: from the request to stop to the end of the process.
 */

import type { Log } from '../shared/log.ts'
import { formatBytes } from '../shared/numbers.ts'
import type { GeneratorHealth } from '../shared/protocol.ts'
import type { WaitReason } from './backpressure.ts'
import type { GeneratedFile } from './state-shape.ts'

type State = GeneratorHealth['state']

/** Published files are told of this often, not one by one: there may be a hundred a second. */
const PUBLISHED_LOG_MS = 1_000
/** At full speed it waits for the parser after each file: a reason is news after this long. */
const REASON_LOG_MS = 10_000

export class Status {
  readonly #log: Log
  #state: State = 'waiting'
  #reason: WaitReason | undefined = { kind: 'starting', text: 'starting' }
  #writing: { name: string; positionBytes: number; sizeBytes: number } | undefined
  #lastProgressAtMs = Date.now()
  #files = 0
  #bytes = 0
  #loggedFiles = 0
  #loggedAtMs = 0
  #lastReason: { kind: string; untilMs: number } | undefined

  constructor(log: Log) {
    this.#log = log
  }

  wait(reason: WaitReason): void {
    this.#enter('waiting', reason)
  }

  write(name: string, sizeBytes: number): void {
    this.#enter('writing', undefined)
    this.#writing = { name, positionBytes: 0, sizeBytes }
  }

  /** So much of the file has been written. */
  written(positionBytes: number): void {
    this.progressed()
    if (this.#writing !== undefined) this.#writing.positionBytes = positionBytes
  }

  drain(reason: WaitReason | undefined): void {
    this.#enter('draining', reason)
  }

  stop(): void {
    this.#enter('stopping', undefined)
  }

  /** Something went forward. */
  progressed(): void {
    this.#lastProgressAtMs = Date.now()
  }

  published(file: GeneratedFile): void {
    this.progressed()
    this.#files += 1
    this.#bytes += file.sizeBytes
    if (this.#lastProgressAtMs - this.#loggedAtMs < PUBLISHED_LOG_MS) return
    this.#log.info('published', {
      files: this.#files - this.#loggedFiles,
      newest: file.name,
      sha256: file.sha256,
      size: formatBytes(file.sizeBytes),
      lines: file.lines,
    })
    this.#loggedFiles = this.#files
    this.#loggedAtMs = this.#lastProgressAtMs
  }

  report(): Omit<GeneratorHealth, 'pid' | 'uptimeSeconds' | 'eventLoopDelayMs' | CallersPart> {
    const writing = this.#writing
    return {
      role: 'generator',
      state: this.#state,
      ...(this.#reason && { reason: this.#reason.text }),
      lastProgressAtMs: this.#lastProgressAtMs,
      ...(writing && { writing: { ...writing } }),
      sinceStart: { files: this.#files, bytes: this.#bytes },
    }
  }

  #enter(state: State, reason: WaitReason | undefined): void {
    // A stop is final, whatever the loop has still in hand.
    if (this.#state === 'stopping') return
    if (reason !== undefined) this.#logReason(reason)
    this.#state = state
    this.#reason = reason
    this.#writing = undefined
  }

  #logReason({ kind, text }: WaitReason): void {
    const nowMs = Date.now()
    const last = this.#lastReason
    if (last?.kind !== kind || nowMs > last.untilMs) {
      this.#log[kind === 'disk' || kind === 'directories' ? 'warn' : 'info'](text)
    }
    this.#lastReason = { kind, untilMs: nowMs + REASON_LOG_MS }
  }
}

/** What the announcer knows. */
type CallersPart = 'connected' | 'unsettled'
