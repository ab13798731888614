/**
 * Usage by hour, day and month, as of one moment: what is rolled up into periods, and what the totals have
 * beyond that. So the sum of all periods is what was counted, also beside a roll-up that is under way.
 *
 * What is older than the periods that are kept is told by coarser ones, all of it: a day of which some hours
 * are there would look like a day of little use.
 */

import type { Config } from '../../../shared/config.ts'
import { USED_AT_MS_MAX, USED_AT_MS_MIN } from '../../../shared/limits.ts'
import { LocalClock } from '../../../shared/local-clock.ts'
import type { Session } from '../connection.ts'
import { inSnapshot } from '../proving/snapshot.ts'
import { WINDOW_LIMITS, type WindowLimits } from '../proving/totals-window.ts'
import {
  fromSqlTime,
  GRANULARITIES,
  type Granularity,
  type LedgerNames,
  ledgerNames,
} from '../schema/tables.ts'
import { PeriodPairs } from './usage-pairs.ts'
import {
  dayAt,
  type GivenTime,
  msOf,
  periodAt,
  periodsIn,
  startMs,
  startOf,
  type UsagePeriod,
} from './usage-periods.ts'
import {
  assertRestThere,
  type OpenRollup,
  type RestQuestion,
  restsOfAll,
  restsOfOne,
} from './usage-rest.ts'
import { rolledOf, rolledSums, type StartedAmount, type StartRange } from './usage-rolled.ts'

/** All together; one consumer; the largest of each period; each of each period. */
export type UsageOf = 'all' | { readonly id: bigint } | { readonly top: number } | 'each'

export interface UsageQuestion {
  readonly of: UsageOf
  readonly by: Granularity
  /** undefined: some time before the end. */
  readonly from?: GivenTime | undefined
  /** undefined: the end of the period of now. */
  readonly to?: GivenTime | undefined
}

export interface UsageLine {
  readonly period: UsagePeriod
  /** undefined: of all together. */
  readonly id: bigint | undefined
  readonly amount: bigint
}

export interface UsageAccount {
  readonly clock: LocalClock
  readonly asOfMs: number
  /** Coarser than was asked for where what was is not kept any more. */
  readonly by: Granularity
  readonly fromMs: number
  readonly toMs: number
  /** From when on periods are kept; undefined: all that there ever were. */
  readonly keptFromMs: Readonly<Record<Granularity, number | undefined>>
  /** When the last roll-up had ended. */
  readonly rolledUpAtMs: number | undefined
  /** With usage in this time that is not rolled up, and is among the lines all the same. */
  readonly filesNotRolledUp: number
  /** Days and months are being made anew, as the time zone has changed. */
  readonly isRezoning: boolean
  /** Of any line at most. */
  readonly largestSum: bigint
  /** Within `use`, and one reading at a time. */
  lines(): AsyncIterable<UsageLine>
}

/**
 * @returns undefined: usage is not kept.
 * @throws CountersinkError BLOCK_UNREADABLE when a block is not what was recorded.
 */
export function readUsage<R>(
  session: Session,
  config: Config,
  question: UsageQuestion,
  use: (account: UsageAccount) => Promise<R>,
  limits: WindowLimits = WINDOW_LIMITS,
): Promise<R | undefined> {
  const names = ledgerNames(config)
  const read = async (): Promise<R | undefined> => {
    const standing = await readStanding(session, names)
    return standing && use(await accountOf(session, names, question, standing, limits))
  }
  const { usage_block, usage_day, usage_month } = names
  return inSnapshot(session, read, [usage_block, usage_day, usage_month])
}

interface Standing {
  readonly clock: LocalClock
  readonly asOfMs: number
  readonly isRezoning: boolean
  readonly rolledUpAtMs: number | undefined
  readonly open: OpenRollup | undefined
  readonly keptFromMs: UsageAccount['keptFromMs']
}

async function readStanding(session: Session, n: LedgerNames): Promise<Standing | undefined> {
  const [meta] = await session.query<MetaRow>(
    `SELECT time_zone AS timeZone, rezoned_to IS NOT NULL AS isRezoning, UTC_TIMESTAMP(3) AS now,
            (SELECT MAX(ended_at) FROM ${n.rollup} WHERE state = 'applied') AS rolledUpAt
       FROM ${n.meta}`,
  )
  if (meta == null || meta.timeZone === null) return undefined
  const clock = new LocalClock(meta.timeZone)
  const [open] = await session.query<OpenRollup>(
    `SELECT n, cursor_id AS cursorId FROM ${n.rollup} WHERE state = 'applying'`,
  )
  const kept = await session.query<{ by: Granularity; keptFrom: string | null }>(
    `SELECT granularity AS \`by\`, kept_from AS keptFrom FROM ${n.period}`,
  )
  const keptFromMs = (by: Granularity): number | undefined => {
    const start = kept.find(row => row.by === by)?.keptFrom
    return start == null ? undefined : startMs(by, clock, start)
  }
  return {
    ...{ clock, asOfMs: fromSqlTime(meta.now), isRezoning: Number(meta.isRezoning) === 1, open },
    rolledUpAtMs: meta.rolledUpAt === null ? undefined : fromSqlTime(meta.rolledUpAt),
    keptFromMs: { hour: keptFromMs('hour'), day: keptFromMs('day'), month: keptFromMs('month') },
  }
}

