/**
 * P4 to P6 of contents whose sums are recorded: adds them to the totals by transactions of one chunk
 * each, every one of which begins with the lease.
 *
 * - **begun** (P4): one transaction writes the batch's row and its postings, takes its files from the
 *   list of what waits, and raises the bound of all totals.
 * - **chunk** (P5): one transaction moves the cursor by compare-and-set, then adds the chunk's sums in
 *   ascending order of id. A crash leaves the cursor behind the last whole chunk.
 * - **applied** (P6): in the last chunk's own transaction, if applied equals planned.
 * - **retreating**: a row is refused in the middle (see `retreat.ts`).
 *
 * Whoever holds the lease goes on behind the cursor: the sums are in the ledger. Between two chunks a
 * stop ends it.
 */

import { crashPoint } from '../../../shared/crash-points.ts'
import { CountersinkError } from '../../../shared/errors.ts'
import { readBackAround } from '../adding/read-back.ts'
import type { Session } from '../connection.ts'
import { fileWay, type LedgerFile } from '../file-rows.ts'
import { BlockSums } from '../recording/block-sums.ts'
import { assertWritable } from '../schema/server.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { judgeSqlError } from '../sql-errors.ts'
import { transaction } from '../transaction.ts'
import {
  type BatchPosition,
  endBatch,
  insertBatch,
  insertPostings,
  moveCursor,
} from './batch-row.ts'
import { type CountOptions, isBeyond, type LongCountOptions } from './count-whole.ts'
import { mergedChunks } from './merged-chunks.ts'
import { provenWithinBound } from './overflow.ts'

/** A batch of recorded contents. */
export interface StagedBatch {
  readonly id: Buffer
  readonly files: readonly LedgerFile[]
}

export type BeginResult = 'begun' | 'changed' | 'unproven'

/**
 * P4.
 *
 * @param checked all totals were looked at and fit: the bound need not prove it.
 * @returns `changed`: some file is not staged any more; `unproven`: it is not certain that all totals
 *   fit their column. In both nothing was written.
 * @throws CountersinkError LEASE_LOST
 */
export async function beginStaged(
  session: Session,
  { id, files }: StagedBatch,
  checked: boolean,
  options: CountOptions,
): Promise<BeginResult> {
  const { names, lease, range } = options
  // An id beyond its column is no matter of the bound.
  const fits = files.every(({ recordedTo }) => recordedTo === null || recordedTo <= range.idMax)
  if (!checked && !fits) return 'unproven'
  const result = await transaction<BeginResult>(session, async undo => {
    await lease.fence(session)
    await insertBatch(session, { id, ...planOf(files) }, 'begin', options)
    const { to, from } = fileWay('begin')
    const sequences = files.map(({ sequence }) => sequence)
    const list = sequences.join(', ')
    const changed = await session.execute(
      `UPDATE ${names.file} SET state = '${to}', postings = postings + 1
        WHERE sequence IN (${list}) AND ${from}`,
    )
    if (changed !== files.length) return undo('changed')
    await insertPostings(session, names, id, sequences)
    await session.execute(
      `DELETE FROM ${names.todo} WHERE kind = 'count' AND file_sequence IN (${list})`,
    )
    const largest = files.reduce((sum, file) => sum + file.largestSum, 0n)
    if (!(await provenWithinBound(session, largest, { ...options, checked }))) {
      return undo('unproven')
    }
    crashPoint('P4-before-commit')
    return 'begun'
  })
  if (result === 'begun') crashPoint('P4-batch-begun')
  return result
}

export type AdvanceResult =
  | { readonly kind: 'applied' }
  /** The server refuses a row of it: it is to be taken back. */
  | { readonly kind: 'refused' }

/**
 * P5 and P6: from where the batch stands to its end.
 *
 * @throws CountersinkError LEASE_LOST, BLOCK_UNREADABLE, CURSOR_MOVED; the signal's reason between two
 *   chunks; the error after which the caller asks `findBatch` on a new connection and tries again.
 */
export async function advanceStaged(
  session: Session,
  { id, files }: StagedBatch,
  position: BatchPosition,
  options: LongCountOptions & {
    /** So many pairs more are in the totals. */
    readonly onChunk: (pairs: number) => void
  },
): Promise<AdvanceResult> {
  const { names, lease, writer, readsBack, chunkPairsMax } = options
  const { pairs: planned } = planOf(files)
  let applied = position.pairsApplied
  let cursor = position.cursorId
  const chunks = mergedChunks(sumsOf(session, names, files), chunkPairsMax, cursor)
  for await (const chunk of chunks) {
    await options.between()
    await assertWritable(session)
    const to: bigint = chunk.ids[chunk.ids.length - 1]!
    const isLast = applied + BigInt(chunk.inputPairs) === planned
    const refused = await transaction<AdvanceResult | undefined>(session, async undo => {
      await lease.fence(session)
      await moveCursor(session, id, names, { ...chunk, after: cursor, to })
      const add = (): Promise<void> => writer.add(session, chunk)
      try {
        await (readsBack ? readBackAround(session, names, chunk, add) : add())
      } catch (error) {
        if (!isBeyond(error) && judgeSqlError(error)?.meaning !== 'row') throw error
        return undo({ kind: 'refused' })
      }
      if (isLast) await endBatch(session, id, names, files.length)
      crashPoint('P5-before-commit')
      return undefined
    })
    if (refused !== undefined) return refused
    crashPoint('P5-chunk-committed')
    options.onChunk(chunk.ids.length)
    applied += BigInt(chunk.inputPairs)
    cursor = to
  }
  if (applied !== planned) throw blocksMissing(id, planned - applied)
  // Without pairs there was no chunk.
  if (planned === 0n) {
    await transaction(session, async () => {
      await lease.fence(session)
      await endBatch(session, id, names, files.length)
    })
  }
  crashPoint('P6-batch-committed')
  return { kind: 'applied' }
}

export function blocksMissing(id: Uint8Array, pairs: bigint): CountersinkError {
  return new CountersinkError(
    'BLOCK_UNREADABLE',
    `of the files of batch ${Buffer.from(id).toString('hex')} the blocks of ${pairs} pairs are not there`,
    { advice: 'Somebody has deleted rows of the ledger: have them restored from a backup.' },
  )
}

/** The recorded sums of a batch's files. */
export function sumsOf(
  session: Session,
  names: LedgerNames,
  files: readonly LedgerFile[],
): BlockSums[] {
  return files.map(
    ({ sequence, sha256, pairs }) =>
      new BlockSums(session, names, { sequence, sha256, pairs: Number(pairs ?? 0n) }),
  )
}

/** What the files add, before they are merged. */
export function planOf(files: readonly LedgerFile[]): { pairs: bigint; amount: bigint } {
  return {
    pairs: files.reduce((sum, { pairs }) => sum + (pairs ?? 0n), 0n),
    amount: files.reduce((sum, { amount }) => sum + BigInt(amount), 0n),
  }
}
