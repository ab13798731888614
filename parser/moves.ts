import {
  type BigIntStats,
  linkSync,
  lstatSync,
  renameSync,
  rmSync,
  type Stats,
  unlinkSync,
} from 'node:fs'
import { crashPoint } from '../shared/crash-points.ts'
import { CountersinkError, hasCode, systemReason } from '../shared/errors.ts'

/**
 * Looks and renames between the directories that files pass through. They go straight to the kernel:
 * each takes microseconds, and an announcer waits.
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
    return failureOf(error, from)
  }
}

/** Moves to a place that others fill too: false if something stands there, or it does not go. */
export function moveWithoutReplacing(from: string, to: string): boolean {
  return moveToFree(from, to) === undefined
}

/**
 * The same, and why not.
 *
 * By a second name, because that never replaces anything, and then by removing the first; a crash
 * in between leaves one file under two names, which the next try takes for what it is. A rename
 * would not: between two names of one file it does nothing, and reports success.
 */
export function moveToFree(from: string, to: string): (MoveFailure & Taken) | undefined {
  try {
    linkSync(from, to)
  } catch (error) {
    const there = statsIfLookedAt(to)
    if (there !== undefined) {
      const here = statsIfLookedAt(from)
      if (here === undefined) return { isGone: true, isTaken: false, why: 'it is gone' }
      if (!isOneInode(here, there)) return { isGone: false, isTaken: true, why: 'taken' }
    } else {
      if (hasCode(error, 'ENOENT')) return { isTaken: false, ...failureOf(error, from) }
      // Some filesystems have no second names, and some systems do not give them to everybody.
      const stays = move(from, to)
      return stays && { isTaken: false, ...stays }
    }
  }
  crashPoint('P8-linked')
  try {
    unlinkSync(from)
    return undefined
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    return { isTaken: false, ...failureOf(error, from) }
  }
}

interface Taken {
  /** Another file has this name; the same one under a second name has not. */
  readonly isTaken: boolean
}

/** undefined: it is gone, or was never there. */
export function removeIfThere(path: string): MoveFailure | undefined {
  try {
    rmSync(path, { force: true })
    return undefined
  } catch (error) {
    return { isGone: false, why: `it cannot be removed (${systemReason(error)})` }
  }
}

export function isOneInode(a: BigIntStats, b: BigIntStats): boolean {
  return a.ino === b.ino && a.dev === b.dev
}

/** As `exactStatsOf`; also undefined if it cannot be looked at. */
export function statsIfLookedAt(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false })
  } catch {
    return undefined
  }
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

function failureOf(error: unknown, from: string): MoveFailure {
  const isMissing = hasCode(error, 'ENOENT')
  if (isMissing && statsIfLookedAt(from) === undefined) return { isGone: true, why: 'it is gone' }
  const reason = isMissing ? 'the directory that it goes to is gone' : systemReason(error)
  return { isGone: false, why: `it cannot be moved (${reason})` }
}
