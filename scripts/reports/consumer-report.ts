/**
 * A consumer's account as a person reads it: what stood there at first contact, then each posting with
 * the total after it, at last today's total and whether it is that. Any number of postings is written
 * as it is read.
 */

import type { ConsumerPosting } from '../../parser/ledger/index.ts'
import { formatCount, formatCountOf } from '../../shared/numbers.ts'
import { printable, quotedName } from '../../shared/printable.ts'
import { columnsOf, preciseTime, print, shorten, timeText, wrapText } from '../terminal/index.ts'
import type { ConsumerLines, ConsumerResult, Period } from './account-teller.ts'

/** What somebody has asked for, behind what it has moved. */
function whyText(order: ConsumerPosting['order'], amount: bigint): string {
  if (order === undefined) return ''
  const isTakenBack = amount < 0n && order.kind !== 'reset'
  const what = isTakenBack
    ? 'taken back'
    : order.kind === 'supersede'
      ? 'counted instead'
      : order.kind
  return `  (${what}${order.reason === '' ? '' : `: ${printable(order.reason)}`})`
}

/** For people. */
export function consumerTable(total: bigint | undefined, period: Period): ConsumerLines {
  const columns = columnsOf(process.stdout)
  const digits = formatCount(total ?? 0n).length
  const [amountWidth, totalWidth] = [
    Math.max(digits + 2, 'amount'.length),
    Math.max(digits, 'running total'.length),
  ]
  const isWhole =
    period.sinceMs === Number.NEGATIVE_INFINITY && period.untilMs === Number.POSITIVE_INFINITY
  // As wide as the longest of what stands there: `before 2026-01-31 23:59:59`.
  const whenWidth = isWhole ? 19 : 26
  const line = (when: string, amount: string, running: string, more = ''): Promise<void> =>
    print(
      `${when.padEnd(whenWidth)}  ${amount.padStart(amountWidth)}  ${running.padStart(totalWidth)}  ${more}`.trimEnd() +
        '\n',
    )
  const isWide = columns === Number.POSITIVE_INFINITY
  const hashDigits = isWide ? 64 : SHORT_HASH_DIGITS
  const nameWidth = columns - (whenWidth + amountWidth + totalWidth + 6) - hashDigits - 2
  const file = (name: string, hash: string): string => {
    const shown = quotedName(name)
    const short = hash.slice(0, hashDigits)
    if (isWide || nameWidth >= NAME_COLUMNS_MIN) return `${short}  ${shorten(shown, nameWidth)}`
    return short
  }
  return {
    async opening(amount) {
      if (!isWhole) await print(`${periodText(period)}\n`)
      await line(
        'time (UTC)',
        'amount',
        'running total',
        'content and name'.slice(0, hashDigits + 20),
      )
      if (amount !== undefined) await line('opening balance', '', formatCount(amount))
      else await line('opening balance', '', 'unknown', '(the totals below begin at 0)')
    },
    outside: (which, postings, amount, running) =>
      line(
        which === 'before'
          ? `before ${timeText(period.sinceMs)}`
          : `from ${timeText(period.untilMs)}`,
        signed(amount),
        formatCount(running),
        `(${formatCountOf(postings, 'posting')})`,
      ),
    posting: ({ atMs, isBatchOpen, amount, name, sha256, order }, running) =>
      line(
        timeText(atMs),
        signed(amount),
        formatCount(running),
        `${file(name, sha256.toString('hex'))}${whyText(order, amount)}${isBatchOpen ? '  (being counted)' : ''}`,
      ),
    async end(result) {
      await line(
        "today's total",
        '',
        result.total === undefined ? 'none' : formatCount(result.total),
      )
      for (const text of wrapText(verdictOf(result), columns)) await print(`${text}\n`)
    },
  }
}

function verdictOf({ postings, expected, total, difference }: ConsumerResult): string {
  const made = formatCountOf(postings, 'posting')
  if (total === undefined && postings === 0 && expected === 0n) {
    return 'Nothing is known of this consumer: it has no total, and no file has moved one.'
  }
  if (difference === 0n) return `It adds up: the opening balance and ${made}.`
  if (difference !== undefined) {
    const more = difference > 0n ? 'more' : 'less'
    return `It does not add up: the total is ${formatCount(abs(difference))} ${more} than the opening balance and ${made} make (${formatCount(expected)}). Somebody else has changed it, or the ledger lacks a file: "countersink verify" tells.`
  }
  const rest = formatCount((total ?? 0n) - expected)
  return `Whether it adds up is not known: what stood there at first contact is not known of single consumers. ${made} make ${formatCount(expected)}, which leaves ${rest} for that.`
}

/** As it was understood. */
function periodText({ sinceMs, untilMs }: Period): string {
  const since = Number.isFinite(sinceMs) ? ` from ${preciseTime(sinceMs)} UTC on` : ''
  const until = Number.isFinite(untilMs) ? ` before ${preciseTime(untilMs)} UTC` : ''
  return `One by one: postings${since}${since && until ? ',' : ''}${until}.`
}

function signed(amount: bigint): string {
  return `${amount < 0n ? '-' : '+'} ${formatCount(abs(amount))}`
}

function abs(amount: bigint): bigint {
  return amount < 0n ? -amount : amount
}

const SHORT_HASH_DIGITS = 8
const NAME_COLUMNS_MIN = 8
