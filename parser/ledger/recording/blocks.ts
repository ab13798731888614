import type { KernelExports } from '../../kernel/index.ts'
import {
  BlockEncoder,
  MemorySums,
  PACKED_PAIRS_MAX,
  type PackedBlock,
  type Sums,
} from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import type { LedgerNames } from '../schema/tables.ts'

/**
 * The sums of a content as blocks in the ledger.
 */

/**
 * The blocks of these sums, in portions for one transaction each. Where a transaction takes less than a
 * block they are cut smaller. Of a small file they are here at once: there are thousands of those, and
 * each generator would cost more than the packing.
 */
export function packSums(
  kernel: KernelExports,
  sha256: Uint8Array,
  sums: Sums,
  pairsAtOnce: number,
): Iterable<PackedBlock[]> | AsyncIterable<PackedBlock[]> {
  const encoder = new BlockEncoder(kernel, sha256)
  if (!(sums instanceof MemorySums && sums.pairs <= pairsAtOnce)) {
    return packPortions(encoder, sums, pairsAtOnce)
  }
  const blocks = encoder.add(sums.all)
  blocks.push(...encoder.end())
  return blocks.length > 0 ? [blocks] : []
}

async function* packPortions(
  encoder: BlockEncoder,
  sums: Sums,
  pairsAtOnce: number,
): AsyncGenerator<PackedBlock[]> {
  for await (const chunk of sums.chunks(pairsAtOnce)) {
    const blocks = encoder.add(chunk)
    if (pairsAtOnce < PACKED_PAIRS_MAX) blocks.push(...encoder.end())
    if (blocks.length > 0) yield blocks
  }
  const last = encoder.end()
  if (last.length > 0) yield last
}

/** Of a row of the blocks' table, called `s`. */
export const BLOCK_COLUMNS =
  's.first_id AS firstId, s.last_id AS lastId, s.pairs, s.amount, s.crc, s.block'

export interface BlockRow {
  readonly firstId: bigint
  readonly lastId: bigint
  readonly pairs: bigint | number
  readonly amount: string
  readonly crc: bigint | number
  readonly block: Buffer
}

export function blockOf({ firstId, lastId, pairs, amount, crc, block }: BlockRow): PackedBlock {
  const facts = { firstId, lastId, pairs: Number(pairs), amount: BigInt(amount), crc: Number(crc) }
  return { ...facts, bytes: block }
}

export interface FileBlock {
  readonly fileSequence: bigint
  readonly block: PackedBlock
}

/** Writes blocks of files. */
export function insertBlocks(
  session: Session,
  names: LedgerNames,
  blocks: readonly FileBlock[],
): Promise<void> {
  return insertPacked(
    session,
    `${names.sums} (file_sequence`,
    blocks.map(({ fileSequence, block }) => ({ key: fileSequence, block })),
  )
}

/**
 * Writes blocks, in as few statements as the server's packets allow.
 *
 * @param into the table, and of its columns the one that says what a block is of.
 */
export async function insertPacked(
  session: Session,
  into: string,
  blocks: readonly { readonly key: bigint | string; readonly block: PackedBlock }[],
): Promise<void> {
  const bytesMax = Math.min(STATEMENT_BYTES_MAX, session.packetBytesMax / 2)
  for (let at = 0; at < blocks.length; ) {
    const rows: unknown[][] = []
    for (let bytes = 0; at < blocks.length && (rows.length === 0 || bytes < bytesMax); at += 1) {
      const { key, block } = blocks[at]!
      rows.push([
        ...[key, block.firstId, block.lastId, block.pairs, block.amount.toString()],
        ...[block.crc, Buffer.from(block.bytes.buffer, block.bytes.byteOffset, block.bytes.length)],
      ])
      bytes += block.bytes.length + ROW_BYTES
    }
    await session.executeEach(
      `INSERT INTO ${into}, first_id, last_id, pairs, amount, crc, block)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      rows,
    )
  }
}

/** What travels at once. */
const STATEMENT_BYTES_MAX = 512 * 1024
/** Of a row besides its block, at most. */
const ROW_BYTES = 80
