/**
 * Ascending pairs of any number of sources as one ascending sequence, equal ids added together: by the
 * kernel (kernel/assembly/merge.ts), a piece of each source at a time, without waiting. When a source has
 * used up what was supplied, the merger says so and stops.
 */

import assert from 'node:assert/strict'
import { KERNEL_BYTES, type KernelExports, startKernel, unsigned } from '../kernel/index.ts'
import type { PairBuffer } from './pair-words.ts'
import type { PairChunk } from './sums.ts'

/** Why `run` stopped; the order is that of the numbers in assembly/merge.ts. */
const STATES = ['full', 'hungry', 'ended', 'overflow'] as const
/**
 * `full`: the buffer is full of finished pairs, empty it. `hungry`: the source `hungry` has no more pairs
 * here, supply some, or the end. `ended`: all sources have, what is in the buffer is the last. `overflow`:
 * a sum would pass 2^64 − 1.
 */
export type MergerState = (typeof STATES)[number]

export class Merger {
  readonly #sources: number
  readonly #memory: MergeMemory
  /** What was supplied of each source, and how much of it the kernel has had. */
  readonly #supplied: (PairChunk | undefined)[]
  readonly #taken: Int32Array
  #hungry = 0
  /** How many sources have been supplied for the first time. */
  #started = 0
  #joined = 0
  #overflow: { readonly id: bigint; readonly source: number } | undefined

  constructor(sources: number) {
    assert(sources >= 1, 'nothing to merge')
    this.#sources = sources
    this.#supplied = new Array(sources).fill(undefined)
    this.#taken = new Int32Array(sources)
    this.#memory = MergeMemory.take(sources)
    this.#memory.begin(sources)
  }

  /** The source that must be supplied next; -1 if none. */
  get hungry(): number {
    return this.#hungry
  }

  /** How many pairs of those in buffers so far were added to one of another source. */
  get joined(): number {
    return this.#joined
  }

  get overflow(): { readonly id: bigint; readonly source: number } | undefined {
    return this.#overflow
  }

