import { opendir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { withLedgerRows } from '../../parser/ledger/index.ts'
import { hasCode, systemReason } from '../../shared/errors.ts'
import { readManifest } from '../../shared/manifest.ts'
import { formatCount, formatCountOf } from '../../shared/numbers.ts'
import { MANIFEST_SUFFIX, type StatePaths } from '../../shared/paths.ts'
import { quotedName } from '../../shared/printable.ts'
import type { ContentAnswer, ContentMatch, Sighted } from '../../shared/protocol.ts'
import {
  command,
  FILE_SHAPE,
  fields,
  fileJson,
  flag,
  one,
  oneOf,
  text,
} from '../command-table/index.ts'
import { askForContents } from '../mariadb/index.ts'
import { hashFile } from '../publishing/index.ts'
import {
  cannot,
  EXIT,
  environment,
  print,
  timeText,
  undecided,
  usage,
  withAnswers,
} from '../terminal/index.ts'

const STATES = [
  'counted',
  'being-counted',
  'waiting',
  'held',
  'refused',
  'never-seen',
  'ledger-lacks-it',
] as const
type State = (typeof STATES)[number]

export const check = command({
  name: 'check',
  summary: 'tell whether a content is counted in the totals',
  about: `Tells whether this content is counted in the totals, when, and as what. An existing path is a file
and is hashed; anything else must be at least 8 hex digits of a SHA-256. MariaDB's ledger decides;
while it cannot be asked, what the journal knows to be counted is told, and nothing is denied.`,
  words: {
    ...{ kind: 'file', value: 'FILE|SHA256|PREFIX', min: 1, max: 1 },
    missing: 'a file, a SHA-256 or the beginning of one',
  },
  options: {},
  exits: {
    0: 'counted',
    1: 'not counted (never seen, waiting, held, or quarantined)',
    2: 'the prefix fits several contents',
    3: 'it cannot be known now',
  },
  examples: [
    { line: 'countersink check usage.txt', what: 'whether this file is in the totals' },
    {
      line: 'countersink check 5891b5b522d5df08',
      what: 'the same, of a hash from "countersink hashes"',
    },
  ],
  answer: one(
    fields(
      {
        sha256: text('of the content; the beginning that was given, where nothing is known of it'),
        ...{ counted: flag('as the exit status'), state: oneOf(...STATES) },
      },
      { file: { ...FILE_SHAPE, description: 'what was done with it last' } },
    ),
  ),
  async run({ values, positionals, answer }) {
    const { paths } = environment(values.dir)
    const prefix = await prefixOf(positionals[0]!)
    const { matches, ledgerSilentBecause } = await withAnswers(paths, async (ask, from) => {
      const answer = await ask({ kind: 'content', prefix })
      return from === 'parser' ? answer : withLedger(paths, prefix, answer)
    }).catch(error => countedAtLeast(paths, prefix, error))
    const [match, another] = matches
    if (another !== undefined) {
      throw usage(`${prefix} is the beginning of several: ${match?.sha256}, ${another.sha256}, …`)
    }
    const inInbox = match?.applied === undefined && (await standsInInbox(paths.inbox, prefix))
    const state = stateOf(match, inInbox)
    const isCounted = state === 'counted'
    const sha256 = match?.sha256 ?? prefix
    const said = verdict(state, match)
    if (!isCounted && ledgerSilentBecause !== undefined) {
      throw undecided(`whether ${sha256} is counted`, said, ledgerSilentBecause)
    }
    const file = match?.applied ?? match?.last
    if (values.json) {
      await answer({
        ...{ sha256, counted: isCounted, state },
        ...(file === undefined ? {} : { file: fileJson(file) }),
      })
    } else await print(`${sha256}  ${said}\n`)
    return isCounted ? EXIT.ok : EXIT.no
  },
})

async function withLedger(
  paths: StatePaths,
  prefix: string,
  answer: ContentAnswer,
): Promise<ContentAnswer> {
  const asked = await askForContents(paths, prefix)
  return 'rows' in asked
    ? withLedgerRows(answer, asked.rows)
    : { ...answer, ledgerSilentBecause: asked.silentBecause }
}

/** While the parser keeps the journal and does not answer, MariaDB can still say yes. */
async function countedAtLeast(
  paths: StatePaths,
  prefix: string,
  error: unknown,
): Promise<ContentAnswer> {
  if (!hasCode(error, 'JOURNAL_IN_USE')) throw error
  const answer = await withLedger(paths, prefix, { matches: [] })
  if (answer.matches.some(match => match.ledger === 'applied')) return answer
  throw error
}

async function prefixOf(argument: string): Promise<string> {
  const stats = await stat(argument).catch(error => {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ENAMETOOLONG')) return undefined
    throw error
  })
  if (stats?.isFile()) {
    try {
      return await hashFile(argument)
    } catch (error) {
      throw cannot(
        `${argument} cannot be read by this user (uid ${process.geteuid?.()}): ${systemReason(error)}`,
      )
    }
  }
  if (stats !== undefined) throw usage(`${argument} is not a regular file`)
  if (!/^[0-9a-fA-F]{8,64}$/.test(argument)) {
    throw usage(
      `${JSON.stringify(argument)} is neither an existing file nor 8 to 64 hex digits of a SHA-256`,
    )
  }
  return argument.toLowerCase()
}

function stateOf(match: ContentMatch | undefined, inInbox: boolean): State {
  if (match?.applied !== undefined) return match.ledger === 'absent' ? 'ledger-lacks-it' : 'counted'
  if (match?.ledger === 'applying') return 'being-counted'
  if (match?.ledger === 'held') return 'held'
  const isRecorded = match?.ledger === 'staging' || match?.ledger === 'staged'
  if (match?.waiting || isRecorded || inInbox) return 'waiting'
  return (match?.last ?? match?.sighted) === undefined ? 'never-seen' : 'refused'
}

function verdict(state: State, match: ContentMatch | undefined): string {
  const file = match?.applied ?? match?.last
  const at = file === undefined ? '' : `${timeText(file.settledAtMs)} UTC`
  const name = file === undefined ? '' : quotedName(file.name)
  switch (state) {
    case 'counted':
      return `counted ${at} as ${name}: ${formatCountOf(file!.lines, 'line')}, amount ${formatCount(BigInt(file!.amount))}`
    case 'ledger-lacks-it':
      return `not counted: the journal has it as ${name}, ${at}, but MariaDB's ledger does not: it is an older or another database`
    case 'being-counted':
      return 'not counted yet: its batch has begun'
    case 'waiting':
      return 'not counted yet: it waits'
    case 'held':
      return `not counted yet: held since ${at} as ${name}: ${file?.reason ?? ''}`
    case 'refused':
      return file === undefined
        ? sightedText(match!.sighted!)
        : `not counted: ${file.outcome} ${at} as ${name}: ${file.reason ?? ''}`
    case 'never-seen':
      return 'not counted: never seen'
  }
}

function sightedText({ outcome, atMs, name, reason }: Sighted): string {
  return `not counted: ${outcome} ${timeText(atMs)} UTC as ${quotedName(name)}: ${reason}`
}

/** Whether an unclaimed file's manifest names this content (the parser may be down). */
async function standsInInbox(inbox: string, prefix: string): Promise<boolean> {
  try {
    for await (const { name } of await opendir(inbox)) {
      if (!name.endsWith(MANIFEST_SUFFIX)) continue
      const manifest = await readManifest(join(inbox, name)).catch(error => {
        if (hasCode(error, 'MANIFEST_INVALID')) return undefined
        throw error
      })
      if (manifest?.sha256.startsWith(prefix)) return true
    }
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
  }
  return false
}
