/**
 * Where files of the ledger are now, as far as they are here: in work/ under the sequence that the ledger knows,
 * there under another (adopted anew, or dropped into the inbox once more), or in the archive, on whichever day.
 */

import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { archiveDirectories, archivedName } from '../../shared/archive.ts'
import { isThere, statsIfLookedAt } from '../../shared/looks.ts'
import { type StatePaths, settledName, workName } from '../../shared/paths.ts'
import type { Journal } from '../journal/index.ts'
import type { LedgerFile } from '../ledger/index.ts'

export interface LocatedFile {
  readonly row: LedgerFile
  readonly path: string
}

/** In the order of the rows, without those that are not here. Whether they are it is not looked at. */
export async function locateFiles(
  rows: readonly LedgerFile[],
  paths: StatePaths,
  journal: Journal,
): Promise<LocatedFile[]> {
  const queuedAs = await sequencesOf(rows, journal)
  const waiting = rows.map(row => inWork(row, queuedAs, paths, journal))
  const archived = await locateArchived(
    rows.filter((_, i) => waiting[i] === undefined),
    paths,
  )
  return rows.flatMap((row, i) => {
    const path = waiting[i] ?? archived.get(row)
    return path === undefined ? [] : [{ row, path }]
  })
}

function inWork(
  row: LedgerFile,
  queuedAs: ReadonlyMap<string, readonly number[]>,
  paths: StatePaths,
  journal: Journal,
): string | undefined {
  const own = Number(row.workSequence)
  for (const workSequence of [own, ...(queuedAs.get(row.sha256.toString('hex')) ?? [])]) {
    const name = journal.queued(workSequence)?.name ?? row.name
    const path = join(paths.work, workName(workSequence, name))
    if (isThere(path)) return path
  }
  return undefined
}

/**
 * Where those are that stand in the archive. One walk through the days for all of them: it cannot be known on
 * which a file was settled.
 */
export async function locateArchived(
  rows: readonly LedgerFile[],
  { archive, archiveDisposable }: StatePaths,
): Promise<ReadonlyMap<LedgerFile, string>> {
  const found = new Map<LedgerFile, string>()
  if (rows.length === 0) return found
  for (const root of [archive, archiveDisposable]) {
    for await (const day of archiveDirectories(root)) {
      const nameIt = day === '' ? settledName : archivedName
      for (const row of rows) {
        const { name, sha256, workSequence } = row
        const names = [nameIt(name, sha256, Number(workSequence)), nameIt(name, sha256)]
        const path = names.map(one => join(root, day, one)).find(one => statsIfLookedAt(one))
        if (path !== undefined && !found.has(row)) found.set(row, path)
      }
      await setImmediate()
    }
  }
  return found
}

/** Under which sequences these contents wait, as far as it is known: one walk for all of them. */
async function sequencesOf(
  rows: readonly LedgerFile[],
  journal: Journal,
): Promise<ReadonlyMap<string, number[]>> {
  const found = new Map(rows.map(row => [row.sha256.toString('hex'), [] as number[]]))
  for await (const slice of journal.queueInSlices()) {
    for (const { sequence, expected, digest } of slice) {
      const read = digest && Buffer.from(digest.sha256).toString('hex')
      for (const sha256 of new Set([expected?.sha256, read])) {
        if (sha256 !== undefined) found.get(sha256)?.push(sequence)
      }
    }
  }
  return found
}
