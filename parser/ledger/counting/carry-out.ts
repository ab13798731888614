/**
 * What an order comes to, by the rows of the files that it is about. Each answer is a sentence for who has
 * asked.
 *
 * | file | undo | redo | release | refuse |
 * | --- | --- | --- | --- | --- |
 * | staging, staged, applying | waits | needless | needless | too late |
 * | held | waits | needless | staged | refused |
 * | applied | taken back | needless | needless | too late |
 * | reverting | waits | waits | too late | too late |
 * | reverted | needless | staged | too late | needless |
 * | refused | never counted | never counted | too late | needless |
 *
 * **supersede** is an undo of the one file together with the count of the other, which is staged for it;
 * where that was counted by itself before, the undo is left.
 */

import { boundedReason } from '../../../shared/protocol.ts'
import type { Session } from '../connection.ts'
import { fileColumns, fileWay, isBack, type LedgerFile } from '../file-rows.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { transaction } from '../transaction.ts'
import type { CountOptions } from './count-whole.ts'
import { carryOutOrder, declineOrder, fileOrderId, type Order } from './order-row.ts'
import { type Member, toBeCounted } from './signed-chunks.ts'

export type Plan =
  | SettledPlan
  /** A batch of these carries it out. */
  | { readonly kind: 'move'; readonly files: readonly Member[] }
  | { readonly kind: 'waits'; readonly why: string }

/** One transaction is all of it. */
export type SettledPlan =
  /** A change of the file's state does. */
  | { readonly kind: 'redo' | 'release' | 'refuse'; readonly file: LedgerFile }
  | { readonly kind: 'declined'; readonly why: string }

/** Of the kinds that are about files. */
export type FileOrder = Order & {
  readonly kind: 'undo' | 'redo' | 'supersede' | 'release' | 'refuse'
}

export function isFileOrder(order: Order): order is FileOrder {
  return order.kind !== 'reset' && order.kind !== 'prune'
}

export async function planOrder(
  session: Session,
  { names, uuid }: Pick<CountOptions, 'names' | 'uuid'>,
  order: FileOrder,
): Promise<Plan> {
  const [old, other] = await rowsOf(session, names, [order.old, order.new])
  if (order.kind === 'supersede') return await planSupersede(session, names, old, other)
  if (old === undefined) return { kind: 'declined', why: 'the ledger has no such file' }
  const isOfNow = fileOrderId(order.kind, uuid, old).equals(order.id)
  switch (order.kind) {
    case 'undo':
      return isOfNow ? planUndo(session, names, old) : late(old)
    case 'redo':
      return isOfNow ? planRedo(session, names, old) : late(old)
    case 'release':
      if (old.state === 'held') return { kind: 'release', file: old }
      return old.state === 'refused' || old.state === 'reverting' || old.state === 'reverted'
        ? declined(old)
        : needless(old)
    case 'refuse':
      if (old.state === 'held') return { kind: 'refuse', file: old }
      return old.state === 'refused' || old.state === 'reverted' ? needless(old) : declined(old)
  }
}

/** What an undo of this file comes to. */
export async function planUndo(
  session: Session,
  names: LedgerNames,
  file: LedgerFile,
): Promise<Plan> {
  switch (file.state) {
    case 'applied': {
      if (file.pairs === null) {
        const why = `${file.name} was counted by an earlier version, which kept no sums of it: it cannot be taken back`
        return { kind: 'declined', why }
      }
      if (await isFolded(session, names, file)) return closed(file)
      const n = Number(file.postings) + 1
      return { kind: 'move', files: [{ ...file, isBack: isBack({ n, sign: file.sign }) }] }
    }
    case 'reverted':
      return needless(file)
    case 'refused':
      return declined(file)
    default:
      return { kind: 'waits', why: `it waits until ${file.name} is counted: it is ${file.state}` }
  }
}

async function planRedo(session: Session, names: LedgerNames, file: LedgerFile): Promise<Plan> {
  if (file.state === 'reverting') {
    return { kind: 'waits', why: `it waits until ${file.name} is taken back` }
  }
  if (file.state === 'refused') return declined(file)
  if (file.state !== 'reverted') return needless(file)
  if (Number(file.sign) !== 1) {
    return { kind: 'declined', why: 'the totals are not emptied again by it: ask for that anew' }
  }
  return (await isFolded(session, names, file)) ? closed(file) : { kind: 'redo', file }
}

async function planSupersede(
  session: Session,
  names: LedgerNames,
  old: LedgerFile | undefined,
  other: LedgerFile | undefined,
): Promise<Plan> {
  if (other === undefined) return { kind: 'declined', why: 'the ledger has no such file' }
  if (other.state === 'refused' || other.state === 'reverted') return declined(other)
  if (old === undefined) {
    return { kind: 'declined', why: 'what it is to be counted in place of was never counted' }
  }
  if (await waitsForItself(session, names, old, other)) {
    return { kind: 'declined', why: 'what it is to be counted in place of waits for it' }
  }
  const undo = await planUndo(session, names, old)
  if (old.state === 'reverted') {
    const why = `${old.name}, in place of which it is to be counted, was taken back before: publish it by itself`
    return { kind: 'declined', why }
  }
  if (undo.kind !== 'move' || other.state === 'applied') return undo
  if (other.state !== 'staged') return { kind: 'waits', why: `${other.name} is ${other.state}` }
  return { kind: 'move', files: [...undo.files, ...toBeCounted([other])] }
}

