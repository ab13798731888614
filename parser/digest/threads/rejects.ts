/**
 * The bad lines of a file that is read in order, put aside: counted, and written down with what is
 * wrong with them. A line may be longer than anything that is read at once: it is *open* until its end
 * is met, and is counted then.
 */

import { REJECT_BYTES_MAX, type RejectedLine } from '../../../shared/reject-file.ts'
import {
  isOverLimit,
  isSurelyOver,
  NOTHING_REJECTED,
  type Rejected,
} from '../../../shared/reject-limit.ts'
import type { KeptRejects } from '../../facts.ts'
import type { RejectJob } from '../worker-messages.ts'
import { RejectDraft } from './reject-draft.ts'
import type { Segment } from './segment.ts'

export class Rejects {
  readonly #job: RejectJob
  readonly #sizeBytes: number
  readonly #draft: RejectDraft
  #rejected: Rejected
  #open: { -readonly [Key in keyof RejectedLine]: RejectedLine[Key] } | undefined

  constructor(job: RejectJob, sizeBytes: number) {
    this.#job = job
    this.#sizeBytes = sizeBytes
    this.#draft = new RejectDraft(job.draftPath, job.name)
    this.#rejected = job.kept ?? NOTHING_REJECTED
  }

  /** What was put aside so far. */
  get rejected(): Rejected {
    const { lines, bytes } = this.#rejected
    return { lines, bytes }
  }

  /** Where the line begins whose end was not met yet. */
  get openAtBytes(): number | undefined {
    return this.#open?.offset
  }

  /** To be called once, before anything is put aside. @throws CountersinkError RUN_UNREADABLE */
  begin(): void {
    if (this.#job.kept !== undefined) this.#draft.goOnFrom(this.#job.kept)
  }

  /** The bad line that the segment has stopped at; `goodLines` are before it. */
  put(segment: Segment, goodLines: number): void {
    this.#open = {
      line: goodLines + this.#rejected.lines + 1,
      ...{ offset: segment.positionBytes, code: segment.defect, sizeBytes: 0, text: '' },
    }
    this.goOn(segment)
  }

  /** The open line, from where the segment stands. */
  goOn(segment: Segment): void {
    const open = this.#open!
    const { sizeBytes, text, hasEnded } = segment.skipLine(REJECT_BYTES_MAX - open.text.length)
    open.sizeBytes += sizeBytes
    open.text += text
    if (!hasEnded) return
    this.#open = undefined
    this.#draft.add(open)
    this.#rejected = {
      lines: this.#rejected.lines + 1,
      bytes: this.#rejected.bytes + segment.positionBytes - open.offset,
    }
  }

  /** Whether more is bad than may be, whatever comes. */
  get isSurelyOver(): boolean {
    return isSurelyOver(this.#job.limit, this.#rejected, this.#sizeBytes)
  }

  /** The same at the end of the file, which has so many good lines. */
  isOverAtEnd(goodLines: number): boolean {
    const { lines } = this.#rejected
    return isOverLimit(this.#job.limit, lines, goodLines + lines)
  }

  /** For a checkpoint: all that was put aside is durable. */
  sync(): KeptRejects | undefined {
    if (this.#rejected.lines === 0) return undefined
    return { ...this.rejected, ...this.#draft.sync() }
  }

  /** Nothing more is put aside. */
  finish(): void {
    const { lines, bytes } = this.#rejected
    if (lines > 0) this.#draft.finish(lines, bytes)
  }

  close(): void {
    this.#draft.close()
  }
}
