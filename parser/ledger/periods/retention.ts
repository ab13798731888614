/**
 * Fine periods are kept for a while, and told by coarser ones from then on.
 *
 * - **raised** (U4): one transaction says from when on periods are kept, and moves the sums of what is older
 *   to what was dropped. From then on nobody reads or writes what is older.
 * - **dropped** (U5): its rows go: partitions as a whole, the rest in portions. A crash in between leaves
 *   rows that nobody reads, until it is looked at the next time.
 *
 * The limit lies where partitions end, and is never lowered.
 */

import { crashPoint } from '../../../shared/crash-points.ts'
import type { DaysKept } from '../../../shared/setting-kinds.ts'
import { Calendar } from '../../../shared/time-zone.ts'
import type { Session } from '../connection.ts'
import type { Fence } from '../counting/lease.ts'
import { fromSqlTime, GRANULARITIES, type Granularity, type LedgerNames } from '../schema/tables.ts'
import { transaction } from '../transaction.ts'
import { dropPartitions, PERIOD_TABLES, unitOf } from './partitions.ts'
import { keptFrom } from './period-sums.ts'

export type Keeping = Readonly<Record<Granularity, DaysKept>>

/** @yields between two steps. @throws CountersinkError LEASE_LOST */
export async function* dropOldPeriods(
  session: Session,
  { timeZone, keeping, nowMs }: { timeZone: string; keeping: Keeping; nowMs?: number },
  options: { readonly names: LedgerNames; readonly lease: Fence; between: () => Promise<void> },
): AsyncGenerator<void> {
  const { names, lease, between } = options
  const now = nowMs ?? (await serverTime(session))
  for (const granularity of GRANULARITIES) {
    const days = keeping[granularity]
    if (days !== 'forever') {
      const oldest = now - days * DAY_MS
      const zone = granularity === 'hour' ? 'UTC' : timeZone
      const { from } = unitOf(granularity, new Calendar(zone).dayOf(oldest))
      await raise(session, { granularity, from }, options)
    }
    const from = (await keptFrom(session, names)).from.get(granularity)?.slice(0, 10)
    if (from === undefined) continue
    await dropPartitions(session, names, granularity, from)
    crashPoint('U5-partition-dropped')
    const tables = [PERIOD_TABLES[granularity], ...(granularity === 'hour' ? ['usage_wide'] : [])]
    for (const table of tables as (keyof LedgerNames)[]) {
      for (let removed = ROWS_AT_ONCE; removed === ROWS_AT_ONCE; ) {
        const old = `FROM ${names[table]} WHERE period_start < '${from}'`
        if ((await session.query(`SELECT 1 ${old} LIMIT 1`)).length === 0) break
        removed = await transaction(session, async () => {
          await lease.fence(session)
          return session.execute(`DELETE ${old} LIMIT ${ROWS_AT_ONCE}`)
        })
        yield
        await between()
      }
    }
  }
}

async function raise(
  session: Session,
  { granularity, from }: { granularity: Granularity; from: string },
  { names, lease }: { readonly names: LedgerNames; readonly lease: Fence },
): Promise<void> {
  const { period, usage } = names
  const before = (await keptFrom(session, names)).from.get(granularity)
  if (before != null && before.slice(0, 10) >= from) return
  await transaction(session, async () => {
    await lease.fence(session)
    await session.execute(
      `UPDATE ${period} SET kept_from = ?, dropped = dropped +
              (SELECT COALESCE(SUM(amount), 0) FROM ${usage} WHERE granularity = ? AND period_start < ?)
        WHERE granularity = ? AND (kept_from IS NULL OR kept_from < ?)`,
      [from, granularity, from, granularity, from],
    )
    await session.execute(`DELETE FROM ${usage} WHERE granularity = ? AND period_start < ?`, [
      granularity,
      from,
    ])
  })
  crashPoint('U4-kept-from-raised')
}

async function serverTime(session: Session): Promise<number> {
  const [row] = await session.query<{ now: string }>('SELECT UTC_TIMESTAMP(3) AS now')
  return fromSqlTime(row!.now)
}

const DAY_MS = 86_400_000
/** Of those that no partition takes with it. */
const ROWS_AT_ONCE = 10_000
