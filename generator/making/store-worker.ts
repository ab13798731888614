/** The worker thread that hashes the lines of a file and writes them. */

import { createHash } from 'node:crypto'
import { writeSync } from 'node:fs'
import { BlockRing } from './block-ring.ts'
import type { StoreJob, StoreResult } from './making-messages.ts'
import { serveJobs } from './serve-jobs.ts'

/** The main thread is told at least so often: often enough for a sign of life, … */
const PROGRESS_MS = 50
/** … and for the disk to be set to work in time. */
const PROGRESS_BYTES = 4 * 2 ** 20

serveJobs<StoreJob, StoreResult>(({ ring, fd }, progressed) => {
  const blocks = new BlockRing(ring)
  const hash = createHash('sha256')
  let positionBytes = 0
  let toldBytes = 0
  let toldAtMs = performance.now()
  for (;;) {
    const bytes = blocks.full()
    if (bytes === undefined) return undefined
    if (bytes.length === 0) return { sha256: hash.digest('hex') }
    hash.update(bytes)
    const endBytes = positionBytes + bytes.length
    if (!blocks.awaitAllowed(endBytes)) return undefined
    writeAll(fd, bytes)
    positionBytes = endBytes
    blocks.emptied(positionBytes)
    const nowMs = performance.now()
    if (positionBytes - toldBytes >= PROGRESS_BYTES || nowMs - toldAtMs >= PROGRESS_MS) {
      toldBytes = positionBytes
      toldAtMs = nowMs
      progressed()
    }
  }
})

function writeAll(fd: number, bytes: Uint8Array): void {
  let written = 0
  while (written < bytes.length) written += writeSync(fd, bytes, written)
}
