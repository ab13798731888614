/** The worker thread that hashes a file. */

import { createHash } from 'node:crypto'
import { LF } from './line-defects.ts'
import type { HashResult, Job } from './worker-messages.ts'
import { serveJobs } from './worker-side.ts'

serveJobs<Job, HashResult>((_job, file) => {
  const startMs = performance.now()
  const hash = createHash('sha256')
  let last: number | undefined = LF // an empty file lacks no line end
  for (const piece of file.pieces) {
    hash.update(piece)
    last = piece.at(-1)
  }
  const sha256 = new Uint8Array(hash.digest())
  const hashMs = performance.now() - startMs
  return { result: { sha256, endsWithLineEnd: last === LF, hashMs } }
})
