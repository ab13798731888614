/**
 * Files that came to an end, newest first, a page at a time: the key is the number of the last one. Of a name
 * nobody keeps an index: a request looks through a bounded number of records, and its page may be short or
 * empty with more behind it.
 */

import { LocalClock } from '../../../shared/local-clock.ts'
import { OUTCOMES, type ProcessedFile } from '../../../shared/protocol.ts'
import { FILE_SHAPE, fields, fileJson, list, orNull, text } from '../../command-table/index.ts'
import { withAnswers } from '../../terminal/index.ts'
import { day, LIMIT_DEFAULT, limit, matching, oneOfWords, textParam } from '../params.ts'
import { route } from '../route.ts'

const LOOKED_THROUGH_MAX = 5_000
/** Files end in the order of their numbers, as far as the clock does not go back. */
const SLACK_MS = 600_000

type Ask = Parameters<Parameters<typeof withAnswers>[1]>[0]

export const files = route({
  path: '/api/v1/files',
  summary: 'files that came to an end, newest first: the lines of "hashes --json"',
  cost: 'parser',
  params: {
    after: matching('query', 'goes on behind this key', /^\d{1,15}$/, 'a key from "next"'),
    limit,
    outcome: oneOfWords('only these', OUTCOMES),
    name: textParam('a part of the name', 255),
    hash: matching(
      'query',
      'the beginning of the SHA-256; with 8 digits or more it is looked up',
      /^[0-9a-f]{1,64}$/,
      '1 to 64 hex digits in lower case',
    ),
    day,
  },
  answer: fields({
    timeZone: text('of "day"'),
    files: list(FILE_SHAPE),
    next: orNull(text('to go on from there; null: this is all')),
  }),
  problems: [503],
  async run({ after, limit = LIMIT_DEFAULT, outcome, name, hash, day: wanted }, ground) {
    const { paths, asking } = ground
    const timeZone = ground.timeZone()
    const day = wanted === undefined ? undefined : dayOf(wanted, timeZone)
    const isWanted = (file: ProcessedFile): boolean =>
      (outcome === undefined || file.outcome === outcome) &&
      (name === undefined || file.name.includes(name)) &&
      (hash === undefined || file.sha256.startsWith(hash)) &&
      (day === undefined || (file.settledAtMs >= day.fromMs && file.settledAtMs < day.untilMs))
    return withAnswers(
      paths,
      async ask => {
        if (hash !== undefined && hash.length >= 8 && after === undefined) {
          const found = (await ofContent(ask, hash)).filter(isWanted)
          return { timeZone, files: found.slice(0, limit).map(fileJson), next: null }
        }
        const start = after === undefined ? await startOf(ask, day?.untilMs) : Number(after)
        const page = await lookThrough(ask, { start, limit, isWanted, fromMs: day?.fromMs })
        return {
          ...{ timeZone, files: page.found.map(fileJson) },
          next: page.next?.toString() ?? null,
        }
      },
      undefined,
      asking,
    )
  },
})

/** From its first moment to the first of the next one: 23, 24 or 25 hours. */
function dayOf(day: string, timeZone: string) {
  const clock = new LocalClock(timeZone)
  const next = new Date(Date.parse(`${day}T00:00:00.000Z`) + DAY_MS).toISOString().slice(0, 10)
  return { fromMs: clock.msAt(`${day}T00:00`), untilMs: clock.msAt(`${next}T00:00`) }
}

const DAY_MS = 86_400_000

async function ofContent(ask: Ask, prefix: string): Promise<ProcessedFile[]> {
  const { matches } = await ask({ kind: 'content', prefix })
  return matches
    .flatMap(({ applied, last }) => applied ?? last ?? [])
    .sort((a, b) => b.number - a.number)
}

async function lookThrough(
  ask: Ask,
  of: {
    readonly start: number | undefined
    readonly limit: number
    readonly isWanted: (file: ProcessedFile) => boolean
    /** What came to an end before is not asked for. */
    readonly fromMs: number | undefined
  },
): Promise<{ found: ProcessedFile[]; next: number | undefined }> {
  const found: ProcessedFile[] = []
  let before = of.start
  for (let looked = 0; looked < LOOKED_THROUGH_MAX; ) {
    const page = await ask({ kind: 'newest', ...(before === undefined ? {} : { before }) })
    for (const file of page.files) {
      if (file.settledAtMs < (of.fromMs ?? 0) - SLACK_MS) return { found, next: undefined }
      if (!of.isWanted(file)) continue
      found.push(file)
      if (found.length === of.limit) return { found, next: file.number }
    }
    if (page.next === undefined) return { found, next: undefined }
    looked += page.files.length
    before = page.next
  }
  return { found, next: before }
}

/** The number of the first record after a day, so that what is newer need not be looked through. */
async function startOf(ask: Ask, untilMs: number | undefined): Promise<number | undefined> {
  if (untilMs === undefined) return undefined
  const [newest] = (await ask({ kind: 'newest' })).files
  if (newest === undefined || newest.settledAtMs < untilMs + SLACK_MS) return undefined
  let [low, high] = [0, newest.number]
  while (low + 1 < high) {
    const middle = Math.floor((low + high) / 2)
    const [file] = (await ask({ kind: 'after', number: middle })).files
    if (file === undefined || file.settledAtMs >= untilMs + SLACK_MS) high = middle
    else low = middle
  }
  return high + 1
}
