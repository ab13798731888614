/**
 * The kernel (kernel/assembly/sums.ts) and its memory: lines into exact sums per consumer, in a bounded
 * piece of memory that is used again from file to file.
 *
 *     the kernel's own │ input: 64 bytes, a segment of the file, a line feed │ blocks to merge │ sums
 *
 * A file is read straight into the input. Memory that was never used is not resident, whatever
 * there is room for.
 */

import assert from 'node:assert/strict'
import {
  KERNEL_BYTES,
  type KernelExports,
  startKernel,
  unsigned,
  unsigned128,
} from '../kernel/index.ts'
import { BLOCK_PAIRS, BlockEncoder, type PairChunk } from '../sums/index.ts'
import { FIRST_BYTES_MAX } from './line-defects.ts'

/** The most consumers that may be allowed at once. What there is memory for is less. */
export const TABLE_PAIRS_MAX = 2 ** 26
/** The largest segment that may be summed at once. */
export const SEGMENT_BYTES_MAX = 4 * 1024 * 1024

/** Why the kernel stopped; the order is that of the numbers in assembly/staging.ts. */
const STOPS = ['done', 'bad', 'full', 'crowded', 'overflow'] as const
/**
 * `done`: what is left is less than a line. `bad`: the next line is none. `full`: it has a consumer
 * for whom there is no room. `overflow`: it would bring its consumer's sum past 2^64 − 1.
 */
export type Stop = Exclude<(typeof STOPS)[number], 'crowded'>

/** Why a merge stopped; the order is that of the numbers in assembly/merge.ts. */
const MERGE_STOPS = ['full', 'hungry', 'ended', 'overflow'] as const

/** Readable bytes before and behind the input. */
const MARGIN_BYTES = 64
const PAGE_BYTES = 65_536
const OS_PAGE_BYTES = 4_096
/** The table keeps at least this part of the memory for sums: ids outside the window come too. */
const TABLE_PART = 1 / 8
/** What an id of the window takes: its sum, a bit, and its 64th of a byte. */
const WINDOW_BYTES_PER_ID = 8 + 1 / 8 + 1 / 64
/** A window serves if it has at least this part of the ids that were looked at. */
const WINDOW_SHARE_MIN = 0.9
/** Ids that are looked at. */
const SAMPLED_MAX = 2048
const U64_VALUES = 1n << 64n

export interface SumKernelOptions {
  /** What sums may take. */
  readonly sumBytesMax: number
  /** The most bytes of a file that are given at once. */
  readonly segmentBytesMax: number
}

/** Ids of [base, base + size) that are summed without searching. */
export interface Window {
  readonly base: bigint
  /** A multiple of 64. */
  readonly size: number
  /** Where most ids are expected. */
  readonly expected?: { readonly first: bigint; readonly last: bigint }
}

/** Ascending pairs; each chunk is valid until the next one is asked for. */
export interface PairSource {
  next(): PairChunk | undefined
}

const NO_WINDOW: Window = { base: 0n, size: 0 }

export class SumKernel {
  readonly #kernel: KernelExports
  /** Where a segment goes, with room for a margin before it and a line feed behind. */
  readonly input: Uint8Array<ArrayBuffer>
  readonly #inputAt: number
  readonly #mergeAt: number
  readonly #sumsAt: number
  readonly #sumBytes: number
  readonly #sums: Uint8Array<ArrayBuffer>
  readonly #ids: BigUint64Array<ArrayBuffer>
  readonly #amounts: BigUint64Array<ArrayBuffer>
  #pairsMax = 1
  #window = NO_WINDOW
  #isLaidOut = false
  #positionBytes = 0

