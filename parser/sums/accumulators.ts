/**
 * Several sums of each consumer of a window, side by side: what is added and taken of each may pass 64
 * bits and fall below zero on the way. Blocks are unpacked, added and taken in the kernel's memory
 * (kernel/assembly/remainders.ts), and what comes of it stands there as pairs: no number of a pair passes
 * through JavaScript.
 */

import assert from 'node:assert/strict'
import { U64_MAX } from '../../shared/limits.ts'
import { KERNEL_BYTES, type KernelExports, startKernel } from '../kernel/index.ts'
import { BlockDecoder, UNPACKED_BYTES } from './block-decoder.ts'
import type { PackedBlock } from './block-format.ts'
import type { IdRange } from './remainders.ts'
import { firstAfter, type PairChunk } from './sums.ts'

export class Accumulators {
  readonly rowsMax: number
  readonly #kernel: KernelExports
  readonly #decoder: BlockDecoder
  readonly #idsAt: number
  readonly #ids: BigUint64Array
  readonly #sums: readonly Sum[]
  readonly #sides: Readonly<Record<'above' | 'below', Pairs>>
  #rows = 0

  /** @param rowsMax of each window; a row takes 40 bytes, and 12 for each of so many sums. */
  constructor(rowsMax: number, sums: number) {
    this.rowsMax = rowsMax
    this.#idsAt = KERNEL_BYTES + UNPACKED_BYTES
    const pairsAt = this.#idsAt + rowsMax * 8
    const sumsAt = pairsAt + rowsMax * 32
    const bytes = sumsAt + rowsMax * 12 * sums + 8 * sums
    const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / PAGE_BYTES) })
    const { buffer } = memory
    this.#kernel = startKernel(memory)
    this.#decoder = new BlockDecoder(this.#kernel, KERNEL_BYTES)
    const array = (at: number): BigUint64Array => new BigUint64Array(buffer, at, rowsMax)
    const side = (at: number): Pairs => ({ ids: array(at), amounts: array(at + rowsMax * 8) })
    this.#ids = array(this.#idsAt)
    this.#sides = { above: side(pairsAt), below: side(pairsAt + rowsMax * 16) }
    this.#sums = Array.from({ length: sums }, (_, i): Sum => {
      const lowsAt = sumsAt + i * (rowsMax * 8)
      const highsAt = sumsAt + sums * rowsMax * 8 + i * rowsMax * 4
      const highs = new Int32Array(buffer, highsAt, rowsMax)
      return { lowsAt, highsAt, lows: array(lowsAt), highs }
    })
  }

  get rows(): number {
    return this.#rows
  }

  /** Begins a window of these ids without holes; everything stands at nothing. */
  beginDense(first: bigint, rows: number): void {
    assert(rows <= this.rowsMax && first + BigInt(rows) - 1n <= U64_MAX)
    this.#kernel.fillIds(this.#idsAt, first, rows)
    this.#begin(rows)
  }

  /** The same of these ids, ascending. */
  begin(ids: BigUint64Array): void {
    assert(ids.length <= this.rowsMax)
    this.#ids.set(ids)
    this.#begin(ids.length)
  }

  /** The ids of a content's block, for whoever looks for those of a window. @throws as `putBlock` */
  idsOf(hash: Uint8Array, block: PackedBlock): BigUint64Array {
    return this.#decoder.unpack(hash, block).ids.slice()
  }

  clear(sum: number): void {
    const { lows, highs } = this.#sums[sum]!
    lows.fill(0n, 0, this.#rows)
    highs.fill(0, 0, this.#rows)
  }

  /**
   * Adds what a content's block has of a range, all of whose ids are in the window, or takes it.
   *
   * @returns of how many pairs.
   * @throws CountersinkError BLOCK_UNREADABLE; then nothing was changed.
   */
  putBlock(
    sum: number,
    hash: Uint8Array,
    block: PackedBlock,
    { after, to }: IdRange,
    isTaken = false,
  ): number {
    const { ids, amounts } = this.#decoder.unpack(hash, block)
    const from = after === undefined || block.firstId > after ? 0 : firstAfter(ids, after)
    const end = block.lastId <= to ? ids.length : firstAfter(ids, to)
    if (end <= from) return 0
    this.#put(sum, ids.byteOffset + from * 8, amounts.byteOffset + from * 8, end - from, isTaken)
    return end - from
  }

  /** Adds pairs of ids of the window, or takes them. */
  putPairs(sum: number, { ids, amounts }: PairChunk, isTaken = false): void {
    // By way of the memory for pairs: whoever gives them has others.
    const { ids: to, amounts: into } = this.#sides.above
    to.set(ids)
    into.set(amounts)
    this.#put(sum, to.byteOffset, into.byteOffset, ids.length, isTaken)
  }

  /** Adds to a single id of the window: more than 64 bits if need be. */
  putOne(sum: number, id: bigint, amount: bigint): void {
    const row = firstAfter(this.#ids.subarray(0, this.#rows), id) - 1
    assert(row >= 0 && this.#ids[row] === id, 'the window has this id')
    const { lows, highs } = this.#sums[sum]!
    const all = (BigInt(highs[row]!) << 64n) + lows[row]! + amount
    lows[row] = BigInt.asUintN(64, all)
    highs[row] = Number(all >> 64n)
  }

  /** Adds one of the sums of each id to another one. */
  addTo(sum: number, other: number): void {
    this.#layOut(sum)
    const { lowsAt, highsAt } = this.#sums[other]!
    this.#kernel.putOnto(lowsAt, highsAt)
  }

  /**
   * The ids whose sum is above zero, or those where it is below, with the distance. What passes 64 bits is
   * 2^64 − 1 there (see `wide`). Valid until this is asked for the same side again.
   */
  pairs(sum: number, side: 'above' | 'below'): PairChunk {
    this.#layOut(sum)
    const { ids, amounts } = this.#sides[side]
    const count = this.#kernel.gatherPairs(ids.byteOffset, amounts.byteOffset, side === 'below')
    return { ids: ids.subarray(0, count), amounts: amounts.subarray(0, count) }
  }

  /** Those whose sum passes 64 bits, whole. */
  *wide(sum: number): Generator<{ readonly id: bigint; readonly amount: bigint }> {
    const { lows, highs } = this.#sums[sum]!
    for (let row = 0; ; row += 1) {
      this.#layOut(sum)
      row = this.#kernel.wideFrom(row)
      if (row >= this.#rows) return
      yield { id: this.#ids[row]!, amount: (BigInt(highs[row]!) << 64n) + lows[row]! }
    }
  }

  #begin(rows: number): void {
    this.#rows = rows
    for (let sum = 0; sum < this.#sums.length; sum += 1) this.clear(sum)
  }

  #put(sum: number, ids: number, amounts: number, pairs: number, isTaken: boolean): void {
    this.#layOut(sum)
    assert(this.#kernel.takePairs(ids, amounts, pairs, !isTaken) === 0, 'all ids have a row')
  }

  #layOut(sum: number): void {
    const { lowsAt, highsAt } = this.#sums[sum]!
    this.#kernel.layOutRemainders(this.#idsAt, lowsAt, highsAt, this.#rows)
  }
}

interface Pairs {
  readonly ids: BigUint64Array
  readonly amounts: BigUint64Array
}

/** Of each row: 64 bits, and how often they were passed. */
interface Sum {
  readonly lowsAt: number
  readonly highsAt: number
  readonly lows: BigUint64Array
  readonly highs: Int32Array
}

const PAGE_BYTES = 65_536
