/**
 * Takes back a batch that cannot be finished: a row in its middle is refused, by a total that somebody
 * else has raised, or a constraint that was added.
 *
 * - **retreating**: from its first chunk to its cursor the same sums are taken from the totals again,
 *   a transaction each, that begins with the lease and moves `from_id` by compare-and-set. What stands
 *   between `from_id` and the cursor is what is still applied.
 * - **retreated**: nothing of it is left; in one transaction the batch and its postings go, the files
 *   to blame are `refused` with the reason, or `staging` if their blocks cannot be read, and the others
 *   are staged and on the list again. So one guilty file never holds up its neighbours.
 * - **blocked**: a total has less than was added to it: somebody else has lowered it. Nothing more is
 *   changed; tried again from where it stands.
 *
 * Nothing is taken back before all that is still applied was found in the blocks: of a batch of which a
 * part cannot be taken back, nothing is. What lies behind the cursor need not be readable.
 */

import { crashPoint } from '../../../shared/crash-points.ts'
import { boundedReason } from '../../../shared/protocol.ts'
import type { Session } from '../connection.ts'
import { fileWay } from '../file-rows.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { transaction } from '../transaction.ts'
import { type BatchPosition, changeBatch, moved, takeBack } from './batch-row.ts'
import { batchWay } from './batch-states.ts'
import { blocksMissing } from './count-staged.ts'
import type { CountOptions, LongCountOptions } from './count-whole.ts'
import { moveSums } from './move-sums.ts'
import { giveOrderBack } from './order-row.ts'
import { isReverting, type Member, type StagedBatch, signedChunks } from './signed-chunks.ts'

/** A file that is to blame. */
export interface Guilty {
  readonly sequence: bigint
  /** Why it is refused; undefined: its blocks cannot be read, and it is to be recorded anew. */
  readonly reason: string | undefined
}

/** From here on the batch is taken back. @throws CountersinkError LEASE_LOST */
export async function beginRetreat(
  session: Session,
  id: Uint8Array,
  { names, lease }: CountOptions,
): Promise<void> {
  await transaction(session, async () => {
    await lease.fence(session)
    if (!(await changeBatch(session, id, names, 'retreat'))) throw moved(id, 'it is not applying')
  })
  crashPoint('B1-retreating')
}

/**
 * Takes back what is applied, from where that stands.
 *
 * @returns false: a total has less than was added to it, or cannot take what was taken from it, and the
 *   batch is blocked.
 * @throws CountersinkError LEASE_LOST, CURSOR_MOVED; BLOCK_UNREADABLE when blocks of what is applied are
 *   not there, as a rule with nothing taken back; the signal's reason between two chunks.
 */
export async function takeBackApplied(
  session: Session,
  { id, files }: StagedBatch,
  { fromId, cursorId, pairsApplied }: BatchPosition,
  options: LongCountOptions,
): Promise<boolean> {
  const { names, lease, chunkPairsMax, between } = options
  if (cursorId === null) return true
  const applied = () => signedChunks(session, names, files, chunkPairsMax, fromId, cursorId)
  let missing = pairsApplied
  for await (const { inputPairs } of applied()) {
    await between()
    missing -= BigInt(inputPairs)
  }
  if (missing !== 0n) throw blocksMissing(id, missing)
  let after = fromId
  let left = pairsApplied
  for await (const chunk of applied()) {
    await between()
    const isTaken = await transaction(session, async undo => {
      await lease.fence(session)
      await takeBack(session, id, names, { ...chunk, after })
      const opposite = { plus: chunk.minus, minus: chunk.plus }
      return (await moveSums(session, opposite, options)) === 'moved' || undo(false)
    })
    if (!isTaken) {
      await transaction(session, async () => {
        await lease.fence(session)
        await changeBatch(session, id, names, 'block')
      })
      return false
    }
    crashPoint('B2-chunk-taken-back')
    after = chunk.to
    left -= BigInt(chunk.inputPairs)
  }
  // Deleted since they were looked at.
  if (left !== 0n) throw blocksMissing(id, left)
  return true
}

