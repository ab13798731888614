/** One consumer: what was used when, and which files have made the total what it is. */

import type { Consumer, Granularity, Posting, Usage } from './answers.ts'
import { h } from './dom.ts'
import { choiceLinks, pageLinks, searchForm } from './form.ts'
import { amountText, empty, facts, figures, fileLink, table, timeText, words } from './parts.ts'
import { addressOf, type Route } from './route.ts'
import { section } from './section.ts'
import { grouped } from './text.ts'
import { usageNodes } from './usage-picture.ts'
import type { View } from './view.ts'

const GRANULARITIES: readonly Granularity[] = ['hour', 'day', 'month']
const U64_MAX = 18446744073709551615n

export function consumer({ of: id, query }: Route): View {
  const head = [
    searchForm(
      'A consumer',
      [
        {
          ...{ name: 'id', label: 'Consumer', value: id, inputMode: 'numeric' },
          ...{ pattern: '[0-9\\s\u202f]{1,32}', hint: '0 to 18446744073709551615' },
        },
      ],
      given => addressOf('consumer', (given.id ?? '').replace(/\D/g, ''), { by: query.by }),
    ),
  ]
  if (id === undefined) {
    const hint = h('p', { class: 'quiet' }, 'Type the number of a consumer to see its account.')
    return { title: 'Consumer', head: [...head, hint], sections: [] }
  }
  const title = /^\d+$/.test(id) ? `Consumer ${grouped(id)}` : 'Consumer'
  if (!/^\d{1,20}$/.test(id) || BigInt(id) > U64_MAX) {
    const no = empty('That is no consumer.', 'Their numbers are 0 to 18446744073709551615.')
    return { title: 'Consumer', head: [...head, no], sections: [] }
  }
  const by = GRANULARITIES.find(one => one === query.by) ?? 'day'
  const { after } = query
  return {
    title,
    head,
    sections: [
      section(
        'usage',
        'Usage',
        api => api.get<Usage>(`consumers/${id}/usage`, { by }),
        usage => [
          choiceLinks(
            'Periods',
            GRANULARITIES.map(one => ({
              ...{ text: `by ${one}`, isHere: one === by },
              to: addressOf('consumer', id, { ...query, by: one }),
            })),
          ),
          ...usageNodes('usage-table', `consumer ${id}`, usage),
        ],
      ),
      section(
        'account',
        'Account',
        api => api.get<Consumer>(`consumers/${id}`, { after }),
        account => accountNodes(account, id, query),
      ),
    ],
  }
}

function accountNodes(
  { opening, totalNow, postings, next, total }: Consumer,
  id: string,
  query: Route['query'],
): Node[] {
  const isFirst = query.after === undefined
  if (isFirst && postings.length === 0 && next === null && totalNow === null) {
    return [empty('Nothing was ever counted for this consumer.')]
  }
  const nodes = [
    figures(
      ['Total today', totalNow === null ? 'none' : amountText(totalNow)],
      ...(total?.addsUp === false && total.difference !== null
        ? [['Differs from its files by', amountText(total.difference)] as const]
        : []),
    ),
    facts(
      isFirst
        ? ['Opening balance', opening.amount === null ? 'not known' : amountText(opening.amount)]
        : undefined,
      [
        'Adds up',
        total === undefined
          ? 'the last page tells'
          : { true: 'yes', false: 'no', null: 'cannot be said' }[`${total.addsUp}`],
      ],
    ),
    postings.length === 0 && next !== null
      ? empty('None in the files looked through.', 'The next page looks further on.')
      : table('Postings', POSTINGS, postings),
    pageLinks('consumer', id, query, next),
  ]
  return nodes.filter(node => node !== undefined)
}

const POSTINGS = [
  { title: 'Time', of: ({ time }: Posting) => timeText(time) },
  {
    title: 'File',
    isHead: true,
    of: ({ sha256, name, order, reason, beingCounted }: Posting) =>
      h(
        'span',
        {},
        fileLink(sha256, name),
        order === undefined ? undefined : h('small', {}, words(`${order}: ${reason ?? ''}`)),
        beingCounted ? h('small', {}, 'being counted') : undefined,
      ),
  },
  { title: 'Amount', isNumber: true, of: ({ amount }: Posting) => signed(amount) },
  {
    title: 'Running total',
    isNumber: true,
    isLong: true,
    of: ({ runningTotal }: Posting) => amountText(runningTotal),
  },
]

function signed(amount: string): HTMLElement {
  return amount.startsWith('-') ? amountText(amount) : h('span', {}, '+', amountText(amount))
}
