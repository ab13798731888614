import { CountersinkError, describeError } from '../errors.ts'
import type { Log } from '../log.ts'

/**
 * Says which peers were cut off for what they did: each kind at once, then how often in each quarter
 * of an hour at the most. A peer must not be able to fill a log.
 */
export class CutOffNotices {
  readonly #log: Log
  /** By code: our own, so there are few. */
  readonly #said = new Map<string, { atMs: number; unsaid: number }>()

  constructor(log: Log) {
    this.#log = log
  }

  note(error: Error | undefined): void {
    // Whatever else ends a connection is no doing of the peer, or its good right.
    if (!(error instanceof CountersinkError) || error.code === 'CHANNEL_CLOSED') return
    if (error.code === 'STOPPED') return
    const said = this.#said.get(error.code)
    const nowMs = performance.now()
    if (said !== undefined && nowMs - said.atMs < SAID_AGAIN_MS) {
      said.unsaid += 1
      return
    }
    this.#said.set(error.code, { atMs: nowMs, unsaid: 0 })
    const others = said?.unsaid || undefined
    this.#log.warn('a peer was cut off', { because: describeError(error), othersSince: others })
  }
}

const SAID_AGAIN_MS = 15 * 60_000
