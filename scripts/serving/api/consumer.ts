/**
 * Why a consumer's total is what it is, a page of postings at a time. A page costs what a page is, however many
 * there are: its key says where it goes on, and what all before it make, so that nothing is added up again.
 * Whether the total is what they make shows with the last one.
 */

import { CONSUMER_POSTING, consumerJson, OPENING, OUTSIDE, TOTAL } from '../../answers/index.ts'
import { withConsumer } from '../../asking/index.ts'
import { digits, fields, list, orNull, text } from '../../command-table/index.ts'
import { AccountTeller, tallyFrom } from '../../reports/index.ts'
import { consumerId, goneKey, LIMIT_DEFAULT, limit, matching, timeParam } from '../params.ts'
import { badRequest } from '../problem.ts'
import { route } from '../route.ts'
import { ACCOUNT_KEY, accountKey, parseAccountKey } from './account-key.ts'
import { refuseAtRest } from './at-rest.ts'

/** Of so many files the block is looked into for a page, which may be short, or empty, with more behind it. */
const BLOCKS_MAX = 5_000
const BLOCKS_AT_ONCE_MAX = 1_000

export const consumer = route({
  path: '/api/v1/consumers/{id}',
  summary: 'a total and what has moved it, oldest first: the lines of "explain --consumer --json"',
  cost: 'consumer',
  params: {
    id: consumerId,
    after: matching('query', 'goes on behind this key', ACCOUNT_KEY, 'a key from "next"'),
    limit,
    since: timeParam('postings before then are told together'),
    until: timeParam('and those from then on'),
  },
  answer: fields(
    {
      opening: OPENING,
      totalNow: orNull(digits(), 'null: it has none'),
      postings: list(CONSUMER_POSTING),
      next: orNull(text('to go on from there; null: this is all')),
    },
    { before: OUTSIDE, after: OUTSIDE, total: TOTAL },
  ),
  problems: [404, 503],
  async run({ id, after, limit = LIMIT_DEFAULT, since, until }, ground) {
    const sinceMs = since ?? Number.NEGATIVE_INFINITY
    const untilMs = until ?? Number.POSITIVE_INFINITY
    if (sinceMs >= untilMs) throw badRequest('since must be before until')
    await refuseAtRest(ground)
    const period = { sinceMs, untilMs }
    const from = after === undefined ? undefined : parseAccountKey(after)
    const others: Partial<Record<string, object>> = {}
    const postings: object[] = []
    const lines = consumerJson(id, period, async line => {
      const { kind } = line as { readonly kind: string }
      if (kind === 'posting') postings.push(line)
      else others[kind] = line
    })
    return withConsumer(
      ground.paths,
      id,
      async account => {
        const teller = new AccountTeller(period, lines, from?.tally ?? tallyFrom(account.opening))
        await lines.opening(account.opening)
        const told = (next: string | null) => ({
          ...others,
          ...{ totalNow: account.total?.toString() ?? null, postings, next },
        })
        let place = from?.place
        let atOnce = limit + 1
        for (let looked = 0; looked < BLOCKS_MAX; ) {
          const part = await account.part(place, atOnce)
          if (part === undefined) throw goneKey(after ?? '')
          for (const posting of part.postings) {
            const isFull = postings.length === limit && teller.sideOf(posting) === undefined
            if (isFull && place !== undefined) return told(accountKey(place, teller.tally))
            await teller.add(posting)
            place = posting.place
          }
          if (part.to === undefined) {
            await teller.end(account)
            return told(null)
          }
          place = part.to
          looked += atOnce
          atOnce = Math.min(BLOCKS_AT_ONCE_MAX, atOnce * 4)
        }
        return told(place === undefined ? null : accountKey(place, teller.tally))
      },
      ground.asking,
    )
  },
})
