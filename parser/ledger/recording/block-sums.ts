import { hasCode } from '../../../shared/errors.ts'
import {
  BlockDecoder,
  PACKED_PAIRS_MAX,
  type PackedBlock,
  type PairChunk,
  type Sums,
} from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { BLOCK_COLUMNS, type BlockRow, blockOf } from './blocks.ts'

/** A content whose sums are in the ledger. */
export interface RecordedContent {
  readonly sequence: bigint
  readonly sha256: Uint8Array
  readonly pairs: number
}

/**
 * The sums of one content as they are recorded, read from the ledger a few blocks at a time. Each
 * block is checked before any of it is believed.
 *
 * Chunks are whatever is in a block, whole: at most as many as `PACKED_PAIRS_MAX`.
 */
export class BlockSums implements Sums {
  readonly pairs: number
  readonly #session: Session
  readonly #names: LedgerNames
  readonly #content: RecordedContent
  readonly #decoder = BlockDecoder.alone()

  /** @param session is asked between two chunks, and by nobody else meanwhile. */
  constructor(session: Session, names: LedgerNames, content: RecordedContent) {
    this.#session = session
    this.#names = names
    this.#content = content
    this.pairs = content.pairs
  }

  async *chunks(pairsMax: number, after?: bigint | null): AsyncGenerator<PairChunk> {
    for await (const block of this.#blocks(after ?? null)) {
      const { ids, amounts } = this.#decoder.unpack(this.#content.sha256, block)
      let at = 0
      if (after != null) while (at < ids.length && ids[at]! <= after) at += 1
      for (; at < ids.length; at += pairsMax) {
        const end = at + pairsMax
        yield { ids: ids.subarray(at, end), amounts: amounts.subarray(at, end) }
      }
    }
  }

  async find(id: bigint): Promise<bigint | undefined> {
    const block = await this.#blockAt(id)
    return block && this.#decoder.find(this.#content.sha256, block, id)
  }

  async close(): Promise<void> {}

  /**
   * Reads all of it.
   *
   * @param between is awaited behind each block.
   * @returns whether every block is there as it was recorded
   */
  async isWhole(between: () => Promise<void>): Promise<boolean> {
    let pairs = 0
    try {
      for await (const { ids } of this.chunks(PACKED_PAIRS_MAX)) {
        pairs += ids.length
        await between()
      }
    } catch (error) {
      if (hasCode(error, 'BLOCK_UNREADABLE')) return false
      throw error
    }
    return pairs === this.pairs
  }

  /** Those that have ids behind `after`, ascending. */
  async *#blocks(after: bigint | null): AsyncGenerator<PackedBlock> {
    const first = after === null ? undefined : await this.#blockAt(after)
    if (first !== undefined && first.lastId > after!) yield first
    let from = first?.firstId ?? after
    for (;;) {
      const rows = await this.#rows(
        `file_sequence = ? AND (? IS NULL OR first_id > ?) ORDER BY first_id LIMIT ${WINDOW_BLOCKS}`,
        [this.#content.sequence, from, from],
      )
      yield* rows
      if (rows.length < WINDOW_BLOCKS) return
      from = rows.at(-1)!.firstId
    }
  }

  /** The block that this consumer is in, if it is in one. */
  async #blockAt(id: bigint): Promise<PackedBlock | undefined> {
    const [row] = await this.#rows(
      'file_sequence = ? AND first_id <= ? ORDER BY first_id DESC LIMIT 1',
      [this.#content.sequence, id],
    )
    return row
  }

  async #rows(where: string, values: readonly unknown[]): Promise<PackedBlock[]> {
    const rows = await this.#session.query<BlockRow>(
      `SELECT ${BLOCK_COLUMNS} FROM ${this.#names.sums} s WHERE ${where}`,
      values,
    )
    return rows.map(blockOf)
  }
}

/** Fetched at once of one content. */
const WINDOW_BLOCKS = 16
