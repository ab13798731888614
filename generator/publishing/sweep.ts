import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isAlive } from '../../shared/lifecycle.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { ownerOfTmp } from './tmp-names.ts'

/**
 * Removes what dead generators and publishers left in the tmp directory; a living owner's files stay. Call
 * it when nothing is pending any more. Returns how many files are gone. A manifest in the inbox whose data
 * never came is the parser's to remove, which knows how long it has stood there.
 */
export async function sweepLeftovers({ generatorTmp }: StatePaths): Promise<number> {
  const doomed = (await readdir(generatorTmp)).filter(isOfDeadOwner)
  for (const entry of doomed) await rm(join(generatorTmp, entry), { force: true })
  return doomed.length
}

function isOfDeadOwner(entry: string): boolean {
  const owner = ownerOfTmp(entry)
  return owner !== undefined && !isAlive(owner)
}
