/**
 * All that is done for usage by time, a part at a time, by whoever counts: the time zone as it is
 * configured, what is older than is kept, and roll-ups: one that is under way first, then days that are made
 * anew, then what is new.
 */

import { hasCode } from '../../../shared/errors.ts'
import { Calendar, monthOf } from '../../../shared/time-zone.ts'
import type { Session } from '../connection.ts'
import type { Granularity, LedgerNames } from '../schema/tables.ts'
import { type LeftOut, leaveOut } from './left-out.ts'
import { beginRollUp, chooseMembers, UNROLLED } from './members.ts'
import type { Move } from './moves.ts'
import { makePartitions } from './partitions.ts'
import { keptFrom } from './period-sums.ts'
import { dropOldPeriods, type Keeping } from './retention.ts'
import { beginRezoning, chooseRezoned, setTimeZone } from './rezone.ts'
import { bringToItsEnd, type RollOptions } from './roll.ts'
import { openRollUp } from './rollup-row.ts'

/** Of what is new: each new one writes all of its periods anew, so many files are best rolled up together. */
export type RollUps = 'none' | 'one' | 'all'

export interface UpkeepOptions extends RollOptions {
  readonly rollUps: RollUps
  readonly usage: 'auto' | 'on' | 'off'
  /** @param there the time zone that the ledger has. */
  readonly wantedZone: (there: string | null) => Promise<string>
  readonly keeping: Keeping
  readonly leftOut: LeftOut
  readonly nowMs?: number
}

/** What waits to be rolled up, as far as it was looked; a roll-up that is under way is as one more. */
export interface Unrolled {
  readonly postings: number
  readonly pairs: number
  /** Since the oldest of them was counted. */
  readonly ageMs: number
  /** Files beside these, whose blocks cannot be read. */
  readonly leftOut: readonly string[]
  /** Days are those of another time zone than this parser was told. */
  readonly zones?: { readonly ledger: string; readonly setting: string }
}

/** No time zone: usage is not kept by time. */
export async function readZone(
  session: Session,
  { meta }: LedgerNames,
): Promise<{ readonly timeZone: string | null; readonly rezonedTo: bigint | null }> {
  const [row] = await session.query<{ timeZone: string | null; rezonedTo: bigint | null }>(
    `SELECT time_zone AS timeZone, rezoned_to AS rezonedTo FROM ${meta} WHERE only_row = 1`,
  )
  return row ?? { timeZone: null, rezonedTo: null }
}

export async function readUnrolled(
  session: Session,
  { posting, batch, file, rollup }: LedgerNames,
  leftOut: LeftOut,
): Promise<Unrolled> {
  const [row] = await session.query<Record<'postings' | 'pairs' | 'ageMs', bigint | string>>(
    `SELECT COUNT(*) + (SELECT COUNT(*) FROM ${rollup} WHERE state = 'applying') AS postings,
            COALESCE(SUM(pairs), 0) AS pairs,
            COALESCE(TIMESTAMPDIFF(MICROSECOND, MIN(at), UTC_TIMESTAMP(3)), 0) DIV 1000 AS ageMs
       FROM (SELECT f.pairs, b.ended_at AS at FROM ${posting} p FORCE INDEX (by_rollup)
               JOIN ${batch} b ON b.id = p.batch_id JOIN ${file} f ON f.sequence = p.file_sequence
              WHERE ${UNROLLED} AND ${leftOut.others} ORDER BY p.file_sequence, p.n LIMIT ${LOOKED_AT_MAX}) AS waiting`,
  )
  return {
    ...{ postings: Number(row!.postings), pairs: Number(row!.pairs) },
    ageMs: Math.max(0, Number(row!.ageMs)),
    leftOut: leftOut.names,
  }
}

const LOOKED_AT_MAX = 2_048

/**
 * @yields between two parts.
 * @returns `later`: somebody reads what would have to be altered first.
 * @throws CountersinkError LEASE_LOST, USAGE_UNLIKE, BLOCK_UNREADABLE
 */
export async function* keepUp(
  session: Session,
  options: UpkeepOptions,
): AsyncGenerator<void, 'done' | 'later'> {
  const { names, between, leftOut } = options
  let failure: unknown
  if (options.usage === 'off') return 'done'
  const finish = async function* (): AsyncGenerator<void> {
    for (;;) {
      const open = await openRollUp(session, names)
      if (open === undefined) return
      try {
        yield* bringToItsEnd(session, open, options)
      } catch (error) {
        if (!hasCode(error, 'BLOCK_UNREADABLE')) throw error
        const left = await leaveOut(session, leftOut, options)
        if (left === undefined) throw error
        if (left === 'given up') failure = error
      }
    }
  }
  const makePartitionsOf = async ({ moves }: { moves: readonly Move[] }): Promise<boolean> =>
    makePartitions(session, names, periodsOf(moves), await keptFrom(session, names))
  let { timeZone, rezonedTo } = await readZone(session, names)
  if (timeZone === null && options.usage !== 'on') return 'done'
  yield* finish()
  const wanted = await options.wantedZone(timeZone)
  if (wanted !== timeZone) {
    await setTimeZone(session, { from: timeZone, to: wanted }, options)
    ;({ timeZone, rezonedTo } = await readZone(session, names))
  }
  const calendar = new Calendar(wanted)
  yield* dropOldPeriods(session, { ...options, timeZone: wanted }, options)
  while (rezonedTo !== null && failure === undefined) {
    const rezoning = await chooseRezoned(session, names, { timeZone: wanted, behind: rezonedTo })
    if (!(await makePartitionsOf(rezoning))) return 'later'
    if (await beginRezoning(session, rezoning, options)) yield* finish()
    ;({ rezonedTo } = await readZone(session, names))
    yield
    await between()
  }
  while (options.rollUps !== 'none') {
    const members = await chooseMembers(session, names, calendar, leftOut.others)
    if (members === undefined) break
    if (!(await makePartitionsOf(members))) return 'later'
    await beginRollUp(session, members, options)
    yield
    await between()
    yield* finish()
    if (options.rollUps === 'one') break
    yield
    await between()
  }
  // What is new is rolled up all the same.
  if (failure !== undefined) throw failure
  return 'done'
}

function periodsOf(moves: readonly Move[]): ReadonlyMap<Granularity, Iterable<string>> {
  return new Map<Granularity, Iterable<string>>([
    ['hour', moves.flatMap(({ hour }) => hour ?? [])],
    ['day', new Set(moves.map(({ day }) => day))],
    ['month', new Set(moves.map(({ day }) => monthOf(day)))],
  ])
}
