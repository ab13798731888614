/**
 * Views for dashboards and people with SQL: usage that is rolled up and kept, without periods of nothing. The
 * program itself reads none of them, so an account that may not make views goes without. They run with the
 * rights of whoever asks.
 */

import type { Session } from '../connection.ts'
import { judgeSqlError } from '../sql-errors.ts'
import type { Granularity, LedgerNames } from './tables.ts'

/** @param how `OR REPLACE` needs the right to drop them, too. */
export const createViews = (
  n: LedgerNames,
  how: 'or replace' | 'if not exists',
): readonly string[] => {
  const view = (name: string, query: string): string =>
    how === 'or replace'
      ? `CREATE OR REPLACE SQL SECURITY INVOKER VIEW ${name} AS ${query}`
      : `CREATE SQL SECURITY INVOKER VIEW IF NOT EXISTS ${name} AS ${query}`
  const keptFrom = (by: Granularity): string =>
    `COALESCE((SELECT CAST(kept_from AS DATE) FROM ${n.period} WHERE granularity = '${by}'), '2000-01-01')`
  const consumers = (by: 'day' | 'month', table: string): string =>
    `SELECT period_start AS \`${by}\`, id AS consumer, amount FROM ${table}
       WHERE amount > 0 AND period_start >= ${keptFrom(by)}`
  return [
    view(n.usage_by_day, consumers('day', n.usage_day)),
    view(n.usage_by_month, consumers('month', n.usage_month)),
    view(
      n.usage_by_period,
      `SELECT u.granularity, u.period_start, u.amount FROM ${n.usage} u JOIN ${n.period} k ON k.granularity = u.granularity
       WHERE u.amount > 0 AND (k.kept_from IS NULL OR u.period_start >= k.kept_from)`,
    ),
  ]
}

/** As far as this account may; what somebody has under these names stays. */
export async function makeViews(session: Session, names: LedgerNames): Promise<void> {
  for (const statement of createViews(names, 'if not exists')) {
    try {
      await session.execute(statement)
    } catch (error) {
      if (judgeSqlError(error)?.meaning !== 'refused') throw error
      // An administrator makes them, or nobody needs them.
      return
    }
  }
}
