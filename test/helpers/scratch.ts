import { mkdtempSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const MEMORY = '/dev/shm'
const MEMORY_BYTES_MIN = 2 * 2 ** 30

/**
 * A new directory for state directories and databases under test, with a short path: in memory, if
 * there is enough. What the tests kill are processes, never the kernel, so a sync proves nothing,
 * and takes most of the time on a disk. `TMPDIR` in the environment puts it elsewhere.
 */
export function makeScratchDirectory(prefix: string): string {
  const inMemory = process.env.TMPDIR === undefined && process.platform === 'linux'
  return mkdtempSync(join(inMemory && isRoomy(MEMORY) ? MEMORY : tmpdir(), prefix))
}

function isRoomy(path: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize >= MEMORY_BYTES_MIN
  } catch {
    // There is no such place here.
    return false
  }
}
