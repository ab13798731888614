/**
 * A window of totals, and what is left of each once the sums that made it are taken away: nothing, if
 * it adds up. Blocks are unpacked and taken away in the kernel's memory (kernel/assembly/remainders.ts):
 * nothing is copied, and no number of a pair passes through JavaScript.
 */

import assert from 'node:assert/strict'
import { KERNEL_BYTES, type KernelExports, startKernel } from '../kernel/index.ts'
import { BlockDecoder, UNPACKED_BYTES } from './block-decoder.ts'
import type { PackedBlock } from './block-format.ts'
import { findIn, firstAfter, type PairChunk } from './sums.ts'

/** Ids behind `after` (none: from 0 on) up to `to`. */
export interface IdRange {
  readonly after: bigint | undefined
  readonly to: bigint
}

export class Remainders {
  readonly #kernel: KernelExports
  readonly #decoder: BlockDecoder
  readonly #at: { readonly ids: number; readonly lows: number; readonly highs: number }
  readonly #ids: BigUint64Array
  readonly #lows: BigUint64Array
  readonly #highs: Int32Array
  /** As they were pushed. */
  readonly #totals: BigUint64Array
  #rows = 0

  /** @param rowsMax take 28 bytes each. */
  constructor(rowsMax: number) {
    const ids = KERNEL_BYTES + UNPACKED_BYTES
    const lows = ids + rowsMax * 8
    const highs = lows + rowsMax * 8
    const initial = Math.ceil((highs + rowsMax * 4) / PAGE_BYTES)
    const memory = new WebAssembly.Memory({ initial })
    this.#kernel = startKernel(memory)
    this.#decoder = new BlockDecoder(this.#kernel, KERNEL_BYTES)
    this.#at = { ids, lows, highs }
    this.#ids = new BigUint64Array(memory.buffer, ids, rowsMax)
    this.#lows = new BigUint64Array(memory.buffer, lows, rowsMax)
    this.#highs = new Int32Array(memory.buffer, highs, rowsMax)
    this.#totals = new BigUint64Array(rowsMax)
  }

  get rowsMax(): number {
    return this.#ids.length
  }

  get rows(): number {
    return this.#rows
  }

  /** The ids of the rows, ascending. */
  get ids(): BigUint64Array {
    return this.#ids.subarray(0, this.#rows)
  }

  /** What was pushed for this id; undefined: it has no row. */
  find(id: bigint): bigint | undefined {
    return findIn({ ids: this.ids, amounts: this.#totals }, id)
  }

  /** No rows. */
  clear(): void {
    this.#rows = 0
  }

  /** The next row; they come by ascending id, and all of them before anything is taken away. */
  push(id: bigint, amount: bigint): void {
    const row = this.#rows
    assert(row < this.#ids.length && (row === 0 || this.#ids[row - 1]! < id))
    this.#ids[row] = id
    this.#lows[row] = amount
    this.#totals[row] = amount
    this.#highs[row] = 0
    this.#rows = row + 1
  }

  /** That was all of them. */
  seal(): void {
    const { ids, lows, highs } = this.#at
    this.#kernel.layOutRemainders(ids, lows, highs, this.#rows)
  }

  /**
   * Takes away the sums of a content's block whose ids are in this range, or puts them on again.
   *
   * @returns those that have no row here, valid until the next call, and how many there were in all.
   * @throws CountersinkError BLOCK_UNREADABLE; then nothing was changed.
   */
  take(
    hash: Uint8Array,
    block: PackedBlock,
    range: IdRange,
    isBack: boolean,
  ): PairChunk & { readonly pairs: number } {
    const { ids, amounts } = this.#decoder.unpack(hash, block)
    const { after, to } = range
    const from = after === undefined || block.firstId > after ? 0 : firstAfter(ids, after)
    const end = block.lastId <= to ? ids.length : firstAfter(ids, to)
    const pairs = Math.max(0, end - from)
    const [idsAt, amountsAt] = [ids.byteOffset + from * 8, amounts.byteOffset + from * 8]
    const strays = this.#kernel.takePairs(idsAt, amountsAt, pairs, isBack)
    return {
      pairs,
      ids: ids.subarray(from, from + strays),
      amounts: amounts.subarray(from, from + strays),
    }
  }

  /** Takes away from a single row. @returns whether there is one, and room for so much. */
  takeOne(id: bigint, amount: bigint): boolean {
    const row = firstAfter(this.ids, id) - 1
    if (row < 0 || this.#ids[row] !== id) return false
    const left = (BigInt(this.#highs[row]!) << 64n) + this.#lows[row]! - amount
    const high = left >> 64n
    if (BigInt.asIntN(32, high) !== high) return false
    this.#lows[row] = BigInt.asUintN(64, left)
    this.#highs[row] = Number(high)
    return true
  }

  /** The rows of which something is left, or too much was taken. */
  *unsettled(): Generator<{
    readonly id: bigint
    readonly total: bigint
    readonly left: bigint
  }> {
    for (let row = 0; ; row += 1) {
      row = this.#kernel.unsettledFrom(row)
      if (row >= this.#rows) return
      const left = (BigInt(this.#highs[row]!) << 64n) + this.#lows[row]!
      yield { id: this.#ids[row]!, total: this.#totals[row]!, left }
    }
  }
}

const PAGE_BYTES = 65_536
