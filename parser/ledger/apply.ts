/**
 * P4 to P6: adds a batch to the totals, exactly once.
 *
 * - **begun** (P4): one transaction writes the batch's row and one row per content (the primary key
 *   is the hash: claim and proof in one). A crash before its COMMIT leaves nothing; after it the
 *   batch is `applying` with its cursor before the first id.
 * - **chunk** (P5): one transaction moves the cursor by compare-and-set, then adds the chunk's sums
 *   in ascending order of id. A crash leaves the cursor behind the last whole chunk.
 * - **applied** (P6): in the last chunk's own transaction, if applied equals planned.
 * - **withdrawn**: the server refuses a row of the first chunk; the beginning is taken back, in one
 *   transaction, as if the batch had never been.
 * - **blocked**: the server refuses a row in mid-batch (a total that a foreign writer has raised does
 *   not fit its column, a constraint was added); the cursor is kept, and the batch goes on once that
 *   is mended.
 *
 * A batch that fits one chunk is all of this in a single transaction. A larger one can be stopped
 * between two chunks: it stays `applying`, and whoever has its sums goes on behind the cursor.
 *
 * Several parsers may write to one ledger. What they all write, the row of meta, is locked last in a
 * transaction (see `overflow.ts`): they wait for one another only where contents or consumers meet.
 */

import { crashPoint } from '../../shared/crash-points.ts'
import { readBackAround } from './adding/read-back.ts'
import { TotalsWriter } from './adding/totals-writer.ts'
import type { Batch } from './batch.ts'
import {
  type BatchPosition,
  blockBatch,
  endBatch,
  findBatch,
  insertBatch,
  moveCursor,
  moved,
  sequencesOf,
  unblockBatch,
  withdrawBatch,
} from './batch-row.ts'
import type { Session } from './connection.ts'
import { insertFiles } from './file-rows.ts'
import { provenWithinBound, seemsWithinBound } from './overflow.ts'
import { assertWritable } from './schema/server.ts'
import type { LedgerNames, TotalsRange } from './schema/tables.ts'
import {
  judgeSqlError,
  SQL_DUPLICATE_KEY,
  SQL_OUT_OF_RANGE,
  SQL_VALUE_OUT_OF_RANGE,
  sqlNumber,
} from './sql-errors.ts'

export type ApplyResult =
  /** The ledger's sequences of its files, by their hash in hex. */
  | { readonly kind: 'applied'; readonly sequences: ReadonlyMap<string, bigint> }
  /** Some content of the batch has a row already: nothing was written. */
  | { readonly kind: 'claimed' }
  /** It is not certain that all totals fit their column: nothing was written. */
  | { readonly kind: 'unproven' }
  /** The server refuses a row of it, in these words: nothing was written. */
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'blocked'; readonly reason: string }

export interface ApplyOptions {
  readonly names: LedgerNames
  /** Of the ledger, as it was found. */
  readonly uuid: string
  readonly instance: Uint8Array
  /** Pairs in one transaction. */
  readonly chunkPairsMax: number
  readonly range: TotalsRange
  /** Some totals of each chunk are read back: triggers cannot be seen. */
  readonly readsBack?: boolean
  /** All totals were looked at and fit: the bound need not prove it. */
  readonly checked: boolean
  /** It is in the ledger, or will be with its only chunk. */
  readonly onBegun: () => void
  /** So many pairs are in the totals. */
  readonly onChunk: (pairs: number) => void
  /** Adds the chunks; one that is kept from batch to batch learns which rows are there. */
  readonly writer?: TotalsWriter
  /** Ends a batch of several transactions between two of them. */
  readonly signal?: AbortSignal
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
  if (known?.state === 'applied') return appliedResult(session, batch, options)
  if (known !== undefined) return applyFrom(session, batch, known, options)
  const isSmall = batch.sums.pairs <= options.chunkPairsMax
  await session.execute('START TRANSACTION')
  const objection = await begin(session, batch, options, isSmall ? 'whole' : 'beginning')
  if (objection !== undefined) {
    await session.rollback()
    if (objection !== 'known') return objection
    const position = await findBatch(session, batch.id, options.names)
    return applyBatch(session, batch, position, options)
  }
  crashPoint('P4-before-commit')
  if (!isSmall) await session.execute('COMMIT')
  crashPoint('P4-batch-begun')
  options.onBegun()
  return applyFrom(session, batch, FROM_START, options, isSmall ? 'open' : 'committed')
}

/**
 * `known`: the ledger has heard of this batch after all, and must be asked how far it is.
 *
 * @param transaction what it will be: the whole batch, or its beginning.
 */
