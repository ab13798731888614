/**
 * Reading a run. Every block that is read is checked; what is missing, cut off, garbled or cannot
 * be read is RUN_UNREADABLE. `RunSums` is for the main thread and never blocks it, `RunBlocks` for
 * worker threads.
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { closeQuietly } from '../../shared/durable.ts'
import { CountersinkError, toError } from '../../shared/errors.ts'
import { PairTally } from './pair-words.ts'
import {
  BLOCK_BYTES,
  BLOCK_PAIRS,
  blocksOf,
  decodeHeader,
  HEADER_BYTES_MIN,
  openBlock,
  type RunFacts,
  type RunHeader,
  readHeaderBytes,
  spanOf,
  unreadable,
} from './run-format.ts'
import { assertPairsMax, findIn, firstAfter, type PairChunk, type Sums } from './sums.ts'

/** Blocks that the main thread reads and checks at once: a quarter of a millisecond's work. */
const BLOCKS_PER_READ = 4

const BLOCKS_PER_PAUSE = 256

/** The sums in a run file, read from it as they are asked for. */
export class RunSums implements Sums {
  readonly facts: RunFacts
  readonly pairs: number
  readonly #path: string
  readonly #header: RunHeader
  #handle: FileHandle | undefined
  /** The block that `find` read last: the next consumer asked for is often near. */
  #found: { readonly index: number; readonly pairs: PairChunk } | undefined

  private constructor(path: string, header: RunHeader, handle: FileHandle) {
    this.#path = path
    this.#header = header
    this.#handle = handle
    this.facts = header.facts
    this.pairs = header.facts.pairs
  }

  /** Checks header and size; the blocks are checked when they are read, or all by `verify`. */
  static async open(path: string): Promise<RunSums> {
    let handle: FileHandle | undefined
    try {
      handle = await open(path, 'r')
      const { size } = await handle.stat()
      let start = await readFully(handle, path, 0, HEADER_BYTES_MIN)
      const headerBytes = readHeaderBytes(start, path)
      if (headerBytes > start.length) start = await readFully(handle, path, 0, headerBytes)
      return new RunSums(path, decodeHeader(start, size, path), handle)
    } catch (error: unknown) {
      if (handle !== undefined) await closeQuietly(handle)
      throw readFailure(path, error)
    }
  }

  /** The same, with every block read and checked once; what fails that holds no descriptor. */
  static async openVerified(path: string, signal?: AbortSignal): Promise<RunSums> {
    const sums = await RunSums.open(path)
    try {
      await sums.verify(signal)
      return sums
    } catch (error: unknown) {
      await sums.close()
      throw error
    }
  }

  /** Reads everything once. @throws CountersinkError RUN_UNREADABLE, or the signal's reason */
  async verify(signal?: AbortSignal): Promise<void> {
    const tally = new PairTally()
    for await (const pairs of this.#blocksFrom(0)) {
      signal?.throwIfAborted()
      assertAscending(tally.add(pairs), this.#path)
    }
    assertTotals(tally, this.facts, this.#path)
  }

  async *chunks(pairsMax: number, after?: bigint | null): AsyncGenerator<PairChunk> {
    assertPairsMax(pairsMax)
    let first = 0
    let skipped = 0
    if (after != null) {
      const block = await this.#blockOf(after)
      if (block !== undefined) {
        first = block.index
        skipped = firstAfter(block.pairs.ids, after)
      }
    }
    let left = this.pairs - first * BLOCK_PAIRS - skipped
    // One for all chunks: a new one each time would be tens of megabytes before any is collected.
    const whole = emptyChunk(Math.min(pairsMax, left))
    let chunk = whole
    let filled = 0
    for await (const pairs of this.#blocksFrom(first)) {
      let at = skipped
      skipped = 0
      while (at < pairs.ids.length) {
        const end = Math.min(pairs.ids.length, at + chunk.ids.length - filled)
        chunk.ids.set(pairs.ids.subarray(at, end), filled)
        chunk.amounts.set(pairs.amounts.subarray(at, end), filled)
        filled += end - at
        at = end
        if (filled < chunk.ids.length) continue
        yield chunk
        left -= filled
        filled = 0
        if (left >= whole.ids.length) continue
        const { ids, amounts } = whole
        chunk = { ids: ids.subarray(0, left), amounts: amounts.subarray(0, left) }
      }
    }
  }

  async find(id: bigint): Promise<bigint | undefined> {
    const block = await this.#blockOf(id)
    return block === undefined ? undefined : findIn(block.pairs, id)
  }

  async close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    this.#found = undefined
    if (handle !== undefined) await closeQuietly(handle)
  }

  /** The last block that begins with `id` or a smaller one; undefined if there is none. */
  async #blockOf(id: bigint): Promise<{ index: number; pairs: PairChunk } | undefined> {
    const last = this.#found
    if (last !== undefined && last.pairs.ids[0]! <= id && id <= last.pairs.ids.at(-1)!) return last
    let found: typeof last
    let low = 0
    let high = blocksOf(this.pairs)
    while (low < high) {
      const middle = (low + high) >>> 1
      const pairs = await this.#block(middle)
      if (pairs.ids[0]! <= id) {
        found = { index: middle, pairs }
        low = middle + 1
      } else high = middle
    }
    if (found !== undefined) this.#found = found
    return found
  }

