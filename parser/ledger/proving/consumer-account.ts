/**
 * Why a consumer's total is what it is: what stood there at first contact, and every posting that has
 * moved it since, from the blocks of the files. All of it is read in one snapshot, so that the last
 * running total is the total of the same moment, also beside a batch that is being counted: of that, a
 * posting has moved this consumer if its id lies behind what was taken back and up to the cursor.
 *
 * Of each file the one block that can have the consumer is found by a dive into the primary key, and
 * only one whose last id is not below it is fetched. The batches are sorted, which are small, and their
 * postings follow; so any number of postings takes the memory of one.
 */

import type { Config } from '../../../shared/config.ts'
import { BlockDecoder } from '../../sums/index.ts'
import { readTotal } from '../asking/totals.ts'
import type { Session } from '../connection.ts'
import { isBack } from '../file-rows.ts'
import { BLOCK_COLUMNS, type BlockRow, blockOf } from '../recording/blocks.ts'
import { fromSqlTime, type LedgerNames, ledgerNames } from '../schema/tables.ts'
import { openingOf } from './opening-of.ts'
import { inSnapshot } from './snapshot.ts'

/** What one posting of a file has done to a consumer's total. */
export interface ConsumerPosting {
  /** When its batch had ended; of one that has not, when it had begun. */
  readonly atMs: number
  readonly isBatchOpen: boolean
  /** Below zero: taken back. */
  readonly amount: bigint
  readonly name: string
  readonly sha256: Buffer
  readonly batchId: Buffer
  /** What has asked for it, and why; undefined: it was simply counted. */
  readonly order: { readonly kind: string; readonly reason: string } | undefined
}

export interface ConsumerAccount {
  /** undefined: the sums of that time are not known per consumer. */
  readonly opening: bigint | undefined
  /** undefined: it has none. */
  readonly total: bigint | undefined
  /** In the order in which they were counted. To be read once, within `use`. */
  readonly postings: AsyncIterable<ConsumerPosting>
}

/** @throws CountersinkError BLOCK_UNREADABLE when a block is not what was recorded. */
export function readConsumer<R>(
  session: Session,
  config: Config,
  id: bigint,
  use: (account: ConsumerAccount) => Promise<R>,
): Promise<R> {
  const names = ledgerNames(config)
  return inSnapshot(session, async () => {
    const opening = await openingOf(session, names, id)
    const total = (await readTotal(session, config, id))?.amount
    return use({ opening, total, postings: postingsOf(session, names, id) })
  })
}

async function* postingsOf(
  session: Session,
  n: LedgerNames,
  id: bigint,
): AsyncGenerator<ConsumerPosting> {
  const decoder = BlockDecoder.alone()
  const rows = session.stream<PostingRow>(
    `SELECT STRAIGHT_JOIN b.id AS batchId, b.state, COALESCE(b.ended_at, b.begun_at) AS at,
            p.n, f.sign, f.name, f.sha256, o.kind AS orderKind, o.reason,
            ${BLOCK_COLUMNS}
       FROM ${n.batch} b
       JOIN ${n.posting} p ON p.batch_id = b.id
       JOIN ${n.file} f ON f.sequence = p.file_sequence
       LEFT JOIN ${n.order} o ON o.batch_id = b.id
       JOIN ${n.sums} s ON s.file_sequence = p.file_sequence
        AND s.first_id = (SELECT d.first_id FROM ${n.sums} d
                           WHERE d.file_sequence = p.file_sequence AND d.first_id <= ?
                           ORDER BY d.first_id DESC LIMIT 1)
      WHERE p.folded = 0 AND s.last_id >= ?
        AND (b.state = 'applied'
             OR (b.cursor_id >= ? AND (b.from_id IS NULL OR b.from_id < ?)))
      ORDER BY b.ended_at IS NULL, b.ended_at, b.begun_at, b.id`,
    [id, id, id, id],
  )
  for await (const row of rows) {
    const { sha256 } = row
    const sum = decoder.find(sha256, blockOf(row), id)
    if (sum === undefined) continue
    yield {
      ...{ name: row.name, sha256, batchId: row.batchId, atMs: fromSqlTime(row.at) },
      order: row.orderKind === null ? undefined : { kind: row.orderKind, reason: row.reason ?? '' },
      isBatchOpen: row.state !== 'applied',
      amount: isBack(row) ? -sum : sum,
    }
  }
}

interface PostingRow extends BlockRow {
  readonly batchId: Buffer
  readonly state: string
  readonly at: string
  readonly n: bigint | number
  readonly sign: number
  readonly orderKind: string | null
  readonly reason: string | null
  readonly name: string
  readonly sha256: Buffer
}
