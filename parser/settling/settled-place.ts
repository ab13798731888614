import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { archiveDay, archivedName } from '../../shared/archive.ts'
import { CountersinkError } from '../../shared/errors.ts'
import { isOneInode, statsIfLookedAt } from '../../shared/looks.ts'
import { type StatePaths, settledName, sidecarPath } from '../../shared/paths.ts'
import { hasHash, type QueueEntry } from '../facts.ts'

/** Where a settled file goes. */
export interface SettledPlace {
  readonly directory: string
  /** The own directory that it is, or is below. */
  readonly root: string
  /** In the order in which they are tried; the last is nobody else's for ever. */
  readonly names: readonly [string, string]
}

/**
 * A counted file goes to the directory of the day on which it was settled: that it is the same day when it
 * is moved again after a crash, the journal sees to. The others go where they are looked for by their names.
 * A file that was never read to its end has no hash to be named by, but its own sequence.
 *
 * @throws CountersinkError JOURNAL_UNREADABLE when it has no outcome.
 */
export function settledPlace(entry: QueueEntry, paths: StatePaths): SettledPlace {
  const { name, digest, outcome, disposable, sequence, settledAtMs } = entry
  if (digest === undefined || outcome === undefined) {
    throw new CountersinkError(
      'JOURNAL_UNREADABLE',
      `the entry of ${name} is settling without an outcome`,
    )
  }
  const { archive, archiveDisposable, duplicate, quarantine, reverted, held } = paths
  const applied = disposable ? archiveDisposable : archive
  const root = { applied, duplicate, quarantined: quarantine, reverted, held }[outcome]
  if (!hasHash(digest)) {
    const unread = `${name}.unread.${sequence}`
    return { root, directory: root, names: [unread, unread] }
  }
  const isOfADay = outcome === 'applied' && settledAtMs !== undefined
  const nameIt = isOfADay ? archivedName : settledName
  return {
    root,
    directory: isOfADay ? join(root, archiveDay(settledAtMs)) : root,
    names: [nameIt(name, digest.sha256), nameIt(name, digest.sha256, sequence)],
  }
}

/**
 * The name for a file that is to be quarantined or held, and for its sidecar, which is written before. The
 * answer stays the same when it is asked again, also after a crash.
 */
export function nameBesideSidecar(
  { directory, names: [usual, own] }: SettledPlace,
  { sequence }: QueueEntry,
  workPath: string,
): string {
  const there = statsIfLookedAt(join(directory, usual))
  const here = statsIfLookedAt(workPath)
  const isFree = there === undefined || (here !== undefined && isOneInode(there, here))
  const writer = sequenceIn(sidecarPath(directory, usual))
  return writer === sequence || (isFree && writer === 'none') ? usual : own
}

/** Whose sidecar stands there. */
function sequenceIn(path: string): number | 'none' | 'unknown' {
  if (statsIfLookedAt(path) === undefined) return 'none'
  try {
    const { workSequence } = JSON.parse(readFileSync(path, 'utf8'))
    return typeof workSequence === 'number' ? workSequence : 'unknown'
  } catch {
    // Nobody has to be able to read it: it is not ours then.
    return 'unknown'
  }
}
