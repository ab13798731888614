import { crashPoint } from '../../shared/crash-points.ts'
import { CountersinkError } from '../../shared/errors.ts'
import { U64_MAX } from '../../shared/limits.ts'
import type { Batch, BatchFile, PairChunk } from './batch.ts'
import {
  databaseFailed,
  isTransient,
  type Session,
  SQL_DUPLICATE_KEY,
  SQL_OUT_OF_RANGE,
  SQL_VALUE_OUT_OF_RANGE,
  sqlNumber,
} from './connection.ts'
import { type LedgerNames, sqlTime } from './schema/tables.ts'

/**
 * P4 to P6: adds a batch to the totals, exactly once.
 *
 * A batch is one transaction: the batch's row and one row per content (the primary key is the hash:
 * claim and proof in one), then chunk by chunk the cursor, moved by compare-and-set, and the
 * upserts in ascending order of id; then applied must equal planned. A crash before the COMMIT
 * leaves nothing, a crash after it everything.
 */
export type ApplyResult =
  | { readonly kind: 'applied'; readonly ledgerSequence: bigint }
  /** Some content of the batch has a row already: nothing was written. */
  | { readonly kind: 'claimed' }
  /** Some total does not fit its column: nothing was written. */
  | { readonly kind: 'overflow'; readonly reason: string }

export interface ApplyOptions {
  readonly names: LedgerNames
  readonly instance: Uint8Array
  readonly chunkPairsMax: number
  readonly onChunk: () => void
}

/**
 * @throws the transient error after which the caller asks `findBatch` on a new connection and tries
 *   again; CountersinkError CURSOR_MOVED, DATABASE_FAILED: the process must end.
 */
export async function applyBatch(
  session: Session,
  batch: Batch,
  options: ApplyOptions,
): Promise<ApplyResult> {
  const { names } = options
  await session.execute('START TRANSACTION')
  try {
    await insertBatch(session, batch, options)
    const ledgerSequence = await insertFiles(session, batch, options)
    if (ledgerSequence === undefined) {
      await session.rollback()
      return { kind: 'claimed' }
    }
    crashPoint('P4-batch-begun')
    const overflow = await applyChunks(session, batch, options)
    if (overflow !== undefined) {
      await session.rollback()
      return { kind: 'overflow', reason: overflow }
    }
    await finishBatch(session, batch, names)
    crashPoint('P6-before-commit')
    await session.execute('COMMIT')
    crashPoint('P6-batch-committed')
    return { kind: 'applied', ledgerSequence }
  } catch (error) {
    if (error instanceof CountersinkError) throw error
    throw isTransient(error) ? error : databaseFailed('applying a batch', error)
  }
}

/** What became of a batch whose COMMIT was not answered. */
export async function findBatch(
  session: Session,
  batch: Batch,
  names: LedgerNames,
): Promise<bigint | undefined> {
  // A locking read: it waits for the old transaction, if that still lives on the server. A plain
  // read would see the state before it and the batch would be applied twice.
  const [row] = await session.query<{ state: string }>(
    `SELECT state FROM ${names.batch} WHERE id = ? FOR UPDATE`,
    [batch.id],
  )
  if (row === undefined) return undefined
  const [last] = await session.query<{ sequence: bigint }>(
    `SELECT MAX(sequence) AS sequence FROM ${names.file} WHERE batch_id = ?`,
    [batch.id],
  )
  return last?.sequence
}

async function insertBatch(session: Session, batch: Batch, options: ApplyOptions): Promise<void> {
  await session.execute(
    `INSERT INTO ${options.names.batch}
       (id, instance, kind, state, cursor_id, pairs_planned, pairs_applied,
        amount_planned, amount_applied, begun_at)
     VALUES (?, ?, 'add', 'applying', NULL, ?, 0, ?, 0, UTC_TIMESTAMP(3))`,
    [batch.id, options.instance, batch.sums.pairs, batch.amount.toString()],
  )
}

/** The newest sequence given, or undefined when a content is claimed already. */
async function insertFiles(
  session: Session,
  batch: Batch,
  options: ApplyOptions,
): Promise<bigint | undefined> {
  const row = "(?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 'applied', ?, ?, UTC_TIMESTAMP(3))"
  const values = (file: BatchFile): unknown[] => [
    Buffer.from(file.sha256),
    batch.id,
    options.instance,
    file.workSequence,
    file.name,
    file.sizeBytes,
    file.lines,
    file.amount.toString(),
    file.largestSum,
    sqlTime(file.claimedAtMs),
    sqlTime(file.digestedAtMs),
  ]
  try {
    const rows = await session.query<{ sequence: bigint }>(
      `INSERT INTO ${options.names.file}
         (sha256, batch_id, instance, work_sequence, name, size_bytes, \`lines\`, rejected_lines,
          amount, largest_sum, state, claimed_at, digested_at, recorded_at)
       VALUES ${batch.files.map(() => row).join(', ')} RETURNING sequence`,
      batch.files.flatMap(values),
    )
    return rows.reduce((highest, one) => (one.sequence > highest ? one.sequence : highest), 0n)
  } catch (error) {
    if (sqlNumber(error) === SQL_DUPLICATE_KEY) return undefined
    throw error
  }
}

