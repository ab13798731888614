import { createHash } from 'node:crypto'

/**
 * The stream's source of chance: sfc32 by Chris Doty-Humphrey (PractRand), a 128-bit state of three
 * mixing words and a counter, so that no seed leads into a short cycle. It is chosen for speed in
 * JavaScript: additions, shifts and xors of 32-bit integers, which V8 keeps in registers.
 */
export class Sfc32 {
  readonly #state = new Int32Array(4)

  /** Equal texts give equal sequences; different ones, for all practical purposes, never do. */
  constructor(seedText: string) {
    const digest = createHash('sha256').update(seedText).digest()
    for (let i = 0; i < 4; i += 1) this.#state[i] = digest.readInt32LE(4 * i)
    // The author's own count of rounds, after which every bit of the seed has reached every word.
    this.fill(new Uint32Array(15))
  }

  /** The first `count` of `words` become the next numbers, each uniform over 0…2^32-1. */
  fill(words: Uint32Array, count = words.length): void {
    const state = this.#state
    let a = state[0]!
    let b = state[1]!
    let c = state[2]!
    let counter = state[3]!
    for (let i = 0; i < count; i += 1) {
      const word = (((a + b) | 0) + counter) | 0
      counter = (counter + 1) | 0
      a = b ^ (b >>> 9)
      b = (c + (c << 3)) | 0
      c = (((c << 21) | (c >>> 11)) + word) | 0
      words[i] = word
    }
    state[0] = a
    state[1] = b
    state[2] = c
    state[3] = counter
  }

  /** One number, uniform over [0, 1) in steps of 2^-53. For the few draws outside of blocks. */
  fraction(): number {
    const words = new Uint32Array(2)
    this.fill(words)
    return fraction53(words[0]!, words[1]!)
  }
}

/** Two random words as a number, uniform over [0, 1) in steps of 2^-53. */
export function fraction53(high: number, low: number): number {
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) * 2 ** -53
}
