/** The worker thread that validates a file's lines and adds them up. */

import { LineParser } from './line-parser.ts'
import { SumTable } from './sum-table.ts'
import type { SumJob, SumResult } from './worker-messages.ts'
import { serveJobs } from './worker-side.ts'

serveJobs<SumJob, SumResult>((job, file) => {
  const startMs = performance.now()
  const table = new SumTable(job.pairsMax)
  const parser = new LineParser(table)
  for (const piece of file.pieces) {
    if (!parser.feed(piece)) break
  }
  parser.finish()
  const { lines, amount, bad } = parser
  if (bad !== undefined) {
    const sumMs = performance.now() - startMs
    return { result: { lines, verdict: { ok: false, bad }, sumMs } }
  }
  const { ids, amounts, largestSum } = table.sorted()
  file.throwIfCancelled()
  const sumMs = performance.now() - startMs
  return {
    result: { lines, verdict: { ok: true, amount, ids, amounts, largestSum }, sumMs },
    transfer: [ids.buffer, amounts.buffer],
  }
})
