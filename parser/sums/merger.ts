/**
 * Ascending pairs of any number of sources as one ascending sequence, equal ids added together.
 * Pure and without waiting, so that the same loop serves worker threads and the main thread: when
 * a source has used up what was supplied, the merger says so and stops.
 *
 * A loser tree: each inner node keeps the source that lost there, so that the next pair costs one
 * comparison a level. Of equal ids the source of the lower index comes first.
 */

import assert from 'node:assert/strict'
import { addWords, type PairBuffer, u64, wordsOf } from './pair-words.ts'
import type { PairChunk } from './sums.ts'

/** Why `run` stopped. */
export type MergerState =
  /** The buffer is full of finished pairs: empty it. */
  | 'full'
  /** The source `hungry` has no more pairs here: supply some, or the end. */
  | 'hungry'
  /** All sources have ended; what is in the buffer is the last. */
  | 'ended'
  /** A sum would pass 2^64 − 1: see `overflow`. */
  | 'overflow'

export class Merger {
  readonly #sources: number
  /** The source that goes next at [0], the losers of the inner nodes at [1..]. */
  readonly #tree: Int32Array
  /** The id that each source is at: low, high. */
  readonly #heads: Uint32Array
  readonly #ended: Uint8Array
  readonly #ids: Uint32Array[]
  readonly #amounts: Uint32Array[]
  /** The word that each source is at. */
  readonly #at: Int32Array
  #hungry = -1
  /** How many sources have been supplied for the first time. */
  #started = 0
  #joined = 0
  #overflow: { readonly id: bigint; readonly source: number } | undefined

  constructor(sources: number) {
    assert(sources >= 1, 'nothing to merge')
    this.#sources = sources
    this.#tree = new Int32Array(sources)
    this.#heads = new Uint32Array(sources * 2)
    this.#ended = new Uint8Array(sources)
    this.#ids = new Array(sources).fill(new Uint32Array(0))
    this.#amounts = new Array(sources).fill(new Uint32Array(0))
    this.#at = new Int32Array(sources)
    this.#hungry = 0
  }

  /** The source that must be supplied next; -1 if none. */
  get hungry(): number {
    return this.#hungry
  }

  /** How many pairs so far were added to one of another source. */
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
    if (chunk === undefined) this.#ended[source] = 1
    else {
      assert(chunk.ids.length > 0, 'a chunk without pairs')
      this.#ids[source] = wordsOf(chunk.ids)
      this.#amounts[source] = wordsOf(chunk.amounts)
      this.#at[source] = 0
      this.#setHead(source)
    }
    this.#hungry = -1
    if (this.#started === this.#sources) this.#replay(source)
    else {
      this.#started += 1
      if (this.#started < this.#sources) this.#hungry = this.#started
      else this.#build()
    }
  }

  /** Merges into the buffer, behind what is in it, until one of the states is reached. */
  run(out: PairBuffer): MergerState {
    if (this.#hungry >= 0) return 'hungry'
    const { idWords, amountWords } = out
    const tree = this.#tree
    const capacity = out.capacity * 2
    let last = out.pairs * 2 - 2
    let state: MergerState | undefined
    while (state === undefined) {
      const source = tree[0]!
      if (this.#ended[source] === 1) {
        state = 'ended'
        break
      }
      const at = this.#at[source]!
      const ids = this.#ids[source]!
      const amounts = this.#amounts[source]!
      const low = ids[at]!
      const high = ids[at + 1]!
      if (last >= 0 && idWords[last] === low && idWords[last + 1] === high) {
        if (!addWords(amountWords, last, amounts[at + 1]!, amounts[at]!)) {
          this.#overflow = { id: u64(high, low), source }
          state = 'overflow'
          break
        }
        this.#joined += 1
      } else {
        // Only now, when a greater id has come, is the last pair in the buffer finished.
        if (last + 2 === capacity) {
          state = 'full'
          break
        }
        last += 2
        idWords[last] = low
        idWords[last + 1] = high
        amountWords[last] = amounts[at]!
        amountWords[last + 1] = amounts[at + 1]!
      }
      this.#at[source] = at + 2
      if (at + 2 === ids.length) {
        this.#hungry = source
        state = 'hungry'
      } else {
        this.#setHead(source)
        this.#replay(source)
      }
    }
    out.pairs = last / 2 + 1
    return state
  }

  #setHead(source: number): void {
    const ids = this.#ids[source]!
    const at = this.#at[source]!
    this.#heads[source * 2] = ids[at]!
    this.#heads[source * 2 + 1] = ids[at + 1]!
  }

  /** Plays all matches for the first time, from the leaves up. */
  #build(): void {
    const sources = this.#sources
    const winners = new Int32Array(sources * 2)
    for (let source = 0; source < sources; source++) winners[sources + source] = source
    for (let node = sources - 1; node >= 1; node--) {
      const left = winners[node * 2]!
      const right = winners[node * 2 + 1]!
      const leftWins = this.#goesBefore(left, right)
      winners[node] = leftWins ? left : right
      this.#tree[node] = leftWins ? right : left
    }
    this.#tree[0] = sources === 1 ? 0 : winners[1]!
  }

  /** The source has moved on: plays its matches again, up to the top. */
  #replay(source: number): void {
    const tree = this.#tree
    let winner = source
    for (let node = (source + this.#sources) >> 1; node > 0; node >>= 1) {
      const loser = tree[node]!
      if (this.#goesBefore(loser, winner)) {
        tree[node] = winner
        winner = loser
      }
    }
    tree[0] = winner
  }

  #goesBefore(a: number, b: number): boolean {
    const ended = this.#ended
    if ((ended[a]! | ended[b]!) !== 0) return ended[a]! < ended[b]!
    const heads = this.#heads
    const highA = heads[a * 2 + 1]!
    const highB = heads[b * 2 + 1]!
    if (highA !== highB) return highA < highB
    const lowA = heads[a * 2]!
    const lowB = heads[b * 2]!
    return lowA < lowB || (lowA === lowB && a < b)
  }
}
