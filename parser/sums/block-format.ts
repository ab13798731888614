/**
 * The bytes of a packed block: sums of one content as the ledger keeps them, about three bytes a
 * pair where a run takes sixteen.
 *
 *     block    format (u8: 1) | id of the first pair (u64) | group+
 *     group    of 128 pairs, the last one of 1 to 128:
 *              gap width (u8) | amount width (u8) | least amount (varint) | gaps | amounts
 *     varint   7 bits a byte, the lowest first; all bytes but the last have the bit 128, and the last
 *              is not 0 unless it is the only one: at most 10 bytes
 *     gaps     of each pair its id less the id before it, less 1; of the block's first pair 0
 *     amounts  of each pair its amount less the least of its group
 *
 * Numbers are little-endian. Gaps and amounts are fields of 0 to 64 bits, as wide as the widest in
 * the group needs, one behind the other from the lowest bit of a byte up; what is left of the last
 * byte is zero. So ids without holes take nothing, and of amounts only what they differ by.
 *
 * How many pairs there are is not in the bytes: it stands beside them, with what else a reader
 * must know to choose a block without opening it (`BlockFacts`), and is checked against them.
 *
 * A block takes as much of the pairs as fits into PACKED_BYTES_MAX and PACKED_PAIRS_MAX: whole
 * groups, and of the one that does not fit its first pairs, up to the first with which it would
 * not. Where blocks end follows from the pairs alone, not from the portions in which they came.
 * (A larger block would waste pages: InnoDB puts it on whole ones of 16 KiB.)
 *
 * The CRC-32 is that of content hash (32 bytes), first id (u64) and block, one behind the other: a
 * block of another content does not pass for one of this.
 */

import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import { CountersinkError } from '../../shared/errors.ts'

/** What stands beside a block. */
export interface BlockFacts {
  readonly firstId: bigint
  readonly lastId: bigint
  readonly pairs: number
  /** Of all its pairs: may be more than 64 bits. */
  readonly amount: bigint
  readonly crc: number
}

export interface PackedBlock extends BlockFacts {
  readonly bytes: Uint8Array
}

export const PACKED_FORMAT = 1
export const PACKED_BYTES_MAX = 16_000
/** Bounds what a block takes unpacked. Blocks that reach it have less than two bytes a pair. */
export const PACKED_PAIRS_MAX = 8192
export const GROUP_PAIRS = 128
export const PACKED_HEADER_BYTES = 9

/** What can be wrong in a block; the order is that of the numbers in kernel/assembly/unpack.ts. */
export const BLOCK_DEFECTS = [
  'none',
  'format',
  'short',
  'long',
  'width',
  'least',
  'padding',
  'order',
  'overflow',
] as const
export type BlockDefect = Exclude<(typeof BLOCK_DEFECTS)[number], 'none'>

const DEFECT_TEXTS: Readonly<Record<BlockDefect, string>> = {
  format: `it does not begin like one of format ${PACKED_FORMAT}`,
  short: 'it ends before its last pair',
  long: 'it goes on behind its last pair',
  width: 'it has fields of more than 64 bits',
  least: 'a least amount is not written as it must be',
  padding: 'there is something behind the last field of a group',
  order: 'its ids do not ascend from the first one',
  overflow: 'an amount passes 2^64 − 1',
}

/** The CRC of a block of this content. */
export function blockCrc(hash: Uint8Array, firstId: bigint, bytes: Uint8Array): number {
  assert.equal(hash.length, 32, 'a content hash has 32 bytes')
  const start = Buffer.alloc(40)
  start.set(hash)
  start.writeBigUInt64LE(firstId, 32)
  return crc32(bytes, crc32(start))
}

/**
 * What is to be known before a block is opened at all.
 * @throws CountersinkError BLOCK_UNREADABLE
 */
export function assertWhole(block: PackedBlock, hash: Uint8Array): void {
  const { bytes, pairs, firstId, crc } = block
  if (bytes.length > PACKED_BYTES_MAX) {
    throw blockUnreadable(block, `it has ${bytes.length} bytes, at most ${PACKED_BYTES_MAX} fit`)
  }
  if (!Number.isInteger(pairs) || pairs < 1 || pairs > PACKED_PAIRS_MAX) {
    throw blockUnreadable(block, `its pairs are ${pairs}, not of 1..${PACKED_PAIRS_MAX}`)
  }
  if (blockCrc(hash, firstId, bytes) !== crc) throw blockUnreadable(block, 'its CRC is wrong')
}

/**
 * Compares what was found in a block with what stands beside it.
 * @throws CountersinkError BLOCK_UNREADABLE
 */
export function assertFacts(block: PackedBlock, found: Omit<BlockFacts, 'pairs' | 'crc'>): void {
  for (const fact of ['firstId', 'lastId', 'amount'] as const) {
    if (found[fact] === block[fact]) continue
    throw blockUnreadable(block, `its ${fact} is ${found[fact]}, expected ${block[fact]}`)
  }
}

export function defective(block: BlockFacts, defect: BlockDefect): CountersinkError {
  return blockUnreadable(block, DEFECT_TEXTS[defect])
}

function blockUnreadable({ firstId, lastId }: BlockFacts, why: string): CountersinkError {
  const what = `block of the ids ${firstId}..${lastId}: ${why}`
  return new CountersinkError('BLOCK_UNREADABLE', what, {
    advice: 'Something else has changed it, or storage has: have its file read again.',
  })
}
