/** Packed blocks: the kernel against the plain codec, byte for byte and pair for pair. */

import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { SumKernel } from '../../../parser/digest/sum-kernel.ts'
import { KERNEL_BYTES, startKernel } from '../../../parser/kernel/index.ts'
import { BlockDecoder, UNPACKED_BYTES } from '../../../parser/sums/block-decoder.ts'
import { BlockEncoder } from '../../../parser/sums/block-encoder.ts'
import {
  PACKED_BYTES_MAX,
  PACKED_PAIRS_MAX,
  type PackedBlock,
} from '../../../parser/sums/block-format.ts'
import { packPlainly, unpackPlainly } from '../../../parser/sums/block-reference.ts'
import { findIn, type PairChunk } from '../../../parser/sums/sums.ts'
import { Random } from '../digest/fixtures/random.ts'
import { anyPairs, denseFrom, pairsOfWidths, U64_MAX, upTo } from './fixtures/pairs.ts'

const HASH = new Uint8Array(32).fill(7)
const kernel = startKernel(new WebAssembly.Memory({ initial: 40 }))
const decoder = new BlockDecoder(kernel, KERNEL_BYTES)

/** Packed by the kernel, given in portions of one size or of any. */
function packed(
  { ids, amounts }: PairChunk,
  portion: () => number = () => ids.length,
): PackedBlock[] {
  const encoder = new BlockEncoder(kernel, HASH)
  const blocks: PackedBlock[] = []
  for (let at = 0; at < ids.length; ) {
    const end = at + portion()
    blocks.push(...encoder.add({ ids: ids.subarray(at, end), amounts: amounts.subarray(at, end) }))
    at = end
  }
  blocks.push(...encoder.end())
  return blocks
}

/** What is not as it should be of packing and unpacking these pairs; undefined if all is well. */
function faultOf(pairs: PairChunk, portion?: () => number): string | undefined {
  const blocks = packed(pairs, portion)
  if (!isDeepStrictEqual(blocks, packPlainly(HASH, pairs))) return 'other blocks'
  let at = 0
  for (const block of blocks) {
    if (block.bytes.length > PACKED_BYTES_MAX || block.pairs > PACKED_PAIRS_MAX) return 'too much'
    const end = at + block.pairs
    const part = { ids: pairs.ids.slice(at, end), amounts: pairs.amounts.slice(at, end) }
    if (!isDeepStrictEqual(copyOf(decoder.unpack(HASH, block)), part)) return 'other pairs'
    if (!isDeepStrictEqual(unpackPlainly(HASH, block), part)) return 'other pairs, plainly'
    at = end
  }
  return at === pairs.ids.length ? undefined : `${at} pairs`
}

function copyOf({ ids, amounts }: PairChunk): PairChunk {
  return { ids: ids.slice(), amounts: amounts.slice() }
}

t.test('a kernel packs for one encoder at a time', async t => {
  const [first, second] = [new BlockEncoder(kernel, HASH), new BlockEncoder(kernel, HASH)]
  const pairs = { ids: BigUint64Array.of(1n), amounts: BigUint64Array.of(2n) }
  t.throws(() => first.add(pairs), { code: 'ERR_ASSERTION' })
  t.throws(() => first.end(), { code: 'ERR_ASSERTION' })
  t.same(second.add(pairs), [])
  t.equal(second.end().length, 1)
})

t.test('these are the bytes', async t => {
  const ids = BigUint64Array.of(258n, 259n, 262n)
  const amounts = BigUint64Array.of(301n, 300n, 303n)
  const [block, ...more] = packed({ ids, amounts })
  const bytes = '010201000000000000' + '0202ac02' + '20' + '31'
  t.match(block, { firstId: 258n, lastId: 262n, pairs: 3, amount: 904n, crc: 0x20aa3720 })
  t.equal(Buffer.from(block!.bytes).toString('hex'), bytes)
  t.same(more, [])
  t.same(packed(denseFrom(0n, [])), [], 'no pairs, no block')
  t.equal(faultOf(denseFrom(0n, [0n])), undefined)
  t.equal(faultOf(denseFrom(U64_MAX, [U64_MAX])), undefined)
  t.equal(
    faultOf({ ids: BigUint64Array.of(0n, U64_MAX), amounts: BigUint64Array.of(U64_MAX, 0n) }),
    undefined,
  )
})

t.test('fields of every width, in groups of every kind', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  for (let width = 0; width <= 64; width++) {
    for (const pairs of [2, 3, 127, 128, 129, 2 + random.below(300)]) {
      const other = random.below(65)
      for (const [gaps, amounts] of [
        [width, other],
        [other, width],
        [width, width],
      ] as const) {
        const chunk = pairsOfWidths(random, pairs, gaps, amounts)
        const [block] = packed(chunk)
        const fault = faultOf(chunk) ?? (block!.bytes[9] === gaps && block!.bytes[10] === amounts)
        if (fault !== true)
          return t.fail(`${pairs} pairs of ${gaps} and ${amounts} bits`, { fault })
      }
    }
  }
  t.pass('all come back')
})

t.test('blocks do not depend on portions, and are as full as they can be', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  for (let round = 0; round < 40; round++) {
    const chunk = anyPairs(random, 1 + random.below(random.pick([2, 200, 5_000, 20_000])))
    const portion = random.pick([1, 50, 128, 1_000, 30_000])
    const fault = faultOf(chunk, () => 1 + random.below(portion))
    if (fault !== undefined) return t.fail(`round ${round}, ${portion}`, { fault })
  }
  const most = packed(denseFrom(5n, new Array(20_000).fill(1n)))
  t.same(
    most.map(({ pairs }) => pairs),
    [8192, 8192, 3616],
    'so many pairs at most',
  )
})

