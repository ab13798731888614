import assert from 'node:assert/strict'
import { crashPoint } from '../../shared/crash-points.ts'
import { CountersinkError, toError } from '../../shared/errors.ts'
import { PairTally } from '../digest/pair-words.ts'
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
import { provenWithinBound } from './overflow.ts'
import { type LedgerNames, sqlTime, type TotalsRange } from './schema/tables.ts'
import { TotalsWriter } from './totals-writer.ts'

/**
 * P4 to P6: adds a batch to the totals, exactly once.
 *
 * - **begun** (P4): one transaction writes the batch's row and one row per content (the primary key
 *   is the hash: claim and proof in one). A crash before its COMMIT leaves nothing; after it the
 *   batch is `applying` with its cursor before the first id.
 * - **chunk** (P5): one transaction moves the cursor by compare-and-set, then adds the chunk's sums
 *   in ascending order of id. A crash leaves the cursor behind the last whole chunk.
 * - **applied** (P6): in the last chunk's own transaction, if applied equals planned.
 * - **blocked**: a total does not fit its column in mid-batch, which only a foreign writer can
 *   cause; the cursor is kept, and the batch goes on once that is mended.
 *
 * A batch that fits one chunk is all of this in a single transaction. A larger one can be stopped
 * between two chunks: it stays `applying`, and whoever has its sums goes on behind the cursor.
 */
export type ApplyResult =
  | { readonly kind: 'applied'; readonly ledgerSequence: bigint }
  /** Some content of the batch has a row already: nothing was written. */
  | { readonly kind: 'claimed' }
  /** It is not certain that all totals fit their column: nothing was written. */
  | { readonly kind: 'unproven' }
  | { readonly kind: 'blocked'; readonly reason: string }

export interface ApplyOptions {
  readonly names: LedgerNames
  readonly instance: Uint8Array
  /** Pairs in one transaction. */
  readonly chunkPairsMax: number
  readonly range: TotalsRange
  /** All totals were looked at and fit: the bound need not prove it. */
  readonly checked: boolean
  readonly onChunk: () => void
  /** Adds the chunks; one that is kept from batch to batch learns which rows are there. */
  readonly writer?: TotalsWriter
  /** Ends a batch of several transactions between two of them. */
  readonly signal?: AbortSignal
}

/** Where a batch stands in the ledger. */
export interface BatchPosition {
  readonly state: 'applying' | 'applied' | 'blocked'
  /** The last consumer id applied. */
  readonly cursorId: bigint | null
  readonly pairsApplied: bigint
}

const FROM_START: BatchPosition = { state: 'applying', cursorId: null, pairsApplied: 0n }

/**
 * @param known where the batch stands, from `findBatch`; undefined when it is certain that the
 *   ledger has never heard of it.
 * @throws the transient error after which the caller asks `findBatch` on a new connection and tries
 *   again; CountersinkError CURSOR_MOVED, DATABASE_FAILED: the process must end; the signal's
 *   reason: the batch has begun and is as far as its cursor says.
 */
export async function applyBatch(
  session: Session,
  batch: Batch,
  known: BatchPosition | undefined,
  options: ApplyOptions,
): Promise<ApplyResult> {
  try {
    if (known?.state === 'applied') return await appliedResult(session, batch, options.names)
    const isSmall = batch.sums.pairs <= options.chunkPairsMax
    if (known === undefined) {
      await session.execute('START TRANSACTION')
      const objection = await begin(session, batch, options)
      if (objection !== undefined) {
        await session.rollback()
        return { kind: objection }
      }
      crashPoint('P4-before-commit')
      if (!isSmall) await session.execute('COMMIT')
      crashPoint('P4-batch-begun')
    }
    const isOpen = known === undefined && isSmall
    return await applyFrom(session, batch, known ?? FROM_START, isOpen, options)
  } catch (error) {
    if (error instanceof CountersinkError) throw error
    if (options.signal?.aborted && error === options.signal.reason) throw error
    throw isTransient(error) ? error : databaseFailed('applying a batch', error)
  }
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

async function begin(
  session: Session,
  batch: Batch,
  options: ApplyOptions,
): Promise<'claimed' | 'unproven' | undefined> {
  const { names } = options
  await session.execute(
    `INSERT INTO ${names.batch}
       (id, instance, kind, state, cursor_id, pairs_planned, pairs_applied,
        amount_planned, amount_applied, begun_at)
     VALUES (?, ?, 'add', 'applying', NULL, ?, 0, ?, 0, UTC_TIMESTAMP(3))`,
    [batch.id, options.instance, batch.sums.pairs, batch.amount.toString()],
  )
  if (!(await insertFiles(session, batch, options))) return 'claimed'
  // An id beyond its column is no matter of the bound: it would block the batch in the middle.
  if (!options.checked) {
    for await (const _beyond of batch.sums.chunks(1, options.range.idMax)) return 'unproven'
  }
  const largest = batch.files.reduce((sum, file) => sum + file.largestSum, 0n)
  return (await provenWithinBound(session, largest, options)) ? undefined : 'unproven'
}

/** false: some content has a row already. */
async function insertFiles(
  session: Session,
  batch: Batch,
  options: ApplyOptions,
): Promise<boolean> {
  const row = "(?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 'applying', ?, ?, UTC_TIMESTAMP(3))"
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
    await session.execute(
      `INSERT INTO ${options.names.file}
         (sha256, batch_id, instance, work_sequence, name, size_bytes, \`lines\`, rejected_lines,
          amount, largest_sum, state, claimed_at, digested_at, recorded_at)
       VALUES ${batch.files.map(() => row).join(', ')}`,
      batch.files.flatMap(values),
    )
    return true
  } catch (error) {
    if (sqlNumber(error) === SQL_DUPLICATE_KEY) return false
    throw error
  }
}

