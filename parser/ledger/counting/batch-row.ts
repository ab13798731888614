import { CountersinkError } from '../../../shared/errors.ts'
import type { Session } from '../connection.ts'
import { fileWay } from '../file-rows.ts'
import type { BatchKind, LedgerNames } from '../schema/tables.ts'
import { type BatchState, batchWay } from './batch-states.ts'
import { endOrder } from './order-row.ts'
import { isReverting, type StagedBatch } from './signed-chunks.ts'

/**
 * A batch's row in the ledger, its postings, and the state of its files' rows. It is moved on by
 * compare-and-set: whoever finds it elsewhere than where it was left is not the only one at work on it.
 */

/** Where a batch stands in the ledger. */
export interface BatchPosition {
  readonly state: Exclude<BatchState, 'absent'>
  /** The last consumer id taken back; none before anything was. */
  readonly fromId: bigint | null
  /** The last consumer id applied. */
  readonly cursorId: bigint | null
  /** Of its files, before they were merged. */
  readonly pairsApplied: bigint
}

export interface BatchPlan {
  readonly id: Buffer
  readonly kind: BatchKind
  /** Of its files, before they are merged. */
  readonly pairs: number | bigint
  /** Added less taken. */
  readonly amount: bigint
}

/** What a chunk moves. */
export interface ChunkStep {
  /** The cursor before it. */
  readonly after: bigint | null
  /** Its last consumer id. */
  readonly to: bigint
  /** Of its files, before they were merged. */
  readonly inputPairs: number
  readonly amount: bigint
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
    `SELECT state, from_id AS fromId, cursor_id AS cursorId, pairs_applied AS pairsApplied
       FROM ${names.batch} WHERE id = ? FOR UPDATE`,
    [Buffer.from(id)],
  )
  return row
}

/**
 * Writes the batch's row.
 *
 * @param event `countWhole`: all of it is applied by this transaction.
 * @throws MariaDB's error: 1062 when it has one already.
 */
export async function insertBatch(
  session: Session,
  plan: BatchPlan,
  event: 'begin' | 'countWhole',
  { names, instance }: { readonly names: LedgerNames; readonly instance: Uint8Array },
): Promise<void> {
  const isWhole = event === 'countWhole'
  const amount = plan.amount.toString()
  await session.execute(
    `INSERT INTO ${names.batch}
       (id, instance, kind, state, from_id, cursor_id, pairs_planned, pairs_applied,
        amount_planned, amount_applied, begun_at, ended_at)
     VALUES (?, ?, '${plan.kind}', '${batchWay(event).to}', NULL, NULL, ?, ?, ?, ?, UTC_TIMESTAMP(3),
             ${isWhole ? 'UTC_TIMESTAMP(3)' : 'NULL'})`,
    [plan.id, instance, plan.pairs, isWhole ? plan.pairs : 0, amount, isWhole ? amount : '0'],
  )
}

/** Writes which files a batch moves: the next posting of each. */
export async function insertPostings(
  session: Session,
  names: LedgerNames,
  batchId: Uint8Array,
  sequences: readonly bigint[],
): Promise<void> {
  const atOnce = session.rowsPerStatement(ID_TEXT_BYTES_MAX)
  for (let i = 0; i < sequences.length; i += atOnce) {
    await session.execute(
      `INSERT INTO ${names.posting} (file_sequence, n, batch_id, folded)
       SELECT sequence, postings, ?, 0 FROM ${names.file}
        WHERE sequence IN (${sequences.slice(i, i + atOnce).join(', ')})`,
      [Buffer.from(batchId)],
    )
  }
}

/** Moves the cursor behind a chunk. */
export async function moveCursor(
  session: Session,
  id: Uint8Array,
  names: LedgerNames,
  step: ChunkStep,
): Promise<void> {
  // A text operand would make the server add in DOUBLE, which rounds above 2^53: hence the cast.
  const changed = await session.execute(
    `UPDATE ${names.batch}
        SET cursor_id = ?, pairs_applied = pairs_applied + ?,
            amount_applied = amount_applied + CAST(? AS DECIMAL(38,0))
      WHERE id = ? AND cursor_id <=> ? AND ${batchWay('chunk').from}`,
    [step.to, step.inputPairs, step.amount.toString(), Buffer.from(id), step.after],
  )
  if (changed !== 1) throw moved(id, `its cursor is not at ${step.after ?? 'its beginning'}`)
}

/**
 * The same of a batch that finds out what it moves as it goes: what is planned grows with what is applied.
 */
