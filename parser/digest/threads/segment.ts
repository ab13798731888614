/**
 * A part of a file, summed by itself: the lines whose line feed is in it. Where its first line
 * begins is found in the bytes before, so parts may be summed in any order, by any thread.
 */

import assert from 'node:assert/strict'
import { readSync } from 'node:fs'
import { CountersinkError, hasCode, toError } from '../../../shared/errors.ts'
import {
  type BadLine,
  FIRST_BYTES_MAX,
  findDefect,
  LF,
  type LineDefect,
  SPACE,
} from '../line-defects.ts'
import type { Stop, SumKernel } from '../sum-kernel.ts'

/** The file, and the part of it that is summed at all. */
export interface SegmentFile {
  readonly fd: number
  readonly sizeBytes: number
  /** Where the first line begins that is summed. */
  readonly startBytes: number
}

/** Positions in the file. */
export interface Span {
  readonly startBytes: number
  readonly endBytes: number
}

/** Pieces of so many bytes, the last perhaps shorter. */
export function* segmentsOf({ startBytes, endBytes }: Span, bytes: number): Generator<Span> {
  for (let at = startBytes; at < endBytes; at += bytes) {
    yield { startBytes: at, endBytes: Math.min(at + bytes, endBytes) }
  }
}

/** What is summed between two checkpoints, or to the end. */
export function* spansOf({
  startBytes,
  sizeBytes,
  checkpointBytes,
  resumedBytes,
}: SegmentFile & {
  readonly checkpointBytes: number
  readonly resumedBytes: number
}): Generator<Span> {
  for (let start = startBytes; start < sizeBytes; ) {
    const passed = Math.floor(Math.max(start, resumedBytes) / checkpointBytes)
    const end = Math.min((passed + 1) * checkpointBytes, sizeBytes)
    yield { startBytes: start, endBytes: end }
    start = end
  }
}

export class Segment {
  readonly #kernel: SumKernel
  readonly #file: SegmentFile
  /** The kernel's. */
  readonly #input: Buffer
  /** The file's position of the input's first byte. */
  #origin = 0
  /** In the input: where the next line begins, and the end. */
  #at = 0
  #end = 0
  /** How much the kernel is given at once: what it has marked is lost when it meets a bad line. */
  #blockBytes = Number.POSITIVE_INFINITY

  constructor(kernel: SumKernel, file: SegmentFile) {
    this.#kernel = kernel
    this.#file = file
    const { buffer, byteOffset, byteLength } = kernel.input
    this.#input = Buffer.from(buffer, byteOffset, byteLength)
  }

