import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode } from '../shared/errors.ts'
import { isAlive } from '../shared/lifecycle.ts'
import { MANIFEST_SUFFIX, type StatePaths } from '../shared/paths.ts'
import { ownerOfTmp, parseGeneratedName } from './names.ts'

/** A manifest of ours without data is somebody's crash between two renames once it is this old. */
const LONELY_MANIFEST_AGE_MS = 24 * 3_600_000
/** What a crash within `replaceFile` leaves beside the state. */
const STATE_LEFTOVER = /^\.[0-9a-f]{12}\.tmp$/

/**
 * Removes what dead generators left: their tmp files (a living owner's stay), halves of state files,
 * and manifests of ours in the inbox whose data never came. Call it when nothing is pending any
 * more. Returns how many files are gone.
 */
export async function sweepLeftovers(paths: StatePaths, nowMs: number): Promise<number> {
  const doomed = [
    ...(await readdir(paths.generatorTmp))
      .filter(isOfDeadOwner)
      .map(entry => join(paths.generatorTmp, entry)),
    ...(await readdir(paths.generator))
      .filter(entry => STATE_LEFTOVER.test(entry))
      .map(entry => join(paths.generator, entry)),
    ...(await lonelyManifests(paths.inbox, nowMs)),
  ]
  for (const path of doomed) await rm(path, { force: true })
  return doomed.length
}

function isOfDeadOwner(entry: string): boolean {
  const owner = ownerOfTmp(entry)
  return owner !== undefined && !isAlive(owner)
}

async function lonelyManifests(inbox: string, nowMs: number): Promise<string[]> {
  const entries = new Set(await readdir(inbox))
  const lonely: string[] = []
  for (const entry of entries) {
    if (!entry.endsWith(MANIFEST_SUFFIX)) continue
    const name = entry.slice(0, -MANIFEST_SUFFIX.length)
    if (parseGeneratedName(name) === undefined || entries.has(name)) continue
    const path = join(inbox, entry)
    const changedAtMs = await changeTime(path)
    if (changedAtMs !== undefined && nowMs - changedAtMs > LONELY_MANIFEST_AGE_MS) lonely.push(path)
  }
  return lonely
}

/** undefined: gone in the meantime, claimed with its data. */
async function changeTime(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}
