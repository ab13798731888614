/**
 * The sums of one file, in the thread that answers for them: segment by segment into the kernel,
 * at each checkpoint out of it into a run.
 *
 * The segments of a large file are shared with other threads (segment-board.ts). What they hand
 * over is added to the sums here, so there is one table whose room is watched, and one thread that
 * writes runs. If anything is wrong with a span that was shared, it is summed again in order. A sum
 * that turns out to be too large when runs are merged is searched for (first-overflow.ts). So the
 * verdict is always that of one thread with room for all sums that read the file from its beginning.
 *
 * Where bad lines may be put aside (rejects.ts), that too is done only in order: their numbers are
 * right, and they stand in the file of them as in this one. A span behind one that had some is not
 * shared, since it is likely to have some as well.
 */

import assert from 'node:assert/strict'
import { NOTHING_REJECTED } from '../../../shared/reject-limit.ts'
import { type HelpedSums, LEADER, SegmentBoard } from '../segment-board.ts'
import type { SumKernel } from '../sum-kernel.ts'
import type { SumEvent, SumJob, SumResult } from '../worker-messages.ts'
import { BoundedSums, type Run } from './bounded-sums.ts'
import { firstBadLine } from './first-bad-line.ts'
import { FirstOverflow, type Refusal } from './first-overflow.ts'
import { handedOver } from './help.ts'
import { Rejects } from './rejects.ts'
import { SumOverflow } from './run-merge.ts'
import { Segment, type Span, segmentsOf, spansOf } from './segment.ts'
import { SpanTally } from './span-tally.ts'
import { sumsInMemory, sumsInRun } from './sums-found.ts'
import type { FileSource } from './worker-side.ts'

/** A span of fewer segments is not shared: helpers would come when it is over. */
const SHARED_SEGMENTS_MIN = 3

/** So many bad lines at the beginning are passed before the first good ones are to be met. */
const HEADING_LINES_MAX = 64

/** Why the reading ends: a line, or more bad ones than may be in the lines before `endBytes`. */
type End = Refusal | { readonly endBytes: number }

function placeOf(end: End): number {
  return 'bad' in end ? end.bad.offset : end.endBytes
}

type Found = Pick<SumResult, 'lines' | 'rejected' | 'verdict'>

export class FileSums {
  readonly #job: SumJob
  readonly #file: FileSource<SumEvent>
  readonly #kernel: SumKernel
  readonly #sums: BoundedSums
  readonly #segment: Segment
  readonly #board: SegmentBoard | undefined
  /** None: the first bad line is the end. */
  readonly #rejects: Rejects | undefined
  /** Lines were put aside in the span before. */
  #wasMarred = false
  readonly #tally: SpanTally
  /** The runs there were where the present span begins. */
  #runsBefore: readonly Run[] = []
  #windowPlaced = false
  /** Where the next line begins that is to be summed: those before are well formed. */
  #resumeBytes: number
  #toldBytes = 0

