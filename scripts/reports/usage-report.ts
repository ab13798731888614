/**
 * Usage as a person reads it: a line a period, or a line for each consumer of each, written as it is read;
 * below it as of when that is, and what of it is not as it was asked for. On a terminal each line has a bar.
 */

import type { Granularity, UsageAccount, UsageLine, UsageOf } from '../../parser/ledger/index.ts'
import { formatCount, formatCountOf } from '../../shared/numbers.ts'
import { columnsOf, print, timeText, wrapText } from '../terminal/index.ts'

/** For people and programs alike: an hour with its distance from UTC, as one can come twice a day. */
export function periodText(
  { by, clock }: Pick<UsageAccount, 'by' | 'clock'>,
  { period }: UsageLine,
): string {
  if (by === 'hour') return clock.exactMinuteAt(period.fromMs)
  return by === 'day' ? period.start : period.start.slice(0, 7)
}

export async function tellUsage(
  account: UsageAccount,
  of: UsageOf,
  asked: Granularity,
): Promise<void> {
  const { by, largestSum } = account
  const columns = columnsOf(process.stdout)
  const isOfSeveral = of === 'each' || (of !== 'all' && 'top' in of)
  const widths = {
    period: by === 'hour' ? HOUR_WIDTH : by === 'day' ? 10 : 7,
    id: isOfSeveral ? 20 : 0,
    amount: Math.max('amount'.length, formatCount(largestSum).length),
  }
  const row = (period: string, id: string, amount: string, bar: string): string => {
    const consumer = isOfSeveral ? `  ${id.padStart(widths.id)}` : ''
    const line = `${period.padEnd(widths.period)}${consumer}  ${amount.padStart(widths.amount)}`
    return `${line}  ${bar}`.trimEnd()
  }
  const room = columns - row('', '', '', '|').length - 1
  const barWidth = Number.isFinite(room) && room >= BAR_COLUMNS.min ? room : 0
  const largest = barWidth === 0 || of === 'all' ? largestSum : await largestOf(account, of)
  await print(`${wrapText(headOf(account, of), columns).join('\n')}\n\n`)
  await print(`${row(by, 'consumer', 'amount', '')}\n`)
  let lines = 0
  for await (const line of account.lines()) {
    const { id, amount } = line
    const bar = barOf(amount, largest, Math.min(barWidth, BAR_COLUMNS.max))
    await print(`${row(hourApart(periodText(account, line)), `${id}`, formatCount(amount), bar)}\n`)
    lines += 1
  }
  if (lines === 0) await print('nothing was used\n')
  await print('\n')
  for (const note of notesOf(account, asked)) {
    await print(`${wrapText(note, columns).join('\n')}\n`)
  }
}

function headOf({ by, clock }: UsageAccount, of: UsageOf): string {
  const whose =
    of === 'all'
      ? 'all consumers together'
      : of === 'each'
        ? 'each consumer'
        : 'id' in of
          ? `consumer ${of.id}`
          : of.top === 1
            ? 'the largest consumer of each'
            : `the ${formatCount(of.top)} largest consumers of each`
  return `Usage of ${whose}, by ${by} (${clock.timeZone})`
}

/** Of all of them the largest need not be looked for: it is that of no consumer. */
async function largestOf(account: UsageAccount, of: UsageOf): Promise<bigint> {
  if (of === 'each') return account.largestSum
  let largest = 0n
  for await (const { amount } of account.lines()) if (amount > largest) largest = amount
  return largest
}

function notesOf(account: UsageAccount, asked: Granularity): string[] {
  const { by, asOfMs, rolledUpAtMs, filesNotRolledUp, isRezoning, keptFromMs, clock } = account
  const rolled = rolledUpAtMs === undefined ? '' : `, rolled up at ${timeText(rolledUpAtMs)} UTC`
  const are = filesNotRolledUp === 1 ? 'is' : 'are'
  const rest = `${formatCountOf(filesNotRolledUp, 'file')} of this time ${are} not rolled up yet, and ${are} in it all the same.`
  const kept = (['hour', 'day', 'month'] as const).flatMap(one => {
    const fromMs = keptFromMs[one]
    const day = fromMs === undefined ? undefined : clock.exactMinuteAt(fromMs).slice(0, 10)
    return day === undefined ? [] : [`${one}s ${KEPT}from ${day} on`]
  })
  const [first = '', ...others] = kept
  return [
    `As of ${timeText(asOfMs)} UTC${rolled}.${filesNotRolledUp === 0 ? '' : ` ${rest}`}`,
    ...(kept.length === 0
      ? []
      : [`${[capital(first), ...others.map(one => one.replace(KEPT, ''))].join(', ')}.`]),
    ...(by === asked
      ? []
      : [`By ${asked} not all of it is kept any more, so it is shown by ${by}.`]),
    ...(isRezoning
      ? [
          'The time zone has changed, and days and months are being made anew: those of before are mixed in.',
        ]
      : []),
  ]
}

const KEPT = 'are kept '

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}

function barOf(amount: bigint, largest: bigint, width: number): string {
  if (width === 0 || largest <= 0n || amount <= 0n) return ''
  const eighths = Number((amount * BigInt(width * 8)) / largest)
  return '█'.repeat(eighths >> 3) + (PARTS[eighths & 7] ?? '') || '▏'
}

/** `2026-03-29 03:00 +02:00` */
function hourApart(text: string): string {
  return text.replace(/T(\d\d:\d\d)/, ' $1 ')
}

const PARTS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉']
const HOUR_WIDTH = '2026-03-29 03:00 +02:00'.length
const BAR_COLUMNS = { min: 8, max: 60 }
