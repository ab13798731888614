/** Pairs into the bytes of a run, a bounded number of blocks at a time. Pure: writes no file. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { PairTally } from './pair-words.ts'
import {
  BLOCK_BYTES,
  BLOCK_PAIRS,
  encodeHeader,
  headerBytesFor,
  type RunFacts,
  type RunLabel,
  sealBlock,
} from './run-format.ts'
import type { PairChunk } from './sums.ts'

/** Blocks that are gathered for one write: about 1 MiB. */
const BLOCKS_PER_WRITE = 16

export class RunEncoder {
  readonly #label: RunLabel
  readonly #seed = randomBytes(4).readUInt32LE()
  readonly #headerBytes: number
  readonly #tally = new PairTally()
  readonly #buffer = new ArrayBuffer(BLOCKS_PER_WRITE * BLOCK_BYTES)
  /** Whole blocks in the buffer, and pairs in the block behind them. */
  #blocks = 0
  #blockPairs = 0
  /** Blocks that were taken already. */
  #blocksTaken = 0

  constructor(label: RunLabel) {
    this.#label = label
    this.#headerBytes = headerBytesFor(label)
  }

  /** Where in the file the bytes belong that `take` will return next. */
  get positionBytes(): number {
    return this.#headerBytes + this.#blocksTaken * BLOCK_BYTES
  }

  /** No more pairs are accepted before `take`. */
  get isFull(): boolean {
    return this.#blocks === BLOCKS_PER_WRITE
  }

  get facts(): RunFacts {
    const { pairs, amount, largestSum } = this.#tally
    return { ...this.#label, pairs, amount, largestSum }
  }

  /** Takes pairs from index `start` on, and returns how many it had room for. */
  add(chunk: PairChunk, start: number): number {
    let at = start
    while (at < chunk.ids.length && !this.isFull) {
      const end = Math.min(chunk.ids.length, at + BLOCK_PAIRS - this.#blockPairs)
      const part = { ids: chunk.ids.subarray(at, end), amounts: chunk.amounts.subarray(at, end) }
      assert(this.#tally.add(part), 'the pairs of a run must ascend')
      const offset = this.#blocks * BLOCK_BYTES
      new BigUint64Array(this.#buffer, offset, BLOCK_PAIRS).set(part.ids, this.#blockPairs)
      const sums = new BigUint64Array(this.#buffer, offset + BLOCK_PAIRS * 8, BLOCK_PAIRS)
      sums.set(part.amounts, this.#blockPairs)
      this.#blockPairs += end - at
      at = end
      if (this.#blockPairs === BLOCK_PAIRS) this.#sealBlock()
    }
    return at - start
  }

  /** The blocks of a full buffer, to be written before anything is added again. */
  take(): Uint8Array {
    assert(this.isFull, 'taken too early')
    const bytes = new Uint8Array(this.#buffer)
    this.#blocksTaken += this.#blocks
    this.#blocks = 0
    return bytes
  }

  /** All that was not taken yet: the run's last bytes. */
  takeLast(): Uint8Array {
    const pairs = this.#blockPairs
    const offset = this.#blocks * BLOCK_BYTES
    if (pairs > 0) {
      const block = new Uint8Array(this.#buffer, offset)
      block.copyWithin(pairs * 8, BLOCK_PAIRS * 8, (BLOCK_PAIRS + pairs) * 8)
      this.#sealBlock()
    }
    return new Uint8Array(this.#buffer, 0, pairs > 0 ? offset + pairs * 16 + 16 : offset)
  }

  /** The header, once all pairs have been added. */
  header(): Uint8Array {
    return encodeHeader({ facts: this.facts, seed: this.#seed, headerBytes: this.#headerBytes })
  }

  #sealBlock(): void {
    const block = new Uint8Array(this.#buffer, this.#blocks * BLOCK_BYTES, BLOCK_BYTES)
    sealBlock(block, this.#blocksTaken + this.#blocks, this.#blockPairs, this.#seed)
    this.#blocks += 1
    this.#blockPairs = 0
  }
}
