import { KERNEL_BYTES, startKernel } from '../../../parser/kernel/index.ts'
import {
  BlockDecoder,
  BlockEncoder,
  type PackedBlock,
  type PairChunk,
  UNPACKED_BYTES,
} from '../../../parser/sums/index.ts'
import { formatCount } from '../../../shared/numbers.ts'
import type { Bench, Section } from '../bench-context.ts'
import type { Consumers } from '../data/consumers.ts'
import { inTurn, ratios, timed } from '../paired.ts'
import { makePairs } from '../pairs-table.ts'
import { judge, mustEqual, times, twoDigits } from '../row.ts'
import { medianOf, spreadOf } from '../statistics.ts'

/** Of the blocks alone; the ledger's pages and rows come on top. */
const BYTES_PER_PAIR_MAX = 3
/** Against copying the pairs, 16 bytes each. */
const PACKING_MAX = 6
const UNPACKING_MAX = 4
const HASH = new Uint8Array(32)

/** Sums into packed blocks and back, in the kernel, in turn with copying them as they are. */
export const packing: Section = {
  name: 'packing',
  summary: 'sums into packed blocks and back, against copying them',
  diskBytes: () => 0,
  async run(bench) {
    await measure(bench, { kind: 'uniform', count: bench.scale.applyPairs })
    await measure(bench, { kind: 'sparse', count: bench.scale.applyPairs })
  },
}

async function measure(bench: Bench, consumers: Consumers): Promise<void> {
  const { count } = consumers
  const isDense = consumers.kind === 'uniform'
  const kind = isDense ? 'dense' : 'sparse'
  bench.say(`packing ${formatCount(count)} pairs, ${kind}`)
  const pairs = makePairs(consumers)
  const idsAt = KERNEL_BYTES + UNPACKED_BYTES
  const initial = Math.ceil((idsAt + count * 16) / 65_536)
  const kernel = startKernel(new WebAssembly.Memory({ initial }))
  const chunk = {
    ids: new BigUint64Array(kernel.memory.buffer, idsAt, count),
    amounts: new BigUint64Array(kernel.memory.buffer, idsAt + count * 8, count),
  }
  chunk.ids.set(pairs.ids)
  chunk.amounts.set(pairs.amounts)
  const decoder = new BlockDecoder(kernel, KERNEL_BYTES)
  const copy = { ids: new BigUint64Array(count), amounts: new BigUint64Array(count) }
  let blocks: PackedBlock[] = []
  const turns = bench.scale.repetitions * 4
  const found = await inTurn(
    turns,
    async () => {
      const packing = await timed(async () => {
        const encoder = new BlockEncoder(kernel, HASH)
        blocks = [...encoder.add(chunk), ...encoder.end()]
      })
      const unpacking = await timed(async () => {
        for (const block of blocks) decoder.unpack(HASH, block)
      })
      return { packing, unpacking }
    },
    () =>
      timed(async () => {
        copy.ids.set(chunk.ids)
        copy.amounts.set(chunk.amounts)
      }),
  )
  checkBlocks(blocks, decoder, pairs)
  const bytes = blocks.reduce((sum, block) => sum + block.bytes.length, 0)
  const what = `${formatCount(count)} pairs, ${kind} ids`
  if (isDense) {
    bench.row({
      section: 'packing',
      name: 'packing-bytes',
      what: `bytes of the packed blocks of ${what}, a pair`,
      ...judge(bytes / count, { side: 'at most', bound: BYTES_PER_PAIR_MAX }),
      figures: { bytes, pairs: count, blocks: blocks.length },
    })
  }
  for (const [work, bound] of [
    ['packing', PACKING_MAX],
    ['unpacking', UNPACKING_MAX],
  ] as const) {
    const seconds = found.ours.map(both => both[work])
    const slowdown = medianOf(ratios(seconds, found.theirs))
    bench.row({
      section: 'packing',
      name: `${work}-${kind}`,
      what: `${work} ${what}, with the CRC: time against copying them`,
      ...(isDense
        ? judge(slowdown, { side: 'at most', bound, write: times })
        : { reached: times(slowdown), wanted: '–', verdict: 'reported' as const }),
      figures: {
        secondsMedian: medianOf(seconds),
        noise: spreadOf(seconds).noise,
        copySecondsMedian: medianOf(found.theirs),
        millionPairsPerSecond: twoDigits(count / 1e6 / medianOf(seconds)),
        bytesPerPair: twoDigits(bytes / count),
      },
    })
  }
}

/** The blocks hold exactly these pairs. */
function checkBlocks(
  blocks: readonly PackedBlock[],
  decoder: BlockDecoder,
  expected: PairChunk,
): void {
  let at = 0
  for (const block of blocks) {
    const { ids, amounts } = decoder.unpack(HASH, block)
    for (const [i, id] of ids.entries()) {
      mustEqual('an id', id, expected.ids[at + i]!)
      mustEqual('an amount', amounts[i]!, expected.amounts[at + i]!)
    }
    at += block.pairs
  }
  mustEqual('the pairs', at, expected.ids.length)
}
