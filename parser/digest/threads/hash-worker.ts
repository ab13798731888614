/** The worker thread that hashes a file, and helps with its sums when it is done with that. */

import { createHash } from 'node:crypto'
import { LF } from '../line-defects.ts'
import type { HashEvent, HashJob, HashResult } from '../worker-messages.ts'
import { helpSumming } from './help.ts'
import { serveJobs } from './worker-side.ts'

serveJobs<HashJob, HashEvent, HashResult>((job, file) => {
  const startMs = performance.now()
  const hash = createHash('sha256')
  let last: number | undefined = LF // an empty file lacks no line end
  for (const { bytes, endBytes, endsAt } of file.pieces(job)) {
    hash.update(bytes)
    last = bytes.at(-1)
    if (endsAt === undefined) continue
    const sha256 = new Uint8Array(hash.copy().digest())
    const event = { kind: 'prefix', positionBytes: endBytes, sha256 } as const
    if (endsAt === 'checkpoint') file.tellCheckpoint(event)
    else file.tell(event)
  }
  const sha256 = new Uint8Array(hash.digest())
  const hashMs = performance.now() - startMs
  if (job.help !== undefined) {
    helpSumming(job.help, { ...job, startBytes: job.sumStartBytes }, file.throwIfCancelled)
  }
  return { result: { sha256, endsWithLineEnd: last === LF, hashMs } }
})
