/**
 * Tells a consumer's account, whoever writes it down: what lies outside of a period together, each posting
 * within it with the total after it. It can end behind any posting, and go on from there later.
 */

import type { ConsumerAccount, ConsumerPosting } from '../../parser/ledger/index.ts'

/** Which postings are shown one by one; the others are summed up. */
export interface Period {
  /** From here on. */
  readonly sinceMs: number
  /** Before this. */
  readonly untilMs: number
}

export interface ConsumerLines {
  /** undefined: not known. */
  opening(amount: bigint | undefined): Promise<void>
  /** Postings outside of the period, together. */
  outside(which: 'before' | 'after', postings: number, amount: bigint, total: bigint): Promise<void>
  posting(posting: ConsumerPosting, total: bigint): Promise<void>
  end(result: ConsumerResult): Promise<void>
}

export interface ConsumerResult {
  readonly postings: number
  /** What the postings say, on top of the opening, or of nothing where that is unknown. */
  readonly expected: bigint
  readonly total: bigint | undefined
  /** What the total has more than that; undefined: the opening is unknown. */
  readonly difference: bigint | undefined
}

/** How far an account is told: what a later part of it goes on from. */
export interface AccountTally {
  readonly postings: number
  /** What they make, on top of the opening. */
  readonly expected: bigint
  readonly before: Outside
  readonly after: Outside
}

interface Outside {
  readonly postings: number
  readonly amount: bigint
}

/** Tells an account as its postings come, from the first or from where another has ended. */
export class AccountTeller {
  readonly #period: Period
  readonly #lines: ConsumerLines
  #tally: AccountTally

  constructor(period: Period, lines: ConsumerLines, tally: AccountTally) {
    this.#period = period
    this.#lines = lines
    this.#tally = tally
  }

  get tally(): AccountTally {
    return this.#tally
  }

  /** undefined: it is told by itself. */
  sideOf({ isBatchOpen, atMs }: ConsumerPosting): 'before' | 'after' | undefined {
    const { sinceMs, untilMs } = this.#period
    // What is being counted comes last, and ends now.
    const endedMs = isBatchOpen ? Date.now() : atMs
    return endedMs < sinceMs ? 'before' : endedMs >= untilMs ? 'after' : undefined
  }

  async add(posting: ConsumerPosting): Promise<void> {
    const side = this.sideOf(posting)
    if (side !== 'before') await this.#endBefore()
    const { postings, expected } = this.#tally
    const { amount } = posting
    this.#tally = { ...this.#tally, postings: postings + 1, expected: expected + amount }
    if (side === undefined) return this.#lines.posting(posting, this.#tally.expected)
    const outside = this.#tally[side]
    const more = { postings: outside.postings + 1, amount: outside.amount + amount }
    this.#tally = { ...this.#tally, [side]: more }
  }

  async end({
    opening,
    total,
  }: Pick<ConsumerAccount, 'opening' | 'total'>): Promise<ConsumerResult> {
    await this.#endBefore()
    const { postings, expected, after } = this.#tally
    if (after.postings > 0) {
      await this.#lines.outside('after', after.postings, after.amount, expected)
    }
    const difference = opening === undefined ? undefined : (total ?? 0n) - expected
    const result = { postings, expected, total, difference }
    await this.#lines.end(result)
    return result
  }

  /** Once: while all that came lies before. */
  async #endBefore(): Promise<void> {
    const { postings, expected, before } = this.#tally
    if (postings > before.postings || postings === 0) return
    await this.#lines.outside('before', before.postings, before.amount, expected)
  }
}

/** Where the telling of an account begins. */
export function tallyFrom(opening: bigint | undefined): AccountTally {
  const none = { postings: 0, amount: 0n }
  return { postings: 0, expected: opening ?? 0n, before: none, after: none }
}

/** Goes through an account once. */
export async function tellConsumer(
  account: ConsumerAccount,
  period: Period,
  lines: ConsumerLines,
): Promise<ConsumerResult> {
  const teller = new AccountTeller(period, lines, tallyFrom(account.opening))
  await lines.opening(account.opening)
  for await (const posting of account.postings) await teller.add(posting)
  return teller.end(account)
}
