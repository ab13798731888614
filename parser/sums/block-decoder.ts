/**
 * Packed blocks (block-format.ts) back into pairs, or one pair looked for in them, by the kernel. A block
 * may come from anywhere: of one that is unpacked no pair is given away before all of it has been checked.
 */

import assert from 'node:assert/strict'
import {
  KERNEL_BYTES,
  type KernelExports,
  startKernel,
  unsigned,
  unsigned128,
} from '../kernel/index.ts'
import {
  assertFacts,
  assertWhole,
  BLOCK_DEFECTS,
  defective,
  PACKED_BYTES_MAX,
  PACKED_PAIRS_MAX,
  type PackedBlock,
} from './block-format.ts'
import type { PairChunk } from './sums.ts'

/** What a decoder needs of the kernel's memory, for the pairs of a block. */
export const UNPACKED_BYTES = PACKED_PAIRS_MAX * 16

const PAGE_BYTES = 65_536

export class BlockDecoder {
  readonly #kernel: KernelExports
  readonly #idsAt: number
  readonly #amountsAt: number
  readonly #input: Uint8Array

  /**
   * Unpacks to address `at` of this kernel's memory, a multiple of 8. Decoders of several addresses
   * can share a kernel, which can merge what they unpack where it stands.
   */
  constructor(kernel: KernelExports, at: number) {
    const { buffer } = kernel.memory
    assert(at >= kernel.memoryStart() && at + UNPACKED_BYTES <= buffer.byteLength && at % 8 === 0)
    this.#kernel = kernel
    this.#idsAt = at
    this.#amountsAt = at + PACKED_PAIRS_MAX * 8
    this.#input = new Uint8Array(buffer, kernel.blockToUnpack.value, PACKED_BYTES_MAX)
  }

  /** With a kernel of its own. */
  static alone(): BlockDecoder {
    const initial = Math.ceil((KERNEL_BYTES + UNPACKED_BYTES) / PAGE_BYTES)
    return new BlockDecoder(startKernel(new WebAssembly.Memory({ initial })), KERNEL_BYTES)
  }

  /**
   * The pairs of a block of this content, valid until the next call.
   * @throws CountersinkError BLOCK_UNREADABLE
   */
  unpack(hash: Uint8Array, block: PackedBlock): PairChunk {
    const kernel = this.#kernel
    const { length } = this.#take(hash, block)
    const { pairs } = block
    assertSound(block, kernel.unpack(length, pairs, this.#idsAt, this.#amountsAt))
    assertFacts(block, {
      firstId: unsigned(kernel.unpackedFirstId),
      lastId: unsigned(kernel.unpackedLastId),
      amount: unsigned128(kernel.unpackedAmountHigh, kernel.unpackedAmountLow),
    })
    const { buffer } = kernel.memory
    return {
      ids: new BigUint64Array(buffer, this.#idsAt, pairs),
      amounts: new BigUint64Array(buffer, this.#amountsAt, pairs),
    }
  }

  /**
   * The sum of this consumer in a block of this content, found without unpacking it; undefined if it has
   * none there. Of the block the CRC is checked, and that it has as many pairs as stand beside it.
   *
   * @throws CountersinkError BLOCK_UNREADABLE
   */
  find(hash: Uint8Array, block: PackedBlock, id: bigint): bigint | undefined {
    const kernel = this.#kernel
    const { length } = this.#take(hash, block)
    assertSound(block, kernel.find(length, block.pairs, id))
    const { lastId, amount } = block
    assertFacts(block, { firstId: unsigned(kernel.unpackedFirstId), lastId, amount })
    return kernel.isFound.value === 0 ? undefined : unsigned(kernel.foundAmount)
  }

  /** Puts a block where the kernel takes it from. */
  #take(hash: Uint8Array, block: PackedBlock): Uint8Array {
    assertWhole(block, hash)
    this.#input.set(block.bytes)
    return block.bytes
  }
}

function assertSound(block: PackedBlock, result: number): void {
  const defect = BLOCK_DEFECTS[result]
  assert(defect !== undefined)
  if (defect !== 'none') throw defective(block, defect)
}