async function accountOf(
  session: Session,
  names: LedgerNames,
  question: UsageQuestion,
  { open, ...standing }: Standing,
  limits: WindowLimits,
): Promise<UsageAccount> {
  const { clock, keptFromMs } = standing
  const { by, fromMs, toMs } = timeAsked(question, standing)
  const periods = (): Generator<UsagePeriod> => periodsIn(by, clock, fromMs, toMs)
  const rest: RestQuestion = {
    ...{ names, by, open, fromMs, toMs },
    startOf: (ms, day) => startOf(by, day ?? dayAt(clock, ms), ms),
  }
  const range: StartRange = {
    from: periodAt(by, clock, fromMs).start,
    to: periodAt(by, clock, toMs).start,
  }
  const rests = await restsOfAll(session, rest)
  async function* sums(): AsyncGenerator<UsageLine> {
    yield* linesOf(
      periods(),
      rolledSums(session, names, by, range),
      start => rests.get(start)?.amount,
    )
  }
  async function* lines(): AsyncGenerator<UsageLine> {
    const { of } = question
    if (of === 'all') return yield* sums()
    await assertRestThere(session, rest)
    if (of !== 'each' && 'id' in of) {
      const own = new Map(await restsOfOne(session, rest, of.id))
      // Blocks first, then what they have no place for.
      for await (const { start, amount } of rolledOf(session, names, by, range, of.id)) {
        own.set(start, (own.get(start) ?? 0n) + amount)
      }
      for (const period of periods()) {
        yield { period, id: of.id, amount: own.get(period.start) ?? 0n }
      }
      return
    }
    const pairs = new PeriodPairs(session, rest, limits)
    // A connection answers one question at a time.
    const used = await array(rolledSums(session, names, by, range))
    const starts = new Set([...used.map(({ start }) => start), ...rests.keys()])
    for (const period of periods()) {
      if (!starts.has(period.start)) continue
      const hasRest = rests.has(period.start)
      const found =
        of === 'each' ? pairs.all(period, hasRest) : await pairs.largest(period, hasRest, of.top)
      for await (const { id, amount } of found) yield { period, id, amount }
    }
  }
  let largestSum = 0n
  for await (const { amount } of sums()) if (amount > largestSum) largestSum = amount
  let filesNotRolledUp = 0
  for (const { files } of rests.values()) filesNotRolledUp += files
  return { ...standing, keptFromMs, by, fromMs, toMs, filesNotRolledUp, largestSum, lines }
}

/** What periods have and what is not rolled up of them, for each of these periods. */
async function* linesOf(
  periods: Iterable<UsagePeriod>,
  rolled: AsyncGenerator<StartedAmount>,
  restAt: (start: string) => bigint | undefined,
): AsyncGenerator<UsageLine> {
  let next = await rolled.next()
  for (const period of periods) {
    while (!next.done && next.value.start < period.start) next = await rolled.next()
    const isIts = !next.done && next.value.start === period.start
    const amount = (isIts ? next.value.amount : 0n) + (restAt(period.start) ?? 0n)
    yield { period, id: undefined, amount }
  }
  await rolled.return(undefined)
}

/** In whole periods of the finest granularity that has all of it. */
function timeAsked(
  question: UsageQuestion,
  { clock, asOfMs, keptFromMs }: Pick<Standing, 'clock' | 'asOfMs' | 'keptFromMs'>,
): { readonly by: Granularity; readonly fromMs: number; readonly toMs: number } {
  const end = question.to === undefined ? undefined : msOf(question.to, clock)
  const untilMs = within(end ?? periodAt(question.by, clock, asOfMs).toMs)
  const begin = question.from === undefined ? undefined : msOf(question.from, clock)
  const sinceMs = within(begin ?? defaultFromMs(question.by, clock, untilMs, keptFromMs))
  const coarser = GRANULARITIES.slice(GRANULARITIES.indexOf(question.by))
  const by =
    coarser.find(one => {
      const keptMs = keptFromMs[one]
      return keptMs === undefined || periodAt(one, clock, sinceMs).fromMs >= keptMs
    }) ?? 'month'
  const firstMs = periodAt(by, clock, sinceMs).fromMs
  const fromMs = Math.max(firstMs, (by === 'month' && keptFromMs.month) || firstMs)
  if (untilMs <= fromMs) return { by, fromMs, toMs: fromMs }
  return { by, fromMs, toMs: periodAt(by, clock, untilMs - 1).toMs }
}

/** 48 hours, 30 days, 12 months, the last of them begun; or as many of them as are kept. */
function defaultFromMs(
  by: Granularity,
  clock: LocalClock,
  untilMs: number,
  keptFromMs: UsageAccount['keptFromMs'],
): number {
  const last = periodAt(by, clock, untilMs - 1)
  const keptMs = keptFromMs[by] ?? Number.NEGATIVE_INFINITY
  return last.fromMs < keptMs ? last.fromMs : Math.max(someBefore(by, clock, last), keptMs)
}

function someBefore(by: Granularity, clock: LocalClock, { start, fromMs }: UsagePeriod): number {
  if (by === 'hour') return fromMs - 47 * HOUR_MS
  const day = new Date(`${start}T12:00Z`)
  if (by === 'day') day.setUTCDate(day.getUTCDate() - 29)
  else day.setUTCMonth(day.getUTCMonth() - 11)
  return clock.msAt(`${day.toISOString().slice(0, 10)}T00:00`)
}

/** No file can be of another time. */
function within(ms: number): number {
  return Math.min(Math.max(ms, USED_AT_MS_MIN - DAY_MS), USED_AT_MS_MAX + DAY_MS)
}

async function array<T>(all: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const one of all) found.push(one)
  return found
}

interface MetaRow {
  readonly timeZone: string | null
  readonly isRezoning: bigint | number
  readonly now: string
  readonly rolledUpAt: string | null
}

const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000
