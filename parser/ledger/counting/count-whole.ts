/**
 * A batch that fits one chunk: claimed, recorded and counted in a single transaction, by the holder of
 * the lease.
 *
 * The transaction begins with the lease, and ends with the bound of all totals (see `overflow.ts`); in
 * between come the batch's row (applied, as all of this is one), its files' rows (the unique hash is
 * the claim: 1062 means that somebody has the content), postings, blocks, and the sums in ascending
 * order of id. A crash before COMMIT leaves nothing. Whether a COMMIT whose answer was lost has
 * happened is told by the batch's row.
 */

import assert from 'node:assert/strict'
import { crashPoint } from '../../../shared/crash-points.ts'
import type { KernelExports } from '../../kernel/index.ts'
import { PairTally } from '../../sums/index.ts'
import { readBackAround } from '../adding/read-back.ts'
import type { TotalsWriter } from '../adding/totals-writer.ts'
import type { Batch } from '../batch.ts'
import type { Session } from '../connection.ts'
import { insertFiles } from '../file-rows.ts'
import { type FileBlock, insertBlocks, packSums } from '../recording/blocks.ts'
import type { LedgerNames, TotalsRange } from '../schema/tables.ts'
import {
  judgeSqlError,
  SQL_DUPLICATE_KEY,
  SQL_OUT_OF_RANGE,
  SQL_VALUE_OUT_OF_RANGE,
  sqlNumber,
} from '../sql-errors.ts'
import { transaction } from '../transaction.ts'
import { insertBatch, insertPostings, moved } from './batch-row.ts'
import type { Lease } from './lease.ts'
import { provenWithinBound, seemsWithinBound } from './overflow.ts'

export type WholeResult =
  /** The ledger's sequences of its files, by their hash in hex. */
  | { readonly kind: 'applied'; readonly sequences: ReadonlyMap<string, bigint> }
  /** Some content of the batch has a row already: nothing was written. */
  | { readonly kind: 'claimed' }
  /** It is not certain that all totals fit their column: nothing was written. */
  | { readonly kind: 'unproven' }
  /** The server refuses a row of it, in these words: nothing was written. */
  | { readonly kind: 'refused'; readonly reason: string }

export interface CountOptions {
  readonly names: LedgerNames
  readonly lease: Lease
  readonly kernel: KernelExports
  /** Of the ledger, as it was found. */
  readonly uuid: string
  readonly instance: Uint8Array
  readonly range: TotalsRange
  /** Some totals of each chunk are read back: triggers cannot be seen. */
  readonly readsBack: boolean
  /** Adds the sums; it learns from batch to batch which rows are there. */
  readonly writer: TotalsWriter
  /** Pairs in one transaction. */
  readonly chunkPairsMax: number
}

/** The same of what takes several transactions. */
export interface LongCountOptions extends CountOptions {
  /** Awaited between two of them; throws when they are to end there. */
  readonly between: () => Promise<void>
}

/**
 * @param checked all totals were looked at and fit: the bound need not prove it.
 * @throws the error after which the caller asks `findBatch` on a new connection and tries again;
 *   CountersinkError LEASE_LOST: somebody else counts, and nothing was written; CURSOR_MOVED: the sums
 *   are not those that were planned.
 */
export async function countWhole(
  session: Session,
  batch: Batch,
  checked: boolean,
  options: CountOptions,
): Promise<WholeResult> {
  assert(batch.sums.pairs <= options.chunkPairsMax, 'it is too large for one transaction')
  const result = await transaction<WholeResult>(session, async undo => {
    const done = await inTransaction(session, batch, checked, options)
    if (done.kind !== 'applied') return undo(done)
    crashPoint('P6-before-commit')
    return done
  })
  if (result.kind === 'applied') crashPoint('P6-batch-committed')
  return result
}

