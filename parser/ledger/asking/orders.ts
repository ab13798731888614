/**
 * What a person asks of the ledger's files: written down as an order, for whoever counts. The same
 * request is the same order however often it is made, by whomever: its id is made from what it would
 * bring about. One that was refused waits again.
 */

import { randomBytes } from 'node:crypto'
import type { Config } from '../../../shared/config.ts'
import { CountersinkError, describeError, hasCode } from '../../../shared/errors.ts'
import { boundedReason } from '../../../shared/protocol.ts'
import type { Session } from '../connection.ts'
import { planUndo } from '../counting/carry-out.ts'
import { objectionTo } from '../counting/objection.ts'
import { fileOrderId, orderId } from '../counting/order-row.ts'
import { ORDER_STATES, type OrderKind, type OrderState } from '../counting/order-states.ts'
import type { LedgerFile } from '../file-rows.ts'
import { type LedgerNames, ledgerNames, sqlTime } from '../schema/tables.ts'
import { checkTotals } from '../schema/totals-table.ts'

export interface OrderRequest {
  readonly id: Buffer
  readonly kind: OrderKind
  readonly old?: bigint
  /** UTC, as `sqlTime` has it. */
  readonly beforeAt?: string
  readonly reason: string
}

/** How an order stands. */
export interface OrderStanding {
  readonly kind: OrderKind
  readonly state: Exclude<OrderState, 'absent'>
  /** Why it waits or is refused, or what came of it. */
  readonly answer: string | null
  readonly batchId: Buffer | null
}

/** An order about a file, as it stands now: another one once that was carried out. */
export function orderOf(
  kind: 'undo' | 'redo' | 'release' | 'refuse',
  ledgerUuid: string,
  file: LedgerFile,
  reason: string,
): OrderRequest {
  return { id: fileOrderId(kind, ledgerUuid, file), kind, old: file.sequence, reason }
}

/** To empty the totals: once for each reason, which names it. */
export function resetOrder(ledgerUuid: string, reason: string): OrderRequest {
  return { id: orderId('reset', ledgerUuid, reason), kind: 'reset', reason }
}

/** To close the books up to a time. Done twice it closes what was left out: each request is its own. */
export function pruneOrder(beforeMs: number, reason: string): OrderRequest {
  const beforeAt = sqlTime(beforeMs)
  return { id: randomBytes(16), kind: 'prune', beforeAt, reason }
}

/** Writes it down, unless it stands there. */
export async function askFor(
  session: Session,
  { order }: LedgerNames,
  { id, kind, old, beforeAt, reason }: OrderRequest,
): Promise<void> {
  const { absent, refused } = ORDER_STATES
  await session.execute(
    `INSERT INTO ${order} (id, kind, old, before_at, reason, state, asked_at)
     VALUES (?, ?, ?, ?, ?, '${absent.ask}', UTC_TIMESTAMP(3))
     ON DUPLICATE KEY UPDATE
       reason = IF(state = 'refused', VALUES(reason), reason),
       asked_at = IF(state = 'refused', VALUES(asked_at), asked_at),
       answer = IF(state = 'refused', NULL, answer),
       ended_at = IF(state = 'refused', NULL, ended_at),
       state = IF(state = 'refused', '${refused.ask}', state)`,
    [id, kind, old ?? null, beforeAt ?? null, boundedReason(reason)],
  )
}

/**
 * Why a file could not be taken back if that were asked for now; undefined: it could be, or would be once
 * it is counted. Reads every total that it has moved, and changes nothing.
 */
export async function objectionToUndo(
  session: Session,
  config: Config,
  row: LedgerFile,
): Promise<string | undefined> {
  const names = ledgerNames(config)
  const plan = await planUndo(session, names, row)
  if (plan.kind === 'declined') return plan.why
  if (plan.kind !== 'move') return undefined
  const { totalsTable: table, totalsIdColumn: id, totalsAmountColumn: amount } = config
  const { range } = await checkTotals(session, { table, id, amount })
  try {
    return await objectionTo(session, plan.files, { names, range, between: async () => {} })
  } catch (error) {
    if (hasCode(error, 'BLOCK_UNREADABLE')) return describeError(error)
    throw error
  }
}

/** undefined: nobody has asked. */
export async function findOrder(
  session: Session,
  { order }: LedgerNames,
  id: Uint8Array,
): Promise<OrderStanding | undefined> {
  const [row] = await session.query<OrderStanding>(
    `SELECT kind, state, answer, batch_id AS batchId FROM ${order} WHERE id = ?`,
    [Buffer.from(id)],
  )
  return row
}

/** @throws CountersinkError LEDGER_BEHIND when it is gone. */
export async function orderStanding(
  session: Session,
  names: LedgerNames,
  id: Uint8Array,
): Promise<OrderStanding> {
  const row = await findOrder(session, names, id)
  if (row !== undefined) return row
  throw new CountersinkError(
    'LEDGER_BEHIND',
    `the order ${Buffer.from(id).toString('hex')} is not there any more: the database is another one, or an older state of it`,
    { advice: 'Ask "countersink verify", then ask for it again.' },
  )
}
