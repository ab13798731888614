/** Small pieces of which all views are made: names, amounts, times, lists of facts, tables. */

import { type Child, h, link } from './dom.ts'
import { countOf, grouped, printable, THIN_SPACE } from './text.ts'

/**
 * A name of somebody else's, set apart from what stands around it: its reading direction turns nothing else
 * round nor its own ending to its front, and what is no visible character is shown escaped.
 */
export function nameText(name: string): HTMLElement {
  const shown = printable(name)
  if (shown === name) return h('bdi', { class: 'name', dir: 'ltr' }, name)
  return h(
    'bdi',
    { class: 'name escaped', dir: 'ltr', title: 'with characters that are not visible' },
    shown,
  )
}

/** What the service says, escaped like a name: names of files are in it. */
export function words(text: string): HTMLElement {
  return h('bdi', { class: 'words' }, printable(text))
}

/** Exact: the digits as they came, and in groups for people; where there is little room, a line a few groups. */
export function amountText(digits: string): HTMLElement {
  const groups = grouped(digits).split(THIN_SPACE)
  const told = groups.flatMap((group, i) => (i === 0 ? [group] : [THIN_SPACE, h('wbr'), group]))
  return h('data', { class: 'amount', value: digits }, told)
}

export function hashText(sha256: string): HTMLElement {
  return h('code', { class: 'hash', title: sha256 }, `${sha256.slice(0, 12)}…`)
}

export function fileLink(sha256: string | undefined, name: string): HTMLElement {
  return sha256 === undefined ? nameText(name) : link(`#/file/${sha256}`, nameText(name))
}

const TWO_DIGITS = { month: '2-digit', day: '2-digit', hour: '2-digit' } as const
const CLOCK = new Intl.DateTimeFormat('en-GB', {
  ...{ year: 'numeric', ...TWO_DIGITS, minute: '2-digit', second: '2-digit', hourCycle: 'h23' },
})

/** Of the viewer's zone; UTC stands in its title. */
export function timeText(at: string | number | Date): HTMLElement {
  const date = new Date(at)
  if (Number.isNaN(date.getTime())) return h('span', {}, printable(`${at}`))
  const iso = date.toISOString()
  const utc = `${iso.slice(0, 10)} ${iso.slice(11, 23)} UTC`
  return h('time', { datetime: iso, title: utc }, zonedText(date))
}

export function zonedText(date: Date): string {
  const of = Object.fromEntries(CLOCK.formatToParts(date).map(({ type, value }) => [type, value]))
  return `${of.year}-${of.month}-${of.day} ${of.hour}:${of.minute}:${of.second}`
}

export const VIEWERS_ZONE = CLOCK.resolvedOptions().timeZone

export type Fact = readonly [label: string, ...value: Child[]]

/** What is known of one thing; a fact without a value is left out. */
export function facts(...all: readonly (Fact | undefined)[]): HTMLElement {
  const known = all.filter(fact => fact !== undefined)
  return factList(
    'facts',
    known.filter(([, ...value]) => value.some(child => child !== undefined)),
  )
}

/** Large, for a look from afar. */
export function figures(...all: readonly Fact[]): HTMLElement {
  return factList('figures', all)
}

function factList(look: 'facts' | 'figures', all: readonly Fact[]): HTMLElement {
  const pairs = all.map(([label, ...value]) => h('div', {}, h('dt', {}, label), h('dd', {}, value)))
  return h('dl', { class: look }, pairs)
}

export interface Column<Row> {
  readonly title: string
  readonly isNumber?: boolean
  /** Wants a whole line where there is little room. */
  readonly isLong?: boolean
  /** What names the row. */
  readonly isHead?: boolean
  readonly of: (row: Row) => Child
}

/**
 * A table; on a narrow screen each row stands as a card, and is one still to those who hear it (its roles are
 * said, as what is laid out as blocks loses them). The arrows go from one row's link to the next.
 */
export function table<Row>(
  caption: string,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): HTMLElement {
  const heads = columns.map(({ title, isNumber }) =>
    h('th', { scope: 'col', role: 'columnheader', class: isNumber ? 'number' : undefined }, title),
  )
  const cell = (row: Row, column: Column<Row>): HTMLElement => {
    const { title, isNumber, isLong, isHead, of } = column
    const looks = [isNumber && 'number', isLong && 'long'].filter(Boolean).join(' ')
    const common = { class: looks || undefined, 'data-title': title }
    return isHead
      ? h('th', { ...common, scope: 'row', role: 'rowheader' }, of(row))
      : h('td', { ...common, role: 'cell' }, of(row))
  }
  return h(
    'table',
    { role: 'table' },
    h('caption', { class: 'unseen' }, `${caption}, ${countOf(rows.length, 'row')}`),
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, heads)),
    h(
      'tbody',
      { role: 'rowgroup', onkeydown: moveBetweenRows },
      rows.map(row =>
        h(
          'tr',
          { role: 'row' },
          columns.map(column => cell(row, column)),
        ),
      ),
    ),
  )
}

function moveBetweenRows(event: KeyboardEvent): void {
  const links = [...(event.currentTarget as Element).querySelectorAll<HTMLElement>('tr a')]
  const at = links.indexOf(document.activeElement as HTMLElement)
  if (at === -1) return
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key]
  const next = to === undefined ? undefined : links[to]
  if (next === undefined) return
  event.preventDefault()
  next.focus()
}

/** There is nothing, and that is an answer. */
export function empty(what: string, why?: string): HTMLElement {
  return h('div', { class: 'empty' }, h('p', {}, what), why && h('p', { class: 'quiet' }, why))
}
