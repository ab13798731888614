import { existsSync } from 'node:fs'
import { loadInstance } from '../../parser/instance.ts'
import { parseU64 } from '../../shared/numbers.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { quotedName } from '../../shared/printable.ts'
import type { TrailAnswer, TrailQuestion } from '../../shared/protocol.ts'
import {
  consumerJson,
  EXPLAIN_ANSWER,
  inboxJson,
  namesakesJson,
  ownPlaces,
  severalJson,
  trailJson,
} from '../answers/index.ts'
import { whatBecameOf, withConsumer } from '../asking/index.ts'
import { command } from '../command-table/index.ts'
import type { InInbox } from '../publishing/index.ts'
import {
  consumerTable,
  filesOfAnswer,
  namesakeLines,
  type Period,
  severalLines,
  tellConsumer,
  trailLines,
} from '../reports/index.ts'
import { EXIT, environment, print, sayAside, timeOf, timeText, usage } from '../terminal/index.ts'

export const explain = command({
  name: 'explain',
  summary: 'tell what became of a file, or why a total is what it is',
  about: `Of a file: when it was published, announced, claimed, read, recorded, counted and settled, and why it
was not. An existing path is a file and is hashed; else it is at least 8 hex digits of a SHA-256, or a
name that was published, whose files are listed if they are several. Of a file whose content was never
seen it tells what came under its name.

With --consumer: what stood in this consumer's total at first contact, then each file that has moved it,
oldest first, with the total after it, up to today's.`,
  words: { kind: 'file', value: 'FILE|NAME|SHA256|PREFIX', min: 0, max: 1 },
  options: {
    consumer: {
      kind: 'text',
      value: 'ID',
      help: "instead of a file: explain this consumer's total",
    },
    since: {
      ...{ kind: 'text', value: 'T', onlyWith: 'consumer' },
      help: 'show its postings from then on one by one, those before together; T is UTC: 2026-01-31, 2026-01-31T23:59:59',
    },
    until: {
      ...{ kind: 'text', value: 'T', onlyWith: 'consumer' },
      help: 'show those before then one by one, those from then on together',
    },
  },
  exits: {
    0: 'explained; of a consumer: it adds up',
    1: 'nothing is known of it, or the total is not what the files have made',
    2: 'the prefix fits several contents, which are listed; or there is no such file',
    3: 'it cannot be known now',
  },
  examples: [
    {
      line: 'countersink explain usage.txt',
      what: 'what became of this file, or of one of this name',
    },
    {
      line: 'countersink explain --consumer 4711 --since 2026-01-01',
      what: 'why this total is what it is, file by file',
    },
  ],
  answer: EXPLAIN_ANSWER,
  async run({ values, positionals, answer }) {
    const [subject] = positionals
    if ((subject === undefined) === (values.consumer === undefined)) {
      throw usage('name either a file or, with --consumer, a consumer')
    }
    if (subject === '') throw usage('a file, a name or a SHA-256 must be given, got ""')
    const period = {
      sinceMs: timeOf('since', values.since) ?? Number.NEGATIVE_INFINITY,
      untilMs: timeOf('until', values.until) ?? Number.POSITIVE_INFINITY,
    }
    if (period.sinceMs >= period.untilMs) throw usage('--since must be before --until')
    const say = values.json ? answer : undefined
    if (values.consumer === undefined) {
      return explainFile(environment(values.dir).paths, subject!, say)
    }
    const id = consumerId(values.consumer)
    return explainConsumer(environment(values.dir).paths, id, period, say)
  },
})

/** Prints a line of JSON; undefined: it is told to a person. */
type Say = ((fields: object) => Promise<void>) | undefined

async function explainFile(paths: StatePaths, subject: string, say: Say): Promise<number> {
  const found = await whatBecameOf(paths, subject)
  if (found.kind === 'told') return tell(paths, found.question, found.answer, say)
  if (found.kind === 'inbox') return tellOfInbox(found.there, say)
  const { what, file } = found
  if (file === undefined) await (say?.({ kind: 'unknown', asked: subject }) ?? print(`${what}\n`))
  else await tellOfNamesakes(what, file, say)
  return EXIT.no
}

/** Of a file whose content was never seen: what came under its name before. */
async function tellOfNamesakes(
  what: string,
  { name, sha256, named }: { name: string; sha256: string; named: TrailAnswer },
  say: Say,
): Promise<void> {
  const files = filesOfAnswer(named)
  const hasMore = named.hasMore === true
  if (say === undefined) await print(`${[what, ...namesakeLines(files, hasMore)].join('\n')}\n`)
  else await say({ kind: 'unknown', asked: sha256, ...namesakesJson(name, files, hasMore) })
}

async function tell(
  paths: StatePaths,
  question: TrailQuestion,
  { trail, several = [], hasMore, ledgerSilentBecause }: TrailAnswer,
  say: Say,
): Promise<number> {
  if (ledgerSilentBecause !== undefined) {
    sayAside(`MariaDB cannot be asked: ${ledgerSilentBecause}`)
  }
  const isSilent = ledgerSilentBecause !== undefined
  const status = trail === undefined && question.prefix !== undefined ? EXIT.usage : EXIT.ok
  if (say !== undefined) {
    await say(
      trail === undefined
        ? severalJson(several, hasMore === true)
        : trailJson(trail, isSilent, await ownPlaces(trail, paths)),
    )
    return status
  }
  if (trail !== undefined) {
    const parser = await ownParser(paths.instance)
    const lines = trailLines(trail, isSilent, { parser, ...(await ownPlaces(trail, paths)) })
    await print(`${lines.join('\n')}\n`)
    return status
  }
  const more = hasMore ? ' There are more, which are older.' : ''
  const which = question.prefix === undefined ? 'have this name' : 'begin so'
  await print(
    `${severalLines(several).join('\n')}\nSeveral ${which}.${more} "countersink explain CONTENT" explains one.\n`,
  )
  return status
}

async function tellOfInbox(there: InInbox, say: Say): Promise<number> {
  const publishedAtMs = there.manifest?.publishedAtMs
  const since = publishedAtMs === undefined ? '' : ` since ${timeText(publishedAtMs)} UTC`
  await (say?.(inboxJson(there)) ??
    print(
      `${quotedName(there.name)}\n  not counted yet: it stands in the inbox${since}; "countersink status" shows what it waits for\n`,
    ))
  return EXIT.ok
}

/** In hex; undefined: there is none yet, and none is made for a question. */
async function ownParser(path: string): Promise<string | undefined> {
  return existsSync(path) ? (await loadInstance(path)).toString('hex') : undefined
}

async function explainConsumer(
  paths: StatePaths,
  id: bigint,
  period: Period,
  say: Say,
): Promise<number> {
  return withConsumer(paths, id, async account => {
    const lines =
      say === undefined ? consumerTable(account.total, period) : consumerJson(id, period, say)
    const { difference, postings, total } = await tellConsumer(account, period, lines)
    if (difference === undefined) return EXIT.cannot
    const isUnknown = postings === 0 && total === undefined
    return difference === 0n && !isUnknown ? EXIT.ok : EXIT.no
  })
}

function consumerId(text: string): bigint {
  const id = parseU64(text)
  if (id !== undefined) return id
  throw usage(
    `--consumer must be a whole number from 0 to 18446744073709551615, got ${JSON.stringify(text)}`,
  )
}
