import { opendir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { withLedgerRows } from '../../parser/ledger/index.ts'
import { hasCode } from '../../shared/errors.ts'
import { readManifest } from '../../shared/manifest.ts'
import { formatCount } from '../../shared/numbers.ts'
import { MANIFEST_SUFFIX, type StatePaths } from '../../shared/paths.ts'
import { quotedName } from '../../shared/printable.ts'
import type { ContentAnswer, ContentMatch } from '../../shared/protocol.ts'
import { askForContents } from '../mariadb/index.ts'
import { hashFile } from '../publishing/index.ts'
import {
  type Command,
  cannot,
  DIR_HELP,
  EXIT,
  environment,
  parseOptions,
  print,
  timeText,
  usage,
  withAnswers,
} from '../terminal/index.ts'

export const check: Command = {
  name: 'check',
  summary: 'tell whether a content is counted in the totals',
  help: `
Usage: countersink check [--dir D] FILE|SHA256|PREFIX

Tells whether this content is counted in the totals, when, and as what. An existing path is a file
and is hashed; anything else must be at least 8 hex digits of a SHA-256. MariaDB's ledger decides;
while it cannot be asked, what the journal knows to be counted is told, and nothing is denied.

Exit status: 0 counted; 1 not counted (never seen, waiting, or quarantined); 2 the prefix fits
several contents; 3 it cannot be known now.

${DIR_HELP}
`,
  async run(args) {
    const { values, positionals } = parseOptions(
      args,
      {},
      { min: 1, max: 1, what: 'a file, a SHA-256 or the beginning of one' },
    )
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
    const isCounted = match?.applied !== undefined && match.ledger !== 'absent'
    if (!isCounted && ledgerSilentBecause !== undefined) {
      throw cannot(
        `${match?.sha256 ?? prefix} ${verdict(match, inInbox)} as far as the journal knows, and MariaDB cannot be asked: ${ledgerSilentBecause}`,
      )
    }
    await print(`${match?.sha256 ?? prefix}  ${verdict(match, inInbox)}\n`)
    return isCounted ? EXIT.ok : EXIT.no
  },
}

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
      throw cannot(`${argument} cannot be read: ${String(error)}`)
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

function verdict(match: ContentMatch | undefined, inInbox: boolean): string {
  if (match?.applied !== undefined) {
    const { name, settledAtMs, lines, amount } = match.applied
    if (match.ledger === 'absent') {
      return `not counted: the journal has it as ${quotedName(name)}, ${timeText(settledAtMs)} UTC, but MariaDB's ledger does not: it is an older or another database`
    }
    return `counted ${timeText(settledAtMs)} UTC as ${quotedName(name)}: ${formatCount(lines)} lines, amount ${formatCount(BigInt(amount))}`
  }
  if (match?.ledger === 'applying') return 'not counted yet: its batch has begun'
  if (match?.waiting || inInbox) return 'not counted yet: it waits'
  if (match?.last !== undefined) {
    const { outcome, settledAtMs, name, reason } = match.last
    return `not counted: ${outcome} ${timeText(settledAtMs)} UTC as ${quotedName(name)}: ${reason ?? ''}`
  }
  return 'not counted: never seen'
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
