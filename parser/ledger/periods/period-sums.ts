import type { Session } from '../connection.ts'
import type { Granularity, LedgerNames } from '../schema/tables.ts'

/**
 * What all consumers have of each period together, and of what is not kept any more: beside the consumers'
 * own, changed by the same transactions.
 */

/** From when on periods are kept, of each granularity. */
export interface Kept {
  has(granularity: Granularity, period: string): boolean
  readonly from: ReadonlyMap<Granularity, string | null>
}

export async function keptFrom(session: Session, { period }: LedgerNames): Promise<Kept> {
  const rows = await session.query<{ granularity: Granularity; keptFrom: string | null }>(
    `SELECT granularity, kept_from AS keptFrom FROM ${period}`,
  )
  const from = new Map(rows.map(({ granularity, keptFrom }) => [granularity, keptFrom]))
  return {
    from,
    has(granularity, start) {
      const first = from.get(granularity)
      // Both are written alike, one perhaps without its time of day.
      return first == null || start >= first.slice(0, start.length)
    },
  }
}

export class PeriodSums {
  readonly #periods = new Map<
    string,
    { granularity: Granularity; period: string; amount: bigint }
  >()
  readonly #dropped = new Map<Granularity, bigint>()

  /** @param amount may be below zero. */
  add(granularity: Granularity, period: string, isKept: boolean, amount: bigint): void {
    if (!isKept) {
      this.#dropped.set(granularity, (this.#dropped.get(granularity) ?? 0n) + amount)
      return
    }
    const key = `${granularity} ${period}`
    const before = this.#periods.get(key)?.amount ?? 0n
    this.#periods.set(key, { granularity, period, amount: before + amount })
  }

  /** Within the caller's transaction. */
  async write(session: Session, { usage, period }: LedgerNames): Promise<void> {
    const all = [...this.#periods.values()].filter(({ amount }) => amount !== 0n)
    for (let at = 0; at < all.length; at += PERIODS_AT_ONCE) {
      const rows = all
        .slice(at, at + PERIODS_AT_ONCE)
        .map(one => `('${one.granularity}', '${one.period}', ${one.amount})`)
      await session.execute(
        `INSERT INTO ${usage} (granularity, period_start, amount) VALUES ${rows.join(', ')}
         ON DUPLICATE KEY UPDATE amount = amount + VALUES(amount)`,
      )
    }
    for (const [granularity, amount] of this.#dropped) {
      await session.execute(
        `UPDATE ${period} SET dropped = dropped + CAST(? AS DECIMAL(38,0)) WHERE granularity = ?`,
        [amount.toString(), granularity],
      )
    }
  }
}

const PERIODS_AT_ONCE = 500
