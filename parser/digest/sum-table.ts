/**
 * Sums per consumer, exact in 64 bits, in one hash table on one typed array.
 *
 * An entry is four 32-bit words: id low, id high, sum low, sum high. All words of an entry share a
 * cache line, and no BigInt is made while adding. Open addressing, linear probing, at most half
 * full. The id 0 marks an empty entry, so the consumer 0 has a place of its own behind the table.
 */

import assert from 'node:assert/strict'
import { endianness } from 'node:os'

/** The most consumers that a table may be allowed: 2 GiB of entries. */
export const TABLE_PAIRS_MAX = 2 ** 26

const WORDS_PER_ENTRY = 4
const CAPACITY_FIRST_LOG2 = 12
const U32_MAX = 0xffff_ffff

export interface SortedSums {
  /** Ascending. */
  readonly ids: BigUint64Array<ArrayBuffer>
  /** The sum of the id at the same index. */
  readonly amounts: BigUint64Array<ArrayBuffer>
  /** 0 if there are no sums. */
  readonly largestSum: bigint
}

export class SumTable {
  readonly #pairsMax: number
  #capacityLog2 = CAPACITY_FIRST_LOG2
  #words = wordsFor(CAPACITY_FIRST_LOG2)
  #pairs = 0
  #zeroSeen = false

  constructor(pairsMax: number) {
    assert(
      Number.isInteger(pairsMax) && pairsMax >= 1 && pairsMax <= TABLE_PAIRS_MAX,
      `pairsMax must be 1..${TABLE_PAIRS_MAX}, got ${pairsMax}`,
    )
    this.#pairsMax = pairsMax
  }

  get pairs(): number {
    return this.#pairs
  }

  /**
   * Adds an amount to a consumer's sum. The halves are taken as 32-bit patterns, signed or not:
   * callers pass them signed, because only those go through a call without being boxed.
   * Unless it returns `added`, the table is as it was.
   */
  add(
    idHigh: number,
    idLow: number,
    amountHigh: number,
    amountLow: number,
  ): 'added' | 'overflow' | 'full' {
    const words = this.#words
    const at = this.#find(idHigh, idLow)
    const isZero = (idHigh | idLow) === 0
    if (isZero ? !this.#zeroSeen : (words[at]! | words[at + 1]!) === 0) {
      if (this.#pairs >= this.#pairsMax) return 'full'
      words[at] = idLow
      words[at + 1] = idHigh
      words[at + 2] = amountLow
      words[at + 3] = amountHigh
      if (isZero) this.#zeroSeen = true
      this.#pairs++
      if (this.#pairs * 2 > 2 ** this.#capacityLog2) this.#grow()
      return 'added'
    }
    // Each sum of two 32-bit halves and a carry stays far below 2^53: no rounding.
    const low = words[at + 2]! + (amountLow >>> 0)
    const high = words[at + 3]! + (amountHigh >>> 0) + (low > U32_MAX ? 1 : 0)
    if (high > U32_MAX) return 'overflow'
    words[at + 2] = low // stored modulo 2^32: the carry is in `high`
    words[at + 3] = high
    return 'added'
  }

  /** All sums by ascending id, as arrays of their own that may be transferred. */
  sorted(): SortedSums {
    const ids = new BigUint64Array(this.#pairs)
    const amounts = new BigUint64Array(this.#pairs)
    const idWords = new Uint32Array(ids.buffer)
    const amountWords = new Uint32Array(amounts.buffer)
    let next = this.#zeroSeen ? 2 : 0 // the array is zeroed: the consumer 0 is already in it
    const words = this.#words
    forEachEntry(words, at => {
      idWords[next++] = words[at]!
      idWords[next++] = words[at + 1]!
    })
    // Sorting the ids alone is a native sort; their sums are then looked up once more.
    ids.sort()
    let largestHigh = 0
    let largestLow = 0
    for (let i = 0; i < idWords.length; i += 2) {
      const at = this.#find(idWords[i + 1]! | 0, idWords[i]! | 0)
      const low = words[at + 2]!
      const high = words[at + 3]!
      amountWords[i] = low
      amountWords[i + 1] = high
      if (high > largestHigh || (high === largestHigh && low > largestLow)) {
        largestHigh = high
        largestLow = low
      }
    }
    return { ids, amounts, largestSum: u64(largestHigh, largestLow) }
  }

  /** The first word of the entry that holds this id, or that is free for it. */
  #find(idHigh: number, idLow: number): number {
    const words = this.#words
    const zeroAt = words.length - WORDS_PER_ENTRY
    if ((idHigh | idLow) === 0) return zeroAt
    const low = idLow >>> 0
    const high = idHigh >>> 0
    // Multiplicative hashing: the product's upper bits depend on all bits of the id.
    const mixed = idLow + Math.imul(idHigh, 0x85eb_ca6b)
    const hash = Math.imul(mixed ^ (mixed >>> 16), 0x9e37_79b1)
    let at = (hash >>> (32 - this.#capacityLog2)) * WORDS_PER_ENTRY
    for (;;) {
      const foundLow = words[at]!
      const foundHigh = words[at + 1]!
      if (foundLow === low && foundHigh === high) return at
      if ((foundLow | foundHigh) === 0) return at
      at += WORDS_PER_ENTRY
      if (at === zeroAt) at = 0
    }
  }

  #grow(): void {
    const before = this.#words
    this.#capacityLog2++
    const after = wordsFor(this.#capacityLog2)
    this.#words = after
    const move = (from: number, to: number) => {
      for (let i = 0; i < WORDS_PER_ENTRY; i++) after[to + i] = before[from + i]!
    }
    forEachEntry(before, at => move(at, this.#find(before[at + 1]! | 0, before[at]! | 0)))
    move(before.length - WORDS_PER_ENTRY, after.length - WORDS_PER_ENTRY)
  }
}

/** Visits the first word of every entry in use, but for the consumer 0's. */
function forEachEntry(words: Uint32Array, visit: (at: number) => void): void {
  for (let at = 0; at < words.length - WORDS_PER_ENTRY; at += WORDS_PER_ENTRY) {
    if ((words[at]! | words[at + 1]!) !== 0) visit(at)
  }
}

/** The 64-bit number of these two 32-bit patterns. */
export function u64(high: number, low: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
}

function wordsFor(capacityLog2: number): Uint32Array<ArrayBuffer> {
  return new Uint32Array((2 ** capacityLog2 + 1) * WORDS_PER_ENTRY)
}

// `sorted` reads pairs of words as one 64-bit number.
assert.equal(endianness(), 'LE', 'sums are kept little-endian')
