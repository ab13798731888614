/**
 * The totals of a range of ids, and what is left of them once everything that was posted is taken away.
 * Rows with totals of 64 bits stand in typed arrays. What has no place there stands in a map: sums of ids
 * without a row, and totals that somebody else has made negative or larger. What is left of an id is what
 * both say together.
 *
 * The map is bounded: a range with more than it holds is begun anew as a shorter one.
 */

import { U64_MAX } from '../../../shared/limits.ts'
import { type IdRange, type PackedBlock, Remainders } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import type { LedgerNames } from '../schema/tables.ts'
import type { PostedBlocks } from './posted-blocks.ts'

/** A total that is not what the files have made. */
export interface Difference {
  readonly id: bigint
  /** undefined: there is no row. */
  readonly total: bigint | undefined
  readonly expected: bigint
}

export interface WindowLimits {
  /** 28 bytes each. */
  readonly rowsMax: number
  /** In the map, where each takes some 150 bytes. */
  readonly straysMax: number
}

export const WINDOW_LIMITS: WindowLimits = { rowsMax: 2 ** 20, straysMax: 250_000 }

interface Stray {
  /** Of a row that has no place among the others. */
  readonly total: bigint | undefined
  left: bigint
}

export class TotalsWindow {
  readonly #straysMax: number
  readonly #remainders: Remainders
  readonly #strays = new Map<bigint, Stray>()
  #range: IdRange = { after: undefined, to: U64_MAX }

  constructor({ rowsMax, straysMax }: WindowLimits) {
    this.#straysMax = straysMax
    this.#remainders = new Remainders(rowsMax)
  }

  get range(): IdRange {
    return this.#range
  }

  get rows(): number {
    return this.#remainders.rows
  }

  /** There are more strays than the map is to hold: to be begun anew with a shorter range. */
  get isCrowded(): boolean {
    return this.#strays.size > this.#straysMax
  }

  /** The same beginning, with about half of the strays that are known. */
  get shorter(): IdRange {
    const ids = BigUint64Array.from(this.#strays.keys()).sort()
    return { after: this.#range.after, to: ids[(ids.length >> 1) - 1]! }
  }

  /**
   * Begins with the totals of a range, as many as fit; the range is then theirs.
   *
   * @param isOfIds: they stand at nothing, and what is put on them is added up.
   */
  async fill(
    session: Session,
    names: LedgerNames,
    { after, to }: IdRange,
    isOfIds = false,
  ): Promise<void> {
    const { id, amount, totals } = names
    await this.fillWith({ after, to }, (range, limit) =>
      session.query<TotalRow>(
        `SELECT ${id} AS id, ${isOfIds ? '0' : `COALESCE(${amount}, 0)`} AS amount FROM ${totals}
          WHERE ${range.after === undefined ? `${id} >= 0` : `${id} > ${range.after}`}
            AND ${id} <= ${range.to} ORDER BY ${id} LIMIT ${limit}`,
      ),
    )
  }

  /**
   * The same with other rows than those of the totals.
   *
   * @param read the first of those in a range, by ascending id.
   */
  async fillWith(
    { after, to }: IdRange,
    read: (range: IdRange, limit: number) => Promise<readonly TotalRow[]>,
  ): Promise<void> {
    const remainders = this.#remainders
    this.#strays.clear()
    remainders.clear()
    this.#range = { after, to }
    for (let last = after; ; ) {
      const wanted = Math.min(ROWS_AT_ONCE, remainders.rowsMax - remainders.rows)
      const rows = await read({ after: last, to }, wanted)
      for (const row of rows) this.#push(BigInt(row.id), BigInt(row.amount))
      if (rows.length < wanted) break
      last = BigInt(rows.at(-1)!.id)
      if (remainders.rows < remainders.rowsMax && !this.isCrowded) continue
      this.#range = { after, to: last }
      break
    }
    remainders.seal()
  }

  /**
   * Takes away what was posted, as far as it fits into the map.
   *
   * @param onUnreadable hears of each block that cannot be opened.
   * @returns of how many pairs.
   */
  take(
    { posted, blocks }: PostedBlocks,
    onUnreadable: (error: unknown, block: PackedBlock) => void,
  ): number {
    const { sha256, range, isBack } = posted
    let taken = 0
    for (const block of blocks) {
      if (this.isCrowded) return taken
      try {
        const { ids, amounts, pairs } = this.#remainders.take(sha256, block, range, isBack)
        taken += pairs
        for (let i = 0; i < ids.length; i += 1) {
          this.takeOne(ids[i]!, isBack ? -amounts[i]! : amounts[i]!)
        }
      } catch (error) {
        onUnreadable(error, block)
      }
    }
    return taken
  }

  takeOne(id: bigint, amount: bigint): void {
    const stray = this.#strays.get(id)
    if (stray === undefined) this.#strays.set(id, { total: undefined, left: -amount })
    else stray.left -= amount
  }

  /** In no order. To be read once. */
  *differences(): Generator<Difference> {
    for (const { id, total, left } of this.#remainders.unsettled()) {
      const all = left + (this.#strays.get(id)?.left ?? 0n)
      this.#strays.delete(id)
      if (all !== 0n) yield { id, total, expected: total - all }
    }
    for (const [id, stray] of this.#strays) {
      const total = stray.total ?? this.#remainders.find(id)
      if (stray.left !== 0n) yield { id, total, expected: (total ?? 0n) - stray.left }
    }
  }

  /** What is left of each that is not nothing, by ascending id. To be read once. */
  *sums(): Generator<{ readonly id: bigint; readonly left: bigint }> {
    const strays = [...this.#strays].sort(([a], [b]) => (a < b ? -1 : 1))
    let at = 0
    for (const { id, left } of this.#remainders.unsettled()) {
      for (; at < strays.length && strays[at]![0] < id; at += 1) yield* notNothing(strays[at]!)
      if (strays[at]?.[0] !== id) yield { id, left }
      else {
        yield* notNothing([id, { left: left + strays[at]![1].left }])
        at += 1
      }
    }
    for (; at < strays.length; at += 1) yield* notNothing(strays[at]!)
  }

  #push(id: bigint, total: bigint): void {
    if (total >= 0n && total <= U64_MAX) this.#remainders.push(id, total)
    else this.#strays.set(id, { total, left: total })
  }
}

function* notNothing([id, { left }]: readonly [bigint, { readonly left: bigint }]) {
  if (left !== 0n) yield { id, left }
}

export interface TotalRow {
  readonly id: bigint | number
  readonly amount: bigint | number | string
}

const ROWS_AT_ONCE = 32_768
