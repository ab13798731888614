/** A worker thread that helps the sum thread with large files. */

import type { HelpJob, HelpResult } from '../worker-messages.ts'
import { helpSumming } from './help.ts'
import { serveJobs } from './worker-side.ts'

serveJobs<HelpJob, never, HelpResult>((job, file) => {
  helpSumming(job.help, { ...job, startBytes: job.sumStartBytes }, file.throwIfCancelled)
  return { result: undefined }
})
