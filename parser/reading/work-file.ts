import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { closeQuietly } from '../../shared/durable.ts'
import { CountersinkError, hasCode, ioFailed, toError } from '../../shared/errors.ts'
import { type FileIdentity, identityOf, isSameFile } from '../../shared/file-identity.ts'

/** What must not change between the first byte hashed and the last byte summed. */
export interface ReadIdentity extends FileIdentity {
  /** Cannot be set back by a program, as the modification time can. */
  readonly ctimeNs: bigint
}

/** A claimed file, open for reading on one descriptor. */
export interface WorkFile {
  readonly handle: FileHandle
  readonly sizeBytes: number
  /** As the file is now. */
  identity(): Promise<ReadIdentity>
}

/**
 * Opens a claimed file: never through a symbolic link, never blocking on a pipe.
 *
 * @returns undefined when there is none.
 * @throws CountersinkError FILE_UNFIT when it is not a regular file or cannot be read, IO_FAILED when
 * that is not the file's fault (`isShortage`).
 */
export async function openWorkFile(path: string): Promise<WorkFile | undefined> {
  let handle: FileHandle
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    if (hasCode(error, 'ELOOP')) throw new CountersinkError('FILE_UNFIT', 'it is a link')
    if (hasCode(error, 'EACCES', 'EPERM')) {
      throw new CountersinkError('FILE_UNFIT', 'the parser may not read it', { cause: error })
    }
    // Of these the file knows nothing: too much is open, or memory is short.
    if (hasCode(error, ...SHORTAGES)) throw ioFailed(`opening ${path}`, error)
    throw unreadable(error)
  }
  try {
    const stats = await handle.stat({ bigint: true })
    if (!stats.isFile()) throw new CountersinkError('FILE_UNFIT', 'it is not a regular file')
    return {
      handle,
      sizeBytes: Number(stats.size),
      identity: async () => {
        const now = await handle.stat({ bigint: true }).catch(error => {
          throw unreadable(error)
        })
        return { ...identityOf(now), ctimeNs: now.ctimeNs }
      },
    }
  } catch (error) {
    await closeQuietly(handle)
    throw error instanceof CountersinkError ? error : unreadable(error)
  }
}

const SHORTAGES = ['EMFILE', 'ENFILE', 'ENOMEM']

/** Whether a file could not be opened for want of something that others may give back. */
export function isShortage(error: unknown): boolean {
  return hasCode(error, 'IO_FAILED') && hasCode(toError(error).cause, ...SHORTAGES)
}

/** What the system says of a given file is that file's trouble. */
function unreadable(error: unknown): CountersinkError {
  return new CountersinkError('FILE_UNFIT', `it cannot be read: ${toError(error).message}`, {
    cause: error,
  })
}

export function sameIdentity(a: ReadIdentity, b: ReadIdentity): boolean {
  return isSameFile(a, b) && a.ctimeNs === b.ctimeNs
}
