/**
 * The records of one generated file: lines `consumer amount`, the same bytes for the same recipe,
 * whatever the sizes of the buffers they are asked for in. `fileSizeBytes` is met to the byte: the
 * last one to three lines are cut to fit.
 *
 * Lines are formatted straight into the caller's buffer, a block of random draws at a time; nothing
 * is allocated per line and memory does not depend on the size.
 */

import assert from 'node:assert/strict'
import type { Config } from '../../shared/config.ts'
import type { ByteRange } from '../../shared/setting-forms.ts'
import {
  type ConsumerIds,
  type ConsumerSampler,
  consumerIds,
  createSampler,
  DRAWS_MAX,
} from './consumers.ts'
import { NUMBER_BYTES_MAX, SCRIBBLE_BYTES, writeAmount, writeConsumer } from './decimal.ts'
import { Sfc32 } from './sfc32.ts'

/** What shapes the records besides seed and number; any change changes the bytes. */
export interface RecordOptions {
  readonly fileSize: ByteRange
  readonly consumers: number
  readonly distribution: Config['distribution']
}

/** What decides the bytes of one file. Plain data, which goes to a thread as it is. */
export interface FileRecipe extends RecordOptions {
  readonly seed: bigint
  readonly number: number
}

/** Consumer, space, 7 digits of amount, line end. */
const LINE_BYTES_MAX = NUMBER_BYTES_MAX + 8
/** One digit each, space, line end. */
const LINE_BYTES_MIN = 4
/** The closing lines name a consumer of one digit and an amount of one to seven. */
const CLOSING_LINE_BYTES_MAX = 10
/** The smallest buffer that lines can be asked for in. */
export const LINES_BUFFER_BYTES_MIN = 64

/**
 * The exact length of the file of a recipe, known before anything of it is made: log-uniform between
 * the bounds, as many files between 10 and 20 MiB as between 1 and 2 GiB.
 */
export function fileSizeBytes(recipe: FileRecipe): number {
  return chooseSize(recipe.fileSize, randomOf(recipe).fraction())
}

export class RecordSource {
  /** The exact length of the file. */
  readonly sizeBytes: number
  readonly #random: Sfc32
  readonly #sampler: ConsumerSampler
  readonly #closingConsumers: number
  readonly #ids: ConsumerIds
  readonly #words = new Uint32Array(DRAWS_MAX)
  #nextInBlock = DRAWS_MAX
  #positionBytes = 0
  #lines = 0
  #amount = 0n

  /** `sampler`: one that was made for such a recipe before, as making it may take milliseconds. */
  constructor(recipe: FileRecipe, sampler = createSampler(recipe.distribution, recipe.consumers)) {
    this.#random = randomOf(recipe)
    this.sizeBytes = chooseSize(recipe.fileSize, this.#random.fraction())
    this.#sampler = sampler
    this.#ids = consumerIds(recipe.consumers)
    this.#closingConsumers = Math.min(recipe.consumers, 9)
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
   * Writes the next whole lines to the front of `buffer` (at least `LINES_BUFFER_BYTES_MIN`) and
   * returns how many bytes they take; 0 at the end of the file. What lies behind them in the buffer
   * is undefined.
   */
  fill(buffer: Uint8Array): number {
    assert(buffer.length >= LINES_BUFFER_BYTES_MIN, 'a buffer must hold a few lines')
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length)
    const room = buffer.length - LINE_BYTES_MAX - SCRIBBLE_BYTES
    const left = this.sizeBytes - this.#positionBytes
    // After any line that starts here or before, enough is left for at least one more.
    const ordinaryEnd = left - LINE_BYTES_MAX - LINE_BYTES_MIN
    let bytes = this.#ordinaryLines(view, Math.min(room, ordinaryEnd))
    if (bytes > ordinaryEnd && left > 0 && buffer.length - bytes >= left - bytes + SCRIBBLE_BYTES) {
      bytes = this.#closingLines(view, bytes, left)
    }
    this.#positionBytes += bytes
    return bytes
  }

  /** Lines one after another, as long as the next starts at `lastStart` at most. */
  #ordinaryLines(view: DataView, lastStart: number): number {
    let at = 0
    while (at <= lastStart) {
      if (this.#nextInBlock === DRAWS_MAX) this.#drawBlock()
      at = this.#linesOfBlock(view, at, lastStart)
    }
    return at
  }

  /** A function of its own, and with `| 0`, so that V8 keeps positions in registers as integers. */
  #linesOfBlock(view: DataView, start: number, lastStart: number): number {
    const ids = this.#ids
    const words = this.#words
    const first = this.#nextInBlock
    let next = first
    let at = start
    let sum = 0
    while (next < DRAWS_MAX && at <= lastStart) {
      const amount = amountOf(words[next]!)
      at = writeConsumer(view, at, ids[next]!) | 0
      at = writeAmount(view, at, amount) | 0
      sum = (sum + amount) | 0
      next += 1
    }
    this.#nextInBlock = next
    this.#count(next - first, sum)
    return at
  }

  #closingLines(view: DataView, start: number, end: number): number {
    let at = start
    while (at < end) {
      const left = end - at
      const bytes =
        left <= CLOSING_LINE_BYTES_MAX
          ? left
          : Math.min(CLOSING_LINE_BYTES_MAX, left - LINE_BYTES_MIN)
      const smallest = 10 ** (bytes - LINE_BYTES_MIN)
      const amount = smallest + Math.floor(this.#random.fraction() * 9 * smallest)
      const consumer = 1 + Math.floor(this.#random.fraction() * this.#closingConsumers)
      at = writeAmount(view, writeConsumer(view, at, consumer), amount)
      this.#count(1, amount)
    }
    assert.equal(at, end)
    return at
  }

  #drawBlock(): void {
    this.#sampler.draw(this.#ids, this.#random)
    this.#random.fill(this.#words)
    this.#nextInBlock = 0
  }

  /** Amounts of a block add up to less than 2^31: a number is exact there, a BigInt from there on. */
  #count(lines: number, sum: number): void {
    this.#lines += lines
    this.#amount += BigInt(sum)
  }
}

function randomOf({ seed, number }: FileRecipe): Sfc32 {
  return new Sfc32(`countersink ${seed} ${number}`)
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
