/**
 * Closes the books up to a time: everything that was counted and taken back before becomes part of the
 * opening balance, for ever, and what single files had of it is not kept any more. Totals are not touched.
 *
 * - **packed** (C1): a new generation of the opening balance stands beside the one that is named. A crash
 *   leaves what nobody names: it is removed, and packed anew.
 * - **closed** (C2): one transaction, if pairs and amount are what the old one and the files have together
 *   and no file has changed: their postings are `folded`, and the new generation is named.
 * - **removed** (C3): the blocks of the old generation and of the files, in portions. A crash leaves the
 *   others to whoever goes on with the order, which is under way until the last is gone.
 *
 * It is done a part at a time: whoever counts counts what waits in between.
 */

import { randomInt } from 'node:crypto'
import { crashPoint } from '../../../shared/crash-points.ts'
import { describeError, hasCode } from '../../../shared/errors.ts'
import { formatCount, formatCountOf } from '../../../shared/numbers.ts'
import type { Session } from '../connection.ts'
import {
  beginWithoutBatch,
  carryOutOrder,
  declineOrder,
  endWithoutBatch,
  isWorking,
  type Order,
} from '../counting/order-row.ts'
import { openingBlocks } from '../proving/opening-of.ts'
import { CLOSING_GENERATIONS, namedGeneration, openingSequence } from '../schema/opening-blocks.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { transaction } from '../transaction.ts'
import { type FoldOptions, packFolded } from './fold.ts'
import { type Foldable, isFoldable, isSameFoldable, readFoldable } from './foldable.ts'
import { removeFolded, removeUnnamed } from './removal.ts'

export type PruneResult =
  | { readonly kind: 'done' }
  | { readonly kind: 'declined' | 'waits'; readonly why: string }

/**
 * @yields between two parts.
 * @throws CountersinkError LEASE_LOST; the signal's reason between two parts; whatever the server answers:
 *   it is to be begun anew then.
 */
export async function* prune(
  session: Session,
  order: Order,
  options: FoldOptions,
): AsyncGenerator<void, PruneResult> {
  const { names } = options
  if (!(await isWorking(session, names, order.id))) {
    const result = yield* close(session, order, options)
    if (result !== undefined) return result
  }
  const named = await namedGeneration(session, names)
  yield* removeUnnamed(session, named ?? 0n, options)
  yield* removeFolded(session, options)
  crashPoint('C3-removed')
  await transaction(session, async () => {
    await options.lease.fence(session)
    await endWithoutBatch(session, names, order.id)
  })
  return { kind: 'done' }
}

