/** Blocks that are not what they should be: each is refused, or has the pairs that stand beside it. */

import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { KERNEL_BYTES, startKernel } from '../../../parser/kernel/index.ts'
import { BlockDecoder } from '../../../parser/sums/block-decoder.ts'
import { blockCrc, type PackedBlock } from '../../../parser/sums/block-format.ts'
import { packPlainly, unpackPlainly } from '../../../parser/sums/block-reference.ts'
import { findIn, type PairChunk } from '../../../parser/sums/sums.ts'
import { CountersinkError } from '../../../shared/errors.ts'
import { Random } from '../digest/fixtures/random.ts'
import { anyPairs, denseFrom, pairsOfWidths, U64_MAX } from './fixtures/pairs.ts'

const HASH = new Uint8Array(32).fill(7)
const kernel = startKernel(new WebAssembly.Memory({ initial: 40 }))
const decoder = new BlockDecoder(kernel, KERNEL_BYTES)

// Errors are made by the hundred thousand here, and nobody looks where.
Error.stackTraceLimit = 0

/** The pairs, or why there are none. */
function outcomeOf(unpack: () => PairChunk): PairChunk | string {
  try {
    const { ids, amounts } = unpack()
    return { ids: ids.slice(), amounts: amounts.slice() }
  } catch (error) {
    if (error instanceof CountersinkError && error.code === 'BLOCK_UNREADABLE') return error.message
    throw error
  }
}

/** What the kernel makes of a block; the plain codec must make the same of it. */
function agreedOutcome(block: PackedBlock): PairChunk | string {
  const outcome = outcomeOf(() => decoder.unpack(HASH, block))
  const plainly = outcomeOf(() => unpackPlainly(HASH, block))
  if (!isDeepStrictEqual(outcome, plainly)) throw new Error(`${outcome} but plainly ${plainly}`)
  for (const id of [block.firstId, block.lastId, block.firstId + 3n]) {
    assertFindsAlike(block, id, outcome)
  }
  return outcome
}

/** Whoever looks for one pair does not check the others; what is refused for a sound block must not be. */
function assertFindsAlike(block: PackedBlock, id: bigint, outcome: PairChunk | string): void {
  if (id > U64_MAX) return
  let found: bigint | undefined | string
  try {
    found = decoder.find(HASH, block, id)
  } catch (error) {
    if (!(error instanceof CountersinkError && error.code === 'BLOCK_UNREADABLE')) throw error
    found = error.message
  }
  if (typeof outcome === 'string' ? typeof found === 'string' : found === findIn(outcome, id))
    return
  // Something behind or beside it is wrong.
  if (typeof outcome === 'string' && /does not begin|ends before|goes on|CRC|pairs/.test(outcome)) {
    throw new Error(`${id} is ${found}, although ${outcome}`)
  }
  if (typeof outcome !== 'string') throw new Error(`${id} is ${found}`)
}

/** With a CRC that is right for whatever the bytes are. */
function sealed(block: PackedBlock, bytes: Uint8Array): PackedBlock {
  return { ...block, bytes, crc: blockCrc(HASH, block.firstId, bytes) }
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice()
  copy[bit >> 3]! ^= 1 << (bit & 7)
  return copy
}

/** Small blocks of every kind, and their pairs. */
function smallBlocks(random: Random): { block: PackedBlock; pairs: PairChunk }[] {
  const widths = [0, 1, 7, 8, 31, 56, 57, 63, 64]
  return [
    denseFrom(0n, [0n]),
    denseFrom(U64_MAX, [U64_MAX]),
    ...widths.map(width => pairsOfWidths(random, 2 + random.below(12), width, random.pick(widths))),
    ...widths.map(width => pairsOfWidths(random, 3, random.pick(widths), width)),
    pairsOfWidths(random, 131, 3, 2),
    denseFrom(77n, new Array(300).fill(5n)),
  ].map(pairs => ({ block: packPlainly(HASH, pairs)[0]!, pairs }))
}

t.test('every wrong bit of a block is found', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const whole = packPlainly(HASH, pairsOfWidths(random, 7_000, 0, 22))[0]!
  for (const block of [whole, ...smallBlocks(random).map(({ block }) => block)]) {
    for (let bit = 0; bit < block.bytes.length * 8; bit++) {
      const damaged = { ...block, bytes: flipped(block.bytes, bit) }
      const outcome = outcomeOf(() => decoder.unpack(HASH, damaged))
      if (!/CRC is wrong/.test(String(outcome))) return t.fail(`bit ${bit}`, { outcome })
    }
  }
  t.ok(whole.bytes.length > 15_900, `${whole.bytes.length} bytes, and small ones`)
})

t.test('every wrong bit with a right CRC is found, or does not matter', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  let refused = 0
  let harmless = 0
  for (const { block, pairs } of smallBlocks(random)) {
    for (let bit = 0; bit < block.bytes.length * 8; bit++) {
      const outcome = agreedOutcome(sealed(block, flipped(block.bytes, bit)))
      if (typeof outcome === 'string') refused += 1
      else if (isDeepStrictEqual(outcome, pairs)) harmless += 1
      else return t.fail(`bit ${bit}`, { outcome })
    }
  }
  t.ok(harmless < refused / 100, `${refused} refused; ${harmless} only wrote wider than needed`)
})

