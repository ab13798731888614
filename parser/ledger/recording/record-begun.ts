/**
 * Writes down the sums of a file that is in a batch already: one that an earlier version of the program
 * has begun, which recorded none. Until they are all there its row says `applying`, and has no `pairs`.
 *
 * As in `record.ts` whoever begins raises `attempt`, and each transaction of blocks moves `recorded_to`
 * under it; a crash leaves a part, which the next attempt deletes.
 */

import { crashPoint } from '../../../shared/crash-points.ts'
import type { Sums } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import type { LedgerFile } from '../file-rows.ts'
import { transaction } from '../transaction.ts'
import { packSums } from './blocks.ts'
import { type RecordOptions, writePortion } from './record.ts'

/**
 * @param sums of exactly this content.
 * @returns false: somebody else records it, or it has come to its end.
 * @throws the signal's reason between two portions.
 */
export async function recordBegun(
  session: Session,
  { sequence, sha256 }: Pick<LedgerFile, 'sequence' | 'sha256'>,
  sums: Sums,
  options: RecordOptions,
): Promise<boolean> {
  const { names, kernel, chunkPairsMax, between } = options
  const attempt = await beginAnew(session, sequence, options)
  if (attempt === undefined) return false
  let recordedTo: bigint | null = null
  for await (const blocks of packSums(kernel, sha256, sums, chunkPairsMax)) {
    await between()
    const isWritten = await transaction(session, async undo => {
      const from = { sequence, attempt, recordedTo }
      return (await writePortion(session, names, from, blocks, BEGUN)) || undo(false)
    })
    if (!isWritten) return false
    crashPoint('S2-portion-recorded')
    recordedTo = blocks.at(-1)!.lastId
  }
  const changed = await session.execute(
    `UPDATE ${names.file} SET pairs = pairs_recorded, recorded_at = UTC_TIMESTAMP(3)
      WHERE sequence = ? AND attempt = ? AND ${BEGUN}
        AND pairs_recorded = ? AND amount_recorded = amount`,
    [sequence, attempt, sums.pairs],
  )
  return changed === 1
}

/** In a batch, and its sums are not recorded. */
const BEGUN = "state = 'applying' AND pairs IS NULL"

/** @returns the attempt; undefined: the row is not in that state any more. */
async function beginAnew(
  session: Session,
  sequence: bigint,
  { names }: RecordOptions,
): Promise<number | undefined> {
  return transaction<number | undefined>(session, async undo => {
    const changed = await session.execute(
      `UPDATE ${names.file}
          SET attempt = attempt + 1, recorded_to = NULL, pairs_recorded = 0, amount_recorded = 0
        WHERE sequence = ? AND ${BEGUN}`,
      [sequence],
    )
    if (changed !== 1) return undo(undefined)
    await session.execute(`DELETE FROM ${names.sums} WHERE file_sequence = ?`, [sequence])
    const [row] = await session.query<{ attempt: number | bigint }>(
      `SELECT attempt FROM ${names.file} WHERE sequence = ?`,
      [sequence],
    )
    return Number(row!.attempt)
  })
}