/** P5 and P6. `isOpen`: the transaction that began the batch is still open, and is the only one. */
async function applyFrom(
  session: Session,
  batch: Batch,
  position: BatchPosition,
  isOpen: boolean,
  options: ApplyOptions,
): Promise<ApplyResult> {
  const { names } = options
  const writer = options.writer ?? new TotalsWriter(names)
  let cursor = position.cursorId
  let applied = Number(position.pairsApplied)
  let isBlocked = position.state === 'blocked'
  const startTransaction = async (): Promise<void> => {
    await session.execute('START TRANSACTION')
    // In the same transaction as the next chunk: should that fail again, it was blocked all along.
    if (isBlocked) await unblock(session, batch, names)
  }
  for await (const chunk of batch.sums.chunks(options.chunkPairsMax, cursor)) {
    const next: bigint = chunk.ids[chunk.ids.length - 1]!
    applied += chunk.ids.length
    if (!isOpen) {
      options.signal?.throwIfAborted()
      await startTransaction()
    }
    await moveCursor(session, batch, names, { cursor, next, chunk })
    try {
      await writer.add(session, chunk)
    } catch (error) {
      if (![SQL_OUT_OF_RANGE, SQL_VALUE_OUT_OF_RANGE].includes(sqlNumber(error))) throw error
      await session.rollback()
      // Nothing of a single transaction is left: the totals are looked at, and it is begun again.
      if (isOpen) return { kind: 'unproven' }
      return await block(session, batch, toError(error), names)
    }
    if (applied === batch.sums.pairs) await finish(session, batch, names)
    crashPoint('P5-before-commit')
    if (!isOpen || applied === batch.sums.pairs) await session.execute('COMMIT')
    crashPoint('P5-chunk-committed')
    options.onChunk()
    cursor = next
    isBlocked = false
  }
  // Without pairs there was no chunk; of a batch resumed behind its last chunk there is none left.
  if (applied === 0) {
    if (!isOpen) await startTransaction()
    await finish(session, batch, names)
    await session.execute('COMMIT')
  }
  if (applied !== batch.sums.pairs) {
    throw moved(batch, `${applied} of ${batch.sums.pairs} pairs are applied`)
  }
  crashPoint('P6-batch-committed')
  return await appliedResult(session, batch, names)
}

// A text operand would make the server add in DOUBLE, which rounds above 2^53: hence the cast.
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
  if (changed !== 1) throw moved(batch, `its cursor is not at ${step.cursor ?? 'its beginning'}`)
}

async function finish(session: Session, batch: Batch, names: LedgerNames): Promise<void> {
  const files = await session.execute(
    `UPDATE ${names.file} SET state = 'applied', recorded_at = UTC_TIMESTAMP(3)
      WHERE batch_id = ? AND state = 'applying'`,
    [batch.id],
  )
  if (files !== batch.files.length) throw moved(batch, `${files} of its files are open`)
  const changed = await session.execute(
    `UPDATE ${names.batch} SET state = 'applied', ended_at = UTC_TIMESTAMP(3)
      WHERE id = ? AND state = 'applying'
        AND pairs_applied = pairs_planned AND amount_applied = amount_planned`,
    [batch.id],
  )
  if (changed !== 1) throw moved(batch, 'applied differs from planned')
  crashPoint('P6-before-commit')
}

async function appliedResult(
  session: Session,
  batch: Batch,
  names: LedgerNames,
): Promise<ApplyResult> {
  const [last] = await session.query<{ sequence: bigint | null }>(
    `SELECT MAX(sequence) AS sequence FROM ${names.file} WHERE batch_id = ?`,
    [batch.id],
  )
  return { kind: 'applied', ledgerSequence: last?.sequence ?? 0n }
}

async function block(
  session: Session,
  batch: Batch,
  cause: Error,
  names: LedgerNames,
): Promise<ApplyResult> {
  await session.execute(
    `UPDATE ${names.batch} SET state = 'blocked' WHERE id = ? AND state = 'applying'`,
    [batch.id],
  )
  const reason = `a total does not fit its column, although all did when the batch began: ${cause.message}`
  return { kind: 'blocked', reason }
}

async function unblock(session: Session, batch: Batch, names: LedgerNames): Promise<void> {
  await session.execute(
    `UPDATE ${names.batch} SET state = 'applying' WHERE id = ? AND state = 'blocked'`,
    [batch.id],
  )
}

/** May be more than 64 bits. */
function sumOf(chunk: PairChunk): bigint {
  const tally = new PairTally()
  assert(tally.add(chunk), 'the ids of a chunk do not ascend')
  return tally.amount
}

function moved(batch: Batch, where: string): CountersinkError {
  return new CountersinkError(
    'CURSOR_MOVED',
    `batch ${batch.id.toString('hex')} is not where it was left (${where}): somebody else is at work on it`,
    { advice: 'Nothing was added twice. Only one parser may work on a state directory.' },
  )
}
