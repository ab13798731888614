import { join } from 'node:path'
import { statsIfLookedAt } from '../../shared/looks.ts'
import { type StatePaths, settledName, workName } from '../../shared/paths.ts'
import type { ContentTrail } from '../../shared/protocol.ts'
import { fileOfTrail } from './trail-verdict.ts'

/**
 * Where the file that a trail is about stands now, of those that this state directory has taken;
 * undefined: not where it was put, or another parser has it.
 */
export function placeOf(trail: ContentTrail, paths: StatePaths): string | undefined {
  const { sha256, ledger } = trail
  const { name, settled, queued, sighting } = fileOfTrail(trail)
  if (queued !== undefined && settled === undefined) {
    return ifThere(join(paths.work, workName(queued.sequence, queued.name)))
  }
  if (sha256 === undefined) return undefined
  const hash = Buffer.from(sha256, 'hex')
  const names = [settledName(name, hash)]
  if (ledger !== undefined) names.push(settledName(name, hash, Number(ledger.workSequence)))
  const { archive, archiveDisposable, duplicate, quarantine, reverted } = paths
  const state = ledger?.state
  const outcome =
    state === 'applied' || state === 'reverted' ? state : (settled ?? sighting)?.outcome
  const directories =
    outcome === 'applied'
      ? [archive, archiveDisposable]
      : [outcome === 'duplicate' ? duplicate : outcome === 'reverted' ? reverted : quarantine]
  for (const directory of directories) {
    for (const one of names) {
      const path = ifThere(join(directory, one))
      if (path !== undefined) return path
    }
  }
  return undefined
}

function ifThere(path: string): string | undefined {
  return statsIfLookedAt(path) === undefined ? undefined : path
}
