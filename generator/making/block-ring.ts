import assert from 'node:assert/strict'

/**
 * How the two threads that make a file hand it on: a ring of blocks in shared memory, filled by one
 * and emptied by the other, and beside it what the main thread has to say while both are at work: how
 * much may be stored by now, and that the file is given up. Threads in their loops take no messages.
 *
 * Memory is bounded by the ring, whatever the size of the file: who is ahead waits.
 *
 * Every change of any word is followed by a change of `CHANGES` and a notification there, and whoever
 * waits has read `CHANGES` before it looked at the rest. So no change can be missed between the look
 * and the wait.
 */
const CHANGES = 0
/** Blocks filled and emptied since the beginning of the file; each written by one thread only. */
const FILLED = 1
const EMPTIED = 2
const GIVEN_UP = 3
/** The bytes in each block come behind. */
const HEAD_WORDS = 4

/** Bytes stored, and bytes that may be stored by now. */
const STORED = 0
const ALLOWED = 1

/** What a thread needs to see the same ring. */
export interface SharedRing {
  readonly words: Int32Array<SharedArrayBuffer>
  readonly positions: BigInt64Array<SharedArrayBuffer>
  readonly blocks: readonly Uint8Array<SharedArrayBuffer>[]
}

export function createRing(blockCount: number, blockBytes: number): SharedRing {
  assert(blockCount >= 2, 'one block to fill while another is emptied')
  const shared = (bytes: number) => new SharedArrayBuffer(bytes)
  return {
    words: new Int32Array(shared((HEAD_WORDS + blockCount) * Int32Array.BYTES_PER_ELEMENT)),
    positions: new BigInt64Array(shared(2 * BigInt64Array.BYTES_PER_ELEMENT)),
    blocks: Array.from({ length: blockCount }, () => new Uint8Array(shared(blockBytes))),
  }
}

/** One thread's view of a ring. The main thread alone calls `begin`, and only while neither works. */
export class BlockRing {
  readonly #words: SharedRing['words']
  readonly #positions: SharedRing['positions']
  readonly #blocks: SharedRing['blocks']

  constructor({ words, positions, blocks }: SharedRing) {
    this.#words = words
    this.#positions = positions
    this.#blocks = blocks
  }

  // --- the main thread ---------------------------------------------------------------------

  /** Empties the ring for a new file, of which nothing may be stored yet. */
  begin(): void {
    this.#words.fill(0)
    this.#positions.fill(0n)
  }

  /** So many bytes of the file, from its beginning, may be stored by now. */
  allow(bytes: number): void {
    Atomics.store(this.#positions, ALLOWED, BigInt(bytes))
    this.#changed()
  }

  /** Ends both threads' work on the file, at the latest after the block in hand. */
  giveUp(): void {
    Atomics.store(this.#words, GIVEN_UP, 1)
    this.#changed()
  }

  /** Bytes that have been handed to the kernel. */
  get storedBytes(): number {
    return Number(Atomics.load(this.#positions, STORED))
  }

  // --- the thread that fills ----------------------------------------------------------------

  /** The next block to fill, as soon as it is free; undefined: the file was given up. */
  free(): Uint8Array<SharedArrayBuffer> | undefined {
    const filled = Atomics.load(this.#words, FILLED)
    const isFree = () => filled - Atomics.load(this.#words, EMPTIED) < this.#blocks.length
    return this.#until(isFree) ? this.#blocks[filled % this.#blocks.length] : undefined
  }

  /** The block of `free` holds so many bytes; 0 says that the file is complete. */
  filled(bytes: number): void {
    const filled = Atomics.load(this.#words, FILLED)
    Atomics.store(this.#words, HEAD_WORDS + (filled % this.#blocks.length), bytes)
    Atomics.store(this.#words, FILLED, filled + 1)
    this.#changed()
  }

  // --- the thread that empties --------------------------------------------------------------

  /** The bytes of the next block, none at the end of the file; undefined: it was given up. */
  full(): Uint8Array<SharedArrayBuffer> | undefined {
    const emptied = Atomics.load(this.#words, EMPTIED)
    if (!this.#until(() => Atomics.load(this.#words, FILLED) !== emptied)) return undefined
    const at = emptied % this.#blocks.length
    return this.#blocks[at]!.subarray(0, Atomics.load(this.#words, HEAD_WORDS + at))
  }

  /** Waits until the bytes up to this position may be stored. false: the file was given up. */
  awaitAllowed(endBytes: number): boolean {
    return this.#until(() => Number(Atomics.load(this.#positions, ALLOWED)) >= endBytes)
  }

  /** The block of `full` is stored, the file up to `endBytes`. */
  emptied(endBytes: number): void {
    Atomics.store(this.#positions, STORED, BigInt(endBytes))
    Atomics.store(this.#words, EMPTIED, Atomics.load(this.#words, EMPTIED) + 1)
    this.#changed()
  }

  #changed(): void {
    Atomics.add(this.#words, CHANGES, 1)
    Atomics.notify(this.#words, CHANGES)
  }

  /** Waits for a condition on shared words; false: the file was given up. */
  #until(condition: () => boolean): boolean {
    for (;;) {
      const changes = Atomics.load(this.#words, CHANGES)
      if (Atomics.load(this.#words, GIVEN_UP) !== 0) return false
      if (condition()) return true
      Atomics.wait(this.#words, CHANGES, changes)
    }
  }
}
