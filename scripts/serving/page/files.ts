/** What was settled, newest first: looked for by name, hash, outcome and day. */

import { type Files, OUTCOMES, type SettledFile } from './answers.ts'
import { h } from './dom.ts'
import { pageLinks, searchForm } from './form.ts'
import { amountText, empty, fileLink, hashText, table, timeText, words } from './parts.ts'
import { addressOf, type Route } from './route.ts'
import { section } from './section.ts'
import { bytesText, grouped } from './text.ts'
import type { View } from './view.ts'

export function files({ query }: Route): View {
  const { name, hash, outcome, day, after } = query
  const isSearch = [name, hash, outcome, day].some(word => word !== undefined)
  return {
    title: 'Files',
    head: [
      searchForm(
        'Files',
        [
          { name: 'name', label: 'Name', value: name, hint: 'a part of it' },
          {
            ...{ name: 'hash', label: 'SHA-256', value: hash, hint: 'its first digits' },
            pattern: '\\s*[0-9a-fA-F]{1,64}\\s*',
          },
          { name: 'outcome', label: 'Outcome', value: outcome, choices: OUTCOMES },
          { name: 'day', label: 'Day', value: day, type: 'date' },
        ],
        given => addressOf('files', undefined, { ...given, hash: given.hash?.toLowerCase() }),
      ),
    ],
    sections: [
      section(
        'settled',
        isSearch ? 'Found' : 'Settled, newest first',
        api => api.get<Files>('files', { name, hash, outcome, day, after, limit: '25' }),
        ({ timeZone, files, next }) =>
          [
            day === undefined
              ? undefined
              : h('p', { class: 'quiet' }, `${day} by the clocks of ${timeZone}.`),
            files.length > 0 ? table('Files', FILES, files) : noFile(isSearch, next !== null),
            pageLinks('files', undefined, query, next),
          ].filter(node => node !== undefined),
      ),
    ],
  }
}

function noFile(isSearch: boolean, hasMore: boolean): HTMLElement {
  if (hasMore) return empty('None among those looked through.', 'The next page looks further back.')
  return isSearch
    ? empty('No such file.', 'A name may be a part of one, a hash its first digits.')
    : empty('No file was settled yet.', 'What comes into the inbox will be here.')
}

const FILES = [
  {
    title: 'File',
    isHead: true,
    of: ({ sha256, name, reason }: SettledFile) =>
      h(
        'span',
        {},
        fileLink(sha256, name),
        reason === undefined ? undefined : h('small', {}, words(reason)),
      ),
  },
  { title: 'SHA-256', of: ({ sha256 }: SettledFile) => hashText(sha256) },
  { title: 'Outcome', of: ({ outcome }: SettledFile) => outcomeText(outcome) },
  { title: 'Size', isNumber: true, of: ({ size }: SettledFile) => bytesText(size) },
  { title: 'Lines', isNumber: true, of: ({ lines }: SettledFile) => grouped(lines) },
  { title: 'Amount', isNumber: true, of: ({ amount }: SettledFile) => amountText(amount) },
  { title: 'Settled', of: ({ time }: SettledFile) => timeText(time) },
]

/** Of a fixed set, so it may choose how it looks. */
export function outcomeText(outcome: string): HTMLElement {
  const known = OUTCOMES.some(one => one === outcome)
  return h('span', { class: known ? `outcome ${outcome}` : 'outcome' }, outcome)
}
