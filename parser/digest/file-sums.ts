/**
 * The sums of one file, in the thread that answers for them: segment by segment into the kernel,
 * at each checkpoint out of it into a run.
 */

import assert from 'node:assert/strict'
import { BoundedSums, SumOverflow } from './bounded-sums.ts'
import type { BadLine } from './line-defects.ts'
import { PairTally } from './pair-words.ts'
import { Segment, type SegmentFile, type Span } from './segment.ts'
import type { SumKernel } from './sum-kernel.ts'
import type { SumEvent, SumJob, SumResult, SumVerdict } from './worker-messages.ts'
import type { FileSource } from './worker-side.ts'

export class FileSums {
  readonly #job: SumJob
  readonly #file: FileSource<SumEvent>
  readonly #kernel: SumKernel
  readonly #sums: BoundedSums
  readonly #segment: Segment
  #windowPlaced = false
  /** Where the next line begins that is to be summed. */
  #resumeBytes: number

  /** The kernel takes segments of `job.readBytes`. */
  constructor(job: SumJob, file: FileSource<SumEvent>, kernel: SumKernel) {
    kernel.reset(job.pairsMax)
    this.#job = job
    this.#file = file
    this.#kernel = kernel
    this.#segment = new Segment(kernel, job satisfies SegmentFile)
    this.#resumeBytes = job.startBytes
    this.#sums = new BoundedSums({
      table: kernel,
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

  /** @throws CountersinkError FILE_CHANGED, DISK_FULL, RUN_UNREADABLE, IO_FAILED */
  digest(): SumResult {
    const startMs = performance.now()
    const verdict = this.#verdict()
    this.#file.throwIfCancelled()
    return { lines: this.#lines, verdict, sumMs: performance.now() - startMs }
  }

  #verdict(): SumVerdict {
    const job = this.#job
    this.#sums.adopt(job.runs, job.amount)
    try {
      for (const { startBytes, endBytes } of windowsOf(job)) {
        const bad = this.#sumInOrder({ startBytes, endBytes })
        if (bad !== undefined) return { ok: false, bad }
        if (endBytes < job.sizeBytes) this.#checkpoint(endBytes)
      }
      this.#file.throwIfCancelled()
      return this.#finish()
    } catch (error: unknown) {
      if (!(error instanceof SumOverflow)) throw error
      const { consumer } = error
      return { ok: false, bad: { reason: 'CONSUMER_SUM_OVERFLOW', consumer, line: undefined } }
    }
  }

  /** One segment after the other, until there is a bad line. */
  #sumInOrder({ startBytes, endBytes }: Span): BadLine | undefined {
    const { readBytes } = this.#job
    for (let at = startBytes; at < endBytes; at += readBytes) {
      this.#file.throwIfCancelled()
      const end = Math.min(at + readBytes, endBytes)
      this.#segment.open({ startBytes: at, endBytes: end })
      const bad = this.#sumSegment()
      if (bad !== undefined) return bad
      this.#file.tellPosition(end)
    }
    return undefined
  }

  /** The open segment's lines, and as many runs as it takes. */
  #sumSegment(): BadLine | undefined {
    const segment = this.#segment
    for (;;) {
      if (!this.#windowPlaced) segment.placeWindow()
      this.#windowPlaced = true
      const stop = segment.sum()
      this.#resumeBytes = segment.positionBytes
      if (stop === 'done') return undefined
      if (stop !== 'full') return segment.badLine(stop, this.#lines)
      this.#seal()
    }
  }

  #seal(): void {
    this.#sums.seal()
    this.#windowPlaced = false
  }

  #checkpoint(positionBytes: number): void {
    this.#seal()
    this.#file.tellCheckpoint({
      kind: 'checkpoint',
      positionBytes,
      resumeBytes: this.#resumeBytes,
      lines: this.#lines,
      amount: this.#amount,
      runs: this.#sums.runs,
    })
  }

  #finish(): SumVerdict {
    const amount = this.#amount
    if (this.#sums.runs.length === 0 && this.#kernel.pairs <= this.#job.memoryPairsMax) {
      const sums = this.#kernel.sortedArrays()
      const tally = new PairTally()
      tally.add(sums)
      assert.equal(tally.amount, amount, 'the sums hold another amount than the lines')
      return { ok: true, amount, largestSum: tally.largestSum, sums }
    }
    const { name: runName, largestSum, amount: found } = this.#sums.finish()
    assert.equal(found, amount, 'the runs hold another amount than the lines')
    return { ok: true, amount, largestSum, sums: { runName } }
  }

  get #lines(): number {
    return this.#job.lines + this.#kernel.lines
  }

  get #amount(): bigint {
    return this.#job.amount + this.#kernel.amount
  }
}

/** What is summed between two checkpoints, or to the end. */
function* windowsOf({ startBytes, sizeBytes, checkpointBytes, resumedBytes }: SumJob) {
  for (let start = startBytes; start < sizeBytes; ) {
    const passed = Math.floor(Math.max(start, resumedBytes) / checkpointBytes)
    const end = Math.min((passed + 1) * checkpointBytes, sizeBytes)
    yield { startBytes: start, endBytes: end }
    start = end
  }
}
