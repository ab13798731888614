import { type BigIntStats, linkSync, lstatSync, renameSync, type Stats, unlinkSync } from 'node:fs'
import { CountersinkError, hasCode, systemReason } from '../shared/errors.ts'

/**
 * Looks and renames between inbox/, work/ and where settled files go. They go straight to the kernel: each takes
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

/**
 * Moves to a name where nothing is ever replaced. Two names of one file are a case of their own:
 * rename(2) between them does nothing and reports success, so the first is taken away.
 *
 * A crash between the two steps leaves both names, of one file: the next try takes the first away.
 */
export function moveToFreeName(from: string, to: string): MoveFailure | undefined {
  try {
    linkSync(from, to)
  } catch (error) {
    const [source, there] = [statsOf(from), statsOf(to)]
    if (source === undefined) return { isGone: true, why: 'it is gone' }
    if (there === undefined) {
      // Of directories there are no second names, nor on some filesystems, nor for everybody.
      return hasCode(error, 'ENOENT', 'ENOTDIR', 'EXDEV') ? failureOf(error) : move(from, to)
    }
    if (there.ino !== source.ino || there.dev !== source.dev) {
      return { isGone: false, why: 'another file has the name that it would get' }
    }
  }
  try {
    unlinkSync(from)
    return undefined
  } catch (error) {
    return hasCode(error, 'ENOENT') ? undefined : failureOf(error)
  }
}

function failureOf(error: unknown): MoveFailure {
  return { isGone: false, why: `it cannot be moved (${systemReason(error)})` }
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
