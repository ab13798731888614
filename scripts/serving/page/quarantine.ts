/** What was refused, and why: the reason, and the first line that is bad. */

import type { Quarantine, Refused } from './answers.ts'
import { h } from './dom.ts'
import { pageLinks } from './form.ts'
import { empty, fileLink, table, timeText, words } from './parts.ts'
import type { Route } from './route.ts'
import { section } from './section.ts'
import { bytesText, grouped } from './text.ts'
import type { View } from './view.ts'

export function quarantine({ query }: Route): View {
  const { after } = query
  const hint = 'A file goes back into the inbox with countersink requeue, as it is or mended.'
  return {
    title: 'Quarantine',
    head: [h('p', { class: 'quiet' }, hint)],
    sections: [
      section(
        'refused',
        'Refused',
        api => api.get<Quarantine>('quarantine', { after, limit: '25' }),
        ({ files, next }) =>
          [
            files.length === 0
              ? empty('Nothing is in quarantine.')
              : table('Files in quarantine', REFUSED, files),
            pageLinks('quarantine', undefined, query, next),
          ].filter(node => node !== undefined),
      ),
    ],
  }
}

const REFUSED = [
  {
    title: 'File',
    isHead: true,
    of: ({ sha256, name, size }: Refused) =>
      h('span', {}, fileLink(sha256, name), h('small', {}, bytesText(size))),
  },
  {
    title: 'Reason',
    isLong: true,
    of: ({ reason, whatNow }: Refused) =>
      h(
        'span',
        {},
        reason === null ? 'nothing beside it tells' : words(reason),
        whatNow === undefined ? undefined : h('small', {}, words(whatNow)),
      ),
  },
  { title: 'First bad line', of: ({ badLine }: Refused) => badLine && badLineText(badLine) },
  { title: 'Since', of: ({ time }: Refused) => time && timeText(time) },
]

function badLineText({ line, byte, text }: NonNullable<Refused['badLine']>): HTMLElement {
  return h(
    'span',
    {},
    `line ${grouped(line)}${byte === undefined ? '' : `, byte ${grouped(byte)}`}`,
    text === undefined ? undefined : h('code', { class: 'line' }, words(text)),
  )
}
