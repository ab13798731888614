/**
 * P4 to P6 of contents whose sums are recorded: adds them to the totals, or takes them back, by
 * transactions of one chunk each, every one of which begins with the lease.
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
import type { Session } from '../connection.ts'
import { fileWay } from '../file-rows.ts'
import { assertWritable } from '../schema/server.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { transaction } from '../transaction.ts'
import {
  type BatchPosition,
  endBatch,
  insertBatch,
  insertPostings,
  moveCursor,
} from './batch-row.ts'
import type { CountOptions, LongCountOptions } from './count-whole.ts'
import { moveSums } from './move-sums.ts'
import { beginOrder } from './order-row.ts'
import { provenWithinBound } from './overflow.ts'
import {
  isReverting,
  type Member,
  planOf,
  type StagedBatch,
  signedChunks,
} from './signed-chunks.ts'

export type BeginResult = 'begun' | 'changed' | 'unproven'

/**
 * P4.
 *
 * @param orderId the order that it carries out, with a batch that takes something back.
 * @param checked all totals were looked at and fit: the bound need not prove it.
 * @returns `changed`: some file is not staged any more; `unproven`: it is not certain that all totals
 *   fit their column. In both nothing was written.
 * @throws CountersinkError LEASE_LOST
 */
export async function beginStaged(
  session: Session,
  { id, kind, files }: StagedBatch,
  checked: boolean,
  options: CountOptions,
  orderId?: Uint8Array,
): Promise<BeginResult> {
  const { names, lease, range } = options
  // An id beyond its column is no matter of the bound.
  const counted = files.filter(({ isBack }) => !isBack)
  const fits = counted.every(({ recordedTo }) => recordedTo === null || recordedTo <= range.idMax)
  if (!checked && !fits) return 'unproven'
  const result = await transaction<BeginResult>(session, async undo => {
    await lease.fence(session)
    await insertBatch(session, { id, kind, ...planOf(files) }, 'begin', options)
    for (const event of ['begin', 'revert'] as const) {
      const some = files.filter(file => isReverting(file) === (event === 'revert'))
      if (!(await post(session, names, some, event))) return undo('changed')
    }
    const sequences = files.map(({ sequence }) => sequence)
    await insertPostings(session, names, id, sequences)
    if (orderId !== undefined && !(await beginOrder(session, names, orderId, id))) {
      return undo('changed')
    }
    const largest = counted.reduce((sum, file) => sum + file.largestSum, 0n)
    if (counted.length > 0) {
      const isProven = await provenWithinBound(session, largest, { ...options, checked })
      if (!isProven) return undo('unproven')
    }
    crashPoint('P4-before-commit')
    return 'begun'
  })
  if (result === 'begun') crashPoint('P4-batch-begun')
  return result
}

/** One more posting of each. @returns false: some file is not as it was thought to be. */
async function post(
  session: Session,
  names: LedgerNames,
  files: readonly Member[],
  event: 'begin' | 'revert',
): Promise<boolean> {
  if (files.length === 0) return true
  const { to, from } = fileWay(event)
  const list = files.map(({ sequence }) => sequence).join(', ')
  const posted = files.map(({ sequence, postings }) => `(${sequence}, ${postings})`).join(', ')
  const changed = await session.execute(
    `UPDATE ${names.file} SET state = '${to}', postings = postings + 1
      WHERE sequence IN (${list}) AND (sequence, postings) IN (${posted}) AND ${from}`,
  )
  if (event === 'begin') {
    await session.execute(
      `DELETE FROM ${names.todo} WHERE kind = 'count' AND file_sequence IN (${list})`,
    )
  }
  return changed === files.length
}

export type AdvanceResult =
  | { readonly kind: 'applied' }
  /** The server refuses a row of it, or a total has too little: it is to be taken back. */
  | { readonly kind: 'refused' }

/**
 * P5 and P6: from where the batch stands to its end.
 *
 * @throws CountersinkError LEASE_LOST, BLOCK_UNREADABLE, CURSOR_MOVED; the signal's reason between two
 *   chunks; the error after which the caller asks `findBatch` on a new connection and tries again.
 */
export async function advanceStaged(
  session: Session,
  batch: StagedBatch,
  position: BatchPosition,
  options: LongCountOptions & {
    /** So many pairs more are in the totals. */
    readonly onChunk: (pairs: number) => void
  },
): Promise<AdvanceResult> {
  const { names, lease, chunkPairsMax } = options
  const { id, files } = batch
  const { pairs: planned } = planOf(files)
  let applied = position.pairsApplied
  let cursor = position.cursorId
  const chunks = signedChunks(session, names, files, chunkPairsMax, cursor)
  for await (const chunk of chunks) {
    await options.between()
    await assertWritable(session)
    const isLast = applied + BigInt(chunk.inputPairs) === planned
    const refused = await transaction<AdvanceResult | undefined>(session, async undo => {
      await lease.fence(session)
      await moveCursor(session, id, names, { ...chunk, after: cursor })
      if ((await moveSums(session, chunk, options)) !== 'moved') return undo({ kind: 'refused' })
      if (isLast) await endBatch(session, batch, names)
      crashPoint('P5-before-commit')
      return undefined
    })
    if (refused !== undefined) return refused
    crashPoint('P5-chunk-committed')
    options.onChunk(chunk.plus.ids.length + chunk.minus.ids.length)
    applied += BigInt(chunk.inputPairs)
    cursor = chunk.to
  }
  if (applied !== planned) throw blocksMissing(id, planned - applied)
  // Without pairs there was no chunk.
  if (planned === 0n) {
    await transaction(session, async () => {
      await lease.fence(session)
      await endBatch(session, batch, names)
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
