/** How it goes: what needs a person, how fast, how much waits, what was used today. */

import { alarmList, alarmsOf } from './alarms.ts'
import type { Quarantine, Status, Usage } from './answers.ts'
import { Problem } from './api.ts'
import { h } from './dom.ts'
import { amountText, facts, figures, nameText, timeText } from './parts.ts'
import { lastProof } from './proof.ts'
import { rateAfter } from './rate.ts'
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
            // What is not known of these keeps nobody from the rest.
            lastProof(api).catch(orToken(null)),
            api.get<Quarantine>('quarantine', { limit: '3' }).catch(orToken(NONE_REFUSED)),
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
          figures(
            [
              'Lines counted a second',
              rate === undefined ? '\u2026' : grouped(Math.round(rate.linesPerSecond)),
              h(
                'small',
                {},
                rate === undefined
                  ? status.sinceStart === null
                    ? 'no parser runs'
                    : 'measuring'
                  : `${bytesText(rate.bytesPerSecond)}/s over ${durationText(rate.overMs)}`,
              ),
            ],
            [
              'Waiting',
              status.queue === null ? 'unknown' : countOf(status.queue.files, 'file'),
              h('small', {}, status.queue === null ? '' : bytesText(status.queue.bytes)),
            ],
            [
              'Counted ever',
              status.ever === null ? 'unknown' : countOf(status.ever.applied, 'file'),
              h('small', {}, status.ever === null ? '' : countOf(status.ever.lines, 'line')),
            ],
          ),
          ...readingNodes(status),
          facts(
            status.lastProgressAt === null
              ? undefined
              : ['Last progress', timeText(status.lastProgressAt)],
          ),
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

const NONE_REFUSED: Quarantine = { files: [], next: null }

/** Instead of an answer; that a token is needed concerns the whole page. */
function orToken<T>(instead: T): (error: unknown) => T {
  return error => {
    if (error instanceof Problem && error.status === 401) throw error
    return instead
  }
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