  /** The kernel takes segments of `job.readBytes`. */
  constructor(job: SumJob, file: FileSource<SumEvent>, kernel: SumKernel) {
    kernel.reset(job.pairsMax)
    this.#job = job
    this.#file = file
    this.#kernel = kernel
    this.#segment = new Segment(kernel, job)
    this.#board = job.team && new SegmentBoard(job.team.shared, job.readBytes)
    this.#rejects = job.rejects && new Rejects(job.rejects, job.sizeBytes)
    this.#tally = new SpanTally(kernel, job)
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

  /** To be called once. @throws CountersinkError FILE_CHANGED, DISK_FULL, RUN_UNREADABLE, IO_FAILED */
  digest(): SumResult {
    const startMs = performance.now()
    try {
      const found = this.#found()
      this.#file.throwIfCancelled()
      const helpedLines = Math.min(this.#tally.helpedLines, found.lines)
      return { ...found, helpedLines, sumMs: performance.now() - startMs }
    } finally {
      this.#rejects?.close()
      this.#board?.end()
      for (const port of this.#job.team?.ports ?? []) port.close()
    }
  }

  #found(): Found {
    const job = this.#job
    this.#sums.adopt(job.runs, job.amount)
    this.#rejects?.begin()
    let end: End | undefined
    try {
      end = this.#sumSpans()
      if (end === undefined) return this.#finish()
      // A line before it is the first bad one if it is too much for what was sealed before.
      if (this.#sums.runs.length > 0) this.#sums.check()
    } catch (error: unknown) {
      if (!(error instanceof SumOverflow)) throw error
      const search = new FirstOverflow(job, this.#file, this.#kernel)
      end = search.find(end === undefined ? this.#resumeBytes : placeOf(end))
    }
    return this.#refuse(end)
  }

  #sumSpans(): End | undefined {
    const { sizeBytes } = this.#job
    for (const span of spansOf(this.#job)) {
      this.#begin()
      const end = this.#sumSpan(span)
      if (end !== undefined) return end
      if (span.endBytes < sizeBytes) this.#checkpoint(span.endBytes)
    }
    this.#resumeBytes = sizeBytes // a last line without a line end is no cut one
    return this.#rejects?.isOverAtEnd(this.#tally.lines) ? { endBytes: sizeBytes } : undefined
  }

  #sumSpan(span: Span): End | undefined {
    const board = this.#board
    const segments = Math.ceil((span.endBytes - span.startBytes) / this.#job.readBytes)
    if (board === undefined || segments < SHARED_SEGMENTS_MIN || this.#wasMarred) {
      return this.#sumInOrder(span)
    }
    const end = this.#sumTogether(span, board)
    if (end !== 'spoiled') return end
    this.#beginAgain()
    return this.#sumInOrder(span)
  }

  /** One segment after the other, until there is a bad line that may not be. */
  #sumInOrder(span: Span): End | undefined {
    const rejects = this.#rejects
    const rejectedBefore = rejects?.rejected.lines
    for (const segment of segmentsOf(span, this.#job.readBytes)) {
      this.#file.throwIfCancelled()
      const isInside = rejects?.openAtBytes !== undefined
      const isReadable = this.#segment.open(segment, isInside)
      assert(isReadable, 'the segment before has not found its bad line')
      if (isInside) rejects.goOn(this.#segment)
      const end = this.#sumSegment(rejects)
      if (end !== undefined) return end
      this.#tellPosition(segment.endBytes)
    }
    this.#wasMarred =
      rejects?.rejected.lines !== rejectedBefore || rejects?.openAtBytes !== undefined
    return undefined
  }

  /** The segments that nobody else takes, then what the others have made of theirs. */
  #sumTogether(span: Span, board: SegmentBoard): End | undefined | 'spoiled' {
    let end: End | undefined
    let overflow: SumOverflow | undefined
    board.open(span)
    try {
      end = this.#sumClaimed(board)
    } catch (error: unknown) {
      if (!(error instanceof SumOverflow)) throw error
      overflow = error
    } finally {
      board.close()
    }
    board.waitUntilAlone(this.#file.throwIfCancelled)
    const parts = handedOver(this.#job.team?.ports ?? [])
    if (!board.wasHelped) {
      if (overflow !== undefined) throw overflow
      if (end === undefined || this.#rejects === undefined) return end
    }
    const isFine = end === undefined && overflow === undefined && !board.isSpoiled
    if (!isFine || !this.#addParts(parts)) return 'spoiled'
    this.#resumeBytes = this.#segment.cutLineBytes(span.endBytes)
    this.#tellPosition(span.endBytes)
    return undefined
  }

  #sumClaimed(board: SegmentBoard): End | undefined {
    for (;;) {
      const claimed = board.claim(LEADER)
      this.#tellPosition(board.reachedBytes)
      if (claimed === undefined || board.isSpoiled) return undefined
      this.#file.throwIfCancelled()
      if (!this.#segment.open(claimed)) {
        board.spoil()
        return undefined
      }
      const end = this.#sumSegment()
      if (end !== undefined) return end
    }
  }

  /** Adds what helpers have made. False: some sum would become too large, or a line is bad. */
  #addParts(parts: readonly HelpedSums[]): boolean {
    try {
      for (const part of parts) {
        for (let at = 0, stop = 'full'; stop === 'full'; ) {
          const done = this.#kernel.addPairs(part, at)
          at += done.added
          stop = done.stop
          if (stop === 'full') this.#seal()
          else if (stop !== 'done') return false
        }
        this.#tally.addHelped(part)
        if (part.left === undefined) continue
        this.#file.throwIfCancelled()
        this.#segment.open(part.left, true)
        if (this.#sumSegment() !== undefined) return false
      }
      return true
    } catch (error: unknown) {
      if (!(error instanceof SumOverflow)) throw error
      return false
    }
  }

  /** The open segment's lines, and as many runs as it takes. Without `rejects` a bad line is the end. */
  #sumSegment(rejects?: Rejects): End | undefined {
    const segment = this.#segment
    for (;;) {
      if (!this.#windowPlaced && this.#kernel.pairs === 0) segment.placeWindow()
      this.#windowPlaced = true
      if (rejects?.isSurelyOver) return { endBytes: segment.positionBytes }
      const stop = segment.sum()
      this.#resumeBytes = rejects?.openAtBytes ?? segment.positionBytes
      if (stop === 'done') return undefined
      if (stop === 'full') this.#seal()
      else if (stop === 'bad' && rejects !== undefined) {
        rejects.put(segment, this.#tally.lines)
        this.#windowPlaced = this.#kernel.pairs > 0 || rejects.rejected.lines > HEADING_LINES_MAX
      } else {
        const lines = this.#tally.lines
        const rejected = this.#rejects?.rejected.lines ?? 0
        return { bad: segment.badLine(stop, lines + rejected), lines }
      }
    }
  }

  #seal(): void {
    this.#sums.seal()
    this.#windowPlaced = false
  }

  #checkpoint(positionBytes: number): void {
    this.#seal()
    this.#sums.sync()
    this.#file.tellCheckpoint({
      kind: 'checkpoint',
      positionBytes,
      resumeBytes: this.#resumeBytes,
      lines: this.#tally.lines,
      amount: this.#tally.amount,
      runs: this.#sums.runs,
      rejects: this.#rejects?.sync(),
    })
  }

  /** A span begins, with nothing in the table. */
  #begin(): void {
    this.#runsBefore = this.#sums.state
    this.#tally.begin()
  }

  /** The same span once more. Its checkpoint's runs are still there: nothing newer is committed. */
  #beginAgain(): void {
    this.#sums.goBackTo(this.#runsBefore)
    this.#tally.beginAgain()
    this.#windowPlaced = false
  }

  #finish(): Found {
    const { lines, amount } = this.#tally
    const rejected = this.#rejects?.rejected ?? NOTHING_REJECTED
    const isSmall = this.#sums.runs.length === 0 && this.#kernel.pairs <= this.#job.memoryPairsMax
    const sums = isSmall ? sumsInMemory(this.#kernel, amount) : sumsInRun(this.#sums, amount)
    this.#rejects?.finish()
    return { lines, rejected, verdict: { ok: true, amount, ...sums } }
  }

  #refuse(end: End): Found {
    const rejected = NOTHING_REJECTED
    if ('bad' in end) return { lines: end.lines, rejected, verdict: { ok: false, bad: end.bad } }
    const bad = firstBadLine(this.#job, this.#kernel, () => {
      this.#file.throwIfCancelled()
      this.#file.tell({ kind: 'alive' })
    })
    return { lines: bad.line - 1, rejected, verdict: { ok: false, bad, isOverLimit: true } }
  }

  /** Says how far it has come; never goes back, though a span may be summed again. */
  #tellPosition(positionBytes: number): void {
    if (positionBytes > this.#toldBytes) {
      this.#toldBytes = positionBytes
      this.#file.tellPosition(positionBytes)
    } else if (positionBytes < this.#toldBytes) this.#file.tell({ kind: 'alive' })
  }
}