/**
 * The end of it: what was to be taken back stays applied.
 *
 * @param refusedBecause of a batch that an order has asked for; undefined: it is tried again.
 * @throws CountersinkError LEASE_LOST, CURSOR_MOVED
 */
export async function endRetreat(
  session: Session,
  { id, kind, files }: StagedBatch,
  guilty: readonly Guilty[],
  { names, lease }: CountOptions,
  refusedBecause?: string,
): Promise<void> {
  const blamed = new Set(guilty.map(({ sequence }) => sequence))
  const others = files.filter(file => !isReverting(file) && !blamed.has(file.sequence))
  const kept = files.filter(isReverting)
  await transaction(session, async () => {
    await lease.fence(session)
    const changed = await session.execute(
      `DELETE FROM ${names.batch} WHERE id = ? AND pairs_applied = 0 AND ${batchWay('retreated').from}`,
      [Buffer.from(id)],
    )
    if (changed !== 1) throw moved(id, 'something of it is applied')
    await session.execute(`DELETE FROM ${names.posting} WHERE batch_id = ?`, [Buffer.from(id)])
    for (const one of guilty) {
      const { to, from, reason } = wayOut(one)
      await session.execute(
        `UPDATE ${names.file} SET state = '${to}', postings = postings - 1, reason = ?
          WHERE sequence = ? AND ${from}`,
        [reason, one.sequence],
      )
    }
    await unpost(session, id, names, others, 'giveBack')
    await unpost(session, id, names, kept, 'keep')
    if (kind === 'count') await backOnTheList(session, names, others)
    else await giveOrderBack(session, names, id, refusedBecause)
    crashPoint('B3-before-commit')
  })
  crashPoint('B3-retreated')
}

/** The same of a file that is in no batch yet; does nothing unless it is staged. */
export async function takeOffTheList(
  session: Session,
  guilty: Guilty,
  { names, lease }: Pick<CountOptions, 'names' | 'lease'>,
): Promise<void> {
  const { sequence } = guilty
  const { to, from, reason } = wayOut(guilty)
  await transaction(session, async () => {
    await lease.fence(session)
    // One in a batch is `applying`, and refused by that batch's retreat alone.
    const changed = await session.execute(
      `UPDATE ${names.file} SET state = '${to}', reason = ?
        WHERE sequence = ? AND ${from} AND state = 'staged'`,
      [reason, sequence],
    )
    if (changed === 0) return
    await session.execute(`DELETE FROM ${names.todo} WHERE kind = 'count' AND file_sequence = ?`, [
      sequence,
    ])
  })
}

function wayOut({ reason }: Guilty) {
  if (reason === undefined) return { ...fileWay('unrecord'), reason: null }
  return { ...fileWay('refuse'), reason: boundedReason(reason) }
}

async function unpost(
  session: Session,
  id: Uint8Array,
  names: LedgerNames,
  files: readonly Member[],
  event: 'giveBack' | 'keep',
): Promise<void> {
  if (files.length === 0) return
  const { to, from } = fileWay(event)
  const changed = await session.execute(
    `UPDATE ${names.file} SET state = '${to}', postings = postings - 1
      WHERE sequence IN (${files.map(({ sequence }) => sequence).join(', ')}) AND ${from}`,
  )
  if (changed !== files.length)
    throw moved(id, `${changed} of its files are open, not ${files.length}`)
}

async function backOnTheList(
  session: Session,
  names: LedgerNames,
  files: readonly Member[],
): Promise<void> {
  if (files.length === 0) return
  await session.execute(
    `INSERT INTO ${names.todo} (kind, file_sequence)
     SELECT 'count', sequence FROM ${names.file}
      WHERE sequence IN (${files.map(({ sequence }) => sequence).join(', ')})`,
  )
}
