/**
 * Usage by time: of all together, of one consumer, of the largest of each period. What a chart can show comes
 * in one answer, and no more than that: it is as of one moment, so there are no pages of it.
 */

import { GRANULARITIES, type UsageOf } from '../../../parser/ledger/index.ts'
import { USAGE_WHOLE, usageHeadJson, usagePeriodJson } from '../../answers/index.ts'
import { withUsage } from '../../asking/index.ts'
import { type GivenTime, givenTime } from '../../terminal/index.ts'
import { consumerId, oneOfWords, type Param } from '../params.ts'
import { badRequest } from '../problem.ts'
import { type Ground, route } from '../route.ts'
import { refuseAtRest } from './at-rest.ts'

const LINES_MAX = 2_500
const TOP_MAX = 100
const TOP_DEFAULT = 10

const SPAN = {
  by: oneOfWords('how long a period is; day without it', GRANULARITIES),
  from: givenParam('the first of it; without it 48 hours, 30 days or 12 months before the end'),
  to: givenParam('before this; without it until now'),
}
const n = {
  in: 'query',
  help: `so many of each period; ${TOP_DEFAULT} without it`,
  schema: { type: 'integer', minimum: 1 },
  allowed: `a whole number from 1 to ${TOP_MAX}`,
  parse(text) {
    const value = /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN
    return value >= 1 && value <= TOP_MAX ? value : undefined
  },
} as const satisfies Param<number>

const COMMON = { cost: 'usage', answer: USAGE_WHOLE, problems: [503] } as const

export const usage = route({
  ...COMMON,
  path: '/api/v1/usage',
  summary: 'what all have used by hour, day or month: the lines of "usage --json"',
  params: SPAN,
  run: (span, ground) => told('all', span, ground),
})

export const topUsage = route({
  ...COMMON,
  path: '/api/v1/usage/top',
  summary: 'the largest consumers of each period: the lines of "usage --top --json"',
  params: { ...SPAN, n },
  run: ({ n = TOP_DEFAULT, ...span }, ground) => told({ top: n }, span, ground),
})

export const consumerUsage = route({
  ...COMMON,
  path: '/api/v1/consumers/{id}/usage',
  summary: 'what one consumer has used: the lines of "usage --consumer --json"',
  params: { ...SPAN, id: consumerId },
  run: ({ id, ...span }, ground) => told({ id }, span, ground),
})

interface Span {
  readonly by: (typeof GRANULARITIES)[number] | undefined
  readonly from: GivenTime | undefined
  readonly to: GivenTime | undefined
}

async function told(of: UsageOf, { by = 'day', from, to }: Span, ground: Ground): Promise<object> {
  await refuseAtRest(ground)
  const { paths, asking } = ground
  return withUsage(
    paths,
    { of, by, from, to },
    async account => {
      if (account.toMs <= account.fromMs) throw badRequest('from must be before to')
      const periods: object[] = []
      for await (const line of account.lines()) {
        if (periods.length === LINES_MAX) {
          throw badRequest(
            `that is more than ${LINES_MAX} lines: ask for less of it, or by longer periods`,
          )
        }
        periods.push(usagePeriodJson(account, line))
      }
      return { ...usageHeadJson(account, by), periods }
    },
    asking,
  )
}

function givenParam(help: string): Param<GivenTime> & { in: 'query' } {
  return {
    ...{ in: 'query', help, schema: { type: 'string' } },
    allowed:
      'a time such as 2026-01-31 or 2026-01-31T23:59 by the ledger\u2019s clocks, or with Z or an offset',
    parse(text) {
      try {
        return givenTime('time', text)
      } catch {
        // Not one: what is allowed is said by whoever reads the parameters.
        return undefined
      }
    },
  }
}
