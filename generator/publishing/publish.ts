import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crashPoint } from '../../shared/crash-points.ts'
import { syncDirectories, writeSynced } from '../../shared/durable.ts'
import { ioFailed } from '../../shared/errors.ts'
import type { ProcessIdentity } from '../../shared/lifecycle.ts'
import {
  formatManifest,
  type Manifest,
  newPublication,
  type Publication,
} from '../../shared/manifest.ts'
import { MANIFEST_SUFFIX, type StatePaths } from '../../shared/paths.ts'
import { tmpName } from './tmp-names.ts'

/** A file that is complete and synced in the tmp directory. */
export interface Finished {
  /** Its name there, by `tmpName`. */
  readonly tmp: string
  /** The one that it gets in the inbox. */
  readonly name: string
}

/**
 * The one way into the inbox, of the generator and of whoever brings files of others: G2 and G3 of the
 * durable steps. On return the file stands there, durably, behind a manifest that vouches for it.
 *
 * - **G2**: the manifest is synced and renamed in. Died here: a manifest without data, which nobody
 *   counts from. Published again under this name, it is replaced; otherwise the parser removes it after a day.
 * - **G3**: the data is renamed in, both directories are synced. Died here: a complete file that nobody
 *   announced. The parser's own look through the inbox finds it.
 *
 * What a crash leaves in the tmp directory names its dead owner, and is swept.
 *
 * @returns when it was published, and the name of this publication, as its manifest tells.
 * @throws CountersinkError IO_FAILED. The file may then stand in the tmp directory, its manifest does not.
 */
export async function publish(
  { generatorTmp, inbox }: StatePaths,
  owner: ProcessIdentity,
  { tmp, name }: Finished,
  manifest: Omit<Manifest, keyof Publication>,
): Promise<Publication> {
  const publication = newPublication()
  const manifestName = `${name}${MANIFEST_SUFFIX}`
  const manifestTmp = join(generatorTmp, tmpName(manifestName, owner))
  try {
    await writeSynced(manifestTmp, formatManifest({ ...manifest, ...publication }))
    await rename(manifestTmp, join(inbox, manifestName))
    crashPoint('G2-manifest-renamed')
    await rename(join(generatorTmp, tmp), join(inbox, name))
  } catch (cause) {
    await rm(manifestTmp, { force: true }).catch(() => {
      // Why it was not published is what is told.
    })
    throw ioFailed(`publishing ${name}`, cause)
  }
  crashPoint('G3-data-renamed')
  await syncDirectories(generatorTmp, inbox)
  return publication
}
