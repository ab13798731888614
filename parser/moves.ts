import { type BigIntStats, linkSync, lstatSync, renameSync, type Stats, unlinkSync } from 'node:fs'
import { CountersinkError, hasCode, systemReason } from '../shared/errors.ts'

/**
 * Looks and renames between inbox/ and work/. They go straight to the kernel: each takes
 * microseconds, and an announcer waits.
 */

/** Why a name could not be moved. It is one file's trouble, never the process's. */
export interface MoveFailure {
  readonly isGone: boolean
  readonly why: string
}

/** undefined: it is moved. Replaces what stands there: for places that only this program fills. */
export function move(from: string, to: string): MoveFailure | undefined {
  try {
    renameSync(from, to)
    return undefined
  } catch (error) {
    return {
      isGone: hasCode(error, 'ENOENT'),
      why: `it cannot be moved (${systemReason(error)})`,
    }
  }
}

/** Moves to a place that others fill too: false if something stands there, or it does not go. */
export function moveWithoutReplacing(from: string, to: string): boolean {
  try {
    linkSync(from, to)
  } catch (error) {
    // Some filesystems have no second names, and some systems do not give them to everybody.
    const isTaken = hasCode(error, 'EEXIST', 'ENOENT') || statsOf(to) !== undefined
    return !isTaken && move(from, to) === undefined
  }
  try {
    unlinkSync(from)
  } catch {
    // Both names stand: what is taken from both is found to be one content.
  }
  return true
}

/** Of the name itself, not of what a link points to; undefined when there is none. */
export function statsOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })
  } catch (error) {
    throw ioFailed(`looking at ${path}`, error)
  }
}

/** The same to the nanosecond, and with inodes of any size. */
export function exactStatsOf(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false })
  } catch (error) {
    throw ioFailed(`looking at ${path}`, error)
  }
}

export function ioFailed(what: string, thrown: unknown): CountersinkError {
  return new CountersinkError('IO_FAILED', `${what} failed`, { cause: thrown })
}
