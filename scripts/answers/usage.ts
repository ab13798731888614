/** What `usage --json` prints: of what it is, then a line a period, or a line for each consumer of each. */

import { GRANULARITIES, type UsageAccount, type UsageLine } from '../../parser/ledger/index.ts'
import { count, digits, fields, flag, oneOf, orNull, text, time } from '../command-table/index.ts'
import { periodText } from '../reports/index.ts'

const kept = orNull(time('they are kept from then on'), 'null: all that there ever were')

const HEAD = {
  ...{ kind: oneOf('usage'), by: oneOf(...GRANULARITIES), asked: oneOf(...GRANULARITIES) },
  timeZone: text('of days and months'),
  ...{ from: time(), to: time('not in it any more'), asOf: time() },
  rolledUpAt: orNull(time(), 'null: nothing is rolled up yet'),
  filesNotRolledUp: count('of this time; what they have brought is among the amounts'),
  ...{ hoursFrom: kept, daysFrom: kept, monthsFrom: kept },
  rezoning: flag('the time zone has changed, and days are being made anew'),
} as const
export const USAGE_HEAD = fields(HEAD)
export const USAGE_PERIOD = fields({
  kind: oneOf('period'),
  period: text('2026-11-01T10:00+01:00, 2026-11-01 or 2026-11'),
  ...{ start: time(), end: time('not in it any more') },
  consumer: orNull(digits(), 'null: all together'),
  amount: digits(),
})
export const USAGE_END = fields({
  kind: oneOf('end'),
  lines: count('periods, or consumers of periods, that were told'),
})
/** The first line, with what follows it in it. */
export const USAGE_WHOLE = fields({ ...HEAD, periods: { type: 'array', items: USAGE_PERIOD } })

export function usageHeadJson(account: UsageAccount, asked: UsageAccount['by']) {
  const { by, clock, fromMs, toMs, asOfMs, rolledUpAtMs, keptFromMs, isRezoning } = account
  return {
    ...{ kind: 'usage', by, asked, timeZone: clock.timeZone, from: iso(fromMs), to: iso(toMs) },
    ...{ asOf: iso(asOfMs), rolledUpAt: isoOrNull(rolledUpAtMs) },
    filesNotRolledUp: account.filesNotRolledUp,
    ...{ hoursFrom: isoOrNull(keptFromMs.hour), daysFrom: isoOrNull(keptFromMs.day) },
    ...{ monthsFrom: isoOrNull(keptFromMs.month), rezoning: isRezoning },
  }
}

export function usagePeriodJson(account: UsageAccount, line: UsageLine) {
  const { period, id, amount } = line
  return {
    ...{ kind: 'period', period: periodText(account, line) },
    ...{ start: iso(period.fromMs), end: iso(period.toMs) },
    ...{ consumer: id === undefined ? null : `${id}`, amount: `${amount}` },
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}

function isoOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : iso(ms)
}
