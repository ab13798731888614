/**
 * Of every consumer: what it has in all hours that are kept, all days and all months is what the files have
 * that were rolled up into them. Once the books are closed the periods have more, as what became part of the
 * opening balance stays in them: then they must not have less.
 *
 * In windows of ascending ids, as the totals are proved. A roll-up that is under way has moved what stands
 * up to its cursor.
 */

import type { Config } from '../../../shared/config.ts'
import { describeError, hasCode } from '../../../shared/errors.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import type { IdRange } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import { hourSeed } from '../periods/hour-seed.ts'
import { keptFrom } from '../periods/period-sums.ts'
import { openRollUp } from '../periods/rollup-row.ts'
import { BLOCK_COLUMNS, type BlockRow, blockOf } from '../recording/blocks.ts'
import { GRANULARITIES, type Granularity, type LedgerNames, ledgerNames } from '../schema/tables.ts'
import { type Finding, NAMED_MAX } from './ledger-proof.ts'
import { postedBlocks } from './posted-blocks.ts'
import { TotalsWindow, WINDOW_LIMITS, type WindowLimits } from './totals-window.ts'

export async function proveUsageOfConsumers(
  session: Session,
  config: Config,
  limits: WindowLimits = WINDOW_LIMITS,
): Promise<readonly Finding[]> {
  const names = ledgerNames(config)
  const [any] = await session.query(`SELECT 1 FROM ${names.rollup} LIMIT 1`)
  if (any === undefined) return []
  const window = new TotalsWindow(limits)
  const findings: Finding[] = []
  for (const granularity of GRANULARITIES) {
    findings.push(...(await ofGranularity(session, names, granularity, window)))
  }
  return findings
}

async function ofGranularity(
  session: Session,
  names: LedgerNames,
  granularity: Granularity,
  window: TotalsWindow,
): Promise<Finding[]> {
  const kept = (await keptFrom(session, names)).from.get(granularity) ?? '0001-01-01'
  const periods = await session.query<{ period: string }>(
    `SELECT period_start AS period FROM ${names.usage} WHERE granularity = ? ORDER BY period_start`,
    [granularity],
  )
  const parts = await rolledParts(session, names, granularity, kept)
  const [meta] = await session.query<{ isClosed: bigint | number }>(
    `SELECT books_closed_to IS NOT NULL AS isClosed FROM ${names.meta}`,
  )
  const mayHaveMore = Number(meta?.isClosed) === 1
  const findings: Finding[] = []
  const find = (text: string): void => {
    if (findings.length <= NAMED_MAX) findings.push({ check: 'usage', text })
  }
  for (let after: bigint | undefined; ; after = window.range.to) {
    for (let wanted: IdRange = { after, to: U64_MAX }; ; wanted = window.shorter) {
      await window.fill(session, names, wanted, true)
      for (const { period } of periods) {
        if (granularity === 'hour') await putHour(session, names, period, window, find)
        else await putRows(session, names, granularity, period, window)
        if (window.isCrowded) break
      }
      for (const { among, cut } of parts) {
        const range = cut(window.range)
        if (range === undefined || window.isCrowded) continue
        for await (const portion of postedBlocks(session, names, range, () => {}, among)) {
          // What cannot be read is told where the totals are proved.
          for (const one of portion) window.take(one, rethrowUnlessUnreadable)
          if (window.isCrowded) break
        }
      }
      if (!window.isCrowded) break
    }
    for (const { id, left } of window.sums()) {
      if (left < 0n) find(`consumer ${id} has ${-left} less by ${granularity} than was rolled up`)
      else if (!mayHaveMore) {
        find(`consumer ${id} has ${left} more by ${granularity} than was rolled up`)
      }
    }
    if (window.range.to === U64_MAX) return findings
  }
}

interface Part {
  /** A condition for a posting `p` and its file `f`. */
  readonly among: string
  /** What of a range is moved; undefined: nothing. */
  readonly cut: (range: IdRange) => IdRange | undefined
}

async function rolledParts(
  session: Session,
  names: LedgerNames,
  granularity: Granularity,
  kept: string,
): Promise<Part[]> {
  const open = await openRollUp(session, names)
  const upTo = (range: IdRange): IdRange | undefined => {
    const { after, to } = range
    const cursor = open?.cursorId ?? undefined
    if (cursor === undefined || cursor <= (after ?? -1n)) return undefined
    return { after, to: cursor < to ? cursor : to }
  }
  const behind = (range: IdRange): IdRange | undefined => {
    const { after, to } = range
    const cursor = open?.cursorId ?? undefined
    if (cursor === undefined || cursor <= (after ?? -1n)) return range
    return cursor < to ? { after: cursor, to } : undefined
  }
  const isIn = granularity === 'hour' ? `f.used_at >= '${kept}'` : `p.day >= '${kept.slice(0, 10)}'`
  const rolled = `p.rolled IS NOT NULL AND NOT p.rolled <=> ${open?.rezonesTo === null ? open.n : 'NULL'}`
  if (granularity === 'hour' || open?.rezonesTo == null) {
    const whole: Part = { among: `${rolled} AND ${isIn}`, cut: range => range }
    const opened: Part = { among: `p.rolled = ${open?.n} AND ${isIn}`, cut: upTo }
    return open?.rezonesTo === null ? [whole, opened] : [whole]
  }
  return [
    { among: `${rolled} AND p.day_before IS NULL AND ${isIn}`, cut: range => range },
    { among: `p.day_before IS NOT NULL AND ${isIn}`, cut: upTo },
    { among: `p.day_before IS NOT NULL AND p.day_before >= '${kept.slice(0, 10)}'`, cut: behind },
  ]
}

async function putRows(
  session: Session,
  names: LedgerNames,
  granularity: 'day' | 'month',
  period: string,
  window: TotalsWindow,
): Promise<void> {
  const { after = -1n, to } = window.range
  const table = granularity === 'day' ? names.usage_day : names.usage_month
  const rows = session.stream<{ id: bigint; amount: string }>(
    `SELECT id, amount FROM ${table}
      WHERE period_start = CAST(? AS DATE) AND id > ${after} AND id <= ${to} ORDER BY id`,
    [period],
  )
  for await (const { id, amount } of rows) {
    if (!window.isCrowded) window.takeOne(id, -BigInt(amount))
  }
}

async function putHour(
  session: Session,
  names: LedgerNames,
  hour: string,
  window: TotalsWindow,
  find: (text: string) => void,
): Promise<void> {
  const { range } = window
  const { after = -1n, to } = range
  const rows = session.stream<BlockRow>(
    `SELECT ${BLOCK_COLUMNS} FROM ${names.usage_block} s
      WHERE s.period_start = ? AND s.first_id <= ${to} AND s.last_id > ${after}`,
    [hour],
  )
  const posted = { sequence: 0n, name: hour, sha256: hourSeed(hour), isBack: true, range }
  for await (const row of rows) {
    if (window.isCrowded) continue
    window.take({ posted, blocks: [blockOf(row)] }, error => {
      rethrowUnlessUnreadable(error)
      find(`the hour of ${hour}: ${describeError(error)}`)
    })
  }
  for (const { id, amount } of await session.query<{ id: bigint; amount: string }>(
    `SELECT id, amount FROM ${names.usage_wide}
      WHERE period_start = ? AND id > ${after} AND id <= ${to}`,
    [hour],
  )) {
    window.takeOne(id, -BigInt(amount))
  }
}

function rethrowUnlessUnreadable(error: unknown): void {
  if (!hasCode(error, 'BLOCK_UNREADABLE')) throw error
}
