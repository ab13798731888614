/**
 * Empties the totals: what is in them is taken, exactly, as a batch takes back a file, and is kept. So the
 * sum of everything that was ever moved stays right, each total can be explained, and undone it is as it
 * was. What is taken is recorded as the sums of a row that stands among the files, and is none: its sign is
 * −1.
 *
 * - **begun** (E1): one transaction writes the batch's row, that row, without a sum, and its posting, and
 *   says that the order is carried out.
 * - **chunk** (E2): one transaction locks the totals of a range as they are then, records them as blocks,
 *   takes from them just these, and moves the cursor; what is planned and applied grows together. What
 *   others write to a total before or behind that stays.
 * - **applied**: in the last chunk's own transaction.
 *
 * Whoever holds the lease goes on behind the cursor. Nothing begins beside a batch that has not ended: it
 * might have to take from the totals what it has added.
 *
 * A total that is NULL, below zero or above 2^64 − 1 is no sum of files: it is left, and told of.
 */

import { createHash } from 'node:crypto'
import { crashPoint } from '../../../shared/crash-points.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { BlockEncoder, PairBuffer, type PairChunk, PairTally } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import { fileWay } from '../file-rows.ts'
import { insertBlocks } from '../recording/blocks.ts'
import { assertWritable } from '../schema/server.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { transaction } from '../transaction.ts'
import {
  type BatchPosition,
  endBatch,
  insertBatch,
  insertPostings,
  moveCursorAndPlan,
} from './batch-row.ts'
import type { AdvanceResult } from './count-staged.ts'
import type { CountOptions, LongCountOptions } from './count-whole.ts'
import { LeftTotals } from './left-totals.ts'
import { moveSums } from './move-sums.ts'
import { aboutOrder, beginOrder, type Order } from './order-row.ts'
import { NO_PAIRS, type StagedBatch } from './signed-chunks.ts'

/** What a reset would come to now; beside whoever writes, and with nothing locked. */
export async function readEmptied(
  session: Session,
  names: LedgerNames,
): Promise<{ totals: bigint; amount: bigint; left: string | null }> {
  const { totals, id, amount } = names
  const [row] = await session.query<{ totals: bigint; amount: string | bigint }>(
    `SELECT COUNT(*) AS totals, COALESCE(SUM(${amount}), 0) AS amount FROM ${totals}
      WHERE ${id} >= 0 AND ${amount} > 0 AND ${amount} <= ${U64_MAX}`,
  )
  const left = await LeftTotals.upTo(session, names, U64_MAX)
  return {
    ...{ totals: row!.totals, amount: BigInt(row!.amount) },
    left: left.count === 0 ? null : left.text,
  }
}

/** What it has to wait for; undefined: it can begin. */
export async function whyResetWaits(
  session: Session,
  { batch }: LedgerNames,
): Promise<string | undefined> {
  const [open] = await session.query<{ id: Buffer; state: string }>(
    `SELECT id, state FROM ${batch} WHERE state <> 'applied' LIMIT 1`,
  )
  return open && `it waits until batch ${open.id.toString('hex')} has ended, which is ${open.state}`
}

/**
 * E1.
 *
 * @returns false: the order does not wait any more, and nothing was written.
 * @throws CountersinkError LEASE_LOST
 */
export async function beginReset(
  session: Session,
  batchId: Buffer,
  order: Order,
  options: CountOptions,
): Promise<boolean> {
  const { names, lease } = options
  const begun = await transaction<boolean>(session, async undo => {
    await lease.fence(session)
    await insertBatch(
      session,
      { id: batchId, kind: 'reset', pairs: 0, amount: 0n },
      'begin',
      options,
    )
    const sequence = await insertRow(session, names, order, batchId)
    await insertPostings(session, names, batchId, [sequence])
    if (!(await beginOrder(session, names, order.id, batchId))) return undo(false)
    await aboutOrder(session, names, order.id, sequence)
    crashPoint('E1-before-commit')
    return true
  })
  if (begun) crashPoint('E1-begun')
  return begun
}

/** A row among those of the files, which nobody can claim: nothing has its hash. */
async function insertRow(
  session: Session,
  { file }: LedgerNames,
  { id }: Order,
  batchId: Buffer,
): Promise<bigint> {
  const sha256 = createHash('sha256')
    .update('countersink reset\0')
    .update(id)
    .update(batchId)
    .digest()
  await session.execute(
    `INSERT INTO ${file}
       (sha256, origin, instance, work_sequence, name, size_bytes, \`lines\`, rejected_lines, sign, pairs,
        amount, largest_sum, state, attempt, pairs_recorded, amount_recorded, postings, used_at, claimed_at, digested_at)
     VALUES (?, ?, ?, 0, DATE_FORMAT(UTC_TIMESTAMP(), 'reset %Y-%m-%d'), 0, 0, 0, -1, 0,
             0, 0, '${fileWay('recordWhole').to}', 0, 0, 0, 0, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))`,
    [sha256, sha256.subarray(0, 16), NOBODY],
  )
  const [row] = await session.query<{ sequence: bigint }>(
    `SELECT sequence FROM ${file} WHERE sha256 = ?`,
    [sha256],
  )
  const { sequence } = row!
  const { to, from } = fileWay('begin')
  await session.execute(
    `UPDATE ${file} SET state = '${to}', postings = postings + 1 WHERE sequence = ? AND ${from}`,
    [sequence],
  )
  return sequence
}

/** No parser has a file of it. */
const NOBODY = Buffer.alloc(16)

