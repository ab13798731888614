import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isAlive } from '../../shared/lifecycle.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { ownerOfTmp } from './tmp-names.ts'

/** What a crash within `replaceFile` leaves beside the state. */
const STATE_LEFTOVER = /^\.[0-9a-f]{12}\.tmp$/

/**
 * Removes what dead generators left: their tmp files (a living owner's stay) and halves of state
 * files. Call it when nothing is pending any more. Returns how many files are gone. A manifest in the
 * inbox whose data never came is the parser's to remove, which knows how long it has stood there.
 */
export async function sweepLeftovers(paths: StatePaths): Promise<number> {
  const doomed = [
    ...(await readdir(paths.generatorTmp))
      .filter(isOfDeadOwner)
      .map(entry => join(paths.generatorTmp, entry)),
    ...(await readdir(paths.generator))
      .filter(entry => STATE_LEFTOVER.test(entry))
      .map(entry => join(paths.generator, entry)),
  ]
  for (const path of doomed) await rm(path, { force: true })
  return doomed.length
}

function isOfDeadOwner(entry: string): boolean {
  const owner = ownerOfTmp(entry)
  return owner !== undefined && !isAlive(owner)
}
