import { setImmediate } from 'node:timers/promises'
import { CountersinkError } from '../../../shared/errors.ts'
import {
  firstAfter,
  Merger,
  PairBuffer,
  type PairChunk,
  PairTally,
  type Sums,
} from '../../sums/index.ts'

/** Merged sums of a batch's files, as one transaction moves them. */
export interface MergedChunk extends PairChunk {
  /** Of its files, before they were merged. */
  readonly inputPairs: number
  readonly amount: bigint
}

/**
 * The sums of several contents merged, in chunks of `pairsMax` pairs, from behind `after` on, up to
 * and with `to`. Each chunk is valid until the next is asked for. That no sum passes 2^64 is made sure
 * of before a batch begins.
 */
export async function* mergedChunks(
  sources: readonly Sums[],
  pairsMax: number,
  after: bigint | null,
  to?: bigint,
): AsyncGenerator<MergedChunk> {
  if (sources.length === 0) return
  const merger = new Merger(sources.length)
  const readers = sources.map(source => upTo(source.chunks(SOURCE_PAIRS, after), to))
  const pairs = sources.reduce((sum, source) => sum + source.pairs, 0)
  const out = new PairBuffer(Math.max(1, Math.min(pairsMax, pairs)))
  let sliceEndMs = performance.now() + SLICE_MS
  let joinedBefore = 0
  try {
    for (;;) {
      const state = merger.run(out)
      if (state === 'overflow') throw tooLarge(merger.overflow?.id)
      if (state === 'hungry') {
        const next = await readers[merger.hungry]!.next()
        merger.supply(next.done === true ? undefined : next.value)
      } else {
        if (out.pairs > 0) {
          const chunk = out.chunk()
          const inputPairs = out.pairs + merger.joined - joinedBefore
          joinedBefore = merger.joined
          yield { ...chunk, inputPairs, amount: amountOf(chunk) }
          out.pairs = 0
        }
        if (state === 'ended') return
      }
      if (performance.now() < sliceEndMs) continue
      await setImmediate()
      sliceEndMs = performance.now() + SLICE_MS
    }
  } finally {
    merger.close()
    await Promise.all(readers.map(reader => reader.return(undefined)))
  }
}

async function* upTo(
  chunks: AsyncIterable<PairChunk>,
  last: bigint | undefined,
): AsyncGenerator<PairChunk> {
  for await (const chunk of chunks) {
    const end = last === undefined ? chunk.ids.length : firstAfter(chunk.ids, last)
    if (end === chunk.ids.length) yield chunk
    else if (end > 0)
      yield { ids: chunk.ids.subarray(0, end), amounts: chunk.amounts.subarray(0, end) }
    if (end < chunk.ids.length) return
  }
}

/** May be more than 64 bits. */
function amountOf(chunk: PairChunk): bigint {
  const tally = new PairTally()
  if (!tally.add(chunk)) throw new Error('the ids of a chunk do not ascend')
  return tally.amount
}

function tooLarge(id: bigint | undefined): CountersinkError {
  return new CountersinkError(
    'DATABASE_FAILED',
    `the files of a batch together have more than 2^64 - 1 for consumer ${id}`,
    { advice: 'This is not expected, as it is looked at before: please report it.' },
  )
}

/** Asked for at once of a source. */
const SOURCE_PAIRS = 8_192
/** How long the event loop may have to wait for the merge. */
const SLICE_MS = 5
