import { createHash } from 'node:crypto'
import { type FileHandle, open, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crashPoint } from '../shared/crash-points.ts'
import { closeQuietly, syncDirectories, syncDirectory } from '../shared/durable.ts'
import { CountersinkError, hasCode } from '../shared/errors.ts'
import type { ProcessIdentity } from '../shared/lifecycle.ts'
import { formatManifest } from '../shared/manifest.ts'
import { MANIFEST_SUFFIX, type StatePaths } from '../shared/paths.ts'
import { tmpName } from './names.ts'
import type { RecordSource } from './record-source.ts'
import { type GeneratedFile, type PendingFile, standsInTmp } from './state.ts'

/**
 * The way of one file to the inbox. The caller records the steps in `progress.ts`.
 *
 * - **G1, `write`**: the records go to a tmp file that names its owner, and are hashed on the way;
 *   then the file is synced, and its name in the tmp directory. Died here: a tmp file of a dead
 *   owner; the next start sweeps it.
 * - The state names the file as pending. Died here: the next start publishes it.
 * - **G2, `publish`**: the manifest is synced and renamed into the inbox. Died here: a manifest
 *   without data, which nobody looks at; the next start publishes the file, manifest and all.
 * - **G3, `publish`**: the data is renamed into the inbox, both directories are synced. Died here:
 *   a complete file that nobody announced. The next start announces it; the parser's own look
 *   through the inbox may well be first.
 */
export interface WriteOptions {
  /** Aborted: the file is abandoned, its tmp file removed. */
  readonly signal: AbortSignal
  /** The most to write at once. */
  readonly sliceBytes: number
  /** Called before each slice; may wait. */
  pace(bytes: number): Promise<void>
  /** The slice has been handed to the kernel. */
  onWritten(source: RecordSource): void
}

/**
 * Bytes after which the disk is set to work while the next are made: otherwise all the writing
 * would wait for the sync at the end, and a stop with it.
 */
const WRITE_BACK_BYTES = 32 * 2 ** 20

export class Spool {
  readonly #paths: StatePaths
  readonly #owner: ProcessIdentity

  constructor(paths: StatePaths, owner: ProcessIdentity) {
    this.#paths = paths
    this.#owner = owner
  }

  /**
   * G1: the file complete and durable in the tmp directory; undefined when abandoned.
   *
   * @throws CountersinkError IO_FAILED, or the system's ENOSPC or EDQUOT when the disk is full
   * while writing: nothing is left then, and the caller may wait and try again.
   */
  async write(
    name: string,
    source: RecordSource,
    options: WriteOptions,
  ): Promise<PendingFile | undefined> {
    const tmp = tmpName(name, this.#owner)
    const path = join(this.#paths.generatorTmp, tmp)
    let handle: FileHandle | undefined
    let sha256: string | undefined
    try {
      handle = await open(path, 'wx', 0o600)
      sha256 = await writeRecords(handle, source, options)
      if (sha256 !== undefined) {
        crashPoint('G1-before-tmp-synced')
        await synced(handle.sync(), path)
      }
    } catch (error) {
      sha256 = undefined
      if (error instanceof CountersinkError || hasCode(error, 'ENOSPC', 'EDQUOT')) throw error
      throw new CountersinkError('IO_FAILED', `write of ${path} failed`, { cause: error })
    } finally {
      if (handle !== undefined) await closeQuietly(handle)
      if (sha256 === undefined) await rm(path, { force: true })
    }
    if (sha256 === undefined) return undefined
    // Without its name on disk, power loss would look like a file that has been renamed already.
    await syncDirectory(this.#paths.generatorTmp)
    crashPoint('G1-tmp-synced')
    const { sizeBytes, lines, amount } = source
    return { tmp, name, sizeBytes, sha256, lines, amount }
  }

  /** G2 and G3: the file durable in the inbox, its manifest before it. */
  async publish(file: PendingFile): Promise<void> {
    const { generatorTmp, inbox } = this.#paths
    const manifest = `${file.name}${MANIFEST_SUFFIX}`
    const manifestTmp = join(generatorTmp, tmpName(manifest, this.#owner))
    try {
      await writeManifest(manifestTmp, file)
      await rename(manifestTmp, join(inbox, manifest))
      crashPoint('G2-manifest-renamed')
      await rename(join(generatorTmp, file.tmp), join(inbox, file.name))
    } catch (cause) {
      throw new CountersinkError('IO_FAILED', `publishing ${file.name} failed`, { cause })
    }
    crashPoint('G3-data-renamed')
    await syncDirectories(generatorTmp, inbox)
  }

  /** Publishes what a dead process left pending, unless it had come to the rename. */
  async finish(file: PendingFile): Promise<void> {
    if (await standsInTmp(this.#paths, file)) {
      await this.publish(file)
    } else {
      // The rename has happened; whether it was synced nobody can tell any more.
      await syncDirectories(this.#paths.generatorTmp, this.#paths.inbox)
    }
  }
}

/** Writes all records and returns their hash; undefined when aborted before the end. */
async function writeRecords(
  handle: FileHandle,
  source: RecordSource,
  { signal, sliceBytes, pace, onWritten }: WriteOptions,
): Promise<string | undefined> {
  const hash = createHash('sha256')
  // Two buffers: one is on its way to the kernel while the other is filled and hashed.
  let [buffer, other] = [Buffer.allocUnsafe(sliceBytes), Buffer.allocUnsafe(sliceBytes)]
  let writing: Promise<void> = Promise.resolve()
  let writingBack: Promise<void> = Promise.resolve()
  let writtenBackBytes = 0
  try {
    for (;;) {
      if (signal.aborted) return undefined
      const bytes = source.fill(buffer)
      if (bytes === 0) break
      const slice = buffer.subarray(0, bytes)
      hash.update(slice)
      await writing
      await pace(bytes)
      writing = inBackground(writeAll(handle, slice))
      if (source.positionBytes - writtenBackBytes >= WRITE_BACK_BYTES) {
        await writing
        await writingBack
        writtenBackBytes = source.positionBytes
        writingBack = inBackground(synced(handle.datasync(), 'a file being written'))
      }
      onWritten(source)
      ;[buffer, other] = [other, buffer]
    }
    await writing
    return hash.digest('hex')
  } finally {
    // Nothing may use the handle any more when it is closed, and no failure may go unseen.
    await Promise.all([writing, writingBack])
  }
}

async function writeAll(handle: FileHandle, bytes: Buffer): Promise<void> {
  let rest = bytes
  while (rest.length > 0) {
    const { bytesWritten } = await handle.write(rest)
    rest = rest.subarray(bytesWritten)
  }
}

/** A promise that is awaited later: its failure in between is not an unhandled one. */
function inBackground(work: Promise<void>): Promise<void> {
  work.catch(() => {
    // Whoever awaits it gets the error.
  })
  return work
}

async function writeManifest(path: string, file: GeneratedFile): Promise<void> {
  const { sizeBytes, sha256, lines, amount } = file
  const text = formatManifest({ sizeBytes, sha256, lines, amount, disposable: true })
  await writeFile(path, text, { mode: 0o600, flush: true })
}

/** After a failed sync the kernel may have dropped the bytes: never again on this file. */
async function synced(sync: Promise<void>, what: string): Promise<void> {
  try {
    await sync
  } catch (cause) {
    throw new CountersinkError('IO_FAILED', `sync of ${what} failed`, { cause })
  }
}
