/** The worker thread that validates a file's lines and adds them up. */

import { FileSums } from './file-sums.ts'
import { SumKernel } from './sum-kernel.ts'
import type { SumEvent, SumJob, SumResult } from './worker-messages.ts'
import { serveJobs } from './worker-side.ts'

/**
 * What this thread's sums may take: room for 10 million consumers of neighbouring ids, or for
 * nearly 3 million of any ids. Together with the rest of the process it stays below 256 MiB.
 */
const SUM_BYTES_MAX = 96 * 1024 * 1024

/** One for all files: its memory is used again. */
let kernel: SumKernel | undefined

serveJobs<SumJob, SumEvent, SumResult>((job, file) => {
  kernel ??= new SumKernel({ sumBytesMax: SUM_BYTES_MAX, segmentBytesMax: job.readBytes })
  const result = new FileSums(job, file, kernel).digest()
  const { verdict } = result
  if (!verdict.ok || 'runName' in verdict.sums) return { result }
  return { result, transfer: [verdict.sums.ids.buffer, verdict.sums.amounts.buffer] }
})
