import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { publish, tmpName } from '../../generator/publishing/index.ts'
import { makeDirectories } from '../../shared/durable.ts'
import { CountersinkError, toError } from '../../shared/errors.ts'
import { type FileIdentity, isSameFile } from '../../shared/file-identity.ts'
import type { ProcessIdentity } from '../../shared/lifecycle.ts'
import { NAME_BYTES_MAX } from '../../shared/limits.ts'
import {
  PUBLISHED_SUFFIX_BYTES,
  publishedName,
  type StatePaths,
  sanitiseName,
} from '../../shared/paths.ts'
import { SETTINGS } from '../../shared/settings.ts'
import type { Terms } from '../../shared/terms.ts'
import { statSource, unfit } from './source-rest.ts'

export interface PublishedFile {
  /** In the inbox. */
  readonly name: string
  /** As the person called it. */
  readonly basename: string
  readonly sha256: string
  readonly sizeBytes: number
}

const COPY_BYTES = 2 ** 20
const LINE_END = 0x0a

/** A source that was found at rest. */
export interface Source {
  readonly path: string
  /** How its maker calls it, if not as it is called there. */
  readonly name?: string
  /** As it was then: what is copied must be this. */
  readonly identity: FileIdentity
  /** Taken as it is, also when its last line has no line end: it may be a cut copy. */
  readonly mayBeCut: boolean
  /** What is asked for with it. */
  readonly terms?: Terms
}

/**
 * Brings a copy of an existing file into the inbox: it is hashed while it is copied into the tmp
 * directory, and synced; then it goes the generator's way (`publish`). The inbox name is the sanitised
 * basename and some digits of the hash: different contents of one name do not collide, and the same
 * content again lies over itself.
 *
 * A crash while it is copied leaves a tmp file that names its dead owner, and is swept by the generator's next start.
 *
 * @throws CountersinkError FILE_UNFIT when the source cannot be read or may be cut, FILE_CHANGED when
 * it is not what was found at rest, before or after it was copied; IO_FAILED
 */
export async function publishFile(
  source: Source,
  paths: StatePaths,
  owner: ProcessIdentity,
): Promise<PublishedFile> {
  await makeDirectories(paths.generatorTmp, paths.inbox)
  const stem = sanitiseName(source.name ?? source.path, NAME_BYTES_MAX - PUBLISHED_SUFFIX_BYTES)
  const tmp = tmpName(stem, owner)
  const tmpPath = join(paths.generatorTmp, tmp)
  await rm(tmpPath, { force: true })
  try {
    const { sha256, sizeBytes } = await copy(source, tmpPath)
    const name = publishedName(stem, sha256)
    // Nobody has looked into it but for its hash.
    const manifest = { sizeBytes, sha256, lines: undefined, amount: undefined, disposable: false }
    const { terms } = source
    await publish(paths, owner, { tmp, name }, { ...manifest, ...(terms && { terms }) })
    return { name, basename: basename(source.name ?? source.path), sha256, sizeBytes }
  } catch (error) {
    await rm(tmpPath, { force: true })
    if (error instanceof CountersinkError) throw error
    const what = `${source.path} was not published: ${toError(error).message}`
    throw new CountersinkError('IO_FAILED', what, { cause: error })
  }
}

async function copy(from: Source, to: string): Promise<{ sha256: string; sizeBytes: number }> {
  const source = await openSource(from.path)
  try {
    assertUnchanged(from, await source.stat({ bigint: true }))
    if (!from.mayBeCut) await assertWhole(from, source)
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
      // Both what was read and what stands under the name now.
      assertUnchanged(from, await source.stat({ bigint: true }))
      assertUnchanged(from, await statSource(from.path))
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
    // It was there a moment ago.
    throw unfit(path, toError(cause).message)
  }
  if ((await source.stat()).isFile()) return source
  await source.close()
  throw unfit(path, 'not a regular file')
}

function assertUnchanged({ path, identity }: Source, now: FileIdentity): void {
  if (isSameFile(identity, now)) return
  throw new CountersinkError('FILE_CHANGED', `${path} was written to`)
}

/**
 * A file that ends in the middle of a line may be a cut copy of a good one. What is no beginning of a
 * line (something compressed, say) cannot be: it goes in, and the parser says what is wrong with it. An empty one was named by a person,
 * and nothing is counted of it.
 */
async function assertWhole({ path, identity }: Source, source: FileHandle): Promise<void> {
  const sizeBytes = Number(identity.size)
  const tail = Buffer.alloc(Math.min(sizeBytes, TAIL_BYTES))
  await source.read(tail, 0, tail.length, sizeBytes - tail.length)
  if (sizeBytes === 0 || tail.at(-1) === LINE_END) return
  const lastLine = tail.subarray(tail.lastIndexOf(LINE_END) + 1).toString('latin1')
  if (!BEGINNING_OF_A_LINE.test(lastLine)) return
  throw unfit(
    path,
    'its last line has no line end, so it may be a cut copy',
    `Publish it when it is complete. If it is, set ${SETTINGS.unterminated.variable}=accept.`,
  )
}

/** More than the longest line. */
const TAIL_BYTES = 64
const BEGINNING_OF_A_LINE = /^(?:\d{1,20}(?: (?:\d{1,20}\r?)?)?)?$/
