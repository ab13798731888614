/**
 * An order's row in the ledger, as whoever counts moves it on: by the states of `order-states.ts`, in one
 * transaction with what it is about.
 */

import { createHash } from 'node:crypto'
import type { Terms } from '../../../shared/terms.ts'
import type { Session } from '../connection.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { wayOf } from '../state-sql.ts'
import { ORDER_STATES, type OrderEvent, type OrderKind, type OrderState } from './order-states.ts'

/** What is asked for. */
export interface Order {
  readonly id: Buffer
  readonly kind: OrderKind
  /** The ledger's sequence of the file that it is about. */
  readonly old: bigint | null
  /** Of the file that is counted in its place. */
  readonly new: bigint | null
  /** UTC, see `fromSqlTime`. */
  readonly beforeAt: string | null
  readonly reason: string
  /** Why it waited when it was looked at last. */
  readonly answer: string | null
  /** UTC. */
  readonly askedAt: string
}

export const orderColumns =
  'id, kind, `old`, `new`, before_at AS beforeAt, reason, answer, asked_at AS askedAt'

/** 16 bytes that name what is asked for. */
export function orderId(...parts: readonly string[]): Buffer {
  const text = `countersink order\0${parts.join('\0')}`
  return createHash('sha256').update(text).digest().subarray(0, 16)
}

/** What an order goes by, of a file's row. */
interface OrderedFile {
  readonly sequence: bigint
  readonly state: string
  readonly postings: number
  readonly origin: Buffer
  readonly workSequence: bigint
}

/** An order about a file: the same as long as it would bring about the same. */
export function fileOrderId(
  kind: 'undo' | 'redo' | 'release' | 'refuse',
  ledgerUuid: string,
  { sequence, state, postings, origin, workSequence }: OrderedFile,
): Buffer {
  if (kind === 'release' || kind === 'refuse') {
    // Published again, it may be held again.
    return orderId(kind, ledgerUuid, `${sequence}`, origin.toString('hex'), `${workSequence}`)
  }
  // Which posting it brings about: even ones take back. That of one that is being taken back has begun.
  const next = Number(postings) + (kind === 'undo' && state === 'reverting' ? 0 : 1)
  const n = kind === 'undo' ? next + (next % 2) : next + ((next + 1) % 2)
  return orderId(kind, ledgerUuid, `${sequence}`, `${n}`)
}

/** Inside the transaction that stages the content: it waits to be counted in place of another one. */
export async function askToSupersede(
  session: Session,
  { order, file }: LedgerNames,
  sequence: bigint,
  { supersedes = '', reason = '' }: Terms,
): Promise<void> {
  const { absent, refused } = ORDER_STATES
  const [row] = await session.query<{ postings: number }>(
    `SELECT postings FROM ${file} WHERE sequence = ?`,
    [sequence],
  )
  // Taken back since, it may be asked for once more.
  const id = orderId('supersede', supersedes, `${sequence}`, `${row?.postings}`)
  await session.execute(
    `INSERT INTO ${order} (id, kind, old, new, reason, state, asked_at)
     SELECT ?, 'supersede', (SELECT sequence FROM ${file} WHERE sha256 = ?), ?, ?, '${absent.ask}',
            UTC_TIMESTAMP(3)
     ON DUPLICATE KEY UPDATE
       old = IF(state = 'refused', VALUES(old), old),
       reason = IF(state = 'refused', VALUES(reason), reason),
       asked_at = IF(state = 'refused', VALUES(asked_at), asked_at),
       answer = IF(state = 'refused', NULL, answer),
       ended_at = IF(state = 'refused', NULL, ended_at),
       state = IF(state = 'refused', '${refused.ask}', state)`,
    [id, Buffer.from(supersedes, 'hex'), sequence, reason],
  )
}

/**
 * Those that can be carried out now, or could not be when they were looked at last, and those that are to
 * be gone on with and have no batch; oldest first.
 *
 * @param behind of those that were asked for later than this one.
 */
export function waitingOrders(
  session: Session,
  { order }: LedgerNames,
  limit: number,
  behind?: Pick<Order, 'askedAt' | 'id'>,
): Promise<Order[]> {
  return session.query<Order>(
    `SELECT ${orderColumns} FROM ${order}
      WHERE (state = 'waiting' OR (state = 'working' AND kind = 'prune'))
        ${behind === undefined ? '' : 'AND (asked_at, id) > (?, ?)'}
      ORDER BY asked_at, id LIMIT ?`,
    [...(behind === undefined ? [] : [behind.askedAt, behind.id]), limit],
  )
}

