import { closeSync, constants, fsyncSync, openSync } from 'node:fs'
import { type FileHandle, mkdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { CountersinkError, hasCode, ioFailed } from './errors.ts'

/**
 * The few file operations that "durable" rests on. After a failed fsync the kernel may drop the
 * dirty pages and report success the next time (Rebello et al., ATC 2020), so a failure here is
 * never retried on the same descriptor: it is an IO_FAILED that ends the process.
 */

/**
 * Syncs a directory: makes the names in it, new, renamed or removed, survive power loss. An ack
 * waits for this, so it does not go through the thread pool, whose threads get a processor late
 * when all are busy; a journal commit, which waits for the same disk, blocks as well.
 */
export async function syncDirectory(path: string): Promise<void> {
  await orIoFailed(`sync of directory ${path}`, async () => syncAndClose(openDirectory(path)))
}

/**
 * The same of a directory that others may remove or deny to us: what cannot be opened is let be. For
 * where it is harmless if a name that has left it comes back.
 */
export async function syncDirectoryIfItOpens(path: string): Promise<void> {
  let fd: number
  try {
    fd = openDirectory(path)
  } catch {
    return
  }
  await orIoFailed(`sync of directory ${path}`, async () => syncAndClose(fd))
}

function openDirectory(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
}

function syncAndClose(fd: number): void {
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Syncs each different directory of the list once. */
export async function syncDirectories(...paths: readonly string[]): Promise<void> {
  await Promise.all([...new Set(paths)].map(syncDirectory))
}

/** Renames within one filesystem and makes it durable at both ends. */
export async function renameDurably(from: string, to: string): Promise<void> {
  await orIoFailed(`rename of ${from} to ${to}`, () => rename(from, to))
  await syncDirectories(dirname(from), dirname(to))
}

/**
 * Replaces a small file as a whole: readers and crashes see the old text or the new, never a part.
 * A crash before the rename leaves a hidden tmp file, which nobody reads and the next replacement
 * of this file writes over. One writer per file.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  const tmp = join(dirname(path), `.${basename(path)}.tmp`)
  await orIoFailed(`write of ${path}`, async () => {
    await writeSynced(tmp, text)
    await rename(tmp, path)
  }).catch(async error => {
    await rm(tmp, { force: true }).catch(() => {
      // Why it could not be written is what is told.
    })
    throw error
  })
  await syncDirectory(dirname(path))
}

/** A small file whose bytes are on the disk on return; that its name is, is the directory's matter. */
export async function writeSynced(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o600, flush: true })
}

/** Creates directories that only their owner may enter, durably. */
export async function makeDirectories(...paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await makeDirectory(path)
  }
}

/**
 * Node's own recursion never comes back from where a directory that is there lets nothing be made in
 * it with ENOENT: /proc, and one that was removed while it was open.
 */
async function makeDirectory(path: string, maySkip = true): Promise<void> {
  try {
    await mkdir(path, 0o700)
  } catch (error) {
    const parent = dirname(path)
    if (maySkip && hasCode(error, 'ENOENT') && parent !== path) {
      await makeDirectory(parent)
      return makeDirectory(path, false)
    }
    if (await isDirectory(path)) return
    throw new CountersinkError('IO_FAILED', `the directory ${path} cannot be made`, {
      cause: error,
    })
  }
  await syncDirectory(dirname(path))
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    stats => stats.isDirectory(),
    () => false,
  )
}

/** Closes a handle whose contents do not matter any more; never throws. */
export async function closeQuietly(handle: FileHandle): Promise<void> {
  await handle.close().catch(() => {
    // Nothing was written through it that is still wanted, and the number is released either way.
  })
}

/** Whatever fails is IO_FAILED. */
export async function orIoFailed(what: string, action: () => Promise<void>): Promise<void> {
  try {
    await action()
  } catch (error) {
    throw ioFailed(what, error)
  }
}
