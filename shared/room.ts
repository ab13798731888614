import { statfs } from 'node:fs/promises'
import { CountersinkError, hasCode, toError } from './errors.ts'
import { formatBytes, formatCount } from './numbers.ts'

/** What is left alone on each filesystem. */
export interface Reserve {
  readonly reserveBytes: number
  /** @default 0 */
  readonly reserveInodes?: number
}

/** What an ordinary user can still use on a filesystem. */
export interface FreeRoom {
  readonly freeBytes: number
  /** Each new file takes one. Without limit where the filesystem has no fixed number of them. */
  readonly freeInodes: number
}

export async function freeRoom(path: string): Promise<FreeRoom> {
  const { bavail, bsize, files, ffree } = await statfs(path)
  // btrfs, and others that make inodes as they are needed, tell of none at all.
  return { freeBytes: bavail * bsize, freeInodes: files === 0 ? Number.POSITIVE_INFINITY : ffree }
}

/** What is lacking in a directory for work to go on, for people; undefined: nothing, or there is none. */
export async function lackOfRoom(path: string, reserve: Reserve): Promise<string | undefined> {
  const { reserveBytes, reserveInodes = 0 } = reserve
  let room: FreeRoom
  try {
    room = await freeRoom(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
  const { freeBytes, freeInodes } = room
  if (freeBytes < reserveBytes) {
    return `${formatBytes(freeBytes)} free in ${path}, ${formatBytes(reserveBytes)} are kept in reserve`
  }
  if (freeInodes >= reserveInodes) return undefined
  return `${formatCount(freeInodes)} inodes free in ${path}, ${formatCount(reserveInodes)} are kept in reserve`
}

/** The system's word for a full disk as one of the family; everything else as it is. */
export function asDiskFull(error: unknown, path: string): Error {
  const cause = toError(error)
  if (cause instanceof CountersinkError || !hasCode(cause, 'ENOSPC', 'EDQUOT')) return cause
  return new CountersinkError('DISK_FULL', `no room on the filesystem of ${path}`, {
    cause,
    advice: 'Make room there: bytes, inodes, or quota.',
  })
}