export async function moveCursorAndPlan(
  session: Session,
  id: Uint8Array,
  names: LedgerNames,
  step: ChunkStep,
): Promise<void> {
  const more = 'CAST(? AS DECIMAL(38,0))'
  const amount = step.amount.toString()
  const changed = await session.execute(
    `UPDATE ${names.batch}
        SET cursor_id = ?, pairs_planned = pairs_planned + ?, pairs_applied = pairs_applied + ?,
            amount_planned = amount_planned + ${more}, amount_applied = amount_applied + ${more}
      WHERE id = ? AND cursor_id <=> ? AND ${batchWay('chunk').from}`,
    [
      ...[step.to, step.inputPairs, step.inputPairs, amount, amount],
      ...[Buffer.from(id), step.after],
    ],
  )
  if (changed !== 1) throw moved(id, `its cursor is not at ${step.after ?? 'its beginning'}`)
}

/** Moves the beginning of what is applied behind a chunk that is taken back. */
export async function takeBack(
  session: Session,
  id: Uint8Array,
  names: LedgerNames,
  step: ChunkStep,
): Promise<void> {
  const changed = await session.execute(
    `UPDATE ${names.batch}
        SET from_id = ?, pairs_applied = pairs_applied - ?,
            amount_applied = amount_applied - CAST(? AS DECIMAL(38,0))
      WHERE id = ? AND from_id <=> ? AND pairs_applied >= ? AND ${batchWay('takeBack').from}`,
    [
      ...[step.to, step.inputPairs, step.amount.toString(), Buffer.from(id), step.after],
      step.inputPairs,
    ],
  )
  if (changed !== 1) throw moved(id, `what was taken back does not end at ${step.after}`)
}

/** All of it is applied. @param answer what has come of the order that it carries out. */
export async function endBatch(
  session: Session,
  { id, kind, files }: StagedBatch,
  names: LedgerNames,
  answer?: string,
): Promise<void> {
  const way = batchWay('end')
  const changed = await session.execute(
    `UPDATE ${names.batch} SET state = '${way.to}', ended_at = UTC_TIMESTAMP(3)
      WHERE id = ? AND ${way.from}
        AND pairs_applied = pairs_planned AND amount_applied = amount_planned`,
    [id],
  )
  if (changed !== 1) throw moved(id, 'applied differs from planned')
  const counted = files.filter(file => !isReverting(file))
  const times = 'f.counted_at = UTC_TIMESTAMP(3), f.reverted_at = NULL, f.reason = NULL'
  await endMembers(session, id, names, { event: 'end', count: counted.length, sets: times })
  if (counted.length < files.length) {
    await endMembers(session, id, names, {
      ...{ event: 'endRevert', count: files.length - counted.length },
      sets: 'f.reverted_at = UTC_TIMESTAMP(3), f.reason = o.reason',
    })
  }
  // Where each stands is another place now: whoever has the file moves it.
  if (files.some(file => isReverting(file) || file.postings > 1)) {
    await session.execute(
      `INSERT IGNORE INTO ${names.todo} (kind, file_sequence)
       SELECT 'move', f.sequence FROM ${names.posting} p JOIN ${names.file} f ON f.sequence = p.file_sequence
        WHERE p.batch_id = ? AND f.postings > 1 AND f.sign = 1`,
      [id],
    )
  }
  if (kind !== 'count') await endOrder(session, id, names, answer)
}

async function endMembers(
  session: Session,
  id: Buffer,
  names: LedgerNames,
  end: { readonly event: 'end' | 'endRevert'; readonly count: number; readonly sets: string },
): Promise<void> {
  const { to, from } = fileWay(end.event)
  const changed = await session.execute(
    `UPDATE ${names.file} f
       JOIN ${names.posting} p ON p.file_sequence = f.sequence AND p.n = f.postings
       LEFT JOIN ${names.order} o ON o.batch_id = p.batch_id
        SET f.state = '${to}', ${end.sets}
      WHERE p.batch_id = ? AND f.${from}`,
    [id],
  )
  if (changed !== end.count) {
    throw moved(id, `${changed} of its files are open, not ${end.count}`)
  }
}

/** Changes nothing but the state: `retreat`, `block`, `unblock`. @returns whether it did. */
export async function changeBatch(
  session: Session,
  id: Uint8Array,
  names: LedgerNames,
  event: 'retreat' | 'block' | 'unblock',
): Promise<boolean> {
  const { to, from } = batchWay(event)
  const changed = await session.execute(
    `UPDATE ${names.batch} SET state = '${to}' WHERE id = ? AND ${from}`,
    [Buffer.from(id)],
  )
  return changed === 1
}

export function moved(id: Uint8Array, where: string): CountersinkError {
  return new CountersinkError(
    'CURSOR_MOVED',
    `batch ${Buffer.from(id).toString('hex')} is not where it was left (${where}): somebody else is at work on it`,
    { advice: 'Nothing was added twice. Only one parser may work on a state directory.' },
  )
}

/** An unsigned 64-bit number and what stands between two of them. */
const ID_TEXT_BYTES_MAX = 22
