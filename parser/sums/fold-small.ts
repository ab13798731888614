/**
 * The sums of many small files as those of a few, before they are merged. Neighbours are added up in the
 * kernel's table, as lines are: for hundreds of sources of some hundred pairs that takes a fraction of
 * the time that a tree with a leaf for each takes, and makes nothing for each of them.
 */

import assert from 'node:assert/strict'
import { KERNEL_BYTES, type KernelExports, startKernel } from '../kernel/index.ts'
import { MemorySums, type Sums } from './sums.ts'

/** Pairs that are added up at once: in a millisecond. */
const FOLDED_PAIRS_MAX = 131_072
/** A source with more is as good by itself. */
const SMALL_PAIRS_MAX = 4_096

/**
 * Gives what is small and stands side by side as one, a group at a time, and the others as they are.
 * Of a group undefined: a sum would pass 2^64 − 1.
 */
export function* foldSmall(sources: readonly Sums[]): Generator<Sums | undefined, void> {
  for (let at = 0; at < sources.length; ) {
    const group = groupFrom(sources, at)
    yield group.length < 2 ? sources[at]! : fold(group)
    at += Math.max(1, group.length)
  }
}

/** The small ones from there on that are added up at once. */
function groupFrom(sources: readonly Sums[], at: number): MemorySums[] {
  const group: MemorySums[] = []
  let pairs = 0
  for (let next = sources[at]; next !== undefined && isSmall(next); next = sources[++at]) {
    pairs += next.pairs
    if (pairs > FOLDED_PAIRS_MAX) break
    group.push(next)
  }
  return group
}

function isSmall(sums: Sums): sums is MemorySums {
  return sums instanceof MemorySums && sums.pairs <= SMALL_PAIRS_MAX
}

function fold(group: readonly MemorySums[]): MemorySums | undefined {
  const adder = theAdder ?? new Adder()
  theAdder = adder
  adder.begin()
  for (const { all } of group) if (!adder.add(all.ids, all.amounts)) return undefined
  return adder.end()
}

/** One for all: between two groups there is nothing in it. */
let theAdder: Adder | undefined

class Adder {
  readonly #kernel: KernelExports
  readonly #ids: BigUint64Array<ArrayBuffer>
  readonly #amounts: BigUint64Array<ArrayBuffer>

  constructor() {
    const initial = Math.ceil((KERNEL_BYTES + TABLE_BYTES) / PAGE_BYTES)
    const kernel = startKernel(new WebAssembly.Memory({ initial }))
    const { buffer } = kernel.memory
    const chunkPairs = kernel.CHUNK_PAIRS.value
    assert(chunkPairs >= SMALL_PAIRS_MAX, 'a small source is added at once')
    this.#kernel = kernel
    this.#ids = new BigUint64Array(buffer, kernel.chunkIds.value, chunkPairs)
    this.#amounts = new BigUint64Array(buffer, kernel.chunkAmounts.value, chunkPairs)
  }

  begin(): void {
    this.#kernel.clear()
    // Small again, whatever it has grown to.
    this.#kernel.layOut(KERNEL_BYTES, TABLE_BYTES, 0n, 0, FOLDED_PAIRS_MAX)
  }

  /** @returns false: a sum would pass 2^64 − 1. */
  add(ids: BigUint64Array, amounts: BigUint64Array): boolean {
    this.#ids.set(ids)
    this.#amounts.set(amounts)
    const stop = this.#kernel.addPairs(0, ids.length)
    assert(stop === DONE || stop === OVERFLOW, 'there is room for all pairs of a group')
    return stop === DONE
  }

  end(): MemorySums {
    const pairs = this.#kernel.pairs.value
    const ids = new BigUint64Array(pairs)
    const amounts = new BigUint64Array(pairs)
    this.#kernel.sort()
    for (let at = 0; at < pairs; ) {
      const count = this.#kernel.nextChunk()
      ids.set(this.#ids.subarray(0, count), at)
      amounts.set(this.#amounts.subarray(0, count), at)
      at += count
    }
    return new MemorySums(ids, amounts)
  }
}

// Why the kernel stopped; the numbers are those of kernel/assembly/staging.ts.
const DONE = 0
const OVERFLOW = 4
/** At most half full, and an eighth more to grow. */
const TABLE_BYTES = FOLDED_PAIRS_MAX * 2 * 18 + 4_096
const PAGE_BYTES = 65_536
