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
    packing.set(kernel, this)
    this.#kernel = kernel
    this.#hash = hash
    const { buffer } = kernel.memory
    this.#ids = new BigUint64Array(buffer, kernel.givenIds.value, kernel.GIVEN_PAIRS.value)
    this.#amounts = new BigUint64Array(buffer, kernel.givenAmounts.value, kernel.GIVEN_PAIRS.value)
    kernel.beginPacking()
  }

  /** Packs these pairs. @returns the blocks that are finished by them */
  add({ ids, amounts }: PairChunk): PackedBlock[] {
    this.#assertLast()
    const blocks: PackedBlock[] = []
    if (ids.buffer === this.#ids.buffer) {
      this.#add(ids.byteOffset, amounts.byteOffset, ids.length, blocks)
      return blocks
    }
    const size = this.#ids.length
    for (let at = 0; at < ids.length; at += size) {
      const some = ids.subarray(at, at + size)
      this.#ids.set(some)
      this.#amounts.set(amounts.subarray(at, at + size))
      this.#add(this.#ids.byteOffset, this.#amounts.byteOffset, some.length, blocks)
    }
    return blocks
  }

  /** @returns the last blocks, none if there was no pair */
  end(): PackedBlock[] {
    this.#assertLast()
    const blocks: PackedBlock[] = []
    for (;;) {
      this.#kernel.packRest()
      if (!this.#isReady()) return blocks
      blocks.push(this.#block())
    }
  }

  /** Whoever packs beside it has taken its kernel: what has been packed is gone. */
  #assertLast(): void {
    assert(packing.get(this.#kernel) === this, 'a kernel packs for one encoder at a time')
  }

  /** Of pairs at these addresses. */
  #add(ids: number, amounts: number, pairs: number, blocks: PackedBlock[]): void {
    for (let at = 0; at < pairs; ) {
      at += this.#kernel.pack(ids + at * 8, amounts + at * 8, pairs - at)
      if (this.#isReady()) blocks.push(this.#block())
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

/** The last encoder that was made of each kernel. */
const packing = new WeakMap<KernelExports, BlockEncoder>()

/** A kernel for encoders alone. */
export function startPacking(): KernelExports {
  return startKernel(new WebAssembly.Memory({ initial: Math.ceil(KERNEL_BYTES / PAGE_BYTES) }))
}

const PAGE_BYTES = 65_536
