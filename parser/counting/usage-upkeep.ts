/**
 * Usage by time, kept by whoever counts, beside counting: what was counted since is rolled up together, a
 * little while behind where nothing waits to be counted, and under constant load once much waits or has
 * waited long. What goes wrong with it is said, and tried again after growing pauses; totals are not held up
 * by it.
 */

import { Bell } from '../../shared/handoff.ts'
import type { UsageUpkeep as Health } from '../../shared/health.ts'
import type { Log } from '../../shared/log.ts'
import type { Ledger, Unrolled } from '../ledger/index.ts'

export interface UsagePace {
  /** Looks at what waits are so far apart. */
  readonly lookMs: number
  /** What is old is looked for so often, though nothing waits. */
  readonly upkeepMs: number
  /**
   * What was counted so long ago, is so many postings, or so many pairs, is rolled up. Each roll-up writes
   * a row of a day and of a month for each consumer, however many files it has of them: few large ones
   * cost less, and what waits is read anew by each question about usage.
   */
  readonly due: {
    /** While nothing waits to be counted; under load, and for a parser that does not count. */
    readonly ageMs: { readonly atLeisure: number; readonly underLoad: number }
    readonly postings: number
    readonly pairs: number
  }
}

/** @param rollUpMs how long what was counted may wait while nothing else does. */
export function usagePace(rollUpMs: number): UsagePace {
  return {
    lookMs: Math.min(2_000, rollUpMs),
    upkeepMs: 300_000,
    due: {
      ageMs: { atLeisure: rollUpMs, underLoad: rollUpMs * 10 },
      ...{ postings: 2_048, pairs: 128_000_000 },
    },
  }
}

export class UsageUpkeep {
  readonly #ledger: Ledger
  readonly #log: Log
  readonly #pace: UsagePace
  readonly #pauseMs: () => number
  readonly #isIdle: () => boolean
  #unrolled: Unrolled | undefined
  #isUnderWay = false
  /** Of what is new. */
  #isRollUpDue = false
  #blocked: { readonly why: string; readonly tries: number } | undefined
  #leftOutSaid: ReadonlySet<string> = new Set()
  #zonesSaid: string | undefined
  /** By the clock of `performance.now`. */
  #lookAtMs = 0
  #upkeepAtMs = 0
  #retryAtMs = 0

  constructor(options: {
    ledger: Ledger
    log: Log
    /** Before what went wrong is tried again for the first time. */
    pauseMs: () => number
    pace: UsagePace
    /** Nothing waits to be counted, as far as is known. */
    isIdle: () => boolean
  }) {
    this.#ledger = options.ledger
    this.#log = options.log
    this.#pauseMs = options.pauseMs
    this.#pace = options.pace
    this.#isIdle = options.isIdle
  }

  /** For `status`, as far as it was looked here; undefined: nothing waits. */
  get report(): Health | undefined {
    const { postings = 0, ageMs = 0, leftOut = [], zones } = this.#unrolled ?? {}
    const why = this.#blocked?.why ?? leftOutText(leftOut) ?? zonesText(zones)
    if (postings === 0 && why === undefined) return undefined
    return {
      postings: postings + leftOut.length,
      ageSeconds: Math.round(ageMs / 1_000),
      ...(why === undefined ? {} : { why }),
    }
  }

  /** The loop; ends when the signal is raised. */
  async run(signal: AbortSignal): Promise<void> {
    const untilStopped = new Bell()
    try {
      while (!signal.aborted) {
        const hasMore = await this.goOn()
        await untilStopped.wait(signal, hasMore ? 0 : LOOK_INTERVAL_MS)
      }
    } catch (error) {
      if (!signal.aborted || error !== signal.reason) throw error
    }
  }