/** A sentence about the total that does not fit, or undefined when all were added. */
async function applyChunks(
  session: Session,
  batch: Batch,
  options: ApplyOptions,
): Promise<string | undefined> {
  let cursor: bigint | null = null
  for await (const chunk of batch.sums.chunks(options.chunkPairsMax)) {
    const next: bigint = chunk.ids[chunk.ids.length - 1]!
    await moveCursor(session, batch, options.names, { cursor, next, chunk })
    try {
      await session.execute(upsertStatement(chunk, options.names))
    } catch (error) {
      const number = sqlNumber(error)
      if (number !== SQL_OUT_OF_RANGE && number !== SQL_VALUE_OUT_OF_RANGE) throw error
      return await describeOverflow(session, chunk, options.names)
    }
    crashPoint('P5-chunk-written')
    options.onChunk()
    cursor = next
  }
  return undefined
}

// A text operand would make the server add in DOUBLE, which rounds above 2^53: hence the casts.

async function moveCursor(
  session: Session,
  batch: Batch,
  names: LedgerNames,
  step: { cursor: bigint | null; next: bigint; chunk: PairChunk },
): Promise<void> {
  const changed = await session.execute(
    `UPDATE ${names.batch}
        SET cursor_id = ?, pairs_applied = pairs_applied + ?, amount_applied = amount_applied + CAST(? AS DECIMAL(38,0))
      WHERE id = ? AND cursor_id <=> ? AND state = 'applying'`,
    [step.next, step.chunk.ids.length, sumOf(step.chunk).toString(), batch.id, step.cursor],
  )
  if (changed !== 1) throw cursorMoved(batch, `after id ${step.cursor ?? 'none'}`)
}

async function finishBatch(session: Session, batch: Batch, names: LedgerNames): Promise<void> {
  const largest = batch.files.reduce((sum, file) => sum + file.largestSum, 0n)
  await session.execute(
    `UPDATE ${names.meta} SET total_upper_bound = total_upper_bound + CAST(? AS DECIMAL(38,0)) WHERE only_row = 1`,
    [largest.toString()],
  )
  const changed = await session.execute(
    `UPDATE ${names.batch} SET state = 'applied', ended_at = UTC_TIMESTAMP(3)
      WHERE id = ? AND state = 'applying'
        AND pairs_applied = pairs_planned AND amount_applied = amount_planned`,
    [batch.id],
  )
  if (changed !== 1) throw cursorMoved(batch, 'at its end: applied differs from planned')
}

/** Numbers come from 64-bit arrays, so the text can hold nothing but digits. */
function upsertStatement(chunk: PairChunk, names: LedgerNames): string {
  const rows: string[] = new Array(chunk.ids.length)
  for (let i = 0; i < rows.length; i += 1) rows[i] = `(${chunk.ids[i]},${chunk.amounts[i]})`
  return (
    `INSERT INTO ${names.totals} (${names.id}, ${names.amount}) VALUES ${rows.join(',')} ` +
    `ON DUPLICATE KEY UPDATE ${names.amount} = ${names.amount} + VALUES(${names.amount})`
  )
}

async function describeOverflow(
  session: Session,
  chunk: PairChunk,
  names: LedgerNames,
): Promise<string> {
  const rows = await session.query<{ id: bigint; amount: bigint | string }>(
    `SELECT CAST(${names.id} AS UNSIGNED) AS id, ${names.amount} AS amount
       FROM ${names.totals} WHERE ${names.id} IN (${chunk.ids.join(',')}) ORDER BY ${names.id}`,
  )
  const totals = new Map(rows.map(row => [row.id, BigInt(row.amount)]))
  for (const [i, id] of chunk.ids.entries()) {
    const total = totals.get(id) ?? 0n
    const amount = chunk.amounts[i]!
    if (total + amount > U64_MAX) {
      return `TOTAL_OVERFLOW: consumer ${id} stands at ${total}; adding ${amount} would pass ${U64_MAX}`
    }
  }
  return `TOTAL_OVERFLOW: a number between id ${chunk.ids[0]} and ${chunk.ids[chunk.ids.length - 1]} does not fit the columns of ${names.totals}`
}

function sumOf(chunk: PairChunk): bigint {
  let sum = 0n
  for (const amount of chunk.amounts) sum += amount
  return sum
}

function cursorMoved(batch: Batch, where: string): CountersinkError {
  return new CountersinkError(
    'CURSOR_MOVED',
    `batch ${batch.id.toString('hex')} is not where it was left, ${where}: somebody else is at work on it`,
    { advice: 'Nothing was added. Only one parser may work on a state directory.' },
  )
}