  async #block(index: number): Promise<PairChunk> {
    const { positionBytes, bytes } = spanOf(this.#header, index, 1)
    const block = await readFully(this.#opened(), this.#path, positionBytes, bytes)
    return openBlock(this.#header, index, block, this.#path)
  }

  /** The pairs of each block from this one on: valid until the next is asked for. */
  async *#blocksFrom(first: number): AsyncGenerator<PairChunk> {
    const blocks = blocksOf(this.pairs)
    const buffer = new Uint8Array(Math.min(blocks - first, BLOCKS_PER_READ) * BLOCK_BYTES)
    for (let index = first; index < blocks; index += BLOCKS_PER_READ) {
      const { positionBytes, bytes } = spanOf(this.#header, index, BLOCKS_PER_READ)
      await readFully(this.#opened(), this.#path, positionBytes, bytes, buffer)
      for (let i = 0; i * BLOCK_BYTES < bytes; i++) {
        yield openBlock(this.#header, index + i, buffer.subarray(i * BLOCK_BYTES), this.#path)
      }
    }
  }

  #opened(): FileHandle {
    if (this.#handle === undefined) throw new CountersinkError('STOPPED', 'the sums are closed')
    return this.#handle
  }
}

/** The blocks of a run, one after the other, in a worker thread. */
export class RunBlocks {
  readonly facts: RunFacts
  readonly #path: string
  readonly #header: RunHeader
  readonly #fd: number
  readonly #buffer = new Uint8Array(BLOCK_BYTES)
  #index = 0

  private constructor(path: string, header: RunHeader, fd: number) {
    this.#path = path
    this.#header = header
    this.#fd = fd
    this.facts = header.facts
  }

  static open(path: string): RunBlocks {
    let fd: number | undefined
    try {
      fd = openSync(path, 'r')
      const { size } = fstatSync(fd)
      let start = readFullySync(fd, path, 0, new Uint8Array(HEADER_BYTES_MIN))
      const headerBytes = readHeaderBytes(start, path)
      if (headerBytes > start.length)
        start = readFullySync(fd, path, 0, new Uint8Array(headerBytes))
      return new RunBlocks(path, decodeHeader(start, size, path), fd)
    } catch (error: unknown) {
      if (fd !== undefined) closeSync(fd)
      throw readFailure(path, error)
    }
  }

  /** The next block's pairs, valid until the call after this; undefined at the end. */
  next(): PairChunk | undefined {
    if (this.#index === blocksOf(this.facts.pairs)) return undefined
    const { positionBytes, bytes } = spanOf(this.#header, this.#index, 1)
    const block = this.#buffer.subarray(0, bytes)
    try {
      readFullySync(this.#fd, this.#path, positionBytes, block)
    } catch (error: unknown) {
      throw readFailure(this.#path, error)
    }
    const pairs = openBlock(this.#header, this.#index, block, this.#path)
    this.#index += 1
    return pairs
  }

  close(): void {
    closeSync(this.#fd)
  }
}

/**
 * Reads a run to its end and returns what it says of itself; `pause` is called now and then.
 * @throws CountersinkError RUN_UNREADABLE, or what `pause` throws
 */
export function verifyRunSync(path: string, pause: () => void): RunFacts {
  const run = RunBlocks.open(path)
  try {
    const tally = new PairTally()
    let blocks = 0
    for (let pairs = run.next(); pairs !== undefined; pairs = run.next()) {
      if (blocks++ % BLOCKS_PER_PAUSE === 0) pause()
      assertAscending(tally.add(pairs), path)
    }
    assertTotals(tally, run.facts, path)
    return run.facts
  } finally {
    run.close()
  }
}

function assertAscending(ascending: boolean, path: string): void {
  if (!ascending) throw unreadable(path, 'its pairs do not ascend')
}

function assertTotals(found: PairTally, said: RunFacts, path: string): void {
  const same =
    found.pairs === said.pairs &&
    found.amount === said.amount &&
    found.largestSum === said.largestSum
  if (!same) throw unreadable(path, 'its pairs are not those that its header tells of')
}

async function readFully(
  handle: FileHandle,
  path: string,
  position: number,
  bytes: number,
  into = new Uint8Array(bytes),
): Promise<Uint8Array> {
  for (let done = 0; done < bytes; ) {
    let bytesRead: number
    try {
      ;({ bytesRead } = await handle.read(into, done, bytes - done, position + done))
    } catch (error: unknown) {
      throw readFailure(path, error)
    }
    if (bytesRead === 0) throw unreadable(path, `it ends after ${position + done} bytes`)
    done += bytesRead
  }
  return into
}

function readFullySync(fd: number, path: string, position: number, into: Uint8Array): Uint8Array {
  for (let done = 0; done < into.length; ) {
    const got = readSync(fd, into, done, into.length - done, position + done)
    if (got === 0) throw unreadable(path, `it ends after ${position + done} bytes`)
    done += got
  }
  return into
}

function readFailure(path: string, error: unknown): Error {
  const cause = toError(error)
  if (cause instanceof CountersinkError || !('syscall' in cause)) return cause
  return unreadable(path, cause.message, cause)
}

function emptyChunk(pairs: number): PairChunk {
  return { ids: new BigUint64Array(pairs), amounts: new BigUint64Array(pairs) }
}