t.test('a block ends at every distance from its largest size', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const left = new Set<number>()
  for (let width = 17; width <= 48; width++) {
    for (const least of [0n, 2n ** 10n, 2n ** 40n]) {
      const most = 2n ** BigInt(width) - 1n
      const amounts = Array.from({ length: 9_000 }, () => least + upTo(random, most))
      const [block] = packed(denseFrom(9n, amounts))
      const again = denseFrom(9n, amounts.slice(0, block!.pairs))
      const oneMore = denseFrom(9n, amounts.slice(0, block!.pairs + 1))
      const blocks = [packed(again).length, packed(oneMore).length]
      if (!isDeepStrictEqual(blocks, [1, 2])) return t.fail(`${width} bits`, { blocks })
      if (width % 8 === 1) {
        const fault = faultOf(oneMore)
        if (fault !== undefined) return t.fail(`${width} bits`, { fault })
      }
      left.add(PACKED_BYTES_MAX - block!.bytes.length)
    }
  }
  t.ok(left.has(0), 'some have exactly the largest size')
  t.ok(Math.max(...left) < 24, `no more than a pair is left free: ${[...left]}`)
})

t.test('pairs that do not ascend are not packed', async t => {
  const of = (...ids: bigint[]): PairChunk => ({
    ids: BigUint64Array.from(ids),
    amounts: new BigUint64Array(ids.length),
  })
  const tens = Array.from({ length: 300 }, (_, i) => BigInt(i) * 10n)
  for (const at of [1, 127, 128, 129, 255, 256, 299]) {
    for (const wrong of [tens[at - 1]!, tens[at - 1]! - 1n, 0n]) {
      t.throws(
        () => packed(of(...tens.slice(0, at), wrong, ...tens.slice(at + 1))),
        /must ascend/,
        `${wrong} at ${at}`,
      )
    }
  }
  t.throws(() => packed(of(5n, U64_MAX, 0n)), /must ascend/)
  t.throws(() => packed(of(2n ** 63n, U64_MAX, 2n ** 63n - 1n)), /must ascend/)
  const dense = denseFrom(1n, new Array(PACKED_PAIRS_MAX + 5).fill(3n))
  dense.ids[PACKED_PAIRS_MAX] = dense.ids[PACKED_PAIRS_MAX - 1]!
  t.throws(() => packed(dense), /must ascend/, 'from block to block as well')
  const highest = Array.from({ length: 128 }, (_, i) => U64_MAX - 127n + BigInt(i))
  t.equal(faultOf(of(...highest)), undefined)
  for (const more of [[0n], [0n, 1n, 2n], [U64_MAX]]) {
    t.throws(
      () => packed(of(...highest, ...more)),
      /must ascend/,
      'nothing comes after the highest',
    )
  }
  t.equal(faultOf(of(5n, 6n)), undefined, 'and the next ones are')
})

t.test('a consumer is found in its block, and only there', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const ends = BigUint64Array.of(0n, U64_MAX)
  const chunks = [anyPairs(random, 9_000), denseFrom(5n, [7n]), { ids: ends, amounts: ends }]
  for (let width = 0; width <= 64; width++) {
    for (const pairs of [1, 2, 129, 2 + random.below(300)]) {
      chunks.push(pairsOfWidths(random, pairs, width, random.below(65)))
      chunks.push(pairsOfWidths(random, pairs, random.below(65), width))
    }
  }
  for (const chunk of chunks) {
    for (const block of packed(chunk)) {
      const inside = Array.from({ length: 12 }, () => chunk.ids[random.below(chunk.ids.length)]!)
      const { firstId, lastId } = block
      const plainly = unpackPlainly(HASH, block)
      for (const near of [0n, U64_MAX, firstId, lastId, ...inside]) {
        for (const id of [near - 1n, near, near + 1n]) {
          if (id < 0n || id > U64_MAX) continue
          const found = decoder.find(HASH, block, id)
          if (found !== findIn(plainly, id)) return t.fail(`${id}`, { found, chunk })
        }
      }
    }
  }
  t.pass('as the plain codec says')
})

t.test('what a digest or a merge has in the kernel is packed where it stands', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const sums = new SumKernel({ sumBytesMax: 2 ** 22, segmentBytesMax: 1 })
  const { ids, amounts } = anyPairs(random, 40_000)
  sums.reset(50_000)
  sums.addPairs({ ids, amounts: amounts.map(amount => amount >> 1n) }, 0)
  const expected = { ids, amounts: amounts.map(amount => amount >> 1n) }
  const encoder = sums.blockEncoder(HASH)
  const blocks: PackedBlock[] = []
  const sorted = sums.sorted()
  for (let chunk = sorted.next(); chunk !== undefined; chunk = sorted.next()) {
    blocks.push(...encoder.add(chunk))
  }
  blocks.push(...encoder.end())
  t.ok(isDeepStrictEqual(blocks, packed(expected)), 'the sums of a digest')

  // Decoders beside each other in one kernel: what they unpack is merged and packed again.
  const decoders = [0, 1].map(i => new BlockDecoder(kernel, KERNEL_BYTES + i * UNPACKED_BYTES))
  const [a, b] = decoders.map((one, i) => one.unpack(HASH, blocks[i]!))
  t.equal(a!.ids[0], blocks[0]!.firstId)
  t.equal(b!.ids[0], blocks[1]!.firstId, 'each has its place')
  t.ok(isDeepStrictEqual(packed(a!), [blocks[0]]), 'and is packed from there')
})
