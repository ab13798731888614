import type { Session } from '../connection.ts'
import { BlockSums } from '../recording/block-sums.ts'
import { UNKNOWN_GENERATION } from '../schema/opening-balance.ts'
import { openingSeed, openingSequence } from '../schema/opening-blocks.ts'
import type { LedgerNames } from '../schema/tables.ts'

/** The blocks of what was in the totals before. */
export interface OpeningBlocks {
  readonly ledgerUuid: string
  readonly generation: bigint
}

/** Where it stands per consumer; undefined: there was nothing then. */
export async function openingBlocks(
  session: Session,
  n: LedgerNames,
): Promise<{ readonly opening: OpeningBlocks | undefined } | { readonly unknownBecause: string }> {
  const [row] = await session.query<{
    readonly ledgerUuid: string
    readonly rows: bigint
    readonly generation: bigint | null
    readonly unread: bigint
  }>(
    `SELECT ledger_uuid AS ledgerUuid, opening_rows AS \`rows\`, opening_generation AS generation,
            EXISTS (SELECT 1 FROM ${n.batch} WHERE state = 'unrecorded') AS unread FROM ${n.meta}`,
  )
  if (row === undefined || Number(row.unread) === 1) {
    return {
      unknownBecause:
        'a batch of an earlier version is open, whose sums are not in the ledger yet: the service finishes it',
    }
  }
  const { ledgerUuid, rows, generation } = row
  if (generation !== null && generation !== UNKNOWN_GENERATION) {
    return { opening: { ledgerUuid, generation } }
  }
  const [folded] = await session.query(`SELECT 1 FROM ${n.posting} WHERE folded = 1 LIMIT 1`)
  if (rows === 0n && folded === undefined) return { opening: undefined }
  return {
    unknownBecause:
      'what stood in the totals before, or was counted by an earlier version, is not known of single consumers',
  }
}

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
  const blocks = await openingBlocks(session, n)
  if ('unknownBecause' in blocks) return undefined
  if (blocks.opening === undefined) return 0n
  const { ledgerUuid, generation } = blocks.opening
  const [wide] = await session.query<{ amount: string }>(
    `SELECT amount FROM ${n.opening_wide} WHERE generation = ? AND id = ?`,
    [generation, id.toString()],
  )
  if (wide !== undefined) return BigInt(wide.amount)
  const sums = new BlockSums(session, n, {
    ...{ sequence: openingSequence(generation), sha256: openingSeed(ledgerUuid, generation) },
    ...{ pairs: 0 },
  })
  return (await sums.find(id)) ?? 0n
}