/** Whether it is under way, without a batch. */
export async function isWorking(
  session: Session,
  { order }: LedgerNames,
  id: Uint8Array,
): Promise<boolean> {
  const [row] = await session.query(`SELECT 1 FROM ${order} WHERE id = ? AND state = 'working'`, [
    Buffer.from(id),
  ])
  return row !== undefined
}

/** What it is about has happened, and something is left to be done. @returns false: it does not wait. */
export function beginWithoutBatch(
  session: Session,
  { order }: LedgerNames,
  id: Uint8Array,
  answer: string,
): Promise<boolean> {
  return change(session, order, 'begin', 'id = ?', id, {
    sets: 'answer = ?',
    values: [cut(answer)],
  })
}

/** The same, with nothing left. */
export async function endWithoutBatch(
  session: Session,
  { order }: LedgerNames,
  id: Uint8Array,
): Promise<void> {
  await change(session, order, 'end', 'id = ?', id, {
    ...{ sets: 'ended_at = UTC_TIMESTAMP(3)', values: [] },
  })
}

/** Its batch begins, in this transaction. @returns false: it does not wait any more. */
export function beginOrder(
  session: Session,
  { order }: LedgerNames,
  id: Uint8Array,
  batchId: Uint8Array,
): Promise<boolean> {
  return change(session, order, 'begin', 'id = ?', id, {
    sets: 'batch_id = ?, answer = NULL',
    values: [Buffer.from(batchId)],
  })
}

/** The batch that carries it out has ended. @param answer what has come of it. */
export async function endOrder(
  session: Session,
  batchId: Uint8Array,
  { order }: LedgerNames,
  answer: string | null = null,
): Promise<void> {
  const sets = 'answer = ?, ended_at = UTC_TIMESTAMP(3)'
  const values = [answer && cut(answer)]
  await change(session, order, 'end', 'batch_id = ?', batchId, { sets, values })
}

/** The row among those of the files that it has brought about. */
export async function aboutOrder(
  session: Session,
  { order }: LedgerNames,
  id: Uint8Array,
  sequence: bigint,
): Promise<void> {
  await session.execute(`UPDATE ${order} SET old = ? WHERE id = ?`, [sequence, Buffer.from(id)])
}

/** It is done without a batch. @returns false: it does not wait any more. */
export function carryOutOrder(
  session: Session,
  { order }: LedgerNames,
  id: Uint8Array,
  answer: string,
): Promise<boolean> {
  const sets = 'answer = ?, ended_at = UTC_TIMESTAMP(3)'
  return change(session, order, 'carryOut', 'id = ?', id, { sets, values: [cut(answer)] })
}

/** It cannot be done. @returns false: it is not open any more. */
export function declineOrder(
  session: Session,
  { order }: LedgerNames,
  id: Uint8Array,
  why: string,
): Promise<boolean> {
  const sets = 'answer = ?, ended_at = UTC_TIMESTAMP(3)'
  return change(session, order, 'decline', 'id = ?', id, { sets, values: [cut(why)] })
}

/** The batch that was to carry it out was taken back: it waits, or is refused for that reason. */
export async function giveOrderBack(
  session: Session,
  { order }: LedgerNames,
  batchId: Uint8Array,
  refusedBecause: string | undefined,
): Promise<void> {
  const event = refusedBecause === undefined ? 'giveBack' : 'decline'
  const ended = refusedBecause === undefined ? 'NULL' : 'UTC_TIMESTAMP(3)'
  await change(session, order, event, 'batch_id = ?', batchId, {
    sets: `batch_id = NULL, answer = ?, ended_at = ${ended}`,
    values: [refusedBecause === undefined ? null : cut(refusedBecause)],
  })
}

/** Why it waits. */
export async function noteOrder(
  session: Session,
  { order }: LedgerNames,
  id: Uint8Array,
  why: string,
): Promise<void> {
  await session.execute(
    `UPDATE ${order} SET answer = ? WHERE id = ? AND state = 'waiting' AND NOT answer <=> ?`,
    [cut(why), Buffer.from(id), cut(why)],
  )
}

async function change(
  session: Session,
  order: string,
  event: OrderEvent,
  where: string,
  key: Uint8Array,
  { sets, values }: { readonly sets: string; readonly values: readonly unknown[] },
): Promise<boolean> {
  const { to, from } = wayOf<OrderState, OrderEvent>(ORDER_STATES, event)
  const changed = await session.execute(
    `UPDATE ${order} SET state = '${to}', ${sets} WHERE ${where} AND ${from}`,
    [...values, Buffer.from(key)],
  )
  return changed > 0
}

function cut(text: string): string {
  return [...text].slice(0, ANSWER_CHARACTERS_MAX).join('')
}

const ANSWER_CHARACTERS_MAX = 1_000
