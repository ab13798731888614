/**
 * A new opening balance, packed beside the one that is named: that one, and the sums of all files that
 * become part of it, consumer by consumer. The consumers are gone through in windows of ascending ids, as
 * where every total is proved (`../proving/consumer-proof.ts`): what a window takes in memory depends
 * neither on the files nor on the consumers.
 *
 * Everything that is read here never changes, and what is written is of a generation that nobody names.
 * So anything may happen between two steps; after a lost connection it is begun anew.
 */

import { crashPoint } from '../../../shared/crash-points.ts'
import { describeError, hasCode } from '../../../shared/errors.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import type { IdRange } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import type { Lease } from '../counting/lease.ts'
import type { OpeningBlocks } from '../proving/opening-of.ts'
import {
  blocksOf,
  type Portion,
  type PostedBlocks,
  postedBlocks,
} from '../proving/posted-blocks.ts'
import { TotalsWindow, WINDOW_LIMITS, type WindowLimits } from '../proving/totals-window.ts'
import { OpeningWriter, openingSeed, openingSequence } from '../schema/opening-blocks.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { transaction } from '../transaction.ts'
import { isFoldable } from './foldable.ts'

export interface FoldOptions {
  readonly names: LedgerNames
  readonly lease: Lease
  /** Of the ledger. */
  readonly uuid: string
  /** Awaited between two steps; throws when it is to end there. */
  readonly between: () => Promise<void>
  readonly limits?: WindowLimits
  /** Brings what was counted into its hours, days and months; none where usage is not kept by time. */
  readonly bringIntoPeriods?: () => AsyncGenerator<void, 'done' | 'later'>
}

export interface Folded {
  /** That were read. */
  readonly pairs: bigint
  readonly blocks: number
  readonly wide: number
}

/**
 * @param opening undefined: there was nothing.
 * @yields between two steps.
 * @returns why it cannot be done: what is recorded of a file cannot be read.
 * @throws CountersinkError LEASE_LOST
 */
export async function* packFolded(
  session: Session,
  opening: OpeningBlocks | undefined,
  generation: bigint,
  before: string,
  options: FoldOptions,
): AsyncGenerator<void, Folded | string> {
  const { names, lease, uuid, between, limits = WINDOW_LIMITS } = options
  const among = `f.state = 'applied' AND p.n = f.postings AND ${isFoldable(names, before, options.bringIntoPeriods !== undefined)}`
  const window = new TotalsWindow(limits)
  const writer = new OpeningWriter(session, names, { ledgerUuid: uuid, generation })
  const write = async (action: () => Promise<void>): Promise<void> => {
    await transaction(session, async () => {
      await lease.fence(session)
      await action()
    })
    crashPoint('C1-portion-packed')
  }
  const rest = async function* (): AsyncGenerator<void> {
    await write(() => writer.write())
    yield
    await between()
  }
  let pairs = 0n
  let unread: string | undefined
  const take = (one: PostedBlocks): number =>
    // What was counted is put on: here everything begins with nothing.
    window.take({ ...one, posted: { ...one.posted, isBack: !one.posted.isBack } }, error => {
      if (!hasCode(error, 'BLOCK_UNREADABLE')) throw error
      unread ??= `BLOCK_UNREADABLE: ${one.posted.name ?? 'the opening balance'}: ${describeError(error)}`
    })
  for await (const { id, amount } of wideOf(session, names, opening, undefined)) {
    if (!writer.addWide(id, amount)) yield* rest()
  }
  for (let after: bigint | undefined; ; after = window.range.to) {
    let wanted: IdRange = { after, to: U64_MAX }
    for (;;) {
      let taken = 0
      await window.fill(session, names, wanted, true)
      for await (const { id, amount } of wideOf(session, names, opening, window.range)) {
        window.takeOne(id, -amount)
        if (window.isCrowded) break
      }
      for await (const portion of portions(session, names, opening, window.range, among)) {
        for (const one of portion) taken += take(one)
        if (unread !== undefined) return unread
        if (window.isCrowded) break
        yield
        await between()
      }
      if (!window.isCrowded) {
        pairs += BigInt(taken)
        break
      }
      wanted = window.shorter
    }
    for (const { id, left } of window.sums()) {
      const fits = left > 0n && left <= U64_MAX
      if (!(fits ? writer.add(id, left) : writer.addWide(id, left))) yield* rest()
    }
    if (window.range.to === U64_MAX) break
  }
  await write(() => writer.end())
  crashPoint('C1-packed')
  return { pairs, blocks: writer.blocks, wide: writer.wide }
}

async function* portions(
  session: Session,
  names: LedgerNames,
  opening: OpeningBlocks | undefined,
  range: IdRange,
  among: string,
): AsyncGenerator<Portion> {
  if (opening !== undefined) {
    const posted = {
      sequence: openingSequence(opening.generation),
      sha256: openingSeed(opening.ledgerUuid, opening.generation),
      ...{ name: undefined, isBack: false, range },
    }
    yield* blocksOf(session, names, posted)
  }
  yield* postedBlocks(session, names, range, () => {}, among)
}

/** Of a range; undefined: of ids that no file can have. */
async function* wideOf(
  session: Session,
  { opening_wide }: LedgerNames,
  opening: OpeningBlocks | undefined,
  range: IdRange | undefined,
): AsyncGenerator<{ readonly id: bigint; readonly amount: bigint }> {
  if (opening === undefined) return
  let from = range === undefined ? '' : `AND id > ${range.after ?? -1n}`
  for (;;) {
    const rows = await session.query<{ id: string | number | bigint; amount: string }>(
      `SELECT id, amount FROM ${opening_wide} WHERE generation = ${opening.generation}
          AND id <= ${range?.to ?? -1n} ${from} ORDER BY id LIMIT ${WIDE_AT_ONCE}`,
    )
    for (const { id, amount } of rows) yield { id: BigInt(id), amount: BigInt(amount) }
    if (rows.length < WIDE_AT_ONCE) return
    from = `AND id > ${rows.at(-1)!.id}`
  }
}

const WIDE_AT_ONCE = 10_000