async function begin(
  session: Session,
  batch: Batch,
  options: ApplyOptions,
  transaction: 'whole' | 'beginning',
): Promise<ApplyResult | 'known' | undefined> {
  try {
    await insertBatch(session, batch, options)
  } catch (error) {
    if (sqlNumber(error) === SQL_DUPLICATE_KEY) return 'known'
    throw error
  }
  try {
    await insertFiles(session, batch, options)
  } catch (error) {
    if (sqlNumber(error) === SQL_DUPLICATE_KEY) return { kind: 'claimed' }
    return refusal(error)
  }
  // An id beyond its column is no matter of the bound: it would block the batch in the middle.
  if (!options.checked) {
    for await (const _beyond of batch.sums.chunks(1, options.range.idMax)) {
      return { kind: 'unproven' }
    }
  }
  const isWithin = transaction === 'whole' ? seemsWithinBound : provenWithinBound
  const fits = await isWithin(session, largestSumOf(batch), options)
  return fits ? undefined : { kind: 'unproven' }
}

function largestSumOf(batch: Batch): bigint {
  return batch.files.reduce((sum, file) => sum + file.largestSum, 0n)
}

/** @throws the error, if it is not about a row. */
function refusal(error: unknown): ApplyResult & { kind: 'refused' } {
  const judged = judgeSqlError(error)
  if (judged?.meaning !== 'row') throw error
  return { kind: 'refused', reason: judged.reason }
}

/**
 * P5 and P6.
 *
 * @param begun here and now: the transaction that began the batch is still open, and is the only one;
 *   or it is committed, and the files' own sums are here, should they be needed.
 */
async function applyFrom(
  session: Session,
  batch: Batch,
  position: BatchPosition,
  options: ApplyOptions,
  begun?: 'open' | 'committed',
): Promise<ApplyResult> {
  const { names } = options
  const isOpen = begun === 'open'
  const writer = options.writer ?? new TotalsWriter(names)
  let cursor = position.cursorId
  let applied = Number(position.pairsApplied)
  let isBlocked = position.state === 'blocked'
  const startTransaction = async (): Promise<void> => {
    await assertWritable(session)
    await session.execute('START TRANSACTION')
    // In the same transaction as the next chunk: should that fail again, it was blocked all along.
    if (isBlocked) await unblockBatch(session, batch, names)
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
      const add = (): Promise<void> => writer.add(session, chunk)
      await (options.readsBack ? readBackAround(session, names, chunk, add) : add())
    } catch (error) {
      const isBeyond = [SQL_OUT_OF_RANGE, SQL_VALUE_OUT_OF_RANGE].includes(sqlNumber(error))
      const reason = isBeyond ? judgedReason(error) : refusal(error).reason
      await session.rollback()
      // Nothing of it is left: what is wrong is looked for, and it is begun again.
      const isFirst = begun === 'committed' && cursor === null
      if (isOpen || (isFirst && (await withdrawBatch(session, batch, names)))) {
        return isBeyond ? { kind: 'unproven' } : { kind: 'refused', reason }
      }
      await blockBatch(session, batch.id, names)
      return { kind: 'blocked', reason: `MariaDB refuses a row in the middle of it: ${reason}` }
    }
    if (applied === batch.sums.pairs && !(await finish(session, batch, options, isOpen))) {
      await session.rollback()
      return { kind: 'unproven' }
    }
    crashPoint('P5-before-commit')
    if (!isOpen || applied === batch.sums.pairs) await session.execute('COMMIT')
    crashPoint('P5-chunk-committed')
    options.onChunk(chunk.ids.length)
    cursor = next
    isBlocked = false
  }
  // Without pairs there was no chunk; of a batch resumed behind its last chunk there is none left.
  if (applied === 0) {
    if (!isOpen) await startTransaction()
    if (!(await finish(session, batch, options, isOpen))) {
      await session.rollback()
      return { kind: 'unproven' }
    }
    await session.execute('COMMIT')
  }
  if (applied !== batch.sums.pairs) {
    throw moved(batch, `${applied} of ${batch.sums.pairs} pairs are applied`)
  }
  crashPoint('P6-batch-committed')
  return await appliedResult(session, batch, options)
}

/**
 * What is done right before the last COMMIT.
 *
 * @param isWhole the transaction is the whole batch: the bound is still to be raised.
 * @returns false: it is not certain that all totals fit, and the transaction must be rolled back.
 */
async function finish(
  session: Session,
  batch: Batch,
  options: ApplyOptions,
  isWhole: boolean,
): Promise<boolean> {
  await endBatch(session, batch, options.names)
  const fits = !isWhole || (await provenWithinBound(session, largestSumOf(batch), options))
  crashPoint('P6-before-commit')
  return fits
}

async function appliedResult(
  session: Session,
  batch: Batch,
  { names }: ApplyOptions,
): Promise<ApplyResult> {
  return { kind: 'applied', sequences: await sequencesOf(session, batch, names) }
}

function judgedReason(error: unknown): string {
  return judgeSqlError(error)?.reason ?? String(error)
}
