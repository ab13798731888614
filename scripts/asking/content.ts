/**
 * Whether a content is counted in the totals. MariaDB's ledger decides; while it cannot be asked, what the
 * journal knows to be counted is told, and nothing is denied.
 */

import { opendir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { withLedgerRows } from '../../parser/ledger/index.ts'
import { hasCode, systemReason } from '../../shared/errors.ts'
import { readManifest } from '../../shared/manifest.ts'
import { MANIFEST_SUFFIX, type StatePaths } from '../../shared/paths.ts'
import type { ContentAnswer, ContentMatch } from '../../shared/protocol.ts'
import { askForContents } from '../mariadb/index.ts'
import { hashFile } from '../publishing/index.ts'
import {
  type Asking,
  AT_TERMINAL,
  cannot,
  undecided,
  usage,
  withAnswers,
} from '../terminal/index.ts'
import { type ContentState, contentVerdict } from './content-verdict.ts'

/** What is known of a content. */
export interface ContentFound {
  /** Or as much as was given of it. */
  readonly sha256: string
  readonly state: ContentState
  readonly match: ContentMatch | undefined
}

/**
 * @param subject a file that stands there, or at least 8 hex digits of a SHA-256.
 * @throws CountersinkError USAGE when it is neither, or fits several contents; DATABASE_UNAVAILABLE when the
 *   journal does not know it to be counted, and MariaDB cannot be asked; STOPPED, JOURNAL_IN_USE
 */
export async function findContent(
  paths: StatePaths,
  subject: string,
  asking: Asking = AT_TERMINAL,
): Promise<ContentFound> {
  const prefix = await prefixOf(subject)
  const { matches, ledgerSilentBecause } = await withAnswers(
    paths,
    async (ask, from) => {
      const answer = await ask({ kind: 'content', prefix })
      return from === 'parser' ? answer : withLedger(paths, prefix, answer, asking)
    },
    undefined,
    asking,
  ).catch(error => countedAtLeast(paths, prefix, error, asking))
  const [match, another] = matches
  if (another !== undefined) {
    throw usage(`${prefix} is the beginning of several: ${match?.sha256}, ${another.sha256}, …`)
  }
  const inInbox = match?.applied === undefined && (await standsInInbox(paths.inbox, prefix))
  const state = stateOf(match, inInbox)
  const sha256 = match?.sha256 ?? prefix
  if (state !== 'counted' && ledgerSilentBecause !== undefined) {
    const byJournal = contentVerdict(state, match)
    throw undecided(`whether ${sha256} is counted`, byJournal, ledgerSilentBecause)
  }
  return { sha256, state, match }
}

async function withLedger(
  paths: StatePaths,
  prefix: string,
  answer: ContentAnswer,
  asking: Asking,
): Promise<ContentAnswer> {
  const asked = await askForContents(paths, prefix, asking)
  return 'rows' in asked
    ? withLedgerRows(answer, asked.rows)
    : { ...answer, ledgerSilentBecause: asked.silentBecause }
}

/** While the parser keeps the journal and does not answer, MariaDB can still say yes. */
async function countedAtLeast(
  paths: StatePaths,
  prefix: string,
  error: unknown,
  asking: Asking,
): Promise<ContentAnswer> {
  if (!hasCode(error, 'JOURNAL_IN_USE')) throw error
  const answer = await withLedger(paths, prefix, { matches: [] }, asking)
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

function stateOf(match: ContentMatch | undefined, inInbox: boolean): ContentState {
  if (match?.applied !== undefined) return match.ledger === 'absent' ? 'ledger-lacks-it' : 'counted'
  if (match?.ledger === 'applying') return 'being-counted'
  if (match?.ledger === 'held') return 'held'
  const isRecorded = ['staging', 'staged', 'held'].includes(match?.ledger ?? '')
  if (match?.waiting || isRecorded || inInbox) return 'waiting'
  const last = match?.last ?? match?.sighted
  if (last === undefined) return 'never-seen'
  const isTakenBack = match?.ledger === 'reverted' || last.outcome === 'reverted'
  return isTakenBack ? 'reverted' : 'refused'
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
