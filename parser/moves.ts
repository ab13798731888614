import { linkSync, renameSync, rmSync, unlinkSync } from 'node:fs'
import { crashPoint } from '../shared/crash-points.ts'
import { hasCode, systemReason } from '../shared/errors.ts'
import { isOneInode, statsIfLookedAt } from '../shared/looks.ts'

/**
 * Renames between the directories that files pass through. They go straight to the kernel, as `looks.ts` does:
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

function failureOf(error: unknown, from: string): MoveFailure {
  const isMissing = hasCode(error, 'ENOENT')
  if (isMissing && statsIfLookedAt(from) === undefined) return { isGone: true, why: 'it is gone' }
  const reason = isMissing ? 'the directory that it goes to is gone' : systemReason(error)
  return { isGone: false, why: `it cannot be moved (${reason})` }
}
