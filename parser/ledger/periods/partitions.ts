/**
 * Periods that are dropped together stand in a partition of their own: the hours of a day, the days of a
 * month, the months of a year. It is made before its first row, out of the empty range that it lies in, so
 * that nothing is copied; each is named by where it ends.
 *
 * Nothing depends on it: what has no partition of its own is deleted in portions when its time has come. So
 * where the account may not alter tables, where too many would be needed, or where a range has rows already,
 * it is left as it is.
 */

import { monthOf } from '../../../shared/time-zone.ts'
import type { Session } from '../connection.ts'
import { GRANULARITIES, type Granularity, type LedgerNames } from '../schema/tables.ts'
import { judgeSqlError, sqlNumber } from '../sql-errors.ts'
import type { Kept } from './period-sums.ts'

export interface Partition {
  readonly name: string
  /** Where it begins and ends, as dates; undefined: nowhere. */
  readonly from: string | undefined
  readonly to: string | undefined
}

export const PERIOD_TABLES: Readonly<
  Record<Granularity, 'usage_block' | 'usage_day' | 'usage_month'>
> = { hour: 'usage_block', day: 'usage_day', month: 'usage_month' }

/** The first day of what is dropped together, and the first behind it. */
export interface Unit {
  readonly from: string
  readonly to: string
}

export function unitOf(granularity: Granularity, period: string): Unit {
  const day = period.slice(0, 10)
  const [year, month, date] = [
    Number(day.slice(0, 4)),
    Number(day.slice(5, 7)),
    Number(day.slice(8)),
  ]
  const at = (...parts: readonly [number, number, number]): string =>
    new Date(Date.UTC(...parts)).toISOString().slice(0, 10)
  if (granularity === 'hour') return { from: day, to: at(year, month - 1, date + 1) }
  if (granularity === 'day') return { from: monthOf(day), to: at(year, month, 1) }
  return { from: at(year, 0, 1), to: at(year + 1, 0, 1) }
}

/** Ascending. */
export async function partitionsOf(
  session: Session,
  names: LedgerNames,
  granularity: Granularity,
): Promise<Partition[]> {
  const table = names[PERIOD_TABLES[granularity]].slice(1, -1)
  const rows = await session.query<{ name: string | null; to: string }>(
    `SELECT partition_name AS name, partition_description AS \`to\` FROM information_schema.partitions
      WHERE table_schema = DATABASE() AND table_name = ? ORDER BY partition_ordinal_position`,
    [table],
  )
  let from: string | undefined
  return rows.flatMap(({ name, to }) => {
    // A table that somebody has made anew, without any.
    if (name === null) return []
    const end = to === 'MAXVALUE' ? undefined : to.replaceAll("'", '').slice(0, 10)
    const partition = { name, from, to: end }
    from = end
    return [partition]
  })
}

/**
 * Makes partitions for periods, as far as it can be done now. Outside of a transaction.
 *
 * @returns false: somebody reads these tables; it can be done later.
 */
export async function makePartitions(
  session: Session,
  names: LedgerNames,
  periods: ReadonlyMap<Granularity, Iterable<string>>,
  kept: Kept,
): Promise<boolean> {
  for (const granularity of GRANULARITIES) {
    const wanted = new Map(
      [...(periods.get(granularity) ?? [])]
        .filter(period => kept.has(granularity, period))
        .map(period => unitOf(granularity, period))
        .map(unit => [unit.from, unit]),
    )
    if (wanted.size === 0) continue
    const partitions = await partitionsOf(session, names, granularity)
    const inside = new Map<Partition, Unit[]>()
    for (const unit of [...wanted.values()].sort((a, b) => (a.from < b.from ? -1 : 1))) {
      const around = partitions.find(({ to }) => to === undefined || to > unit.from)
      if (around === undefined) continue
      const isItsOwn =
        around.to === unit.to && (around.from === undefined || around.from === unit.from)
      if (!isItsOwn) inside.set(around, [...(inside.get(around) ?? []), unit])
    }
    for (const [around, units] of inside) {
      const parts = partsOf(around, units)
      if (partitions.length + parts.length > PARTITIONS_MAX) break
      const outcome = await split(session, names[PERIOD_TABLES[granularity]], around, parts)
      if (outcome === 'refused') return true
      if (outcome === 'later') return false
      if (outcome === 'made') partitions.push(...parts.slice(1))
    }
  }
  return true
}

/** Of one partition, with what lies between units and beside them. */
function partsOf(around: Partition, units: readonly Unit[]): Partition[] {
  const parts: Partition[] = []
  let end = around.from
  const add = (to: string): void => {
    parts.push({ name: nameOf(to), from: end, to })
    end = to
  }
  for (const { from, to } of units) {
    if (end !== from) add(from)
    add(to)
  }
  if (around.to !== end) parts.push({ name: around.name, from: end, to: around.to })
  return parts
}

async function split(
  session: Session,
  table: string,
  { name }: Partition,
  parts: readonly Partition[],
): Promise<'made' | 'refused' | 'later' | 'has rows'> {
  const rows = await session.query(`SELECT 1 FROM ${table} PARTITION (${name}) LIMIT 1`)
  if (rows.length > 0) return 'has rows'
  return alter(
    session,
    `ALTER TABLE ${table} NOWAIT REORGANIZE PARTITION ${name} INTO (${parts
      .map(one => `PARTITION ${one.name} VALUES LESS THAN (${one.to ? `'${one.to}'` : 'MAXVALUE'})`)
      .join(', ')})`,
  )
}

/** Drops what lies wholly before a day. @returns as `makePartitions`. */
export async function dropPartitions(
  session: Session,
  names: LedgerNames,
  granularity: Granularity,
  before: string,
): Promise<'made' | 'refused' | 'later'> {
  const old = (await partitionsOf(session, names, granularity)).filter(
    ({ to }) => to !== undefined && to <= before,
  )
  if (old.length === 0) return 'made'
  const list = old.map(({ name }) => name).join(', ')
  return alter(
    session,
    `ALTER TABLE ${names[PERIOD_TABLES[granularity]]} NOWAIT DROP PARTITION ${list}`,
  )
}

async function alter(session: Session, sql: string): Promise<'made' | 'refused' | 'later'> {
  try {
    await session.execute(sql)
    return 'made'
  } catch (error) {
    if (!session.isUsable) throw error
    if (sqlNumber(error) === LOCK_NOT_FREE) return 'later'
    if (judgeSqlError(error)?.meaning === 'refused') return 'refused'
    throw error
  }
}

const LOCK_NOT_FREE = 1205

function nameOf(to: string): string {
  return `to_${to.replaceAll('-', '')}`
}

/** A server takes 8,192, of which each has a file. */
const PARTITIONS_MAX = 1_024
