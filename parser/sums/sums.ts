/** Sums per consumer, as the stages after the digest see them: in memory or in a run file. */

import assert from 'node:assert/strict'

/** Sums by ascending id: `amounts[i]` belongs to `ids[i]`. */
export interface PairChunk {
  readonly ids: BigUint64Array
  readonly amounts: BigUint64Array
}

/** The sums of one file, or of several that were merged. */
export interface Sums {
  readonly pairs: number
  /**
   * All pairs whose id is greater than `after` (all, if there is none) by ascending id (unsigned),
   * each id once, in chunks of exactly `pairsMax` but for the last. May be called again. A chunk
   * is valid until the next one is asked for; it must not be written to or transferred.
   */
  chunks(pairsMax: number, after?: bigint | null): AsyncIterable<PairChunk>
  /** The sum of this consumer; undefined if it has none. */
  find(id: bigint): Promise<bigint | undefined>
  /** Lets go of what the sums occupy in the process. A run file stays. Safe to repeat. */
  close(): Promise<void>
}

/** Sums that are held in memory: 16 bytes a pair. */
export class MemorySums implements Sums {
  readonly pairs: number
  #all: PairChunk | undefined

  /** Takes ownership of both arrays. */
  constructor(ids: BigUint64Array, amounts: BigUint64Array) {
    assert.equal(ids.length, amounts.length)
    this.pairs = ids.length
    this.#all = { ids, amounts }
  }

  /** All pairs, for whoever need not wait for them. */
  get all(): PairChunk {
    return this.#opened()
  }

  async *chunks(pairsMax: number, after?: bigint | null): AsyncGenerator<PairChunk> {
    assertPairsMax(pairsMax)
    const first = after == null ? 0 : firstAfter(this.#opened().ids, after)
    for (let start = first; start < this.pairs; start += pairsMax) {
      const { ids, amounts } = this.#opened()
      const end = start + pairsMax
      yield { ids: ids.subarray(start, end), amounts: amounts.subarray(start, end) }
    }
  }

  async find(id: bigint): Promise<bigint | undefined> {
    return findIn(this.#opened(), id)
  }

  async close(): Promise<void> {
    this.#all = undefined
  }

  #opened(): PairChunk {
    assert(this.#all !== undefined, 'the sums are closed')
    return this.#all
  }
}

/** The index of the first of these ascending ids that is greater than `after`. */
export function firstAfter(ids: BigUint64Array, after: bigint): number {
  let low = 0
  let high = ids.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (ids[middle]! > after) high = middle
    else low = middle + 1
  }
  return low
}

/** The sum of this id in one chunk. */
export function findIn({ ids, amounts }: PairChunk, id: bigint): bigint | undefined {
  const at = firstAfter(ids, id) - 1
  return at >= 0 && ids[at] === id ? amounts[at] : undefined
}

export function assertPairsMax(pairsMax: number): void {
  assert(Number.isSafeInteger(pairsMax) && pairsMax >= 1, `pairsMax must be 1.., got ${pairsMax}`)
}
