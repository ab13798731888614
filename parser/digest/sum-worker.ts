/** The worker thread that validates a file's lines and adds them up. */

import assert from 'node:assert/strict'
import { BoundedSums, SumOverflow } from './bounded-sums.ts'
import type { BadLine, BadSum } from './line-defects.ts'
import { LineParser } from './line-parser.ts'
import { SumTable } from './sum-table.ts'
import type { SumEvent, SumJob, SumResult } from './worker-messages.ts'
import { type FileSource, serveJobs } from './worker-side.ts'

/** One for all files: what it grew to is used again. */
const table = new SumTable(1)

serveJobs<SumJob, SumEvent, SumResult>((job, file) => {
  const startMs = performance.now()
  const done = (lines: number, verdict: SumResult['verdict']) => {
    file.throwIfCancelled()
    return { result: { lines, verdict, sumMs: performance.now() - startMs } }
  }
  const sums = boundedSums(job, file)
  sums.adopt(job.runs, job.amount)
  const { startBytes: resumeBytes, lines, amount } = job
  const parser = new LineParser(table, () => sums.seal(), { resumeBytes, lines, amount })
  try {
    const bad = parse(file, parser, sums)
    if (bad !== undefined) return done(parser.lines, { ok: false, bad })
    if (sums.runs.length === 0 && table.pairs <= job.memoryPairsMax) {
      const { ids, amounts, largestSum } = table.sorted()
      const verdict = {
        ok: true,
        amount: parser.amount,
        largestSum,
        sums: { ids, amounts },
      } as const
      return { ...done(parser.lines, verdict), transfer: [ids.buffer, amounts.buffer] }
    }
    const run = sums.finish()
    assert.equal(run.amount, parser.amount, 'the runs hold another amount than the lines')
    const { amount, largestSum, name: runName } = run
    return done(parser.lines, { ok: true, amount, largestSum, sums: { runName } })
  } catch (error: unknown) {
    if (!(error instanceof SumOverflow)) throw error
    const { consumer } = error
    const bad: BadSum = { reason: 'CONSUMER_SUM_OVERFLOW', consumer, line: undefined }
    return done(parser.lines, { ok: false, bad })
  }
})

/** All lines into the table and, at each checkpoint, out of it into a run. */
function parse(
  file: FileSource<SumEvent>,
  parser: LineParser,
  sums: BoundedSums,
): BadLine | undefined {
  for (const { bytes, endBytes, endsAt } of file.pieces) {
    if (!parser.feed(bytes)) break
    if (endsAt !== 'checkpoint') continue
    sums.seal()
    const { resumeBytes, lines, amount } = parser
    const { runs } = sums
    file.tellCheckpoint({
      kind: 'checkpoint',
      positionBytes: endBytes,
      resumeBytes,
      lines,
      amount,
      runs,
    })
  }
  parser.finish()
  return parser.bad
}

function boundedSums(job: SumJob, file: FileSource<SumEvent>): BoundedSums {
  return new BoundedSums({
    table,
    pairsMax: job.pairsMax,
    directory: job.runsDirectory,
    owner: job.runsPrefix,
    namesFrom: job.runNamesFrom,
    onRuns: runs => file.tell({ kind: 'runs', runs }),
    pause() {
      file.throwIfCancelled()
      file.tell({ kind: 'alive' })
    },
  })
}
