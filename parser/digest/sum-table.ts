/**
 * Sums per consumer, exact in 64 bits, in one hash table on one typed array.
 *
 * An entry is four 32-bit words: id low, id high, sum low, sum high. All words of an entry share a
 * cache line, and no BigInt is made while adding. Open addressing, linear probing, at most half
 * full. The id 0 marks an empty entry, so the consumer 0 has a place of its own behind the table.
 *
 * The table is bounded: it refuses one consumer too many, until it is emptied. One table serves
 * many files: the memory that it grew to, for entries and for sorting, is kept for the next.
 */

import assert from 'node:assert/strict'
import { PairBuffer, PairTally } from './pair-words.ts'
import type { PairChunk } from './sums.ts'

/** The most consumers that a table may be allowed: 2 GiB of entries. */
export const TABLE_PAIRS_MAX = 2 ** 26

const WORDS_PER_ENTRY = 4
const CAPACITY_FIRST_LOG2 = 12
const U32_MAX = 0xffff_ffff
/** Four times as much at each growth: what is left behind is a third of what was allocated. */
const GROWTH_LOG2 = 2

export interface SortedSums {
  /** Ascending. */
  readonly ids: BigUint64Array<ArrayBuffer>
  /** The sum of the id at the same index. */
  readonly amounts: BigUint64Array<ArrayBuffer>
  /** 0 if there are no sums. */
  readonly largestSum: bigint
}

export class SumTable {
  #pairsMax = 0
  #capacityMaxLog2 = CAPACITY_FIRST_LOG2
  #capacityLog2 = CAPACITY_FIRST_LOG2
  #words = wordsFor(CAPACITY_FIRST_LOG2)
  /** The largest array so far, in use or not. Its contents are stale when it is not. */
  #largest = this.#words
  #sortBuffer = new PairBuffer(0)
  #pairs = 0
  #zeroSeen = false

  /** @see reset */
  constructor(pairsMax: number) {
    this.reset(pairsMax)
  }

  /** Empties the table for another use. */
  reset(pairsMax: number): void {
    assert(
      Number.isInteger(pairsMax) && pairsMax >= 1 && pairsMax <= TABLE_PAIRS_MAX,
      `pairsMax must be 1..${TABLE_PAIRS_MAX}, got ${pairsMax}`,
    )
    this.#pairsMax = pairsMax
    this.#capacityMaxLog2 = Math.max(CAPACITY_FIRST_LOG2, Math.ceil(Math.log2(pairsMax * 2)))
    this.#capacityLog2 = CAPACITY_FIRST_LOG2
    this.#words = wordsFor(CAPACITY_FIRST_LOG2)
    this.#pairs = 0
    this.#zeroSeen = false
  }

  /** Empties the table, which stays as large as it is. */
  clear(): void {
    this.#words.fill(0)
    this.#pairs = 0
    this.#zeroSeen = false
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
    const into = new PairBuffer(this.#pairs)
    this.#sortInto(into)
    const tally = new PairTally()
    tally.add(into)
    return { ids: into.ids, amounts: into.amounts, largestSum: tally.largestSum }
  }

  /** The same as a view of memory that the next call uses again. */
  sortedView(): PairChunk {
    if (this.#sortBuffer.capacity < this.#pairs) {
      // By half at least, so that a table that is cleared often does not allocate each time.
      const wanted = Math.max(this.#pairs, Math.ceil(this.#sortBuffer.capacity * 1.5))
      this.#sortBuffer = new PairBuffer(0) // let go of before the larger one is made
      this.#sortBuffer = new PairBuffer(Math.min(wanted, this.#pairsMax))
    }
    this.#sortInto(this.#sortBuffer)
    return this.#sortBuffer.chunk()
  }

  #sortInto(into: PairBuffer): void {
    const words = this.#words
    const { idWords, amountWords } = into
    into.pairs = this.#pairs
    let next = 0
    if (this.#zeroSeen) {
      idWords[next++] = 0
      idWords[next++] = 0
    }
    forEachEntry(words, at => {
      idWords[next++] = words[at]!
      idWords[next++] = words[at + 1]!
    })
    // Sorting the ids alone is a native sort; their sums are then looked up once more.
    into.ids.subarray(0, into.pairs).sort()
    for (let i = 0; i < next; i += 2) {
      const at = this.#find(idWords[i + 1]! | 0, idWords[i]! | 0)
      amountWords[i] = words[at + 2]!
      amountWords[i + 1] = words[at + 3]!
    }
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
    this.#capacityLog2 = Math.min(this.#capacityLog2 + GROWTH_LOG2, this.#capacityMaxLog2)
    const after = this.#cleanWords()
    this.#words = after
    const move = (from: number, to: number) => {
      for (let i = 0; i < WORDS_PER_ENTRY; i++) after[to + i] = before[from + i]!
    }
    forEachEntry(before, at => move(at, this.#find(before[at + 1]! | 0, before[at]! | 0)))
    move(before.length - WORDS_PER_ENTRY, after.length - WORDS_PER_ENTRY)
  }

  /** Zeros for the present capacity: the largest array again if it is of that size. */
  #cleanWords(): Uint32Array<ArrayBuffer> {
    if (this.#largest.length === lengthFor(this.#capacityLog2)) return this.#largest.fill(0)
    const words = wordsFor(this.#capacityLog2)
    if (words.length > this.#largest.length) this.#largest = words
    return words
  }
}

/** Visits the first word of every entry in use, but for the consumer 0's. */
function forEachEntry(words: Uint32Array, visit: (at: number) => void): void {
  for (let at = 0; at < words.length - WORDS_PER_ENTRY; at += WORDS_PER_ENTRY) {
    if ((words[at]! | words[at + 1]!) !== 0) visit(at)
  }
}

function lengthFor(capacityLog2: number): number {
  return (2 ** capacityLog2 + 1) * WORDS_PER_ENTRY
}

function wordsFor(capacityLog2: number): Uint32Array<ArrayBuffer> {
  return new Uint32Array(lengthFor(capacityLog2))
}
