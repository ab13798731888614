import type { Stats } from 'node:fs'
import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode } from '../../shared/errors.ts'
import { type Manifest, readManifest } from '../../shared/manifest.ts'
import {
  classifyName,
  MANIFEST_SUFFIX,
  parseWorkName,
  type StatePaths,
} from '../../shared/paths.ts'
import { hashFile } from '../publishing/index.ts'
import { ContentSet } from './content-set.ts'

/** What the next parser will read: files in work/ and in the inbox. */
export interface OnTheirWay {
  readonly contents: ContentSet
  /** Those of them that will certainly be counted: nothing more has to be done for these. */
  readonly certain: ContentSet
  /** Those of them that are vouched for and have a second name somewhere, see `fileKey`. */
  readonly linked: ReadonlySet<string>
}

/**
 * A manifest tells the hash of a file that has as many bytes as it says; a file without one is read. A
 * file that its manifest contradicts will be refused, so its content is not on its way.
 *
 * Certain is only what has the bytes that its manifest vouches for, where that says nothing else, as
 * those of `recover` and `publish` do. Any other may turn out to be cut, or to have other lines or
 * another amount than was said, and be refused although its content was counted once.
 */
export async function findOnTheirWay(paths: StatePaths): Promise<OnTheirWay> {
  const contents = new ContentSet()
  const certain = new ContentSet()
  const linked = new Set<string>()
  for (const directory of [paths.inbox, paths.work]) {
    for await (const name of namesIn(directory)) {
      if (!isData(directory, name, paths)) continue
      const file = await lookAt(join(directory, name))
      if (file === undefined) continue
      contents.add(file.sha256)
      if (file.isCertain) certain.add(file.sha256)
      if (file.key !== undefined) linked.add(file.key)
    }
  }
  return { contents, certain, linked }
}

/** Names one file whatever its names are; undefined when it has only one. */
export function fileKey(stats: Pick<Stats, 'dev' | 'ino' | 'nlink'>): string | undefined {
  return stats.nlink > 1 ? `${stats.dev}:${stats.ino}` : undefined
}

function isData(directory: string, name: string, paths: StatePaths): boolean {
  if (directory === paths.inbox) return classifyName(name) === 'data'
  const claimed = parseWorkName(name)
  return claimed !== undefined && !claimed.name.endsWith(MANIFEST_SUFFIX)
}

/** undefined: nobody will count it, or it is gone. */
async function lookAt(
  path: string,
): Promise<{ sha256: string; key: string | undefined; isCertain: boolean } | undefined> {
  try {
    const stats = await lstat(path)
    if (!stats.isFile()) return undefined
    const manifest = await manifestOf(path)
    if (manifest === 'unfit') return undefined
    if (manifest !== undefined && manifest.sizeBytes !== stats.size) return undefined
    if (manifest === undefined) {
      return { sha256: await hashFile(path), key: undefined, isCertain: false }
    }
    const { sha256, lines, amount } = manifest
    const saysNoMore = lines === undefined && amount === undefined
    const isCertain = saysNoMore && (await hashFile(path)) === sha256
    return { sha256, key: fileKey(stats), isCertain }
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'EACCES', 'EPERM', 'EIO')) return undefined
    throw error
  }
}

async function manifestOf(path: string): Promise<Manifest | 'unfit' | undefined> {
  try {
    return await readManifest(`${path}${MANIFEST_SUFFIX}`)
  } catch (error) {
    if (hasCode(error, 'MANIFEST_INVALID')) return 'unfit'
    throw error
  }
}

/** None when there is no such directory. */
export async function* namesIn(directory: string): AsyncGenerator<string> {
  try {
    for await (const { name } of await opendir(directory)) yield name
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
  }
}
