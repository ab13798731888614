/** Several files' sums as one, in memory: what one transaction adds to the totals. */

import { setImmediate } from 'node:timers/promises'
import { foldSmall } from './fold-small.ts'
import { Merger } from './merger.ts'
import { PairBuffer } from './pair-words.ts'
import { BLOCK_PAIRS } from './run-format.ts'
import { MemorySums, type Sums } from './sums.ts'

/** How long the event loop may have to wait for the merge. */
const SLICE_MS = 5

export type Merged =
  /** To be closed by the caller. */
  | { readonly kind: 'merged'; readonly sums: Sums }
  /** They would have more than `pairsMax` consumers. */
  | { readonly kind: 'too many' }
  /**
   * The sum of consumer `id` passes 2^64 − 1 with what `sources[source]` adds to it (never the
   * first). Without that source and those behind it the merge may be tried again.
   */
  | { readonly kind: 'overflow'; readonly id: bigint; readonly source: number }

/**
 * Merges sums by ascending id, adding those of equal ids, as long as the result has at most `pairsMax`
 * of them; the main thread is given back every few milliseconds. The sources stay the caller's, open.
 *
 * Rejects with the signal's reason, RUN_UNREADABLE or IO_FAILED.
 */
export async function mergeSums(
  sources: readonly Sums[],
  options: { readonly pairsMax: number; readonly signal?: AbortSignal },
): Promise<Merged> {
  const pause = pauses(options.signal)
  const folded: Sums[] = []
  for (const some of foldSmall(sources)) {
    // To be told of by its source, which is known as long as nothing is folded.
    if (some === undefined) return mergeEach(sources, options.pairsMax, pause)
    folded.push(some)
    await pause()
  }
  const merged = await mergeEach(folded, options.pairsMax, pause)
  const isKnown = merged.kind !== 'overflow' || folded.length === sources.length
  return isKnown ? merged : mergeEach(sources, options.pairsMax, pause)
}

/** Gives the main thread back if it is time for that. @throws the signal's reason */
function pauses(signal: AbortSignal | undefined): () => Promise<void> {
  let sliceEndMs = performance.now() + SLICE_MS
  return async () => {
    if (performance.now() < sliceEndMs) return
    await setImmediate()
    signal?.throwIfAborted()
    sliceEndMs = performance.now() + SLICE_MS
  }
}

async function mergeEach(
  sources: readonly Sums[],
  pairsMax: number,
  pause: () => Promise<void>,
): Promise<Merged> {
  const pairsAtMost = sources.reduce((pairs, source) => pairs + source.pairs, 0)
  const largest = sources.reduce((pairs, source) => Math.max(pairs, source.pairs), 0)
  if (largest > pairsMax) return { kind: 'too many' }
  const [only, another] = sources
  if (only !== undefined && another === undefined) return { kind: 'merged', sums: only }
  const out = new PairBuffer(Math.min(pairsAtMost, pairsMax))
  if (pairsAtMost === 0) return { kind: 'merged', sums: new MemorySums(out.ids, out.amounts) }
  const merger = new Merger(sources.length)
  const readers = sources.map(source => source.chunks(BLOCK_PAIRS)[Symbol.asyncIterator]())
  try {
    for (;;) {
      const state = merger.run(out)
      if (state === 'overflow') return { kind: 'overflow', ...merger.overflow! }
      if (state === 'full') return { kind: 'too many' }
      if (state === 'ended') {
        const { ids, amounts } = out.chunk()
        // A copy where a view would hold on to much more than it shows.
        const isRoomy = ids.length * 2 < out.capacity
        const sums = isRoomy
          ? new MemorySums(ids.slice(), amounts.slice())
          : new MemorySums(ids, amounts)
        return { kind: 'merged', sums }
      }
      const next = await readers[merger.hungry]!.next()
      merger.supply(next.done === true ? undefined : next.value)
      await pause()
    }
  } finally {
    merger.close()
    await Promise.all(readers.map(reader => reader.return?.()))
  }
}
