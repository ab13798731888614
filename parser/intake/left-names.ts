/**
 * What stays in the inbox although somebody may wait for it, and why: each name and reason is told of
 * once in the log, and all are counted for `status`, by reason and with some names, for as long as
 * they stand there. They cost a look nothing but the reading of their names, and are tried again
 * now and then; the more there are, the more rarely.
 *
 * A name that a reason has gone from is still remembered until it leaves the inbox: whoever
 * exchanges it a hundred times a second fills no log.
 */

import type { Log } from '../../shared/log.ts'
import { boundedReason, type LeftInInbox } from '../../shared/protocol.ts'
import { Seen } from './seen.ts'

export class LeftNames {
  readonly #log: Log
  readonly #seen = new Seen<Left>()
  readonly #reasons = new Map<string, Reason>()
  #files = 0
  /** Met by this look, and by the last one, when no more could be remembered. */
  #beyondNow = 0
  #beyond = 0
  #isSummaryTold = false

  constructor(log: Log) {
    this.#log = log
  }

  /** For `status`; undefined: nothing is left. */
  get report(): LeftInInbox | undefined {
    const files = this.#files + this.#beyond
    if (files === 0) return undefined
    const reasons: LeftInInbox['reasons'][number][] = []
    for (const [why, reason] of this.#reasons) {
      if (reasons.length === REASONS_SHOWN_MAX) break
      reasons.push({ why, files: reason.files, names: [...reason.names] })
    }
    return { files, reasons }
  }

  /** Why it stays; undefined: it does not. */
  whyLeft(name: string): string | undefined {
    return this.#seen.peek(name)?.why
  }

  /** It stays; its reason is what it is, which each look sees again. */
  leave(name: string, why: string): void {
    this.#leave(name, boundedReason(why), 0)
  }

  /** It stays because something failed, and is tried again after a while. */
  leaveForNow(name: string, why: string, nowMs: number): void {
    const pauseMs = Math.max(TRIED_AGAIN_MS, this.#files * TRIES_APART_MS)
    this.#leave(name, boundedReason(why), nowMs + pauseMs)
  }

  /** Whether it is not to be tried yet. Also counts as having met the name. */
  isToWait(name: string, nowMs: number): boolean {
    const left = this.#seen.get(name)
    if (left === undefined) return false
    if (left.why !== undefined) this.#show(name, left.why)
    return nowMs < left.untilMs
  }

  /** It is not what it was left for any more; what failed is still to succeed. */
  reconsider(name: string): void {
    const left = this.#seen.get(name)
    if (left !== undefined && left.untilMs === 0) this.#uncount(name, left)
  }

  /** It has left the inbox. */
  taken(name: string): void {
    const left = this.#seen.get(name)
    if (left === undefined) return
    this.#uncount(name, left)
    this.#seen.delete(name)
  }

  /** As `Seen.forgetUnmet`. */
  forgetUnmet(): boolean {
    if (!this.#seen.forgetUnmet((name, left) => this.#uncount(name, left))) return false
    this.#beyond = this.#beyondNow
    this.#beyondNow = 0
    if (this.#seen.size < TOLD_MAX) this.#isSummaryTold = false
    return true
  }

  #leave(name: string, why: string, untilMs: number): void {
    const left = this.#seen.get(name) ?? { why: undefined, untilMs, told: [] }
    if (!this.#seen.set(name, left)) {
      this.#beyondNow += 1
      return
    }
    left.untilMs = untilMs
    if (left.why !== why) {
      this.#uncount(name, left)
      this.#count(name, left, why)
    }
    this.#tell(name, left, why)
  }

  #tell(name: string, left: Left, why: string): void {
    if (left.told.includes(why) || left.told.length === REASONS_TOLD_MAX) return
    if (this.#seen.size <= TOLD_MAX) {
      left.told.push(why)
      this.#log.warn(`left in the inbox: ${why}`, { name, code: 'LEFT_IN_INBOX' })
    } else if (!this.#isSummaryTold) {
      this.#isSummaryTold = true
      this.#log.warn('more is left in the inbox than is told of one by one: see status')
    }
  }

  #count(name: string, left: Left, why: string): void {
    const reason = this.#reasons.get(why) ?? { files: 0, names: new Set() }
    this.#reasons.set(why, reason)
    reason.files += 1
    this.#files += 1
    left.why = why
    this.#show(name, why)
  }

  #uncount(name: string, left: Left): void {
    const reason = left.why === undefined ? undefined : this.#reasons.get(left.why)
    if (left.why === undefined || reason === undefined) return
    reason.files -= 1
    reason.names.delete(name)
    if (reason.files === 0) this.#reasons.delete(left.why)
    this.#files -= 1
    left.why = undefined
  }

  #show(name: string, why: string): void {
    const names = this.#reasons.get(why)?.names
    if (names !== undefined && names.size < NAMES_SHOWN_MAX) names.add(name)
  }
}

interface Left {
  /** undefined: it is not left any more. */
  why: string | undefined
  /** When it is tried again; 0: at each look. */
  untilMs: number
  readonly told: string[]
}

interface Reason {
  files: number
  readonly names: Set<string>
}

/** How long what could not be taken is not tried again, … */
const TRIED_AGAIN_MS = 5_000
/** … and how far apart the tries are at the least, however many there are. */
const TRIES_APART_MS = 1
const REASONS_TOLD_MAX = 4
/** Names told of one by one. */
const TOLD_MAX = 10_000
const REASONS_SHOWN_MAX = 5
const NAMES_SHOWN_MAX = 3
