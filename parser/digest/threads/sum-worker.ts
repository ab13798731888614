/** The worker thread that validates a file's lines and adds them up. */

import { SumKernel } from '../sum-kernel.ts'
import type { SumEvent, SumJob, SumResult } from '../worker-messages.ts'
import { FileSums } from './file-sums.ts'
import { serveJobs } from './worker-side.ts'

/** One for all files: its memory is used again. */
let kernel: SumKernel | undefined

serveJobs<SumJob, SumEvent, SumResult>((job, file) => {
  const { sumBytesMax, readBytes: segmentBytesMax } = job
  kernel ??= new SumKernel({ sumBytesMax, segmentBytesMax })
  const result = new FileSums(job, file, kernel).digest()
  const { verdict } = result
  if (!verdict.ok || 'runName' in verdict.sums) return { result }
  return { result, transfer: [verdict.sums.ids.buffer, verdict.sums.amounts.buffer] }
})