/** Each is counted only in place of the next one: in a circle none ever would be. */
async function waitsForItself(
  session: Session,
  names: LedgerNames,
  old: LedgerFile,
  { sequence }: LedgerFile,
): Promise<boolean> {
  const seen = new Set<bigint>()
  for (let next: LedgerFile | undefined = old; next?.state === 'staged' || next === old; ) {
    if (next.sequence === sequence) return true
    if (seen.has(next.sequence) || next.supersedes === null) return false
    seen.add(next.sequence)
    const [row]: LedgerFile[] = await session.query<LedgerFile>(
      `SELECT ${fileColumns(names)} FROM ${names.file} WHERE sha256 = ?`,
      [next.supersedes],
    )
    next = row
  }
  return false
}

/** Of the orders that are no batch, and of those that come to nothing: all in one transaction. */
export async function settleOrder(
  session: Session,
  order: FileOrder,
  plan: SettledPlan,
  { names, lease }: Pick<CountOptions, 'names' | 'lease'>,
): Promise<boolean> {
  return transaction<boolean>(session, async undo => {
    await lease.fence(session)
    const isDone = await settle(session, order, plan, names)
    return isDone || undo(false)
  })
}

async function settle(
  session: Session,
  order: FileOrder,
  plan: SettledPlan,
  names: LedgerNames,
): Promise<boolean> {
  switch (plan.kind) {
    case 'declined':
      if (order.new !== null) await refuseStaged(session, names, order.new, plan.why)
      return declineOrder(session, names, order.id, plan.why)
    default: {
      const isChanged = await change(session, names, plan.kind, plan.file, order.reason)
      return isChanged && carryOutOrder(session, names, order.id, ANSWER[plan.kind])
    }
  }
}

const ANSWER = {
  redo: 'it is counted again',
  release: 'it is counted',
  refuse: 'it is not counted',
} as const

async function change(
  session: Session,
  { file, todo }: LedgerNames,
  event: 'redo' | 'release' | 'refuse',
  { sequence, state }: LedgerFile,
  reason: string,
): Promise<boolean> {
  const { to, from } = fileWay(event)
  const changed = await session.execute(
    `UPDATE ${file} SET state = '${to}', reason = ?
      WHERE sequence = ? AND state = '${state}' AND ${from}`,
    [event === 'refuse' ? boundedReason(`HELD: ${reason}`) : null, sequence],
  )
  if (changed === 0) return false
  if (state === 'held') {
    await session.execute(`DELETE FROM ${todo} WHERE kind = 'decide' AND file_sequence = ?`, [
      sequence,
    ])
    // Whoever has the file moves it, once that is counted or refused.
    await session.execute(`INSERT IGNORE INTO ${todo} (kind, file_sequence) VALUES ('move', ?)`, [
      sequence,
    ])
  }
  if (event !== 'refuse') {
    await session.execute(`INSERT INTO ${todo} (kind, file_sequence) VALUES ('count', ?)`, [
      sequence,
    ])
  }
  return true
}

/** It waits for this order alone. */
async function refuseStaged(
  session: Session,
  { file, todo }: LedgerNames,
  sequence: bigint,
  why: string,
): Promise<void> {
  const { to } = fileWay('refuse')
  await session.execute(
    `UPDATE ${file} SET state = '${to}', reason = ?
      WHERE sequence = ? AND state = 'staged'
        AND NOT EXISTS (SELECT 1 FROM ${todo} WHERE kind = 'count' AND file_sequence = ?)`,
    [boundedReason(/^[A-Z_]+: /.test(why) ? why : `NOT_SUPERSEDED: ${why}`), sequence, sequence],
  )
}

async function rowsOf(
  session: Session,
  names: LedgerNames,
  sequences: readonly (bigint | null)[],
): Promise<(LedgerFile | undefined)[]> {
  const rows = await session.query<LedgerFile>(
    `SELECT ${fileColumns(names)} FROM ${names.file}
      WHERE sequence IN (${sequences.filter(one => one !== null).join(', ') || 'NULL'})`,
  )
  return sequences.map(sequence => rows.find(row => row.sequence === sequence))
}

async function isFolded(
  session: Session,
  { posting }: LedgerNames,
  { sequence, postings }: LedgerFile,
): Promise<boolean> {
  const [row] = await session.query(
    `SELECT 1 FROM ${posting} WHERE file_sequence = ? AND n = ? AND folded = 1`,
    [sequence, postings],
  )
  return row !== undefined
}

/** Asked for what would have been its next posting then. */
function late({ name, state }: LedgerFile): SettledPlan {
  return {
    kind: 'declined',
    why: `${name} was counted or taken back since, and is ${state}: ask again`,
  }
}

function closed({ name }: LedgerFile): Plan {
  const why = `BOOKS_CLOSED: ${name} is part of a balance that was closed, and its sums are not kept any more`
  return { kind: 'declined', why }
}

/** Asked for once it has happened: declined, so that the same may be asked for when it is needed again. */
function needless({ name, state }: LedgerFile): SettledPlan {
  return { kind: 'declined', why: `${name} is ${state} already` }
}

function declined({ name, state, reason }: LedgerFile): Plan {
  return { kind: 'declined', why: `${name} is ${state}${reason === null ? '' : `: ${reason}`}` }
}