  constructor({ sumBytesMax, segmentBytesMax }: SumKernelOptions) {
    const fits = segmentBytesMax >= 1 && segmentBytesMax <= SEGMENT_BYTES_MAX
    assert(fits, `segmentBytesMax must be 1..${SEGMENT_BYTES_MAX}, got ${segmentBytesMax}`)
    const inputBytes = FIRST_BYTES_MAX + segmentBytesMax + 1
    const bytes = sumBytesMax + inputBytes + MERGE_BYTES + KERNEL_BYTES
    const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / PAGE_BYTES) })
    const kernel = startKernel(memory)
    this.#kernel = kernel
    this.#inputAt = aligned(kernel.memoryStart() + MARGIN_BYTES)
    this.#mergeAt = aligned(this.#inputAt + inputBytes + MARGIN_BYTES)
    this.#sumsAt = this.#mergeAt + MERGE_BYTES
    this.#sumBytes = sumBytesMax
    assert(this.#sumsAt + sumBytesMax <= memory.buffer.byteLength, 'KERNEL_BYTES is too small')
    const chunkPairs = kernel.CHUNK_PAIRS.value
    this.input = new Uint8Array(memory.buffer, this.#inputAt, inputBytes)
    this.#sums = new Uint8Array(memory.buffer, this.#sumsAt, sumBytesMax)
    this.#ids = new BigUint64Array(memory.buffer, kernel.chunkIds.value, chunkPairs)
    this.#amounts = new BigUint64Array(memory.buffer, kernel.chunkAmounts.value, chunkPairs)
    this.reset(1)
  }

  /** Forgets all sums and totals, for another file. */
  reset(pairsMax: number, window = NO_WINDOW): void {
    const fits = Number.isInteger(pairsMax) && pairsMax >= 1 && pairsMax <= TABLE_PAIRS_MAX
    assert(fits, `pairsMax must be 1..${TABLE_PAIRS_MAX}, got ${pairsMax}`)
    this.#pairsMax = pairsMax
    this.clear()
    this.#isLaidOut = false // a table begins small: the next file may be
    this.placeWindow(window)
    this.resetTotals()
  }

  /** Begins to count lines and amount anew. */
  resetTotals(): void {
    this.#kernel.resetTotals()
  }

  /** Forgets all sums, not the totals. */
  clear(): void {
    this.#kernel.clear()
  }

  /** Which ids need not be searched for. Any choice is right; there must be no sums. */
  placeWindow({ base, size, expected }: Window): void {
    const fits = size % 64 === 0 && size >= 0 && size <= this.windowSizeMax
    assert(
      fits && base >= 0n && base + BigInt(size) <= U64_VALUES,
      `a window of ${size} at ${base}`,
    )
    assert.equal(this.pairs, 0, 'the window is placed when there are no sums')
    const { base: baseNow, size: sizeNow } = this.#window
    // Otherwise the table stays as large as it has grown to be.
    if (!this.#isLaidOut || size !== sizeNow || base !== baseNow) {
      this.#window = { base, size }
      this.#isLaidOut = true
      this.#kernel.layOut(this.#sumsAt, this.#sumBytes, base, size, this.#pairsMax)
    }
    if (expected !== undefined) {
      this.#makeReady(Number(expected.first - base) * 8, Number(expected.last - base) * 8)
    }
  }

  /**
   * Writes to each page of these bytes of the window, which are all zero. A page that is read before it
   * is first written costs two page faults, and the second interrupts all other threads.
   */
  #makeReady(first: number, last: number): void {
    for (let at = first; at <= last; at += OS_PAGE_BYTES) this.#sums[at] = 0
    this.#sums[last] = 0
  }

  /** The largest window that leaves enough for the table. */
  get windowSizeMax(): number {
    return Math.floor((this.#sumBytes * (1 - TABLE_PART)) / WINDOW_BYTES_PER_ID / 64) * 64
  }

  /**
   * The window that serves the lines of input [start, end), whose first begins at `start`: where
   * most of their ids are, if nearly all are so near to each other. It is made as large as it may
   * be, since ids often come in order; `sizeMax` bounds what looking through it costs.
   */
  bestWindow(start: number, end: number, sizeMax: number): Window {
    const size = Math.floor(Math.min(this.windowSizeMax, sizeMax) / 64) * 64
    const sampled = this.#kernel.sampleIds(this.#inputAt + start, this.#inputAt + end)
    const step = Math.max(1, Math.floor(sampled / SAMPLED_MAX))
    const ids = this.#ids
      .subarray(0, sampled)
      .filter((_, i) => i % step === 0)
      .sort()
    let most = 0
    let low = 0n
    let high = 0n
    for (let first = 0, end = 0; first < ids.length; first++) {
      while (end < ids.length && ids[end]! - ids[first]! < BigInt(size)) end++
      if (end - first <= most) continue
      most = end - first
      low = ids[first]!
      high = ids[end - 1]!
    }
    if (most === 0 || most < ids.length * WINDOW_SHARE_MIN) return NO_WINDOW
    const expected = { first: low, last: high }
    if (high < BigInt(size)) return { base: 0n, size, expected }
    // What is not needed stands before and behind, less of it before: ids grow.
    const base = low - (BigInt(size) - (high - low)) / 4n
    const last = U64_VALUES - BigInt(size)
    return { base: base < last ? base : last, size, expected }
  }

  /**
   * Adds the whole lines of input [start, end), a line beginning at `start`. `positionBytes` is then
   * where the line begins that is the reason, or the rest if it is `done`.
   */
  sum(start: number, end: number): Stop {
    const stop = STOPS[this.#kernel.sumLines(this.#inputAt + start, this.#inputAt + end)]
    assert(stop !== undefined && stop !== 'crowded')
    this.#positionBytes = this.#kernel.position.value - this.#inputAt
    return stop
  }

  /** In the input. */
  get positionBytes(): number {
    return this.#positionBytes
  }

  /**
   * Adds sums made elsewhere, from index `start` on; returns how many until it stopped. They
   * change neither lines nor amount.
   */
  addPairs({ ids, amounts }: PairChunk, start: number): { added: number; stop: Stop } {
    for (let at = start; ; ) {
      const end = Math.min(ids.length, at + this.#ids.length)
      this.#ids.set(ids.subarray(at, end))
      this.#amounts.set(amounts.subarray(at, end))
      const stop = STOPS[this.#kernel.addPairs(0, end - at)]
      assert(stop !== undefined && stop !== 'crowded')
      at += this.#kernel.position.value
      if (stop !== 'done' || at === ids.length) return { added: at - start, stop }
    }
  }

  /** How many consumers have a sum. */
  get pairs(): number {
    return this.#kernel.pairs.value
  }

  /** Lines added since `reset` or `resetTotals`. */
  get lines(): number {
    return Number(this.#kernel.lines.value)
  }

  /** The sum of their amounts. */
  get amount(): bigint {
    return unsigned128(this.#kernel.amountHigh, this.#kernel.amountLow)
  }

  /** After `overflow`: whose sum it would be. */
  get consumer(): bigint {
    return unsigned(this.#kernel.consumer)
  }

  /**
   * All sums by ascending id. A chunk is valid until the next one is asked for. From here on
   * nothing can be added before `clear`.
   */
  sorted(): PairSource {
    this.#kernel.sort()
    return {
      next: () => {
        const pairs = this.#kernel.nextChunk()
        if (pairs === 0) return undefined
        return { ids: this.#ids.subarray(0, pairs), amounts: this.#amounts.subarray(0, pairs) }
      },
    }
  }

  /** Packs the sums of this content: those of `sorted` and `merge` where they stand. One at a time. */
  blockEncoder(hash: Uint8Array): BlockEncoder {
    return new BlockEncoder(this.#kernel, hash)
  }

  /**
   * Puts the pairs of all sources in ascending order, those of equal ids added together; `sorted`
   * of this kernel may be one of them. A chunk that is put is valid until `put` returns. False: a
   * consumer's sum would pass 2^64 − 1, which ends it.
   */
  merge(sources: readonly PairSource[], put: (chunk: PairChunk) => void): boolean {
    const kernel = this.#kernel
    assert(sources.length >= 1 && sources.length <= MERGED_SOURCES_MAX)
    const buffer = this.input.buffer
    kernel.beginMerge(sources.length, this.#mergeAt + MERGE_BLOCKS_BYTES)
    for (;;) {
      const stop = MERGE_STOPS[kernel.merge(kernel.MERGED_PAIRS_MAX.value)]
      if (stop === 'hungry') {
        this.#supply(sources[kernel.hungry.value]!.next(), kernel.hungry.value)
        continue
      }
      if (stop === 'overflow') return false
      const pairs = kernel.mergedPairs.value
      put({
        ids: new BigUint64Array(buffer, kernel.mergedIds.value, pairs),
        amounts: new BigUint64Array(buffer, kernel.mergedAmounts.value, pairs),
      })
      kernel.emptyMerged()
      if (stop === 'ended') return true
    }
  }

  /** Lets a source of the merge go on with this chunk. */
  #supply(chunk: PairChunk | undefined, source: number): void {
    const pairs = chunk === undefined ? 0 : chunk.ids.length
    let idsAt = this.#mergeAt + source * BLOCK_PAIRS * 16
    let amountsAt = idsAt + pairs * 8
    if (chunk !== undefined && chunk.ids.buffer === this.input.buffer) {
      idsAt = chunk.ids.byteOffset
      amountsAt = chunk.amounts.byteOffset
    } else if (chunk !== undefined) {
      assert(pairs >= 1 && pairs <= BLOCK_PAIRS, `a chunk of ${pairs} pairs`)
      new BigUint64Array(this.input.buffer, idsAt, pairs).set(chunk.ids)
      new BigUint64Array(this.input.buffer, amountsAt, pairs).set(chunk.amounts)
    }
    this.#kernel.supply(idsAt, amountsAt, pairs)
  }

  /** All sums by ascending id, in arrays of their own, which may be transferred. */
  sortedArrays(): {
    ids: BigUint64Array<ArrayBuffer>
    amounts: BigUint64Array<ArrayBuffer>
  } {
    const ids = new BigUint64Array(this.pairs)
    const amounts = new BigUint64Array(this.pairs)
    const sorted = this.sorted()
    let at = 0
    for (let chunk = sorted.next(); chunk !== undefined; chunk = sorted.next()) {
      ids.set(chunk.ids, at)
      amounts.set(chunk.amounts, at)
      at += chunk.ids.length
    }
    assert.equal(at, ids.length, 'as many sums are read out as there are')
    return { ids, amounts }
  }
}

const MERGED_SOURCES_MAX = 64
/** Of each source of a merge: a block, and behind all of them what the kernel needs. */
const MERGE_BLOCKS_BYTES = MERGED_SOURCES_MAX * BLOCK_PAIRS * 16
const MERGE_BYTES = MERGE_BLOCKS_BYTES + MERGED_SOURCES_MAX * 64

function aligned(address: number): number {
  return Math.ceil(address / 64) * 64
}
