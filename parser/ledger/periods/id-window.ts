/**
 * The consumers of a chunk, as many as there is room for: a span of ids without holes where the files have
 * most of them, else those that the files have, gathered from their blocks.
 */

import { type Accumulators, BlockDecoder, firstAfter, type IdRange } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { type FileBlocks, opening } from './file-blocks.ts'
import type { Move } from './moves.ts'

/**
 * Begins the window behind an id.
 *
 * @param rowsMax at most what the accumulators have room for.
 * @returns its ids; undefined: there are no more.
 */
export async function beginWindow(
  session: Session,
  names: LedgerNames,
  window: Accumulators,
  { blocks, moves, after, rowsMax }: WindowOptions,
): Promise<IdRange | undefined> {
  const first = blocks.firstBehind(after)
  if (first === undefined) return undefined
  const last = blocks.lastId
  const most = first + BigInt(rowsMax) - 1n
  const end = most < last ? most : last
  const rows = Number(end - first) + 1
  if (blocks.pairsBetween(first, end) * IDS_PER_PAIR_MAX >= rows) {
    window.beginDense(first, rows)
    return { after, to: end }
  }
  const guess = blocks.idBehind(first, rowsMax)
  const gathered = new GatheredIds(rowsMax, { after, to: guess > end ? guess : end })
  const files = new Map(moves.map(move => [move.sequence, move]))
  const decoder = BlockDecoder.alone()
  for await (const portion of blocks.portions(session, names, [...files.keys()], gathered.range)) {
    for (const { sequence, block } of portion) {
      const file = files.get(sequence)!
      gathered.add(opening(file, () => decoder.unpack(file.sha256, block).ids))
    }
  }
  window.begin(gathered.all())
  return gathered.range
}

export interface WindowOptions {
  readonly blocks: FileBlocks
  readonly moves: readonly Move[]
  readonly after: bigint | undefined
  readonly rowsMax: number
}

/** A consumer that is not in them costs less than one that has to be looked for. */
const IDS_PER_PAIR_MAX = 8

/** Different ids of a range, which gets shorter when they are more than there is room for. */
class GatheredIds {
  readonly #rowsMax: number
  readonly #ids: BigUint64Array
  #count = 0
  range: IdRange

  constructor(rowsMax: number, range: IdRange) {
    this.#rowsMax = rowsMax
    this.#ids = new BigUint64Array(rowsMax * 2)
    this.range = range
  }

  add(ids: BigUint64Array): void {
    for (let at = 0; at < ids.length; ) {
      const { after, to } = this.range
      const from = after === undefined ? at : Math.max(at, firstAfter(ids, after))
      const end = firstAfter(ids, to)
      if (from >= end) return
      if (this.#count === this.#ids.length) this.#settle()
      const some = Math.min(end - from, this.#ids.length - this.#count)
      this.#ids.set(ids.subarray(from, from + some), this.#count)
      this.#count += some
      at = from + some
    }
  }

  all(): BigUint64Array {
    this.#settle()
    return this.#ids.subarray(0, this.#count)
  }

  /** Each once, ascending, and no more than there is room for. */
  #settle(): void {
    const ids = this.#ids.subarray(0, this.#count).sort()
    let count = 0
    for (let i = 0; i < ids.length; i += 1) {
      if (i === 0 || ids[i] !== ids[count - 1]) {
        ids[count] = ids[i]!
        count += 1
      }
    }
    if (count > this.#rowsMax) {
      count = this.#rowsMax
      this.range = { after: this.range.after, to: ids[count - 1]! }
    }
    this.#count = count
  }
}