t.test('a block that is cut or goes on is refused', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  for (const { block } of smallBlocks(random)) {
    const { bytes } = block
    for (let size = 0; size < bytes.length; size++) {
      const cut = bytes.subarray(0, size)
      t.match(
        outcomeOf(() => decoder.unpack(HASH, { ...block, bytes: cut })),
        /CRC is wrong/,
      )
      t.match(agreedOutcome(sealed(block, cut)), size < 9 ? /does not begin/ : /ends before/)
    }
    for (const more of [[0], [255], [0, 0, 0], [...bytes]]) {
      const longer = Uint8Array.from([...bytes, ...more])
      t.match(
        outcomeOf(() => decoder.unpack(HASH, { ...block, bytes: longer })),
        /CRC is wrong/,
      )
      t.match(agreedOutcome(sealed(block, longer)), /goes on/)
    }
    t.match(agreedOutcome(sealed(block, new Uint8Array(16_001))), /at most 16000/)
  }
})

t.test('what stands beside a block must be true of it', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  for (const { block } of smallBlocks(random)) {
    const { firstId, lastId, pairs, amount, bytes, crc } = block
    for (const wrong of [
      { firstId: firstId ^ 1n },
      { lastId: lastId ^ 1n },
      { lastId: lastId ^ (1n << 63n) },
      { amount: amount ^ 1n },
      { amount: amount ^ (1n << 64n) },
      { pairs: pairs + 1 },
      { pairs: pairs - 1 },
      { pairs: 0.5 },
      { pairs: 8193 },
      { pairs: 2 ** 32 + pairs },
    ]) {
      const outcome = agreedOutcome(sealed({ ...block, ...wrong }, bytes))
      if (typeof outcome !== 'string') return t.fail(`${Object.keys(wrong)}`, { outcome, wrong })
    }
    for (const bit of [0, 13, 31]) {
      const outcome = agreedOutcome({ ...block, crc: (crc ^ (1 << bit)) >>> 0 })
      t.match(outcome, /CRC is wrong/)
    }
    t.throws(() => decoder.unpack(new Uint8Array(32), block), { code: 'BLOCK_UNREADABLE' })
  }
})

t.test('each thing that a writer could do wrong has its word', async t => {
  const dense = { firstId: 5n, lastId: 6n, pairs: 2, amount: 0n }
  const outcome = (hex: string, facts: Partial<PackedBlock> = {}) =>
    agreedOutcome(sealed({ ...dense, ...facts, crc: 0, bytes: new Uint8Array() }, bytesOf(hex)))
  const start = '010500000000000000'
  const top = 'feffffffffffffff'
  const two = { ids: BigUint64Array.of(5n, 6n), amounts: BigUint64Array.of(0n, 0n) }
  t.same(outcome(`${start} 00 00 00`), two)
  for (const [hex, why, facts] of [
    ['', /does not begin/],
    ['02050000000000000000 00 00', /does not begin/],
    [`${start} 41 00 00`, /more than 64 bits/],
    [`${start} 00 ff 00`, /more than 64 bits/],
    [`${start} 00 00 8000`, /least amount/],
    [`${start} 00 00 ffffffffffffffffff02`, /least amount/],
    [`${start} 00 00 ffffffffffffffffff8100`, /least amount/],
    [`${start} 00 00 ffffff`, /ends before/],
    [`${start} 00`, /ends before/],
    [`${start} 40 40 00 0000`, /ends before/],
    [`${start} 01 00 00 04`, /behind the last field/],
    [`${start} 00 03 00 40`, /behind the last field/],
    [`${start} 01 00 00 01`, /do not ascend/], // a gap before the first pair
    [`01${top} 01 00 00 02`, /do not ascend/, { firstId: U64_MAX - 1n }], // past 2^64
    [`0180${top.slice(2)} 000000 000000`, /do not ascend/, { firstId: U64_MAX - 127n, pairs: 129 }],
    [`${start} 40 00 00 0000000000000000 ffffffffffffffff`, /do not ascend/], // back to itself
    [`${start} 3f 00 00 ${'00'.repeat(7)}80 ${'ff'.repeat(7)}3f`, /do not ascend|lastId/],
    [`${start} 00 01 ffffffffffffffffff01 02`, /passes 2\^64/],
    [`${start} 00 40 01 0000000000000000 ffffffffffffffff`, /passes 2\^64/],
    [`${start} 00 00 01`, /amount is 2, expected 0/],
    [`${start} 00 00 00 00`, /goes on/],
  ] as const) {
    t.match(outcome(hex, facts), why, hex)
  }
})

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
}

t.test('garbage is refused, whatever was unpacked before it', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const before = packPlainly(HASH, anyPairs(random, 9_000))[0]!
  const words = new Map<string, number>()
  for (let round = 0; round < 6_000; round++) {
    if (round % 50 === 0) decoder.unpack(HASH, before)
    const size = random.below(random.pick([20, 200, 1_200]))
    const bytes = Uint8Array.from({ length: size }, () => random.below(256))
    // Mostly something that begins well, and whose widths are possible.
    if (size > 12 && !random.chance(10)) {
      bytes[0] = 1
      bytes[9] = random.below(66)
      bytes[10] = random.below(66)
      if (random.chance(2)) bytes[11]! &= 127
    }
    const firstId = size < 9 ? 0n : Buffer.from(bytes).readBigUInt64LE(1)
    const facts = { firstId, lastId: firstId, pairs: 1 + random.below(140), amount: 0n }
    const outcome = agreedOutcome(sealed({ ...facts, crc: 0, bytes }, bytes))
    if (typeof outcome !== 'string') return t.fail(`round ${round}`, { outcome })
    const word = outcome.split(': ')[1]!.split(' ').slice(0, 5).join(' ')
    words.set(word, (words.get(word) ?? 0) + 1)
  }
  t.ok(words.size >= 7, `refused for every reason: ${JSON.stringify([...words])}`)
})
