import { givenName, PUBLISHED_SUFFIX_BYTES } from '../../../shared/paths.ts'
import type { Session } from '../connection.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { escaped } from './like.ts'

/** A file that was just counted. */
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
  const namesPerQuery = Math.min(NAMES_PER_QUERY_MAX, session.rowsPerStatement(NAME_BYTES_MAX))
  for (let i = 0; i < files.length; i += namesPerQuery) {
    const given = new Set<string>()
    const plain: string[] = []
    const likes: string[] = []
    for (const { name, sha256, byHand } of files.slice(i, i + namesPerQuery)) {
      const stem = givenName(name, Buffer.from(sha256).toString('hex'))
      given.add(stem)
      plain.push(stem)
      if (byHand || stem !== name)
        likes.push(`${escaped(stem)}-${'_'.repeat(PUBLISHED_SUFFIX_BYTES - 1)}`)
    }
    const like = likes.map(() => ' OR name LIKE ?').join('')
    // The hash tells whether the end of a name is one.
    const rows = await session.query<{ name: string; sha256: Buffer; contents: bigint }>(
      `SELECT name, MIN(sha256) AS sha256, COUNT(*) AS contents FROM ${names.file}
        WHERE state = 'applied' AND sign = 1 AND (name IN (${plain.map(() => '?').join(', ')})${like})
        GROUP BY name`,
      [...plain, ...likes],
    )
    for (const row of rows) {
      const stem = givenName(row.name, row.sha256.toString('hex'))
      if (given.has(stem)) found.set(stem, (found.get(stem) ?? 0) + Number(row.contents))
    }
  }
  for (const [name, count] of found) if (count < 2) found.delete(name)
  return found
}

const NAMES_PER_QUERY_MAX = 100
/** Twice, as itself and as a pattern; bytes may double when they are escaped. */
const NAME_BYTES_MAX = 1_000
