/**
 * Who occurs in a line: consumers 1…n, drawn a block at a time. A sampler keeps nothing of what it
 * has drawn, so one serves any number of files.
 *
 * Up to 2^20 consumers one random word a draw is enough; beyond, two words make a fraction of 53
 * bits, so that every consumer up to the 2^40th can occur. All arithmetic stays in integers below
 * 2^53 or in fractions whose rounding cannot leave 1…n.
 */

import type { Config } from '../../shared/config.ts'
import { fraction53, type Sfc32 } from './sfc32.ts'

export interface ConsumerSampler {
  /** Fills `ids` (at most `DRAWS_MAX`) with the next consumers. */
  draw(ids: ConsumerIds, random: Sfc32): void
}

export type ConsumerIds = Int32Array | Float64Array

/** Room for a block of consumers 1…n: integers as long as they fit, which spares conversions. */
export function consumerIds(consumers: number): ConsumerIds {
  return consumers < 2 ** 31 ? new Int32Array(DRAWS_MAX) : new Float64Array(DRAWS_MAX)
}

/** The most that is drawn at once: the words for it fit into the first-level cache. */
export const DRAWS_MAX = 1_024

/**
 * The exponent of `zipf`: consumer k occurs in proportion to 1 / k^1.1. Written as 1 + 1/10, so that
 * the inverse of the integral is a whole power: five multiplications where Math.pow takes longer
 * than all the rest of a line.
 */
export const ZIPF_EXPONENT = 1.1
const ZIPF_POWER = 10

const ONE_WORD_CONSUMERS_MAX = 2 ** 20

export function createSampler(
  distribution: Config['distribution'],
  consumers: number,
): ConsumerSampler {
  const wordsEach = consumers > ONE_WORD_CONSUMERS_MAX ? 2 : 1
  switch (distribution) {
    case 'uniform':
      return new UniformSampler(consumers, wordsEach)
    case 'zipf':
      return new ZipfSampler(consumers, wordsEach)
  }
}

/** How many random words make one fraction. */
type WordsEach = 1 | 2

class UniformSampler implements ConsumerSampler {
  readonly #consumers: number
  readonly #wordsEach: WordsEach
  readonly #words: Uint32Array

  constructor(consumers: number, wordsEach: WordsEach) {
    this.#consumers = consumers
    this.#wordsEach = wordsEach
    this.#words = new Uint32Array(wordsEach * DRAWS_MAX)
  }

  // The largest fraction is 1 - 2^-53, and n times that rounds to a double below n for every n: the
  // gap between doubles there is at least n * 2^-53.
  draw(ids: ConsumerIds, random: Sfc32): void {
    const words = this.#words
    const n = this.#consumers
    random.fill(words, this.#wordsEach * ids.length)
    if (this.#wordsEach === 2) {
      for (let i = 0; i < ids.length; i += 1) {
        ids[i] = Math.floor(fraction53(words[2 * i]!, words[2 * i + 1]!) * n) + 1
      }
      return
    }
    // A product with a power of two is exact, so this rounds as a fraction times n does.
    const scale = n * 2 ** -32
    for (let i = 0; i < ids.length; i += 1) ids[i] = ((words[i]! * scale) | 0) + 1
  }
}

/** The first bits of a fraction name its cell: 2^16 cells take 256 KiB, which a core's cache holds. */
const CELL_SHIFT = 16
const CELLS = 2 ** 16

/**
 * Rejection-inversion: W. Hörmann and G. Derflinger, "Rejection-inversion to generate variates from
 * monotone discrete distributions", ACM TOMACS 6 (1996) 169–184. Constant time and memory for any
 * number of consumers: a point under the continuous hat is inverted and rounded to the next rank,
 * and nearly always accepted at once.
 *
 * Most fractions need no arithmetic at all: where a whole cell of neighbouring fractions leads to the
 * same rank, that is looked up (an idea of the "cutpoint method" of H.-C. Chen and Y. Asau, 1974,
 * used here only where it gives the very rank that the arithmetic gives). Seven of eight draws of
 * ten thousand consumers end there.
 */
class ZipfSampler implements ConsumerSampler {
  readonly #consumers: number
  readonly #wordsEach: WordsEach
  readonly #words: Uint32Array
  readonly #spare = new Uint32Array(2)
  readonly #high: number
  readonly #span: number
  readonly #sureDistance: number
  /** The rank of all fractions of a cell; 0 where they differ, or some are rejected. */
  readonly #rankOfCell = new Int32Array(CELLS)

