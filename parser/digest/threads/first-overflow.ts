/**
 * The first line with which a consumer's sum passes 2^64 − 1, of a file of which it is only known
 * that there is such a line. Sums that were sealed in runs, or added by other threads, show it when
 * they are merged, and do not tell the place any more.
 *
 * The file is read again from its beginning, by one thread, in a few parts. The sums of each part are
 * merged with those of all lines before it, the *base*; the merge that fails tells the part. That part
 * is then read again in the same way, with what its own consumers have of the base. A part whose
 * consumers are in memory all at once is the last: with the base put in first, the kernel stops at
 * the very line.
 *
 *     file   ├──────┼──────┼──────┼──╳          base = the parts before, merged
 *     part                        ├─┼─╳         … of the consumers of this part only
 *     line                          ├╳
 *
 * It costs reading the file up to that line once more, and an eighth, a 64th … of it; on the disk the
 * base twice and the runs of one part. What it costs does not depend on how many sums overflow.
 *
 * A crash leaves runs that nothing durable names, which are swept; the next start goes on from the last
 * checkpoint, meets the overflow again, and searches again.
 */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { CountersinkError } from '../../../shared/errors.ts'
import { type PairChunk, RunBlocks, writeRunSync } from '../../sums/index.ts'
import type { BadLine } from '../line-defects.ts'
import type { SumKernel } from '../sum-kernel.ts'
import type { SumEvent, SumJob } from '../worker-messages.ts'
import { BoundedSums } from './bounded-sums.ts'
import { putPairsOf } from './run-filter.ts'
import { mergeRuns, SumOverflow } from './run-merge.ts'
import { Segment, type Span, segmentsOf } from './segment.ts'
import type { FileSource } from './worker-side.ts'

/** Parts of what is read again. */
const PARTS = 8

/** A line for which a file is refused. */
export interface Refusal {
  readonly bad: BadLine
  /** Good ones before it. */
  readonly lines: number
}

/** The part of the file that has the line. */
interface Part extends Span {
  /** Good lines before it, and bad ones that are put aside. */
  readonly lines: number
  readonly rejected: number
  /** Sums of its lines, those behind the first overflow perhaps left out; nothing if it has none. */
  readonly runs: readonly string[]
  /** Whether all consumers of these lines were in memory at once. */
  readonly isWhole: boolean
}

export class FirstOverflow {
  readonly #job: SumJob
  readonly #file: FileSource<SumEvent>
  readonly #kernel: SumKernel
  readonly #segment: Segment
  /** The run of the sums of all lines before; undefined if there are none. */
  #base: string | undefined
  #named = 0
  /** Bad lines met since the kernel's totals were reset. */
  #rejected = 0

  /** The kernel's sums are given up. */
  constructor(job: SumJob, file: FileSource<SumEvent>, kernel: SumKernel) {
    this.#job = job
    this.#file = file
    this.#kernel = kernel
    this.#segment = new Segment(kernel, { fd: job.fd, sizeBytes: job.sizeBytes, startBytes: 0 })
  }

  /**
   * Looks in the lines before `endBytes`: they have an overflow, and are well formed but for those that
   * may be put aside.
   * @throws CountersinkError FILE_CHANGED if that is not so, DISK_FULL, RUN_UNREADABLE, IO_FAILED
   */
  find(endBytes: number): Refusal {
    const nothing = { lines: 0, rejected: 0, runs: [], isWhole: false }
    let part: Part = { startBytes: 0, endBytes, ...nothing }
    while (!part.isWhole) {
      part = this.#partIn(part)
      this.#keepOf(part.runs)
    }
    return this.#lineIn(part)
  }

