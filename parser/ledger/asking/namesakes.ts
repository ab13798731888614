import { givenName, PUBLISHED_SUFFIX_BYTES } from '../../../shared/paths.ts'
import type { Session } from '../connection.ts'
import type { FileState } from '../file-states.ts'
import { type LedgerNames, listed } from '../schema/tables.ts'
import { escaped } from './like.ts'

/** A file that was counted, or is to be. */
export interface Named {
  readonly name: string
  readonly sha256: Uint8Array
  /** Others may have brought this name in by another way, which puts a hash behind it. */
  readonly byHand: boolean
}

/**
 * Which of these names were counted with other contents too: how many contents each has in all. By
 * content they are different files, and all of them are counted; but the same day's file, sent again
 * with more lines, looks like this, and then its first lines are in the totals twice.
 */
export async function namesakesOf(
  session: Session,
  names: LedgerNames,
  files: readonly Named[],
): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>()
  for await (const { stem, contents } of contentsOfNames(session, names, files, ['applied'])) {
    found.set(stem, (found.get(stem) ?? 0) + contents)
  }
  for (const [name, count] of found) if (count < 2) found.delete(name)
  return found
}

/**
 * Of these files those whose name another content has that is in the totals, or will be, or may be: of each,
 * by its hash in hex, one such content. What was taken back is none.
 */
export async function otherContentsOf(
  session: Session,
  names: LedgerNames,
  files: readonly Named[],
): Promise<ReadonlyMap<string, Buffer>> {
  const byStem = new Map<string, Buffer[]>()
  for await (const { stem, ends } of contentsOfNames(session, names, files, MAY_COUNT)) {
    // Two differ from each other, so one of them from any content.
    byStem.set(stem, [...(byStem.get(stem) ?? []), ...ends].slice(-NAMED_MAX))
  }
  const found = new Map<string, Buffer>()
  for (const { name, sha256 } of files) {
    const own = Buffer.from(sha256)
    const hash = own.toString('hex')
    const other = byStem.get(givenName(name, hash))?.find(one => !one.equals(own))
    if (other !== undefined) found.set(hash, other)
  }
  return found
}

/** A name as it stands in rows, without what `publish` puts behind it. */
interface ContentsOfName {
  readonly stem: string
  readonly contents: number
  /** The first and the last of them, by hash. */
  readonly ends: readonly [Buffer, Buffer]
}

async function* contentsOfNames(
  session: Session,
  names: LedgerNames,
  files: readonly Named[],
  states: readonly FileState[],
): AsyncGenerator<ContentsOfName> {
  const namesPerQuery = Math.min(NAMES_PER_QUERY_MAX, session.rowsPerStatement(NAME_BYTES_MAX))
  const whole = new Set<string>()
  for (let i = 0; i < files.length; i += namesPerQuery) {
    const given = new Set<string>()
    const plain: string[] = []
    const likes: string[] = []
    for (const { name, sha256, byHand } of files.slice(i, i + namesPerQuery)) {
      const stem = givenName(name, Buffer.from(sha256).toString('hex'))
      if (whole.has(stem)) continue
      given.add(stem)
      plain.push(stem)
      if (byHand || stem !== name)
        likes.push(`${escaped(stem)}-${'_'.repeat(PUBLISHED_SUFFIX_BYTES - 1)}`)
    }
    if (given.size === 0) continue
    for (const stem of given) whole.add(stem)
    const like = likes.map(() => ' OR name LIKE ?').join('')
    // The hash tells whether the end of a name is one.
    const rows = await session.query<{
      name: string
      first: Buffer
      last: Buffer
      contents: bigint
    }>(
      `SELECT name, MIN(sha256) AS first, MAX(sha256) AS last, COUNT(*) AS contents FROM ${names.file}
        WHERE sign = 1 AND state IN (${listed(states)}) AND (name IN (${plain.map(() => '?').join(', ')})${like})
        GROUP BY name`,
      [...plain, ...likes],
    )
    for (const { name, first, last, contents } of rows) {
      const stem = givenName(name, first.toString('hex'))
      if (given.has(stem)) yield { stem, contents: Number(contents), ends: [first, last] }
    }
  }
}

const MAY_COUNT = ['staging', 'staged', 'held', 'applying', 'applied'] as const
/** Of a name: enough to find one that is another. */
const NAMED_MAX = 4
const NAMES_PER_QUERY_MAX = 100
/** Twice, as itself and as a pattern; bytes may double when they are escaped. */
const NAME_BYTES_MAX = 1_000
