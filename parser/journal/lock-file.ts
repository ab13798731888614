import { closeSync, constants, fstatSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Gives LMDB's lock file its room on disk before LMDB maps it: touching a mapped page that the disk
 * has no room for kills the process (SIGBUS), and an error while sizing the file does as well
 * (lmdb-js 3.5.6). Zeros mean nothing to it: whoever opens the file alone makes its contents anew.
 *
 * @throws the system's error
 */
export function allotLockFile(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  // What is there may still be mapped by an owner that was replaced.
  const fd = openSync(join(path, 'lock.mdb'), constants.O_RDWR | constants.O_CREAT, 0o600)
  try {
    for (let done = fstatSync(fd).size; done < LOCK_BYTES; ) {
      done += writeSync(fd, ZEROS, done, LOCK_BYTES - done, done)
    }
  } finally {
    closeSync(fd)
  }
}

/** For the 126 readers that LMDB makes room for, and more. */
const LOCK_BYTES = 16 * 1024
const ZEROS = new Uint8Array(LOCK_BYTES)
