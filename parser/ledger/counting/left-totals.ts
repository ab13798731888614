import { U64_MAX } from '../../../shared/limits.ts'
import type { Session } from '../connection.ts'
import type { LedgerNames } from '../schema/tables.ts'

/** Totals that are no sums of files, and are left as they are: how many, and the first by name. */
export class LeftTotals {
  readonly #texts: string[] = []
  count = 0

  /** Those of consumers up to this one, and of ids that no file can have; null: only of the latter. */
  static async upTo(
    session: Session,
    { totals, id, amount }: LedgerNames,
    last: bigint | null,
  ): Promise<LeftTotals> {
    const left = new LeftTotals()
    const no = `(${amount} IS NULL OR ${amount} < 0 OR ${amount} > ${U64_MAX})`
    const where = [`${id} < 0 AND NOT ${amount} <=> 0`]
    if (last !== null) where.push(`${id} >= 0 AND ${id} <= ${last} AND ${no}`)
    for (const one of where) {
      const rows = await session.query<{ id: bigint | number; amount: bigint | number | string }>(
        `SELECT ${id} AS id, ${amount} AS amount FROM ${totals} WHERE ${one} ORDER BY ${id} LIMIT ${NAMED_MAX}`,
      )
      for (const row of rows) left.add(row)
      if (rows.length < NAMED_MAX) continue
      const [all] = await session.query<{ count: bigint }>(
        `SELECT COUNT(*) AS count FROM ${totals} WHERE ${one}`,
      )
      left.count += Number(all!.count) - rows.length
    }
    return left
  }

  add({ id, amount }: { id: bigint | number; amount: bigint | number | string | null }): void {
    this.count += 1
    if (this.#texts.length < NAMED_MAX) this.#texts.push(`consumer ${id} has ${amount ?? 'NULL'}`)
  }

  get text(): string {
    const others = this.count - this.#texts.length
    const more = others > 0 ? `; and ${others} more` : ''
    return `${this.count} ${this.count === 1 ? 'was' : 'were'} left, as no files can have made them: ${this.#texts.join('; ')}${more}`
  }
}

const NAMED_MAX = 5