  /** Gives the hungry source its next pairs, which must stay as they are; undefined: it has ended. */
  supply(chunk: PairChunk | undefined): void {
    const source = this.#hungry
    assert(source >= 0, 'no source is hungry')
    assert(chunk === undefined || chunk.ids.length > 0, 'a chunk without pairs')
    this.#supplied[source] = chunk
    this.#taken[source] = 0
    this.#hungry = -1
    if (!this.#feed(source)) this.#memory.feed(source, undefined, 0)
    if (this.#started === this.#sources) return
    this.#started += 1
    if (this.#started < this.#sources) this.#hungry = this.#started
  }

  /** Merges into the buffer, behind what is in it, until one of the states is reached. */
  run(out: PairBuffer): MergerState {
    if (this.#hungry >= 0) return 'hungry'
    const memory = this.#memory
    for (;;) {
      const state = memory.merge(out.capacity - out.pairs)
      if (state === 'hungry') {
        const source = memory.hungry
        if (this.#feed(source)) continue
        this.#hungry = source
        return state
      }
      if (state === 'overflow') {
        this.#overflow = memory.overflow
        return state
      }
      this.#joined += memory.moveTo(out)
      if (state === 'ended' || out.pairs === out.capacity) return state
    }
  }

  /** Lets go of its memory: nothing is asked of it any more. */
  close(): void {
    this.#memory.giveBack()
  }

  /** Gives the kernel the next piece. @returns false: there is no more. */
  #feed(source: number): boolean {
    const chunk = this.#supplied[source]
    const taken = this.#taken[source]!
    if (chunk === undefined || taken === chunk.ids.length) return false
    this.#taken[source] = this.#memory.feed(source, chunk, taken)
    return true
  }
}

/** A kernel whose memory holds a piece of each source. */
class MergeMemory {
  /** One for all: of several at a time the others are made, and given up. */
  static #free: MergeMemory | undefined
  readonly #sourcesMax: number
  readonly #kernel: KernelExports
  readonly #treeAt: number
  readonly #piecesAt: number
  readonly #pieces: BigUint64Array<ArrayBuffer>
  readonly #mergedIds: BigUint64Array<ArrayBuffer>
  readonly #mergedAmounts: BigUint64Array<ArrayBuffer>

  static take(sources: number): MergeMemory {
    const free = MergeMemory.#free
    if (free === undefined || free.#sourcesMax < sources) {
      return new MergeMemory(Math.max(sources, SOURCES_MIN))
    }
    MergeMemory.#free = undefined
    return free
  }

  private constructor(sourcesMax: number) {
    this.#sourcesMax = sourcesMax
    const bytes = KERNEL_BYTES + sourcesMax * (PIECE_PAIRS * 16 + SOURCE_BYTES_MAX)
    const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / PAGE_BYTES) })
    const kernel = startKernel(memory)
    assert(kernel.SOURCE_BYTES.value <= SOURCE_BYTES_MAX && kernel.memoryStart() <= KERNEL_BYTES)
    this.#kernel = kernel
    this.#piecesAt = KERNEL_BYTES
    this.#treeAt = KERNEL_BYTES + sourcesMax * PIECE_PAIRS * 16
    const array = (at: number, length: number) => new BigUint64Array(memory.buffer, at, length)
    this.#pieces = array(this.#piecesAt, sourcesMax * PIECE_PAIRS * 2)
    const mergedMax = kernel.MERGED_PAIRS_MAX.value
    this.#mergedIds = array(kernel.mergedIds.value, mergedMax)
    this.#mergedAmounts = array(kernel.mergedAmounts.value, mergedMax)
  }

  giveBack(): void {
    const free = MergeMemory.#free
    if (free === undefined || free.#sourcesMax < this.#sourcesMax) MergeMemory.#free = this
  }

  begin(sources: number): void {
    this.#kernel.beginMerge(sources, this.#treeAt)
  }

  get hungry(): number {
    return this.#kernel.hungry.value
  }

  get overflow(): { readonly id: bigint; readonly source: number } {
    return {
      id: unsigned(this.#kernel.overflowId),
      source: this.#kernel.overflowSource.value,
    }
  }

  /** The hungry source's next piece of a chunk; undefined: it has ended. @returns up to where it was taken. */
  feed(source: number, chunk: PairChunk | undefined, from: number): number {
    if (chunk === undefined) {
      this.#kernel.supply(0, 0, 0)
      return 0
    }
    const to = Math.min(chunk.ids.length, from + PIECE_PAIRS)
    const at = source * PIECE_PAIRS * 2
    this.#pieces.set(chunk.ids.subarray(from, to), at)
    this.#pieces.set(chunk.amounts.subarray(from, to), at + PIECE_PAIRS)
    const idsAt = this.#piecesAt + at * 8
    this.#kernel.supply(idsAt, idsAt + PIECE_PAIRS * 8, to - from)
    return to
  }

  /** @param most pairs, as far as there is room for them here. */
  merge(most: number): MergerState {
    return STATES[this.#kernel.merge(Math.min(most, this.#mergedIds.length))]!
  }

  /** @returns how many of them were joined. */
  moveTo(out: PairBuffer): number {
    const pairs = this.#kernel.mergedPairs.value
    const joined = this.#kernel.joinedPairs.value
    out.ids.set(this.#mergedIds.subarray(0, pairs), out.pairs)
    out.amounts.set(this.#mergedAmounts.subarray(0, pairs), out.pairs)
    out.pairs += pairs
    this.#kernel.emptyMerged()
    return joined
  }
}

/** Of each source, in the kernel's memory. */
const PIECE_PAIRS = 1_024
/** A multiple of 8. */
const SOURCE_BYTES_MAX = 40
/** Room for so many at least. */
const SOURCES_MIN = 64
const PAGE_BYTES = 65_536
