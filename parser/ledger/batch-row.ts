import assert from 'node:assert/strict'
import { CountersinkError } from '../../shared/errors.ts'
import { type PairChunk, PairTally } from '../sums/index.ts'
import type { Batch } from './batch.ts'
import { type BatchState, wayOf } from './batch-states.ts'
import type { Session } from './connection.ts'
import type { LedgerNames } from './schema/tables.ts'

/**
 * A batch's row in the ledger, and the state of its files' rows. It is moved on by compare-and-set:
 * whoever finds it elsewhere than where it was left is not the only one at work on it.
 */

/** Where a batch stands in the ledger. */
export interface BatchPosition {
  readonly state: Exclude<BatchState, 'absent'>
  /** The last consumer id applied. */
  readonly cursorId: bigint | null
  readonly pairsApplied: bigint
}

/**
 * Where the batch stands, for certain. A locking read: it waits for a transaction of a lost
 * connection, if that still lives on the server; a plain read would see the state before it.
 */
export async function findBatch(
  session: Session,
  id: Uint8Array,
  names: LedgerNames,
): Promise<BatchPosition | undefined> {
  const [row] = await session.query<BatchPosition>(
    `SELECT state, cursor_id AS cursorId, pairs_applied AS pairsApplied
       FROM ${names.batch} WHERE id = ? FOR UPDATE`,
    [Buffer.from(id)],
  )
  return row
}

/** Writes the batch's row. @throws MariaDB's error: 1062 when it has one already. */
export async function insertBatch(
  session: Session,
  batch: Batch,
  { names, instance }: { readonly names: LedgerNames; readonly instance: Uint8Array },
): Promise<void> {
  await session.execute(
    `INSERT INTO ${names.batch}
       (id, instance, kind, state, cursor_id, pairs_planned, pairs_applied,
        amount_planned, amount_applied, begun_at)
     VALUES (?, ?, 'add', '${wayOf('begin').to}', NULL, ?, 0, ?, 0, UTC_TIMESTAMP(3))`,
    [batch.id, instance, batch.sums.pairs, batch.amount.toString()],
  )
}

/** Moves the cursor behind a chunk. */
export async function moveCursor(
  session: Session,
  batch: Batch,
  names: LedgerNames,
  step: { cursor: bigint | null; next: bigint; chunk: PairChunk },
): Promise<void> {
  // A text operand would make the server add in DOUBLE, which rounds above 2^53: hence the cast.
  const { from } = wayOf('chunk')
  const changed = await session.execute(
    `UPDATE ${names.batch}
        SET cursor_id = ?, pairs_applied = pairs_applied + ?, amount_applied = amount_applied + CAST(? AS DECIMAL(38,0))
      WHERE id = ? AND cursor_id <=> ? AND ${from}`,
    [step.next, step.chunk.ids.length, sumOf(step.chunk).toString(), batch.id, step.cursor],
  )
  if (changed !== 1) throw moved(batch, `its cursor is not at ${step.cursor ?? 'its beginning'}`)
}

/** All of it is applied. */
export async function endBatch(session: Session, batch: Batch, names: LedgerNames): Promise<void> {
  const files = await session.execute(
    `UPDATE ${names.file} SET state = 'applied', recorded_at = UTC_TIMESTAMP(3)
      WHERE batch_id = ? AND state = 'applying'`,
    [batch.id],
  )
  if (files !== batch.files.length) throw moved(batch, `${files} of its files are open`)
  const { to, from } = wayOf('end')
  const changed = await session.execute(
    `UPDATE ${names.batch} SET state = '${to}', ended_at = UTC_TIMESTAMP(3)
      WHERE id = ? AND ${from}
        AND pairs_applied = pairs_planned AND amount_applied = amount_planned`,
    [batch.id],
  )
  if (changed !== 1) throw moved(batch, 'applied differs from planned')
}

/** The ledger's sequences of its files, by their hash in hex. */
export async function sequencesOf(
  session: Session,
  batch: Batch,
  names: LedgerNames,
): Promise<ReadonlyMap<string, bigint>> {
  const rows = await session.query<{ sha256: Buffer; sequence: bigint }>(
    `SELECT sha256, sequence FROM ${names.file} WHERE batch_id = ?`,
    [batch.id],
  )
  return new Map(rows.map(row => [row.sha256.toString('hex'), row.sequence]))
}

/** A batch of which nothing is in the totals yet has never been. false: something is. */
export async function withdrawBatch(
  session: Session,
  batch: Batch,
  names: LedgerNames,
): Promise<boolean> {
  await session.execute('START TRANSACTION')
  const batches = await session.execute(
    `DELETE FROM ${names.batch}
      WHERE id = ? AND cursor_id IS NULL AND pairs_applied = 0 AND ${wayOf('withdraw').from}`,
    [batch.id],
  )
  await session.execute(`DELETE FROM ${names.file} WHERE batch_id = ? AND state = 'applying'`, [
    batch.id,
  ])
  if (batches === 1) await session.execute('COMMIT')
  else await session.rollback()
  return batches === 1
}

/** A batch that can be finished by nobody for now; unless somebody has finished it meanwhile. */
export async function blockBatch(
  session: Session,
  id: Uint8Array,
  names: LedgerNames,
): Promise<void> {
  const { to, from } = wayOf('block')
  await session.execute(`UPDATE ${names.batch} SET state = '${to}' WHERE id = ? AND ${from}`, [
    Buffer.from(id),
  ])
}

/** Of a batch that somebody has finished meanwhile the cursor is not where it was, which ends us. */
export async function unblockBatch(
  session: Session,
  batch: Batch,
  names: LedgerNames,
): Promise<void> {
  const { to, from } = wayOf('unblock')
  await session.execute(`UPDATE ${names.batch} SET state = '${to}' WHERE id = ? AND ${from}`, [
    batch.id,
  ])
}

/** May be more than 64 bits. */
function sumOf(chunk: PairChunk): bigint {
  const tally = new PairTally()
  assert(tally.add(chunk), 'the ids of a chunk do not ascend')
  return tally.amount
}

export function moved(batch: Batch, where: string): CountersinkError {
  return new CountersinkError(
    'CURSOR_MOVED',
    `batch ${batch.id.toString('hex')} is not where it was left (${where}): somebody else is at work on it`,
    { advice: 'Nothing was added twice. Only one parser may work on a state directory.' },
  )
}