async function inTransaction(
  session: Session,
  batch: Batch,
  checked: boolean,
  options: CountOptions,
): Promise<WholeResult> {
  const { names, lease, range } = options
  await lease.fence(session)
  const pairs = batch.files.reduce((sum, file) => sum + file.sums.pairs, 0)
  await insertBatch(session, { ...batch, kind: 'count', pairs }, 'countWhole', options)
  let sequences: ReadonlyMap<string, bigint>
  try {
    sequences = await insertFiles(session, batch.files, { ...options, claim: 'countWhole' })
  } catch (error) {
    if (sqlNumber(error) === SQL_DUPLICATE_KEY) return { kind: 'claimed' }
    return refusal(error)
  }
  await insertPostings(session, names, batch.id, [...sequences.values()])
  await recordAll(session, batch, sequences, options)
  const limits = { ...options, checked }
  if (!checked && (await hasIdBeyond(batch, range))) return { kind: 'unproven' }
  const largest = largestSumOf(batch)
  if (!(await seemsWithinBound(session, largest, limits))) return { kind: 'unproven' }
  const refused = await addAll(session, batch, options)
  if (refused !== undefined) return refused
  // The last lock of the transaction: see `overflow.ts`.
  if (!(await provenWithinBound(session, largest, limits))) return { kind: 'unproven' }
  return { kind: 'applied', sequences }
}

async function recordAll(
  session: Session,
  batch: Batch,
  sequences: ReadonlyMap<string, bigint>,
  { names, kernel, chunkPairsMax }: CountOptions,
): Promise<void> {
  let blocks: FileBlock[] = []
  for (const { sha256, sums, amount } of batch.files) {
    const fileSequence = sequences.get(Buffer.from(sha256).toString('hex'))
    assert(fileSequence !== undefined, 'a row that was just written has no sequence')
    let planned = amount
    for await (const packed of packSums(kernel, sha256, sums, chunkPairsMax)) {
      for (const block of packed) {
        planned -= block.amount
        blocks.push({ fileSequence, block })
      }
    }
    if (planned !== 0n) throw moved(batch.id, 'recorded differs from planned')
    if (blocks.length < BLOCKS_AT_ONCE) continue
    await insertBlocks(session, names, blocks)
    blocks = []
  }
  await insertBlocks(session, names, blocks)
}

async function addAll(
  session: Session,
  batch: Batch,
  { names, writer, readsBack, chunkPairsMax }: CountOptions,
): Promise<WholeResult | undefined> {
  const tally = new PairTally()
  for await (const chunk of batch.sums.chunks(chunkPairsMax)) {
    tally.add(chunk)
    try {
      const add = (): Promise<void> => writer.add(session, chunk)
      await (readsBack ? readBackAround(session, names, chunk, 1n, add) : add())
    } catch (error) {
      if (isBeyond(error)) return { kind: 'unproven' }
      return refusal(error)
    }
    crashPoint('P5-before-commit')
  }
  if (tally.amount !== batch.amount) throw moved(batch.id, 'applied differs from planned')
  return undefined
}

/** An id beyond its column is no matter of the bound. */
async function hasIdBeyond({ sums }: Batch, { idMax }: TotalsRange): Promise<boolean> {
  for await (const _beyond of sums.chunks(1, idMax)) return true
  return false
}

export function largestSumOf(batch: Pick<Batch, 'files'>): bigint {
  return batch.files.reduce((sum, file) => sum + file.largestSum, 0n)
}

/** A total that would not fit its column. */
export function isBeyond(error: unknown): boolean {
  return [SQL_OUT_OF_RANGE, SQL_VALUE_OUT_OF_RANGE].includes(sqlNumber(error))
}

/** @throws the error, if it is not about a row. */
export function refusal(error: unknown): { readonly kind: 'refused'; readonly reason: string } {
  const judged = judgeSqlError(error)
  if (judged?.meaning !== 'row') throw error
  return { kind: 'refused', reason: judged.reason }
}

/** Blocks of small files that are gathered before they are sent. */
const BLOCKS_AT_ONCE = 256
