/**
 * Why a consumer's total is what it is, a page of postings at a time. The running total of each needs all that
 * came before it, so each page reads them all, in one snapshot, and keeps its own part: the memory is a page's.
 */

import { CONSUMER_POSTING, consumerJson, OPENING, OUTSIDE, TOTAL } from '../../answers/index.ts'
import { withConsumer } from '../../asking/index.ts'
import { fields, list, orNull, text } from '../../command-table/index.ts'
import { serviceDatabase } from '../../mariadb/index.ts'
import { tellConsumer } from '../../reports/index.ts'
import { readSupervisor } from '../../state/index.ts'
import { cannot } from '../../terminal/index.ts'
import { consumerId, goneKey, LIMIT_DEFAULT, limit, matching, timeParam } from '../params.ts'
import { badRequest } from '../problem.ts'
import { type Ground, route } from '../route.ts'

export const consumer = route({
  path: '/api/v1/consumers/{id}',
  summary: 'a total and what has moved it, oldest first: the lines of "explain --consumer --json"',
  cost: 'consumer',
  params: {
    id: consumerId,
    after: matching(
      'query',
      'goes on behind this posting',
      /^[0-9a-f]{1,64}-[0-9a-f]{64}-[+-]$/,
      'a key from "next"',
    ),
    limit,
    since: timeParam('postings before then are told together'),
    until: timeParam('and those from then on'),
  },
  answer: fields(
    {
      opening: OPENING,
      postings: list(CONSUMER_POSTING),
      next: orNull(text('to go on from there; null: this is all')),
      total: TOTAL,
    },
    { before: OUTSIDE, after: OUTSIDE },
  ),
  problems: [404, 503],
  async run({ id, after, limit = LIMIT_DEFAULT, since, until }, ground) {
    const sinceMs = since ?? Number.NEGATIVE_INFINITY
    const untilMs = until ?? Number.POSITIVE_INFINITY
    if (sinceMs >= untilMs) throw badRequest('since must be before until')
    await refuseAtRest(ground)
    const page = new Page(after, limit)
    const period = { sinceMs, untilMs }
    await withConsumer(
      ground.paths,
      id,
      account =>
        tellConsumer(
          account,
          period,
          consumerJson(id, period, async line => page.add(line as Line)),
        ),
      ground.asking,
    )
    return page.told()
  },
})

interface Line {
  readonly kind: 'opening' | 'before' | 'after' | 'posting' | 'total'
  readonly batch?: string
  readonly sha256?: string
  readonly amount?: string
}

class Page {
  readonly #after: string | undefined
  readonly #limit: number
  readonly #others: Partial<Record<Line['kind'], Line>> = {}
  readonly #postings: Line[] = []
  #isReached: boolean
  #hasMore = false

  constructor(after: string | undefined, limit: number) {
    this.#after = after
    this.#limit = limit
    this.#isReached = after === undefined
  }

  add(line: Line): void {
    if (line.kind !== 'posting') this.#others[line.kind] = line
    else if (!this.#isReached) this.#isReached = keyOf(line) === this.#after
    else if (this.#postings.length < this.#limit) this.#postings.push(line)
    else this.#hasMore = true
  }

  told(): object {
    if (!this.#isReached) throw goneKey(this.#after ?? '')
    const last = this.#postings.at(-1)
    const next = this.#hasMore && last !== undefined ? keyOf(last) : null
    return { ...this.#others, postings: this.#postings, next }
  }
}

/** A batch may take a content back that it has counted. */
function keyOf({ batch, sha256, amount }: Line): string {
  return `${batch}-${sha256}-${amount?.startsWith('-') ? '-' : '+'}`
}

/** The command line would start the private MariaDB for its question; a reader of a page must not. */
export async function refuseAtRest({ paths, asking }: Ground): Promise<void> {
  const { config } = await serviceDatabase(paths, asking.env)
  if (config.databaseUrl !== '' || (await readSupervisor(paths)) !== undefined) return
  throw cannot('the private MariaDB does not run', 'Start the service: countersink up.')
}
