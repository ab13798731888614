import assert from 'node:assert/strict'
import type { ByteRange, Config } from '../shared/config.ts'
import { type ConsumerSampler, createSampler } from './consumers.ts'
import { Sfc32 } from './sfc32.ts'

/** What shapes the records besides seed and number; any change changes the bytes. */
export interface RecordOptions {
  readonly fileSize: ByteRange
  readonly consumers: number
  readonly distribution: Config['distribution']
}

/** 13 digits of consumer (2^40), space, 7 digits of amount, line end. */
const LINE_BYTES_MAX = 22
/** One digit each, space, line end. */
const LINE_BYTES_MIN = 4
/** A number is stored four digits at a time, so up to three bytes beyond its end are scribbled on. */
const SCRIBBLE_BYTES = 4
/** The closing lines name a consumer of one digit and an amount of one to seven. */
const CLOSING_LINE_BYTES_MAX = 10
const LINES_PER_BLOCK = 1_024
const SPACE = 0x20
const LINE_END = 0x0a

/**
 * The records of one generated file: lines `consumer amount`, the same bytes for the same seed,
 * number and options, whatever the sizes of the buffers they are asked for in.
 *
 * The size is chosen first, log-uniform between the bounds (as many files between 10 and 20 MiB as
 * between 1 and 2 GiB), and met to the byte: the last one to three lines are cut to fit.
 *
 * Lines are formatted straight into the caller's buffer, a block of random draws at a time; nothing
 * is allocated per line and memory does not depend on the size.
 */
export class RecordSource {
  /** The exact length of the file. */
  readonly sizeBytes: number
  readonly #random: Sfc32
  readonly #sampler: ConsumerSampler
  readonly #closingConsumers: number
  readonly #ids = new Float64Array(LINES_PER_BLOCK)
  readonly #words = new Uint32Array(LINES_PER_BLOCK)
  #nextInBlock = LINES_PER_BLOCK
  #positionBytes = 0
  #lines = 0
  #amount = 0n

  constructor(seed: bigint, number: number, options: RecordOptions) {
    this.#random = new Sfc32(`countersink ${seed} ${number}`)
    this.sizeBytes = chooseSize(options.fileSize, this.#random.fraction())
    this.#sampler = createSampler(options.distribution, options.consumers, this.#random)
    this.#closingConsumers = Math.min(options.consumers, 9)
  }

  /** Bytes handed out so far. */
  get positionBytes(): number {
    return this.#positionBytes
  }

  /** Lines handed out so far. */
  get lines(): number {
    return this.#lines
  }

  /** The sum of all amounts handed out so far, exact. */
  get amount(): bigint {
    return this.#amount
  }

  /**
   * Writes the next whole lines to the front of `buffer` (at least 64 bytes) and returns how many
   * bytes they take; 0 at the end of the file. What lies behind them in the buffer is undefined.
   */
  fill(buffer: Buffer): number {
    assert(buffer.length >= 64, 'a buffer must hold a few lines')
    const room = buffer.length - LINE_BYTES_MAX - SCRIBBLE_BYTES
    const left = this.sizeBytes - this.#positionBytes
    // After any line that starts here or before, enough is left for at least one more.
    const ordinaryEnd = left - LINE_BYTES_MAX - LINE_BYTES_MIN
    let bytes = this.#ordinaryLines(buffer, Math.min(room, ordinaryEnd))
    if (bytes > ordinaryEnd && left > 0 && buffer.length - bytes >= left - bytes + SCRIBBLE_BYTES) {
      bytes = this.#closingLines(buffer, bytes, left)
    }
    this.#positionBytes += bytes
    return bytes
  }

  /** Lines one after another, as long as the next starts at `lastStart` at most. */
  #ordinaryLines(buffer: Buffer, lastStart: number): number {
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length)
    const ids = this.#ids
    const words = this.#words
    let at = 0
    while (at <= lastStart) {
      if (this.#nextInBlock === LINES_PER_BLOCK) this.#drawBlock()
      const first = this.#nextInBlock
      let next = first
      let sum = 0
      while (next < LINES_PER_BLOCK && at <= lastStart) {
        const amount = amountOf(words[next]!)
        at = writeNumber(view, at, ids[next]!)
        view.setUint8(at, SPACE)
        at = writeNumber(view, at + 1, amount)
        view.setUint8(at, LINE_END)
        at += 1
        sum += amount
        next += 1
      }
      this.#nextInBlock = next
      this.#count(next - first, sum)
    }
    return at
  }

  #closingLines(buffer: Buffer, start: number, end: number): number {
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length)
    let at = start
    while (at < end) {
      const left = end - at
      const bytes =
        left <= CLOSING_LINE_BYTES_MAX
          ? left
          : Math.min(CLOSING_LINE_BYTES_MAX, left - LINE_BYTES_MIN)
      const smallest = 10 ** (bytes - LINE_BYTES_MIN)
      const amount = smallest + Math.floor(this.#random.fraction() * 9 * smallest)
      at = writeNumber(view, at, 1 + Math.floor(this.#random.fraction() * this.#closingConsumers))
      view.setUint8(at, SPACE)
      at = writeNumber(view, at + 1, amount)
      view.setUint8(at, LINE_END)
      at += 1
      this.#count(1, amount)
    }
    assert.equal(at, end)
    return at
  }

  #drawBlock(): void {
    this.#sampler.draw(this.#ids)
    this.#random.fill(this.#words)
    this.#nextInBlock = 0
  }

  /** Amounts of a block add up to less than 2^31: a number is exact there, a BigInt from there on. */
  #count(lines: number, sum: number): void {
    this.#lines += lines
    this.#amount += BigInt(sum)
  }
}

/**
 * 1…2^20, half of a typical stream below a few thousand and a long tail above: 20 random bits,
 * shifted right by 0…15.
 */
function amountOf(word: number): number {
  return ((word >>> 12) >>> (word & 15)) + 1
}

function chooseSize({ minBytes, maxBytes }: ByteRange, fraction: number): number {
  const size = Math.floor(minBytes * (maxBytes / minBytes) ** fraction)
  return Math.min(Math.max(size, minBytes), maxBytes)
}

// The numbers 0…9999 as ASCII in a little-endian word: left-aligned, and with leading zeros.
const LEFT = new Int32Array(10_000)
const FULL = new Int32Array(10_000)
const DIGITS = new Uint8Array(10_000)
for (let n = 0; n < 10_000; n += 1) {
  LEFT[n] = Buffer.from(String(n).padEnd(4, '0')).readInt32LE()
  FULL[n] = Buffer.from(String(n).padStart(4, '0')).readInt32LE()
  DIGITS[n] = String(n).length
}

/** Writes a whole number below 10^16 in decimal and returns where it ends. */
function writeNumber(view: DataView, at: number, value: number): number {
  if (value < 1e8) return writeSmall(view, at, value | 0)
  const high = Math.floor(value / 1e8)
  const low = value - high * 1e8
  const end = writeSmall(view, at, high | 0)
  const lowHigh = (low / 1e4) | 0
  view.setInt32(end, FULL[lowHigh]!, true)
  view.setInt32(end + 4, FULL[low - lowHigh * 1e4]!, true)
  return end + 8
}

function writeSmall(view: DataView, at: number, value: number): number {
  if (value < 10_000) {
    view.setInt32(at, LEFT[value]!, true)
    return at + DIGITS[value]!
  }
  const high = (value / 10_000) | 0
  view.setInt32(at, LEFT[high]!, true)
  const end = at + DIGITS[high]!
  view.setInt32(end, FULL[value - high * 10_000]!, true)
  return end + 4
}