  constructor(consumers: number, wordsEach: WordsEach) {
    this.#consumers = consumers
    this.#wordsEach = wordsEach
    this.#words = new Uint32Array(wordsEach * DRAWS_MAX)
    this.#high = integral(consumers + 0.5)
    this.#span = integral(1.5) - 1 - this.#high
    this.#sureDistance = 2 - inverseIntegral(integral(2.5) - density(2))
    this.#fillCells()
  }

  draw(ids: ConsumerIds, random: Sfc32): void {
    const words = this.#words
    const wordsEach = this.#wordsEach
    const rankOfCell = this.#rankOfCell
    random.fill(words, wordsEach * ids.length)
    for (let i = 0; i < ids.length; i += 1) {
      const word = words[wordsEach * i]!
      const rank = rankOfCell[word >>> CELL_SHIFT]!
      ids[i] = rank !== 0 ? rank : this.#rankOf(this.#fraction(words, wordsEach * i), random)
    }
  }

  /** The rank that a fraction leads to, with more fractions as long as they are rejected. */
  #rankOf(fraction: number, random: Sfc32): number {
    for (let next = fraction; ; next = this.#fraction(this.#spare, 0)) {
      const area = this.#high + next * this.#span
      const x = inverseIntegral(area)
      const rank = this.#nearestRank(x)
      if (this.#accepts(area, x, rank)) return rank
      random.fill(this.#spare, this.#wordsEach)
    }
  }

  #fraction(words: Uint32Array, at: number): number {
    return this.#wordsEach === 1 ? words[at]! * 2 ** -32 : fraction53(words[at]!, words[at + 1]!)
  }

  /** Rounding may leave the range by one at either end, nowhere else. */
  #nearestRank(x: number): number {
    return Math.min(Math.max(Math.floor(x + 0.5), 1), this.#consumers)
  }

  #accepts(area: number, x: number, rank: number): boolean {
    return rank - x <= this.#sureDistance || area >= integral(rank + 0.5) - density(rank)
  }

  /**
   * A larger fraction gives a smaller area and a smaller x, rounding included: each single operation
   * is monotone. So a cell whose first and last fraction give the same rank gives no other, and
   * since `#accepts` is monotone in area and x as well, all of them are accepted if the last is.
   */
  #fillCells(): void {
    for (let cell = 0; cell < CELLS; cell += 1) {
      const word = (cell << CELL_SHIFT) >>> 0
      const first = this.#fraction(new Uint32Array([word, 0]), 0)
      const last = this.#fraction(new Uint32Array([word + 2 ** CELL_SHIFT - 1, 2 ** 32 - 1]), 0)
      const lastArea = this.#high + last * this.#span
      const lastX = inverseIntegral(lastArea)
      const rank = this.#nearestRank(lastX)
      const firstRank = this.#nearestRank(inverseIntegral(this.#high + first * this.#span))
      if (rank === firstRank && rank < 2 ** 31 && this.#accepts(lastArea, lastX, rank)) {
        this.#rankOfCell[cell] = rank
      }
    }
  }
}

/** h(x) = x^-1.1 */
function density(x: number): number {
  return x ** -ZIPF_EXPONENT
}

/** H(x), the integral of h: 10 * (1 - x^-0.1). */
function integral(x: number): number {
  return ZIPF_POWER * (1 - x ** (-1 / ZIPF_POWER))
}

/** The inverse of H: (1 - area / 10)^-10. */
function inverseIntegral(area: number): number {
  const root = 1 - area / ZIPF_POWER
  const power2 = root * root
  const power4 = power2 * power2
  return 1 / (power4 * power4 * power2)
}
