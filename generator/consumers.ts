import type { Config } from '../shared/config.ts'
import { fraction53, type Sfc32 } from './sfc32.ts'

/**
 * Who occurs in a line: consumers 1…n, drawn a block at a time.
 *
 * Up to 2^20 consumers one random word a draw is enough; beyond, two words make a fraction of 53
 * bits, so that every consumer up to the 2^40th can occur. All arithmetic stays in integers below
 * 2^53 or in fractions whose rounding cannot leave 1…n.
 */
export interface ConsumerSampler {
  /** Fills `ids` with the next consumers. */
  draw(ids: Float64Array): void
}

/**
 * The exponent of `zipf`: consumer k occurs in proportion to 1 / k^1.1. Written as 1 + 1/10, so that
 * the inverse of the integral is a whole power: five multiplications where Math.pow takes longer
 * than all the rest of a line.
 */
export const ZIPF_EXPONENT = 1.1
const ZIPF_POWER = 10

const ONE_WORD_CONSUMERS_MAX = 2 ** 20
/** Random words fetched at a time: small enough for the first-level cache. */
const WORDS = 2_048

export function createSampler(
  distribution: Config['distribution'],
  consumers: number,
  random: Sfc32,
): ConsumerSampler {
  const fractions = new Fractions(random, consumers > ONE_WORD_CONSUMERS_MAX)
  switch (distribution) {
    case 'uniform':
      return new UniformSampler(consumers, fractions)
    case 'zipf':
      return new ZipfSampler(consumers, fractions)
  }
}

/** Random fractions in [0, 1), a block at a time. */
class Fractions {
  readonly #random: Sfc32
  readonly #wide: boolean
  readonly #words = new Uint32Array(WORDS)

  constructor(random: Sfc32, wide: boolean) {
    this.#random = random
    this.#wide = wide
  }

  fill(fractions: Float64Array): void {
    const words = this.#words
    const wordsEach = this.#wide ? 2 : 1
    let done = 0
    while (done < fractions.length) {
      const count = Math.min(fractions.length - done, WORDS / wordsEach)
      const part = words.subarray(0, count * wordsEach)
      this.#random.fill(part)
      if (this.#wide) {
        for (let i = 0; i < count; i += 1) {
          fractions[done + i] = fraction53(part[2 * i]!, part[2 * i + 1]!)
        }
      } else {
        for (let i = 0; i < count; i += 1) fractions[done + i] = part[i]! * 2 ** -32
      }
      done += count
    }
  }
}

class UniformSampler implements ConsumerSampler {
  readonly #consumers: number
  readonly #fractions: Fractions

  constructor(consumers: number, fractions: Fractions) {
    this.#consumers = consumers
    this.#fractions = fractions
  }

  draw(ids: Float64Array): void {
    this.#fractions.fill(ids)
    const n = this.#consumers
    // The largest fraction is 1 - 2^-53, and n times that rounds to a double below n for every n:
    // the gap between doubles there is at least n * 2^-53.
    for (let i = 0; i < ids.length; i += 1) ids[i] = Math.floor(ids[i]! * n) + 1
  }
}

/**
 * Rejection-inversion: W. Hörmann and G. Derflinger, "Rejection-inversion to generate variates from
 * monotone discrete distributions", ACM TOMACS 6 (1996) 169–184. Constant time and memory for any
 * number of consumers: a point under the continuous hat is inverted and rounded to the next rank,
 * and nearly always accepted at once.
 */
class ZipfSampler implements ConsumerSampler {
  readonly #consumers: number
  readonly #fractions: Fractions
  readonly #spare = new Float64Array(1)
  readonly #low: number
  readonly #high: number
  readonly #sureDistance: number

  constructor(consumers: number, fractions: Fractions) {
    this.#consumers = consumers
    this.#fractions = fractions
    this.#low = integral(1.5) - 1
    this.#high = integral(consumers + 0.5)
    this.#sureDistance = 2 - inverseIntegral(integral(2.5) - density(2))
  }

  draw(ids: Float64Array): void {
    this.#fractions.fill(ids)
    const n = this.#consumers
    const high = this.#high
    const span = this.#low - high
    const sure = this.#sureDistance
    for (let i = 0; i < ids.length; i += 1) {
      let area = high + ids[i]! * span
      for (;;) {
        const x = inverseIntegral(area)
        // Rounding may leave the range by one at either end, nowhere else.
        const rank = Math.min(Math.max(Math.floor(x + 0.5), 1), n)
        if (rank - x <= sure || area >= integral(rank + 0.5) - density(rank)) {
          ids[i] = rank
          break
        }
        this.#fractions.fill(this.#spare)
        area = high + this.#spare[0]! * span
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