/**
 * E2: from where the batch stands to its end.
 *
 * @returns `refused`: the server does not let a total be changed.
 * @throws CountersinkError LEASE_LOST, CURSOR_MOVED; the signal's reason between two chunks
 */
export async function advanceReset(
  session: Session,
  batch: StagedBatch,
  position: BatchPosition,
  options: LongCountOptions & { readonly onChunk: (pairs: number) => void },
): Promise<AdvanceResult> {
  const { names, lease, chunkPairsMax, kernel } = options
  const [{ sequence, sha256 }] = batch.files as [StagedBatch['files'][number]]
  const left = await LeftTotals.upTo(session, names, position.cursorId)
  let after = position.cursorId
  for (;;) {
    await options.between()
    await assertWritable(session)
    const chunk = await transaction<Chunk | 'refused'>(session, async undo => {
      await lease.fence(session)
      const chunk = await lockTotals(session, names, after, chunkPairsMax)
      const { pairs, to, isLast } = chunk
      const tally = new PairTally()
      if (!tally.add(pairs)) throw new Error('the ids of the totals do not ascend')
      if (to !== undefined) {
        const step = { after, to, inputPairs: pairs.ids.length, amount: -tally.amount }
        await moveCursorAndPlan(session, batch.id, names, step)
      }
      if (pairs.ids.length > 0) {
        await record(session, names, sequence, tally, pairs)
        const encoder = new BlockEncoder(kernel, sha256)
        const blocks = [...encoder.add(pairs), ...encoder.end()]
        await insertBlocks(
          session,
          names,
          blocks.map(block => ({ fileSequence: sequence, block })),
        )
        const moves = { plus: NO_PAIRS, minus: pairs }
        if ((await moveSums(session, moves, options)) !== 'moved') return undo('refused')
      }
      if (isLast) {
        for (const one of chunk.left) left.add(one)
        await endBatch(session, batch, names, await toldOf(session, names, sequence, left))
      }
      crashPoint('E2-before-commit')
      return chunk
    })
    if (chunk === 'refused') return { kind: 'refused' }
    crashPoint('E2-chunk-emptied')
    options.onChunk(chunk.pairs.ids.length)
    if (chunk.isLast) return { kind: 'applied' }
    for (const one of chunk.left) left.add(one)
    after = chunk.to ?? after
  }
}

interface Chunk {
  /** Above zero, and of 64 bits. */
  readonly pairs: PairChunk
  readonly left: readonly TotalRow[]
  /** The last consumer that it decides; undefined: there was none. */
  readonly to: bigint | undefined
  readonly isLast: boolean
}

interface TotalRow {
  readonly id: bigint
  readonly amount: bigint | null
}

/** The totals of the next consumers as they are now, until this transaction ends. */
async function lockTotals(
  session: Session,
  { totals, id, amount }: LedgerNames,
  after: bigint | null,
  limit: number,
): Promise<Chunk> {
  const pairs = new PairBuffer(limit)
  const left: TotalRow[] = []
  let to: bigint | undefined
  for (let rows = 0; ; ) {
    const last = to ?? after
    const wanted = Math.min(ROWS_AT_ONCE, limit - rows)
    const page = await session.query<{
      id: bigint | number
      amount: bigint | number | string | null
    }>(
      `SELECT ${id} AS id, ${amount} AS amount FROM ${totals}
        WHERE ${last === null ? `${id} >= 0` : `${id} > ${last}`} ORDER BY ${id} LIMIT ${wanted}
          FOR UPDATE`,
    )
    for (const row of page) {
      to = BigInt(row.id)
      const value = row.amount === null ? null : BigInt(row.amount)
      if (value === null || value < 0n || value > U64_MAX) left.push({ id: to, amount: value })
      else if (value > 0n) put(pairs, to, value)
    }
    rows += page.length
    const isLast = page.length < wanted
    if (isLast || rows === limit) return { pairs: pairs.chunk(), left, to, isLast }
  }
}

function put(pairs: PairBuffer, id: bigint, amount: bigint): void {
  pairs.ids[pairs.pairs] = id
  pairs.amounts[pairs.pairs] = amount
  pairs.pairs += 1
}

/** Some ten milliseconds of this process's time. */
const ROWS_AT_ONCE = 16_384

/** What is recorded is all that there is to be. */
async function record(
  session: Session,
  { file }: LedgerNames,
  sequence: bigint,
  { amount, largestSum, pairs }: PairTally,
  { ids }: PairChunk,
): Promise<void> {
  const more = 'CAST(? AS DECIMAL(38,0))'
  await session.execute(
    `UPDATE ${file}
        SET pairs = pairs + ?, pairs_recorded = pairs_recorded + ?,
            amount = amount + ${more}, amount_recorded = amount_recorded + ${more},
            largest_sum = GREATEST(largest_sum, CAST(? AS UNSIGNED)), recorded_to = ?,
            recorded_at = UTC_TIMESTAMP(3)
      WHERE sequence = ?`,
    [
      ...[pairs, pairs, amount.toString(), amount.toString(), largestSum.toString()],
      ...[ids[ids.length - 1], sequence],
    ],
  )
}

async function toldOf(
  session: Session,
  { file }: LedgerNames,
  sequence: bigint,
  left: LeftTotals,
): Promise<string> {
  const [row] = await session.query<{ pairs: bigint; amount: string }>(
    `SELECT pairs, amount FROM ${file} WHERE sequence = ?`,
    [sequence],
  )
  const { pairs, amount } = row!
  const emptied = `${pairs} ${pairs === 1n ? 'total was' : 'totals were'} emptied, of ${amount} together`
  return left.count === 0 ? emptied : `${emptied}; ${left.text}`
}
