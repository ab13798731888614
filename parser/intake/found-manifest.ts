import { hasCode, ioFailed, toError } from '../../shared/errors.ts'
import { statsOf } from '../../shared/looks.ts'
import { type Manifest, readManifest } from '../../shared/manifest.ts'
import { MANIFEST_SUFFIX } from '../../shared/paths.ts'
import { move } from '../moves.ts'

/** A manifest as it was found: good, bad, or none. */
export type FoundManifest = { manifest?: Manifest; problem?: string }

export async function readFoundManifest(path: string): Promise<FoundManifest> {
  try {
    const manifest = await readManifest(path)
    return manifest === undefined ? {} : { manifest }
  } catch (error) {
    if (!hasCode(error, 'MANIFEST_INVALID')) throw ioFailed(`reading ${path}`, error)
    return { problem: toError(error).message }
  }
}

/**
 * A manifest that came to the inbox when its data was on the way to work/ already follows it, if its
 * size fits and the inbox has no data of that name again.
 */
export async function fetchManifest(
  path: string,
  inInbox: string,
  sizeBytes: number,
): Promise<FoundManifest> {
  const inbox = `${inInbox}${MANIFEST_SUFFIX}`
  try {
    if (statsOf(inbox) === undefined || statsOf(inInbox) !== undefined) return {}
    const found = await readFoundManifest(inbox)
    if (found.manifest?.sizeBytes !== sizeBytes) return {}
    return move(inbox, `${path}${MANIFEST_SUFFIX}`) === undefined ? found : {}
  } catch (error) {
    // It stays in the inbox, where it is told of.
    if (hasCode(error, 'IO_FAILED')) return {}
    throw error
  }
}
