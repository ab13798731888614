import { join } from 'node:path'
import { archiveDirectories, archivedName } from '../../shared/archive.ts'
import { statsIfLookedAt } from '../../shared/looks.ts'
import { publishedName, type StatePaths, settledName, workName } from '../../shared/paths.ts'
import type { ContentState, ContentTrail, Outcome } from '../../shared/protocol.ts'
import { fileOfTrail } from './trail-verdict.ts'

/**
 * Where the file that a trail is about stands now, of those that this state directory has taken;
 * undefined: not where it was put, or another parser has it.
 */
export async function placeOf(trail: ContentTrail, paths: StatePaths): Promise<string | undefined> {
  const { ledger } = trail
  const { settled, queued, sighting } = fileOfTrail(trail)
  if (queued !== undefined && settled === undefined) {
    return firstThere([join(paths.work, workName(queued.sequence, queued.name))])
  }
  const { archive, archiveDisposable, duplicate, quarantine, reverted, held } = paths
  const state = ledger?.state
  const outcome = isPlace(state) ? state : (settled ?? sighting)?.outcome
  if (outcome === 'applied') {
    return (await archivedPlace(trail, archive)) ?? archivedPlace(trail, archiveDisposable)
  }
  const directory =
    { duplicate, reverted, held, quarantined: quarantine }[outcome as Aside] ?? quarantine
  return firstThere(namesBy(settledName, trail).map(name => join(directory, name)))
}

type Aside = Exclude<Outcome, 'applied'>

/** By the ledger alone. */
function isPlace(state: ContentState | undefined): state is 'applied' | 'reverted' | 'held' {
  return state === 'applied' || state === 'reverted' || state === 'held'
}

/** On whichever day, or where an earlier version has put it. */
async function archivedPlace(trail: ContentTrail, archive: string): Promise<string | undefined> {
  for await (const day of archiveDirectories(archive)) {
    const names = namesBy(day === '' ? settledName : archivedName, trail)
    const place = firstThere(names.map(name => join(archive, day, name)))
    if (place !== undefined) return place
  }
  return undefined
}

/** All that it may be called, by the names that it had in the inbox or was published by. */
function namesBy(nameIt: typeof settledName, trail: ContentTrail): string[] {
  const { sha256, ledger } = trail
  if (sha256 === undefined) return []
  const { name, settled, sighting } = fileOfTrail(trail)
  const called = [settled?.name, ledger?.name, sighting?.name, name, publishedName(name, sha256)]
  const sequences = [undefined, ledger?.workSequence, sighting?.workSequence]
  const names = new Set<string>()
  for (const one of called) {
    if (one === undefined) continue
    for (const sequence of sequences) {
      const own = sequence === undefined ? undefined : Number(sequence)
      names.add(nameIt(one, Buffer.from(sha256, 'hex'), own))
    }
  }
  return [...names]
}

function firstThere(paths: readonly string[]): string | undefined {
  return paths.find(path => statsIfLookedAt(path) !== undefined)
}
