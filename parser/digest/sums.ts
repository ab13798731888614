/** A file's sums, as the stages after the digest see them. */

import assert from 'node:assert/strict'

/** Sums by ascending id: `amounts[i]` belongs to `ids[i]`. */
export interface PairChunk {
  readonly ids: BigUint64Array
  readonly amounts: BigUint64Array
}

/**
 * The sums of one file. Callers see an asynchronous sequence and a `close`, so that sums may also
 * come from files one day.
 */
export interface Sums {
  readonly pairs: number
  /**
   * All pairs by ascending id (unsigned), each id once, in chunks of at most `pairsMax`.
   * May be called again, for the sequence from its start. A chunk is a view, valid until `close`:
   * it must not be written to or transferred.
   */
  chunks(pairsMax: number): AsyncIterable<PairChunk>
  /** Lets go of what the sums occupy. Safe to repeat. */
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

  async *chunks(pairsMax: number): AsyncGenerator<PairChunk> {
    assert(Number.isSafeInteger(pairsMax) && pairsMax >= 1, `pairsMax must be 1.., got ${pairsMax}`)
    for (let start = 0; start < this.pairs; start += pairsMax) {
      assert(this.#all !== undefined, 'the sums are closed')
      const { ids, amounts } = this.#all
      const end = start + pairsMax
      yield { ids: ids.subarray(start, end), amounts: amounts.subarray(start, end) }
    }
  }

  async close(): Promise<void> {
    this.#all = undefined
  }
}
