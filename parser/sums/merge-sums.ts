/** Several files' sums as one: what a batch adds to the totals. */

import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { Merger } from './merger.ts'
import { PairBuffer, PairTally } from './pair-words.ts'
import { BLOCK_PAIRS, type RunLabel } from './run-format.ts'
import { RunSums } from './run-reader.ts'
import { RunWriter } from './run-writer.ts'
import { MemorySums, type PairChunk, type Sums } from './sums.ts'

/** How long the event loop may have to wait for the merge. */
const SLICE_MS = 5

export interface MergeOptions {
  /** A result of at most so many pairs stays in memory; a larger one is sealed in a run. */
  readonly memoryPairsMax: number
  readonly runsDirectory: string
  /** What the run is called and says of itself, if one is written. */
  readonly runName: string
  readonly label: RunLabel
  readonly signal?: AbortSignal
}

export type Merged =
  | {
      readonly ok: true
      /** To be closed by the caller. */
      readonly sums: Sums
      readonly amount: bigint
      readonly largestSum: bigint
      /** Undefined: the sums are in memory. */
      readonly runName?: string
    }
  /**
   * The sum of consumer `id` passes 2^64 − 1 with what `sources[source]` adds to it (never the
   * first). Without that source and those behind it the merge may be tried again.
   */
  | { readonly ok: false; readonly id: bigint; readonly source: number }

/**
 * Merges sums by ascending id, adding those of equal ids. Memory is bounded by the number of
 * sources and by `memoryPairsMax`; the main thread is given back every few milliseconds.
 * The sources stay the caller's, open.
 *
 * Rejects with the signal's reason, RUN_UNREADABLE, DISK_FULL or IO_FAILED; no file is left then.
 */
export async function mergeSums(sources: readonly Sums[], options: MergeOptions): Promise<Merged> {
  const pairsAtMost = sources.reduce((pairs, source) => pairs + source.pairs, 0)
  const sink = new SpillingSink(Math.min(pairsAtMost, options.memoryPairsMax), options)
  try {
    const overflow = await pour(sources, sink, options.signal)
    if (overflow === undefined) return await sink.finish()
    await sink.abandon()
    return { ok: false, ...overflow }
  } catch (error: unknown) {
    await sink.abandon()
    throw error
  }
}

/** Merges all sources into the sink; returns where a sum became too large. */
async function pour(
  sources: readonly Sums[],
  sink: SpillingSink,
  signal: AbortSignal | undefined,
): Promise<Merger['overflow']> {
  if (sources.length === 0) return undefined
  const merger = new Merger(sources.length)
  const readers = sources.map(source => source.chunks(BLOCK_PAIRS)[Symbol.asyncIterator]())
  const out = new PairBuffer(BLOCK_PAIRS)
  let sliceEndMs = performance.now() + SLICE_MS
  try {
    for (;;) {
      const state = merger.run(out)
      if (state === 'overflow') return merger.overflow
      if (state === 'hungry') {
        const next = await readers[merger.hungry]!.next()
        merger.supply(next.done === true ? undefined : next.value)
      } else {
        await sink.put(out.chunk())
        out.pairs = 0
        if (state === 'ended') return undefined
      }
      if (performance.now() < sliceEndMs) continue
      await setImmediate()
      signal?.throwIfAborted()
      sliceEndMs = performance.now() + SLICE_MS
    }
  } finally {
    await Promise.all(readers.map(reader => reader.return?.()))
  }
}

/** Keeps pairs in memory as long as they fit, and in a run from then on. */
class SpillingSink {
  readonly #options: MergeOptions
  readonly #kept: PairBuffer
  readonly #tally = new PairTally()
  #writer: RunWriter | undefined

  constructor(pairsMax: number, options: MergeOptions) {
    this.#options = options
    this.#kept = new PairBuffer(pairsMax)
  }

  /** Takes the next pairs; they may be overwritten once this resolves. */
  async put(chunk: PairChunk): Promise<void> {
    const kept = this.#kept
    if (this.#writer === undefined) {
      if (kept.pairs + chunk.ids.length <= kept.capacity) {
        kept.ids.set(chunk.ids, kept.pairs)
        kept.amounts.set(chunk.amounts, kept.pairs)
        kept.pairs += chunk.ids.length
        this.#tally.add(chunk)
        return
      }
      const { runsDirectory, runName, label } = this.#options
      this.#writer = await RunWriter.open(runsDirectory, runName, label)
      for (let at = 0; at < kept.pairs; at += BLOCK_PAIRS) {
        const end = Math.min(kept.pairs, at + BLOCK_PAIRS)
        const { ids, amounts } = kept
        await this.#writer.put({ ids: ids.subarray(at, end), amounts: amounts.subarray(at, end) })
      }
    }
    await this.#writer.put(chunk)
  }

  async finish(): Promise<Merged> {
    if (this.#writer === undefined) {
      const { ids, amounts } = this.#kept.chunk()
      const { amount, largestSum } = this.#tally
      // A copy where a view would hold on to much more than it shows.
      const isRoomy = ids.length * 2 < this.#kept.capacity
      const sums = isRoomy
        ? new MemorySums(ids.slice(), amounts.slice())
        : new MemorySums(ids, amounts)
      return { ok: true, sums, amount, largestSum }
    }
    const { runsDirectory, runName } = this.#options
    const { amount, largestSum } = await this.#writer.seal()
    const sums = await RunSums.open(join(runsDirectory, runName))
    return { ok: true, sums, amount, largestSum, runName }
  }

  async abandon(): Promise<void> {
    await this.#writer?.abandon()
    this.#writer = undefined
  }
}
