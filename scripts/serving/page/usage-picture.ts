/** Usage by hour, day or month: the picture, its sum, and what is to be known of both. */

import type { Usage, UsagePeriod } from './answers.ts'
import { h } from './dom.ts'
import { amountText, empty, figures, timeText } from './parts.ts'
import { type Bar, picture } from './picture.ts'
import { countOf, sumOf } from './text.ts'

export function usageNodes(id: string, of: string, usage: Usage): readonly Node[] {
  const { periods, by } = usage
  if (periods.every(({ amount }) => amount === '0')) {
    return [empty('Nothing was used in this time.'), notesOf(usage)]
  }
  const span = `${periodWords(periods[0]!)} to ${periodWords(periods.at(-1)!)}`
  return [
    figures([`Sum, ${span}`, amountText(sumOfUsage(usage))]),
    picture(id, `Usage of ${of} by ${by}, ${span}`, periods.map(barOf)),
    notesOf(usage),
  ]
}

export function sumOfUsage({ periods }: Usage): string {
  return sumOf(periods.map(({ amount }) => amount))
}

/** Of the ledger's day that is the last one told. */
export function lastDay({ periods }: Usage): { readonly day: string; readonly amount: string } {
  const day = periods.at(-1)?.period.slice(0, 10) ?? ''
  const own = periods.filter(({ period }) => period.startsWith(day))
  return { day, amount: sumOf(own.map(({ amount }) => amount)) }
}

function barOf(one: UsagePeriod): Bar {
  return { label: shortLabel(one.period), period: periodWords(one), amount: one.amount }
}

/** `14:00`, `26 Nov`, `Nov 2026`: by the clocks of the ledger, which are in its text already. */
function shortLabel(period: string): string {
  const [date = '', clock] = period.split('T')
  if (clock !== undefined) return clock.slice(0, 5)
  const [year = '', month = '01', day] = date.split('-')
  const name = MONTHS[Number(month) - 1] ?? month
  return day === undefined ? `${name} ${year.slice(2)}` : `${Number(day)} ${name}`
}

/** `2026-03-29 03:00 +02:00` */
function periodWords({ period }: UsagePeriod): string {
  return period.replace(/T(\d\d:\d\d)/, ' $1 ')
}

function notesOf({ timeZone, asOf, by, asked, filesNotRolledUp, rezoning }: Usage): HTMLElement {
  return h(
    'p',
    { class: 'quiet notes' },
    `Days and hours are those of the ledger, ${timeZone}. As of `,
    timeText(asOf),
    filesNotRolledUp > 0 ? `, with ${countOf(filesNotRolledUp, 'file')} not rolled up yet` : '',
    '.',
    by === asked ? '' : ` By ${asked} not all of it is kept any more, so it is shown by ${by}.`,
    rezoning ? ' The time zone has changed, and days are being made anew.' : '',
  )
}

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ')
