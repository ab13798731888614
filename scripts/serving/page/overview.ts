/** How it goes: what needs a person, how fast, how much waits, what was used today. */

import { alarmList, alarmsOf } from './alarms.ts'
import type { Quarantine, Status, Usage } from './answers.ts'
import { Problem } from './api.ts'
import { h } from './dom.ts'
import { amountText, type Fact, facts, figures, nameText, timeText } from './parts.ts'
import { lastProof } from './proof.ts'
import { type Rate, rateAfter } from './rate.ts'
import { section } from './section.ts'
import { bytesText, countOf, durationText, grouped } from './text.ts'
import { lastDay, sumOfUsage, usageNodes } from './usage-picture.ts'
import type { View } from './view.ts'

export function overview(): View {
  return {
    title: 'Overview',
    head: [],
    sections: [
      section(
        'needs',
        'What needs you',
        async api => {
          const [status, proof, refused] = await Promise.all([
            api.get<Status>('status'),
            lastProof(api).catch(unknown),
            api.get<Quarantine>('quarantine', { limit: '3' }).catch(unknown),
          ])
          return { status, proof, refused }
        },
        told => [alarmList(alarmsOf(told))],
      ),
      section(
        'now',
        'Now',
        async api => {
          const status = await api.get<Status>('status')
          return { status, rate: rateAfter(status, performance.now()) }
        },
        ({ status, rate }) => [
          figures(rateFigure(status, rate), waitingFigure(status), everFigure(status)),
          ...readingNodes(status),
          ...progressNodes(status),
        ],
      ),
      section(
        'today',
        'Usage today',
        api => api.get<Usage>('usage', { by: 'hour' }),
        usage => {
          const { day, amount } = lastDay(usage)
          const [, ...others] = usageNodes('today-table', 'all consumers', usage)
          return [
            figures([day, amountText(amount)], ['Last 48 hours', amountText(sumOfUsage(usage))]),
            ...others,
          ]
        },
      ),
    ],
  }
}

/** That something is not known is told among what is; that a token is needed concerns the whole page. */
function unknown(error: unknown): Problem {
  if (error instanceof Problem && error.status !== 401) return error
  throw error
}

function rateFigure({ sinceStart }: Status, rate: Rate | undefined): Fact {
  const label = 'Lines counted a second'
  const missing = sinceStart === null ? 'no parser runs' : 'measuring'
  if (rate === undefined) return [label, '\u2026', h('small', {}, missing)]
  const bytes = `${bytesText(rate.bytesPerSecond)}/s over ${durationText(rate.overMs)}`
  return [label, grouped(Math.round(rate.linesPerSecond)), h('small', {}, bytes)]
}

function waitingFigure({ queue }: Status): Fact {
  if (queue === null) return ['Waiting', 'unknown']
  return ['Waiting', countOf(queue.files, 'file'), h('small', {}, bytesText(queue.bytes))]
}

function everFigure({ ever }: Status): Fact {
  if (ever === null) return ['Counted ever', 'unknown']
  return [
    'Counted ever',
    countOf(ever.applied, 'file'),
    h('small', {}, countOf(ever.lines, 'line')),
  ]
}

function progressNodes({ lastProgressAt }: Status): Node[] {
  return lastProgressAt === null ? [] : [facts(['Last progress', timeText(lastProgressAt)])]
}

function readingNodes({ reading }: Status): Node[] {
  if (reading === null) return []
  const { name, positionBytes, sizeBytes } = reading
  const share = sizeBytes === 0 ? 0 : positionBytes / sizeBytes
  const bar = h('progress', { max: '1', value: `${share}`, 'aria-label': 'Read of this file' })
  const of = `${bytesText(positionBytes)} of ${bytesText(sizeBytes)}`
  return [
    h(
      'p',
      { class: 'reading' },
      'Reading ',
      nameText(name),
      bar,
      h('span', { class: 'quiet' }, of),
    ),
  ]
}