  /**
   * Reads a part. False: its first line begins so far before that it is no line; whoever sums the
   * part before finds it. `startsLine`: nothing has to be looked for, a line begins there.
   * @throws CountersinkError FILE_CHANGED, FILE_UNFIT
   */
  open({ startBytes, endBytes }: Span, startsLine = false): boolean {
    const { fd, sizeBytes } = this.#file
    const { input } = this.#kernel
    const before = startsLine ? 0 : Math.min(FIRST_BYTES_MAX, startBytes - this.#file.startBytes)
    this.#origin = startBytes - before
    this.#end = endBytes - this.#origin
    readAll(fd, input.subarray(0, this.#end), this.#origin, sizeBytes)
    // A file's last line needs no line feed.
    if (endBytes === sizeBytes && input[this.#end - 1] !== LF) input[this.#end++] = LF
    this.#at = before === 0 ? 0 : input.subarray(0, before).lastIndexOf(LF) + 1
    return this.#at > 0 || this.#origin === this.#file.startBytes || startsLine
  }

  /** In the file: where the line begins that is cut at `endBytes`, all lines before it being good. */
  cutLineBytes(endBytes: number): number {
    const { fd, sizeBytes, startBytes } = this.#file
    const bytes = new Uint8Array(Math.min(FIRST_BYTES_MAX, endBytes - startBytes))
    readAll(fd, bytes, endBytes - bytes.length, sizeBytes)
    return endBytes - bytes.length + bytes.lastIndexOf(LF) + 1
  }

  /** Adds the part's lines, from where it stopped before. */
  sum(): Stop {
    for (;;) {
      const end = Math.min(this.#at + this.#blockBytes, this.#end)
      const stop = this.#kernel.sum(this.#at, end)
      this.#at = this.#kernel.positionBytes
      if (stop !== 'done' || end === this.#end) return stop
      this.#blockBytes *= 2
    }
  }

  /**
   * Goes on behind the line, or the rest of one, that it stands at: so many bytes without its line feed,
   * the first of them as text, a character each. It has not ended if it does so in a later segment.
   */
  skipLine(textBytesMax = 0): SkippedLine {
    const input = this.#input
    const from = this.#at
    const found = input.indexOf(LF, from)
    const hasEnded = found !== -1 && found < this.#end
    const end = hasEnded ? found : this.#end
    this.#at = hasEnded ? end + 1 : end
    this.#blockBytes = BLOCK_BYTES_MIN
    const text = input.toString('latin1', from, Math.min(end, from + textBytesMax))
    return { sizeBytes: end - from, text, hasEnded }
  }

  /** Places the kernel's window by the lines that come next. */
  placeWindow(): void {
    const sizeMax = Math.max(this.#file.sizeBytes, WINDOW_SIZE_MIN)
    this.#kernel.placeWindow(this.#kernel.bestWindow(this.#at, this.#end, sizeMax))
  }

  /** In the file: where the line begins that is cut or the reason. */
  get positionBytes(): number {
    return Math.min(this.#origin + this.#at, this.#file.sizeBytes)
  }

  /** What is wrong with the line that was the reason; `lines` are before it. */
  badLine(stop: 'bad' | 'overflow', lines: number): BadLine {
    const { input, consumer } = this.#kernel
    const start = input.subarray(this.#at, Math.min(this.#at + FIRST_BYTES_MAX, this.#end))
    const lineFeed = start.indexOf(LF)
    const firstBytes = new Uint8Array(lineFeed === -1 ? start : start.subarray(0, lineFeed)) // a copy
    const place = { line: lines + 1, offset: this.positionBytes, firstBytes }
    if (stop === 'overflow') {
      const column = firstBytes.indexOf(SPACE) + 1
      return { ...place, reason: 'CONSUMER_SUM_OVERFLOW', column, consumer }
    }
    return { ...place, ...defectOf(firstBytes), consumer: undefined }
  }

  /** What is wrong with the line that it stands at, which is bad. */
  get defect(): LineDefect {
    const { input } = this.#kernel
    let end = this.#at
    while (end < this.#end && end < this.#at + FIRST_BYTES_MAX && input[end] !== LF) end++
    return defectOf(input.subarray(this.#at, end)).reason
  }
}

export interface SkippedLine {
  readonly sizeBytes: number
  readonly text: string
  readonly hasEnded: boolean
}

function defectOf(firstBytes: Uint8Array): {
  readonly reason: LineDefect
  readonly column: number
} {
  const defect = findDefect(firstBytes)
  assert(defect !== undefined, 'a line was refused, but nothing is wrong with it')
  return defect
}

/** Where bad lines are, more of them are likely to be. Longer than any good line. */
const BLOCK_BYTES_MIN = 256

/** A window is not larger than the file, since it is looked through at the end; up to here it may. */
const WINDOW_SIZE_MIN = 65_536

/** Fills `bytes` from the file. @throws CountersinkError FILE_CHANGED if it ends before, FILE_UNFIT */
function readAll(fd: number, bytes: Uint8Array, position: number, sizeBytes: number): void {
  for (let done = 0; done < bytes.length; ) {
    const got = readOrFail(fd, bytes, done, position + done)
    if (got === 0) throw endsEarly(position + done, sizeBytes)
    done += got
  }
}

export function endsEarly(positionBytes: number, sizeBytes: number): CountersinkError {
  const message = `the file ends after ${positionBytes} bytes, expected ${sizeBytes}`
  return new CountersinkError('FILE_CHANGED', message)
}

/** Reads what there is, at most to the end of `bytes`. @throws CountersinkError FILE_UNFIT */
export function readOrFail(fd: number, bytes: Uint8Array, at: number, position: number): number {
  const wanted = bytes.length - at
  try {
    return readSync(fd, bytes, at, wanted, position)
  } catch (error: unknown) {
    const cause = toError(error)
    if (!('syscall' in cause)) throw cause
    const message = `it cannot be read: ${wanted} bytes at ${position}: ${cause.message}`
    // Of a descriptor that is none the file cannot be to blame.
    throw new CountersinkError(hasCode(cause, 'EBADF') ? 'IO_FAILED' : 'FILE_UNFIT', message, {
      cause,
    })
  }
}
