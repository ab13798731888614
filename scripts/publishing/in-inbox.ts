import { opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode } from '../../shared/errors.ts'
import { statsIfLookedAt } from '../../shared/looks.ts'
import { type Manifest, readManifest } from '../../shared/manifest.ts'
import { MANIFEST_SUFFIX, type StatePaths } from '../../shared/paths.ts'

/** A file that nobody has claimed yet. */
export interface InInbox {
  readonly name: string
  readonly manifest: Manifest | undefined
}

/** The one of this name, or whose manifest names such a content. The parser may be down. */
export async function findInInbox(
  { inbox }: StatePaths,
  which: { readonly prefix?: string; readonly name?: string },
): Promise<InInbox | undefined> {
  const { name, prefix } = which
  if (name !== undefined) {
    const isThere = !name.includes('/') && statsIfLookedAt(join(inbox, name))?.isFile() === true
    return isThere ? { name, manifest: await manifestOf(join(inbox, name)) } : undefined
  }
  try {
    for await (const { name } of await opendir(inbox)) {
      if (!name.endsWith(MANIFEST_SUFFIX)) continue
      const data = name.slice(0, -MANIFEST_SUFFIX.length)
      const manifest = await manifestOf(join(inbox, data))
      if (manifest?.sha256.startsWith(prefix ?? '')) return { name: data, manifest }
    }
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
  }
  return undefined
}

async function manifestOf(path: string): Promise<Manifest | undefined> {
  return readManifest(`${path}${MANIFEST_SUFFIX}`).catch(error => {
    if (hasCode(error, 'MANIFEST_INVALID')) return undefined
    throw error
  })
}