/** @returns undefined: they are closed. */
async function* close(
  session: Session,
  order: Order,
  options: FoldOptions,
): AsyncGenerator<void, PruneResult | undefined> {
  const { names, lease } = options
  const before = order.beforeAt ?? ''
  const decline = async (why: string): Promise<PruneResult> => {
    await transaction(session, async () => {
      await lease.fence(session)
      await declineOrder(session, names, order.id, why)
    })
    return { kind: 'declined', why }
  }
  const named = await namedGeneration(session, names)
  const found = await openingBlocks(session, names)
  if ('unknownBecause' in found || named === undefined) {
    return await decline(
      `the books cannot be closed: ${'unknownBecause' in found ? found.unknownBecause : 'no opening balance was taken'}`,
    )
  }
  const [clock] = await session.query<{ hasCome: bigint | number }>(
    'SELECT ? <= UTC_TIMESTAMP(3) AS hasCome',
    [before],
  )
  if (Number(clock?.hasCome) !== 1) return await decline(`${before} UTC has not come yet`)
  yield* removeUnnamed(session, named, options)
  const isRolled = options.bringIntoPeriods !== undefined
  if (isRolled) {
    const waits = yield* rollUpFirst(options.bringIntoPeriods)
    if (waits?.kind === 'declined') return await decline(waits.why)
    if (waits !== undefined) return waits
  }
  const foldable = await readFoldable(session, names, before, isRolled)
  if (foldable.files === 0) {
    const answer = `nothing that was counted before ${before} is still open`
    await transaction(session, async () => {
      await lease.fence(session)
      await carryOutOrder(session, names, order.id, answer)
    })
    return { kind: 'done' }
  }
  const generation = BigInt(randomInt(CLOSING_GENERATIONS.from, CLOSING_GENERATIONS.to))
  const folded = yield* packFolded(session, found.opening, generation, before, options)
  if (typeof folded === 'string') {
    yield* removeUnnamed(session, named, options)
    return await decline(folded)
  }
  const old = await sumsOf(session, names, named)
  const missing = foldable.pairs + old.pairs - folded.pairs
  const outcome = await transaction<'closed' | 'changed' | 'unlike'>(session, async undo => {
    await lease.fence(session)
    if (!isSameFoldable(await readFoldable(session, names, before, isRolled), foldable))
      return undo('changed')
    const packed = await sumsOf(session, names, generation)
    const isWhole = packed.blocks === folded.blocks && packed.wide === folded.wide
    if (!isWhole || missing !== 0n) return undo('unlike')
    if (packed.amount !== old.amount + foldable.amount) return undo('unlike')
    const postings = await session.execute(
      `UPDATE ${names.posting} p
         JOIN (SELECT f.sequence FROM ${names.file} f WHERE ${isFoldable(names, before, isRolled)}) AS d
           ON d.sequence = p.file_sequence
          SET p.folded = 1`,
    )
    if (postings !== foldable.postings) return undo('changed')
    if (!(await beginWithoutBatch(session, names, order.id, told(foldable, before)))) {
      return undo('changed')
    }
    // The last lock of the transaction, as everywhere.
    const changed = await session.execute(
      `UPDATE ${names.meta}
          SET opening_generation = ?, books_closed_to = GREATEST(COALESCE(books_closed_to, ?), ?)
        WHERE only_row = 1 AND opening_generation = ?`,
      [generation, before, before, named],
    )
    if (changed !== 1) return undo('changed')
    crashPoint('C2-before-commit')
    return 'closed'
  })
  if (outcome === 'changed') return { kind: 'waits', why: 'files have changed meanwhile' }
  if (outcome === 'unlike') {
    yield* removeUnnamed(session, named, options)
    return await decline(
      `BLOCK_UNREADABLE: what is recorded of the files is not what was counted (${missing} pairs are missing): "countersink verify --full" names it; nothing was changed`,
    )
  }
  crashPoint('C2-closed')
  return undefined
}

/** @returns why it has to wait, or cannot be done. */
async function* rollUpFirst(
  bringIntoPeriods: () => AsyncGenerator<void, 'done' | 'later'>,
): AsyncGenerator<void, PruneResult | undefined> {
  try {
    if ((yield* bringIntoPeriods()) === 'done') return undefined
    return { kind: 'waits', why: 'usage by time is behind: somebody reads it' }
  } catch (error) {
    if (!hasCode(error, 'USAGE_UNLIKE', 'BLOCK_UNREADABLE')) throw error
    return { kind: 'declined', why: describeError(error) }
  }
}

function told({ files, postings }: Foldable, before: string): string {
  return `the books are closed up to ${before} UTC: ${formatCountOf(files, 'file')}, counted and taken back ${formatCount(postings)} times, ${files === 1 ? 'is' : 'are'} part of the opening balance`
}

/** What stands in a generation. */
async function sumsOf(session: Session, { sums, opening_wide }: LedgerNames, generation: bigint) {
  const [row] = await session.query<
    Record<'blocks' | 'pairs' | 'amount' | 'wide' | 'wideAmount', bigint | string>
  >(
    `SELECT b.*, w.* FROM
       (SELECT COUNT(*) AS blocks, COALESCE(SUM(pairs), 0) AS pairs, COALESCE(SUM(amount), 0) AS amount
          FROM ${sums} WHERE file_sequence = ?) AS b,
       (SELECT COUNT(*) AS wide, COALESCE(SUM(amount), 0) AS wideAmount
          FROM ${opening_wide} WHERE generation = ?) AS w`,
    [openingSequence(generation), generation],
  )
  const { blocks, pairs, amount, wide, wideAmount } = row!
  return {
    ...{ blocks: Number(blocks), wide: Number(wide), pairs: BigInt(pairs) },
    amount: BigInt(amount) + BigInt(wideAmount),
  }
}
