/**
 * Where files of the ledger are now, as far as they are here: in work/ under the sequence that the ledger knows,
 * there under another (adopted anew, or dropped into the inbox once more), or in the archive.
 */

import { join } from 'node:path'
import { isThere } from '../../shared/looks.ts'
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
  return rows.flatMap(row => locate(row, queuedAs, paths, journal) ?? [])
}

function locate(
  row: LedgerFile,
  queuedAs: ReadonlyMap<string, readonly number[]>,
  paths: StatePaths,
  journal: Journal,
): LocatedFile | undefined {
  const own = Number(row.workSequence)
  for (const workSequence of [own, ...(queuedAs.get(row.sha256.toString('hex')) ?? [])]) {
    const name = journal.queued(workSequence)?.name ?? row.name
    const path = join(paths.work, workName(workSequence, name))
    if (isThere(path)) return { row, path }
  }
  for (const name of [settledName(row.name, row.sha256, own), settledName(row.name, row.sha256)]) {
    for (const directory of [paths.archive, paths.archiveDisposable]) {
      const path = join(directory, name)
      if (isThere(path)) return { row, path }
    }
  }
  return undefined
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
