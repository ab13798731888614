/**
 * Pairs seen as 32-bit words. Loops that run once a pair use these: reading an element of a
 * BigUint64Array may make a BigInt on the heap, two halves never do.
 */

import assert from 'node:assert/strict'
import { endianness } from 'node:os'
import type { PairChunk } from './sums.ts'

/** The most pairs in one call of `PairTally.add`: their halves add up to less than 2^53. */
const TALLIED_AT_ONCE_MAX = 2 ** 20

/** A piece of memory for pairs. */
export class PairBuffer {
  readonly capacity: number
  readonly ids: BigUint64Array<ArrayBuffer>
  readonly amounts: BigUint64Array<ArrayBuffer>
  /** How many pairs are in it. */
  pairs = 0

  constructor(capacity: number) {
    this.capacity = capacity
    this.ids = new BigUint64Array(capacity)
    this.amounts = new BigUint64Array(capacity)
  }

  /** A view of the pairs in it: valid until they are overwritten. */
  chunk(): PairChunk {
    return {
      ids: this.ids.subarray(0, this.pairs),
      amounts: this.amounts.subarray(0, this.pairs),
    }
  }
}

/** The same memory as words: low, high, low, high … */
export function wordsOf(numbers: BigUint64Array): Uint32Array {
  return new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length * 2)
}

/** The 64-bit number of these two 32-bit patterns. */
export function u64(high: number, low: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
}

/** What is known of a sequence of pairs once all have passed by. */
export class PairTally {
  #pairs = 0
  #amount = 0n
  #largestHigh = 0
  #largestLow = 0
  #lastHigh = -1
  #lastLow = 0

  get pairs(): number {
    return this.#pairs
  }

  /** The sum of all amounts: may be more than 64 bits. */
  get amount(): bigint {
    return this.#amount
  }

  /** 0 if there are no pairs. */
  get largestSum(): bigint {
    return u64(this.#largestHigh, this.#largestLow)
  }

  /** Counts the next pairs in. False: an id is not greater than the one before it. */
  add({ ids, amounts }: PairChunk): boolean {
    for (let start = 0; start < ids.length; start += TALLIED_AT_ONCE_MAX) {
      const end = start + TALLIED_AT_ONCE_MAX
      if (!this.#add(wordsOf(ids.subarray(start, end)), wordsOf(amounts.subarray(start, end)))) {
        return false
      }
    }
    return true
  }

  #add(ids: Uint32Array, amounts: Uint32Array): boolean {
    let lastHigh = this.#lastHigh
    let lastLow = this.#lastLow
    let largestHigh = this.#largestHigh
    let largestLow = this.#largestLow
    let totalHigh = 0
    let totalLow = 0
    for (let i = 0; i < ids.length; i += 2) {
      const idLow = ids[i]!
      const idHigh = ids[i + 1]!
      if (idHigh < lastHigh || (idHigh === lastHigh && idLow <= lastLow)) return false
      lastHigh = idHigh
      lastLow = idLow
      const low = amounts[i]!
      const high = amounts[i + 1]!
      totalLow += low
      totalHigh += high
      if (high > largestHigh || (high === largestHigh && low > largestLow)) {
        largestHigh = high
        largestLow = low
      }
    }
    this.#lastHigh = lastHigh
    this.#lastLow = lastLow
    this.#largestHigh = largestHigh
    this.#largestLow = largestLow
    this.#pairs += ids.length / 2
    this.#amount += (BigInt(totalHigh) << 32n) + BigInt(totalLow)
    return true
  }
}

// Pairs of words are read as one 64-bit number, here and in run files.
assert.equal(endianness(), 'LE', 'sums are kept little-endian')
