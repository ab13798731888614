import { accessSync, constants } from 'node:fs'
import { makeDirectories } from '../shared/durable.ts'
import { systemReason } from '../shared/errors.ts'
import type { StatePaths } from '../shared/paths.ts'
import { renameTrouble } from '../shared/renames-between.ts'

/**
 * Why no file can be made and brought to the inbox now; undefined if it can. Somebody may remove the
 * two directories (they are made again), deny them to us, or mount something on them while we run:
 * that is waited for.
 */
export async function directoriesTrouble(
  paths: Pick<StatePaths, 'generatorTmp' | 'inbox'>,
): Promise<string | undefined> {
  const { generatorTmp, inbox } = paths
  try {
    await makeDirectories(generatorTmp, inbox)
    for (const path of [generatorTmp, inbox]) accessSync(path, constants.W_OK | constants.X_OK)
    const trouble = renameTrouble(generatorTmp, inbox)
    return trouble && `${generatorTmp} and ${inbox} ${trouble}`
  } catch (error) {
    return systemReason(error)
  }
}
