/** What became of one content, step by step, as `countersink explain` tells it. */

import type { ContentTrail, FileAnswer, Other } from './answers.ts'
import { type Child, h, link } from './dom.ts'
import { outcomeText } from './files.ts'
import {
  amountText,
  empty,
  facts,
  fileLink,
  hashText,
  nameText,
  table,
  timeText,
  words,
} from './parts.ts'
import type { Route } from './route.ts'
import { section } from './section.ts'
import { bytesText, durationText, grouped } from './text.ts'
import type { View } from './view.ts'

export function file({ of: sha256 }: Route): View {
  const head = [h('p', { class: 'back' }, link('#/files', 'All files'))]
  if (sha256 === undefined || !/^[0-9a-f]{8,64}$/.test(sha256)) {
    const no = empty(
      'That is no file.',
      'A file is named by its SHA-256, or at least 8 digits of it.',
    )
    return { title: 'File', head: [...head, no], sections: [] }
  }
  const ask = section(
    'trail',
    'What became of it',
    api => api.get<FileAnswer>(`files/${sha256}`),
    fileNodes,
  )
  return { title: 'File', head, sections: [ask] }
}

function fileNodes(answer: FileAnswer): readonly Node[] {
  if (answer.kind === 'several') return [table('Several files begin so', SEVERAL, answer.files)]
  if (answer.kind === 'content') return trailNodes(answer)
  const { name, size } = answer
  return [
    h('p', { class: 'title' }, nameText(name)),
    h('p', { class: 'verdict' }, 'It is in the inbox, and not claimed yet.'),
    facts(['Size', size === undefined ? undefined : bytesText(size)]),
  ]
}

function trailNodes(trail: ContentTrail): readonly Node[] {
  const { ledger, settled, sightings, sightingsCount, mendedBy } = trail
  const [last] = settled.slice(-1)
  const size = ledger?.size ?? last?.size
  const lines = ledger?.lines ?? last?.lines
  const amount = ledger?.amount ?? last?.amount
  return [
    h('p', { class: 'title' }, nameText(trail.name)),
    h('p', { class: trail.counted ? 'verdict counted' : 'verdict' }, words(trail.outcome)),
    facts(
      [
        'SHA-256',
        trail.sha256 === null ? undefined : h('code', { class: 'whole-hash' }, trail.sha256),
      ],
      ['Size', size === undefined ? undefined : bytesText(size)],
      ['Lines', lines === undefined ? undefined : grouped(lines)],
      ['Amount', amount === undefined ? undefined : amountText(amount)],
      ['Consumers', ledger?.consumers == null ? undefined : amountText(ledger.consumers)],
      ['Bad lines put aside', ledger?.rejectedLines ? grouped(ledger.rejectedLines) : undefined],
      ['It is in', trail.path === undefined ? undefined : nameText(trail.path)],
      ['Mends', other(ledger?.mends)],
      ['In the place of', other(ledger?.supersedes)],
      ['Replaced by', other(ledger?.supersededBy)],
      ['Mended by', ...(mendedBy ?? []).map(other)],
    ),
    h('h3', {}, 'Its way'),
    h(
      'ol',
      { class: 'way' },
      trail.steps.map(({ step, time, tookMs, note }) =>
        h(
          'li',
          {},
          h('span', { class: 'step' }, words(step)),
          timeText(time),
          h('span', { class: 'took' }, tookMs === undefined ? '' : `+ ${durationText(tookMs)}`),
          note === undefined ? undefined : h('p', {}, words(note)),
        ),
      ),
    ),
    ...(sightings.length === 0
      ? []
      : [
          h('h3', {}, `Its files that were not counted (${grouped(sightingsCount)})`),
          table('Files that were not counted', SIGHTINGS, sightings),
        ]),
  ]
}

type Like = Extract<FileAnswer, { kind: 'several' }>['files'][number]
const SEVERAL = [
  { title: 'File', isHead: true, of: ({ name, sha256 }: Like) => fileLink(sha256, name) },
  { title: 'SHA-256', of: ({ sha256 }: Like) => sha256 && hashText(sha256) },
  { title: 'State', of: ({ state }: Like) => outcomeText(state) },
  { title: 'Time', of: ({ time }: Like) => timeText(time) },
]

type Sighting = ContentTrail['sightings'][number]
const SIGHTINGS = [
  { title: 'File', isHead: true, of: ({ name }: Sighting) => nameText(name) },
  { title: 'Outcome', of: ({ outcome }: Sighting) => outcomeText(outcome) },
  { title: 'Why', isLong: true, of: ({ reason }: Sighting) => words(reason) },
  { title: 'Time', of: ({ time }: Sighting) => timeText(time) },
]

function other(one: Other | undefined): Child {
  return one && h('span', {}, fileLink(one.sha256, one.name ?? `${one.sha256.slice(0, 12)}…`), ' ')
}
