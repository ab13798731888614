import { crashPoint } from '../../../shared/crash-points.ts'
import type { Session } from '../connection.ts'
import { transaction } from '../transaction.ts'
import type { BatchPosition } from './batch-row.ts'
import { batchWay } from './batch-states.ts'
import type { LongCountOptions } from './count-whole.ts'
import { planOf, type StagedBatch, signedChunks } from './signed-chunks.ts'

/**
 * A batch that an earlier version has begun, and whose members' sums are recorded now: how much is
 * planned and applied is told by them, as that version counted merged pairs. It then goes on behind its
 * cursor like any other.
 *
 * @returns false: what is applied of it is not what its members have up to the cursor.
 * @throws CountersinkError LEASE_LOST, BLOCK_UNREADABLE; the signal's reason between two chunks
 */
export async function replan(
  session: Session,
  { id, files }: StagedBatch,
  { cursorId }: BatchPosition,
  options: LongCountOptions,
): Promise<boolean> {
  const { names, lease, chunkPairsMax, between } = options
  let [pairs, amount] = [0, 0n]
  if (cursorId !== null) {
    const applied = signedChunks(session, names, files, chunkPairsMax, null, cursorId)
    for await (const chunk of applied) {
      await between()
      pairs += chunk.inputPairs
      amount += chunk.amount
    }
  }
  const plan = planOf(files)
  const { to, from } = batchWay('replan')
  const isPlanned = await transaction<boolean>(session, async undo => {
    await lease.fence(session)
    const changed = await session.execute(
      `UPDATE ${names.batch} SET state = '${to}', pairs_planned = ?, pairs_applied = ?
        WHERE id = ? AND cursor_id <=> ? AND amount_applied = CAST(? AS DECIMAL(38,0))
          AND amount_planned = CAST(? AS DECIMAL(38,0)) AND ${from}`,
      [plan.pairs, pairs, Buffer.from(id), cursorId, amount.toString(), plan.amount.toString()],
    )
    return changed === 1 || undo(false)
  })
  if (isPlanned) crashPoint('M1-replanned')
  return isPlanned
}
