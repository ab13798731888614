import { CountersinkError } from '../../../shared/errors.ts'
import type { Session } from '../connection.ts'
import type { LedgerNames } from '../schema/tables.ts'

/**
 * A roll-up's row in the ledger, moved on by compare-and-set as that of a batch. It moves no totals, so it
 * is no batch.
 */

export interface RollUp {
  readonly n: bigint
  /** The last file whose day it makes anew; null: it brings postings into their periods. */
  readonly rezonesTo: bigint | null
  /** The last consumer id whose periods have it. */
  readonly cursorId: bigint | null
}

export interface Step {
  readonly pairs: number | bigint
  /** Added less taken. */
  readonly amount: bigint
}

/** The one that is under way. */
export async function openRollUp(
  session: Session,
  { rollup }: LedgerNames,
): Promise<RollUp | undefined> {
  const [row] = await session.query<RollUp>(
    `SELECT n, rezones_to AS rezonesTo, cursor_id AS cursorId FROM ${rollup} WHERE state = 'applying'`,
  )
  return row
}

/** @returns its number. */
export async function insertRollUp(
  session: Session,
  { rollup }: LedgerNames,
  plan: Step & { readonly instance: Uint8Array; readonly rezonesTo: bigint | null },
): Promise<bigint> {
  const [last] = await session.query<{ n: bigint }>(
    `SELECT COALESCE(MAX(n), 0) AS n FROM ${rollup}`,
  )
  const n = BigInt(last!.n) + 1n
  await session.execute(
    `INSERT INTO ${rollup} (n, instance, state, rezones_to, cursor_id, pairs_planned, pairs_applied,
                            amount_planned, amount_applied, begun_at, ended_at)
     VALUES (?, ?, 'applying', ?, NULL, ?, 0, ?, 0, UTC_TIMESTAMP(3), NULL)`,
    [n, Buffer.from(plan.instance), plan.rezonesTo, plan.pairs, plan.amount.toString()],
  )
  return n
}

export async function moveRollUp(
  session: Session,
  { rollup }: LedgerNames,
  { n, after, to, pairs, amount }: Step & { n: bigint; after: bigint | null; to: bigint },
): Promise<void> {
  const changed = await session.execute(
    `UPDATE ${rollup}
        SET cursor_id = ?, pairs_applied = pairs_applied + ?,
            amount_applied = amount_applied + CAST(? AS DECIMAL(38,0))
      WHERE n = ? AND cursor_id <=> ? AND state = 'applying'`,
    [to, pairs, amount.toString(), n, after],
  )
  if (changed !== 1) throw unlike(n, `its cursor is not at ${after ?? 'its beginning'}`)
}

export async function endRollUp(
  session: Session,
  { rollup }: LedgerNames,
  n: bigint,
): Promise<void> {
  const changed = await session.execute(
    `UPDATE ${rollup} SET state = 'applied', ended_at = UTC_TIMESTAMP(3)
      WHERE n = ? AND state = 'applying'
        AND pairs_applied = pairs_planned AND amount_applied = amount_planned`,
    [n],
  )
  if (changed !== 1) throw unlike(n, 'applied differs from planned')
}

/** What stands in the ledger is not what a roll-up has found there. */
export function unlike(n: bigint, what: string): CountersinkError {
  return new CountersinkError('USAGE_UNLIKE', `roll-up ${n} of usage: ${what}`, {
    advice:
      'No total is touched by it. Look with "countersink verify --full"; it is tried again after a while.',
  })
}
