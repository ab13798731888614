import type { Session } from '../connection.ts'
import { BlockSums } from '../recording/block-sums.ts'
import { openingSeed, openingSequence, UNKNOWN_GENERATION } from '../schema/opening-balance.ts'
import type { LedgerNames } from '../schema/tables.ts'

/**
 * What stood in a consumer's total before anything was counted into it that the ledger has the sums of.
 *
 * @returns undefined: that is not known of single consumers, only of all together.
 */
export async function openingOf(
  session: Session,
  n: LedgerNames,
  id: bigint,
): Promise<bigint | undefined> {
  const [meta] = await session.query<{ uuid: string; generation: bigint | null }>(
    `SELECT ledger_uuid AS uuid, opening_generation AS generation FROM ${n.meta}`,
  )
  if (meta?.generation == null || meta.generation === UNKNOWN_GENERATION) return undefined
  const { uuid, generation } = meta
  const [wide] = await session.query<{ amount: string }>(
    `SELECT amount FROM ${n.opening_wide} WHERE generation = ? AND id = ?`,
    [generation, id.toString()],
  )
  if (wide !== undefined) return BigInt(wide.amount)
  const sums = new BlockSums(session, n, {
    ...{ sequence: openingSequence(generation), sha256: openingSeed(uuid, generation) },
    ...{ pairs: 0 },
  })
  return (await sums.find(id)) ?? 0n
}
