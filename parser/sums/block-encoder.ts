/**
 * Ascending pairs into packed blocks (block-format.ts), by the kernel. Blocks do not depend on the
 * portions in which the pairs come. A kernel packs for one encoder at a time: for the last one made.
 */

import assert from 'node:assert/strict'
import {
  KERNEL_BYTES,
  type KernelExports,
  startKernel,
  unsigned,
  unsigned128,
} from '../kernel/index.ts'
import { blockCrc, type PackedBlock } from './block-format.ts'
import type { PairChunk } from './sums.ts'

/** What the kernel is at; the order is that of the numbers in kernel/assembly/pack.ts. */
const STATES = ['open', 'ready', 'unordered'] as const

export class BlockEncoder {
  readonly #kernel: KernelExports
  readonly #hash: Uint8Array
  readonly #ids: BigUint64Array
  readonly #amounts: BigUint64Array

  constructor(kernel: KernelExports, hash: Uint8Array) {
    this.#kernel = kernel
    this.#hash = hash
    const { buffer } = kernel.memory
    this.#ids = new BigUint64Array(buffer, kernel.givenIds.value, kernel.GIVEN_PAIRS.value)
    this.#amounts = new BigUint64Array(buffer, kernel.givenAmounts.value, kernel.GIVEN_PAIRS.value)
    kernel.beginPacking()
  }

  /**
   * Packs these pairs, and gives each block that is finished by them. The pairs must stay as they are
   * until all have been asked for. Pairs in the kernel's own memory are not copied.
   */
  *add(chunk: PairChunk): Generator<PackedBlock, void> {
    if (chunk.ids.buffer === this.#ids.buffer) {
      yield* this.#add(chunk.ids.byteOffset, chunk.amounts.byteOffset, chunk.ids.length)
      return
    }
    const size = this.#ids.length
    for (let at = 0; at < chunk.ids.length; at += size) {
      const ids = chunk.ids.subarray(at, at + size)
      this.#ids.set(ids)
      this.#amounts.set(chunk.amounts.subarray(at, at + size))
      yield* this.#add(this.#ids.byteOffset, this.#amounts.byteOffset, ids.length)
    }
  }

  /** Gives the last blocks, none if there was no pair. */
  *end(): Generator<PackedBlock, void> {
    for (;;) {
      this.#kernel.packRest()
      if (!this.#isReady()) return
      yield this.#block()
    }
  }

  *#add(ids: number, amounts: number, pairs: number): Generator<PackedBlock, void> {
    for (let at = 0; at < pairs; ) {
      at += this.#kernel.pack(ids + at * 8, amounts + at * 8, pairs - at)
      if (this.#isReady()) yield this.#block()
    }
  }

  #isReady(): boolean {
    const state = STATES[this.#kernel.packState.value]
    assert(state === 'open' || state === 'ready', 'the pairs of blocks must ascend')
    return state === 'ready'
  }

  /** The block that is ready, in memory of its own. */
  #block(): PackedBlock {
    const kernel = this.#kernel
    const { buffer } = kernel.memory
    const bytes = new Uint8Array(buffer, kernel.packed.value, kernel.packedBytes.value).slice()
    const firstId = unsigned(kernel.packedFirstId)
    return {
      firstId,
      lastId: unsigned(kernel.packedLastId),
      pairs: kernel.packedPairs.value,
      amount: unsigned128(kernel.packedAmountHigh, kernel.packedAmountLow),
      crc: blockCrc(this.#hash, firstId, bytes),
      bytes,
    }
  }
}

/** A kernel for encoders alone. */
export function startPacking(): KernelExports {
  return startKernel(new WebAssembly.Memory({ initial: Math.ceil(KERNEL_BYTES / PAGE_BYTES) }))
}

const PAGE_BYTES = 65_536
