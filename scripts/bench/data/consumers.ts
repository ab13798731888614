import { writeNineDigits, writeNumber } from './decimal-text.ts'

/** Who occurs in a file of the benchmark, and how often. */
export interface Consumers {
  /**
   * - `uniform`: ids 1…count, all alike.
   * - `zipf`: ids 1…count, the k-th in proportion to 1/k.
   * - `sparse`: ids spread over the 64-bit numbers, all alike.
   */
  readonly kind: 'uniform' | 'zipf' | 'sparse'
  readonly count: number
}

/** Writes the id of the consumer with this index (0…count − 1). */
export type IdWriter = (view: DataView, at: number, index: number) => number

export const idWriterOf = ({ kind }: Consumers): IdWriter =>
  kind === 'sparse'
    ? (view, at, index) =>
        writeNineDigits(view, writeNumber(view, at, sparseHigh(index)), sparseLow(index))
    : (view, at, index) => writeNumber(view, at, index + 1)

/** The id as a number of any size: for what is not done for every line. */
export function idOf({ kind }: Consumers, index: number): bigint {
  if (kind !== 'sparse') return BigInt(index + 1)
  return BigInt(sparseHigh(index)) * 1_000_000_000n + BigInt(sparseLow(index))
}

/** Turns random words into indexes, in place of them. */
export function indexesOf({ kind, count }: Consumers): (words: Uint32Array) => void {
  if (kind === 'zipf') {
    const span = Math.log(count + 1)
    return words => {
      for (let i = 0; i < words.length; i += 1) {
        const rank = Math.floor(Math.exp(words[i]! * 2 ** -32 * span))
        words[i] = Math.min(rank, count) - 1
      }
    }
  }
  return words => {
    for (let i = 0; i < words.length; i += 1) words[i] = Math.floor(words[i]! * 2 ** -32 * count)
  }
}

// A sparse id is high · 10^9 + low. The lower digits are a permutation of the index, so that no two
// ids are equal; the upper ones look random. 18446744072 · 10^9 + 999999999 is below 2^64.
const LOW_FACTOR = 387_420_489
const HIGH_MAX = 18_446_744_072

/** Exact for every index below 2·10^7: the product stays below 2^53. */
function sparseLow(index: number): number {
  return (index * LOW_FACTOR) % 1e9
}

function sparseHigh(index: number): number {
  let h = Math.imul(index ^ (index >>> 15), 0x2c1b3c6d)
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39)
  return 1 + Math.floor(((h ^ (h >>> 15)) >>> 0) * 2 ** -32 * HIGH_MAX)
}
