import { type BigIntStats, lstatSync, type Stats } from 'node:fs'
import { ioFailed } from './errors.ts'

/**
 * Looks at what has a name: at the name itself, not at what a link points to. They go straight to the
 * kernel: each takes microseconds, and somebody waits.
 */

/** undefined when there is none. @throws CountersinkError IO_FAILED */
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

/** As `exactStatsOf`; also undefined if it cannot be looked at. */
export function statsIfLookedAt(path: string): BigIntStats | undefined {
  try {
    return exactStatsOf(path)
  } catch {
    return undefined
  }
}

/** Whether anything has this name. @throws CountersinkError IO_FAILED where that cannot be known. */
export function isThere(path: string): boolean {
  return statsOf(path) !== undefined
}

/** Two names of one file. */
export function isOneInode(a: BigIntStats, b: BigIntStats): boolean {
  return a.ino === b.ino && a.dev === b.dev
}