  /** The first part of this one with which a sum is too large; what is before it is in the base. */
  #partIn({ startBytes, endBytes, lines, rejected }: Part): Part {
    const bytes = Math.ceil((endBytes - startBytes) / PARTS)
    for (const span of segmentsOf({ startBytes, endBytes }, bytes)) {
      this.#kernel.reset(this.#job.pairsMax)
      this.#rejected = 0
      const sums = new BoundedSums({
        table: this.#kernel,
        directory: this.#job.runsDirectory,
        owner: this.#job.runsPrefix,
        namesFrom: this.#nextName(),
        onRuns: runs => this.#use(runs),
        pause: this.#pause,
      })
      const { seals, isSummed } = this.#sum(span, sums)
      if (!isSummed || !this.#addToBase(sums.runs)) {
        return { ...span, lines, rejected, runs: sums.runs, isWhole: seals === 1 }
      }
      lines += this.#kernel.lines
      rejected += this.#rejected
    }
    throw changed('a sum that passed 2^64 - 1 does not any more')
  }

  /** All lines of a part, or those before the first with which a sum of this part is too large. */
  #sum(span: Span, sums: BoundedSums): { seals: number; isSummed: boolean } {
    let seals = 0
    const seal = () => {
      seals += 1
      sums.seal()
    }
    try {
      for (const segment of segmentsOf(span, this.#job.readBytes)) {
        this.#open(segment)
        for (let stop = 'full'; stop !== 'done'; ) {
          if (this.#kernel.pairs === 0) this.#segment.placeWindow()
          stop = this.#segment.sum()
          if (stop === 'bad') this.#skipLine()
          if (stop === 'full') seal()
          if (stop !== 'overflow') continue
          seal()
          return { seals, isSummed: false }
        }
      }
      seal()
      return { seals, isSummed: true }
    } catch (error: unknown) {
      if (!(error instanceof SumOverflow)) throw error
      return { seals, isSummed: false }
    }
  }

  /** False: a sum would be too large; the base is then as it was. */
  #addToBase(runs: readonly string[]): boolean {
    const all = this.#base === undefined ? runs : [this.#base, ...runs]
    if (runs.length > 0 && all.length > 1) {
      const paths = all.map(name => this.#path(name))
      try {
        this.#base = this.#write(put =>
          mergeRuns({ paths, kernel: this.#kernel, put, pause: this.#pause }),
        )
      } catch (error: unknown) {
        if (!(error instanceof SumOverflow)) throw error
        return false
      }
    } else this.#base = all[0]
    this.#use([])
    return true
  }

  /** From now on the base is that of the consumers of these runs. */
  #keepOf(runs: readonly string[]): void {
    if (this.#base !== undefined) {
      const path = this.#path(this.#base)
      const others = runs.map(name => this.#path(name))
      this.#base = this.#write(put => putPairsOf({ path, others, put, pause: this.#pause }))
    }
    this.#use([])
  }

  /** The line, in a part that fits into memory: the window is still where it was then. */
  #lineIn(part: Part): Refusal {
    this.#kernel.clear()
    this.#kernel.resetTotals()
    this.#rejected = 0
    this.#loadBase()
    for (const segment of segmentsOf(part, this.#job.readBytes)) {
      this.#open(segment)
      for (let stop = this.#segment.sum(); stop !== 'done'; stop = this.#segment.sum()) {
        if (stop === 'bad') {
          this.#skipLine()
          continue
        }
        if (stop !== 'overflow') throw changed('other lines are where a sum passed 2^64 - 1')
        const lines = part.lines + this.#kernel.lines
        const before = lines + part.rejected + this.#rejected
        return { bad: this.#segment.badLine(stop, before), lines }
      }
    }
    throw changed('a sum that passed 2^64 - 1 does not any more')
  }

  #loadBase(): void {
    if (this.#base === undefined) return
    const run = RunBlocks.open(this.#path(this.#base))
    try {
      for (let pairs = run.next(); pairs !== undefined; pairs = run.next()) {
        const { stop } = this.#kernel.addPairs(pairs, 0)
        assert.equal(stop, 'done', 'consumers that were in memory fit into it')
      }
    } finally {
      run.close()
    }
  }

  #open(segment: Span): void {
    this.#pause()
    if (this.#segment.open(segment)) return
    this.#segment.open(segment, true)
    this.#skipLine()
  }

  /** A bad line, or the rest of one: it is counted where it ends. */
  #skipLine(): void {
    if (this.#job.rejects === undefined)
      throw changed('a line that was well formed is not any more')
    if (this.#segment.skipLine().hasEnded) this.#rejected += 1
  }

  #write(fill: (put: (chunk: PairChunk) => void) => void): string {
    const { runsDirectory, runsPrefix } = this.#job
    const name = `${this.#nextName()}.run`
    writeRunSync(runsDirectory, name, { owner: runsPrefix }, fill)
    return name
  }

  /** These runs and the base are needed, and no others. */
  #use(runs: readonly string[]): void {
    this.#file.tell({
      kind: 'runs',
      runs: this.#base === undefined ? runs : [this.#base, ...runs],
    })
  }

  readonly #pause = () => {
    this.#file.throwIfCancelled()
    this.#file.tell({ kind: 'alive' })
  }

  #nextName(): string {
    this.#named += 1
    return `${this.#job.runNamesFrom}-again-${this.#named}`
  }

  #path(name: string): string {
    return join(this.#job.runsDirectory, name)
  }
}

function changed(what: string): CountersinkError {
  return new CountersinkError('FILE_CHANGED', `the file is not what was read before: ${what}`)
}
