import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { tmpName } from '../generator/names.ts'
import { makeDirectories, syncDirectories, syncDirectory } from '../shared/durable.ts'
import { CountersinkError, hasCode, toError } from '../shared/errors.ts'
import type { ProcessIdentity } from '../shared/lifecycle.ts'
import { NAME_BYTES_MAX } from '../shared/limits.ts'
import { formatManifest } from '../shared/manifest.ts'
import { MANIFEST_SUFFIX, type StatePaths, sanitiseName } from '../shared/paths.ts'

export interface PublishedFile {
  /** In the inbox. */
  readonly name: string
  /** As the person called it. */
  readonly basename: string
  readonly sha256: string
  readonly sizeBytes: number
}

const COPY_BYTES = 2 ** 20
const HASH_DIGITS = 12

/**
 * Brings a copy of an existing file into the inbox in the generator's way: tmp, hash while copying,
 * sync, manifest, rename, sync. The inbox name is the sanitised basename and 12 digits of the hash:
 * different contents of one name do not collide, and the same content again lies over itself.
 *
 * A crash leaves a tmp file that names its dead owner (swept by the generator's next start), or a
 * manifest without data (swept after a day), or the file in the inbox.
 *
 * @throws CountersinkError FILE_UNFIT when the source cannot be read, IO_FAILED
 */
export async function publishFile(
  source: string,
  paths: StatePaths,
  owner: ProcessIdentity,
): Promise<PublishedFile> {
  await makeDirectories(paths.generatorTmp, paths.inbox)
  const stem = sanitiseName(source, NAME_BYTES_MAX - HASH_DIGITS - 1)
  const tmp = join(paths.generatorTmp, tmpName(stem, owner))
  await rm(tmp, { force: true })
  try {
    const { sha256, sizeBytes } = await copy(source, tmp)
    const name = `${stem}-${sha256.slice(0, HASH_DIGITS)}`
    const target = join(paths.inbox, name)
    const manifest = formatManifest({
      ...{ sizeBytes, sha256 },
      lines: undefined,
      amount: undefined,
      disposable: false,
    })
    await writeSynced(`${tmp}${MANIFEST_SUFFIX}`, manifest)
    await syncDirectory(paths.generatorTmp)
    await rename(`${tmp}${MANIFEST_SUFFIX}`, `${target}${MANIFEST_SUFFIX}`)
    await rename(tmp, target)
    await syncDirectories(paths.inbox, paths.generatorTmp)
    return { name, basename: basename(source), sha256, sizeBytes }
  } catch (error) {
    await rm(tmp, { force: true })
    await rm(`${tmp}${MANIFEST_SUFFIX}`, { force: true })
    if (error instanceof CountersinkError) throw error
    throw new CountersinkError(
      'IO_FAILED',
      `${source} was not published: ${toError(error).message}`,
      {
        cause: error,
      },
    )
  }
}

async function copy(from: string, to: string): Promise<{ sha256: string; sizeBytes: number }> {
  const source = await openSource(from)
  try {
    const target = await open(to, 'wx', 0o600)
    try {
      const hash = createHash('sha256')
      const buffer = Buffer.allocUnsafe(COPY_BYTES)
      let sizeBytes = 0
      for (;;) {
        const { bytesRead } = await source.read(buffer, 0, COPY_BYTES, sizeBytes)
        if (bytesRead === 0) break
        const bytes = buffer.subarray(0, bytesRead)
        hash.update(bytes)
        for (let at = 0; at < bytesRead; ) {
          at += (await target.write(bytes, at, bytesRead - at, sizeBytes + at)).bytesWritten
        }
        sizeBytes += bytesRead
      }
      await target.sync()
      return { sha256: hash.digest('hex'), sizeBytes }
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}

async function openSource(path: string): Promise<FileHandle> {
  let source: FileHandle
  try {
    source = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    const why = hasCode(cause, 'ENOENT') ? 'there is no such file' : toError(cause).message
    throw new CountersinkError('FILE_UNFIT', `${path} cannot be published: ${why}`, { cause })
  }
  if ((await source.stat()).isFile()) return source
  await source.close()
  throw new CountersinkError('FILE_UNFIT', `${path} cannot be published: not a regular file`)
}

async function writeSynced(path: string, text: string): Promise<void> {
  const handle = await open(path, 'w', 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
}
