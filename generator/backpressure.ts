import type { Config } from '../shared/config.ts'
import { formatBytes, formatCount } from '../shared/numbers.ts'
import type { FreeRoom } from '../shared/room.ts'

/** Why no file is begun. A change of `kind` is worth a line in the log; numbers alone are not. */
export interface WaitReason {
  readonly kind: string
  /** For people, in health and log. */
  readonly text: string
}

export interface Room extends FreeRoom {
  /** Published and not yet settled. */
  readonly unsettledFiles: number
  readonly unsettledBytes: number
  readonly connected: boolean
  /** Size of the file that is to be made. */
  readonly nextBytes: number
  /** Whose filesystem the free room is about. */
  readonly directory: string
}

/**
 * Whether the next file must wait, and why: for the parser, which has as much of ours as it may
 * have, or for the disk, of which a reserve is left to everybody else.
 */
export function reasonToWait(
  room: Room,
  limits: Pick<Config, 'backlogFilesMax' | 'backlogBytesMax' | 'reserveBytes' | 'reserveInodes'>,
): WaitReason | undefined {
  if (
    room.unsettledFiles >= limits.backlogFilesMax ||
    room.unsettledBytes >= limits.backlogBytesMax
  ) {
    return unsettledReason(room)
  }
  const wantedBytes = limits.reserveBytes + room.nextBytes
  if (room.freeBytes < wantedBytes) {
    const [free, wanted] = [room.freeBytes, wantedBytes].map(formatBytes)
    return { kind: 'disk', text: `waiting: ${free} free on ${room.directory}, ${wanted} wanted` }
  }
  if (room.freeInodes >= limits.reserveInodes) return undefined
  const [free, wanted] = [room.freeInodes, limits.reserveInodes].map(formatCount)
  return {
    kind: 'inodes',
    text: `waiting: ${free} inodes free on ${room.directory}, ${wanted} wanted`,
  }
}

/** The sentence for files that wait to be settled. */
export function unsettledReason(
  room: Pick<Room, 'unsettledFiles' | 'unsettledBytes' | 'connected'>,
): WaitReason {
  const one = room.unsettledFiles === 1
  const files = `${formatCount(room.unsettledFiles)} ${one ? 'file is' : 'files are'}`
  const backlog = `${files} published and not yet settled (${formatBytes(room.unsettledBytes)})`
  return room.connected
    ? { kind: 'unsettled', text: `waiting: ${backlog}` }
    : { kind: 'disconnected', text: `waiting: ${backlog}; the parser is not connected` }
}