  /** Looks whether something is to be done, and does it for a while. @returns whether there is more. */
  async goOn(): Promise<boolean> {
    if (!(await this.#isDue())) return false
    if (await this.#ledger.counter.takeLease()) return this.#keep()
    // Somebody else counts.
    this.#upkeepAtMs = performance.now() + this.#pace.upkeepMs
    return false
  }

  async #isDue(): Promise<boolean> {
    const nowMs = performance.now()
    if (nowMs < this.#retryAtMs) return false
    if (this.#isUnderWay) return true
    if (nowMs >= this.#lookAtMs) {
      this.#lookAtMs = nowMs + this.#pace.lookMs
      this.#unrolled = await this.#ledger.roller.unrolled()
      this.#sayLeftOut(this.#unrolled?.leftOut ?? [])
      this.#sayZones(this.#unrolled?.zones)
    }
    if (this.#unrolled === undefined) return false
    const { postings, pairs, ageMs } = this.#unrolled
    const { isCounter } = this.#ledger.counter
    const { due } = this.#pace
    const isIdle = this.#isIdle()
    const ageMsMax = isIdle && isCounter ? due.ageMs.atLeisure : due.ageMs.underLoad
    this.#isRollUpDue =
      postings > 0 && (ageMs >= ageMsMax || postings >= due.postings || pairs >= due.pairs)
    // Whoever counts looks for what is old too; who does not is there when nobody counts.
    return this.#isRollUpDue || (isIdle && nowMs >= this.#upkeepAtMs)
  }

  async #keep(): Promise<boolean> {
    const result = await this.#ledger.roller.goOn(this.#isRollUpDue ? 'one' : 'none')
    this.#isUnderWay = result.kind === 'goes on'
    // What was known of it is not so any more.
    if (!this.#isUnderWay) this.#lookAtMs = 0
    switch (result.kind) {
      case 'recorder':
        this.#upkeepAtMs = performance.now() + this.#pace.lookMs
        return false
      case 'done':
        this.#upkeepAtMs = performance.now() + this.#pace.upkeepMs
        this.#blocked = undefined
        return false
      // A roll-up may have been left in the middle, and nothing else wait.
      case 'later':
        this.#upkeepAtMs = 0
        this.#retryAtMs = performance.now() + this.#pauseMs()
        return false
      case 'failed':
        this.#upkeepAtMs = 0
        this.#noteFailed(result.why)
        return false
      case 'goes on':
        return true
    }
  }

  #sayLeftOut(names: readonly string[]): void {
    for (const name of names) {
      if (this.#leftOutSaid.has(name)) continue
      this.#log.error(
        'a file cannot be brought into its periods; all others are, and its totals stand',
        {
          ...{ code: 'BLOCK_UNREADABLE', name },
        },
      )
    }
    this.#leftOutSaid = new Set(names)
  }

  #sayZones(zones: Unrolled['zones']): void {
    const text = zonesText(zones)
    if (text !== undefined && text !== this.#zonesSaid) this.#log.warn(text)
    this.#zonesSaid = text
  }

  #noteFailed(why: string): void {
    const tries = (this.#blocked?.tries ?? 0) + 1
    this.#retryAtMs =
      performance.now() + this.#pauseMs() * 2 ** Math.min(tries - 1, RETRY_DOUBLINGS_MAX)
    const isNew = this.#blocked?.why !== why
    this.#blocked = { why, tries }
    if (!isNew) return
    this.#log.error('usage by time cannot be kept now; totals are not touched by it', {
      ...{ code: 'USAGE_BLOCKED', reason: why },
    })
  }
}

function leftOutText(names: readonly string[]): string | undefined {
  if (names.length === 0) return undefined
  const named = names.slice(0, NAMED_MAX).join(', ')
  const others = names.length > NAMED_MAX ? ', and others' : ''
  return `BLOCK_UNREADABLE: left out, as the sums recorded of them are not what they were: ${named}${others}`
}

function zonesText(zones: Unrolled['zones']): string | undefined {
  if (zones === undefined) return undefined
  const { ledger, setting } = zones
  return `TIME_ZONE_DIFFERS: days and months are those of ${ledger}, and COUNTERSINK_TIME_ZONE is ${setting} here: another parser of this ledger goes by that, or was told so later; set it to the same for all`
}

const LOOK_INTERVAL_MS = 500
const NAMED_MAX = 5
const RETRY_DOUBLINGS_MAX = 6
