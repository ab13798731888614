import t, { type Test } from 'tap'
import { Accumulators, type IdRange, packPlainly } from '../../../parser/sums/index.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { Random } from '../digest/fixtures/random.ts'

// Several sums of each consumer of a window, against a Map of BigInts.

type Pairs = readonly (readonly [id: bigint, amount: bigint])[]
type Model = Map<bigint, bigint>

const HASH = Buffer.alloc(32, 9)
const EVERYTHING: IdRange = { after: undefined, to: U64_MAX }

function chunkOf(pairs: Pairs) {
  return {
    ids: BigUint64Array.from(pairs, ([id]) => id),
    amounts: BigUint64Array.from(pairs, ([, amount]) => amount),
  }
}

/** What stands in one of the sums, told by all that can be asked for. */
function assertIs(t: Test, window: Accumulators, sum: number, model: Model, what: string): void {
  const all = [...model].sort(([a], [b]) => (a < b ? -1 : 1))
  const capped = (amount: bigint): bigint => (amount > U64_MAX ? U64_MAX : amount)
  const told = (side: 'above' | 'below'): [bigint, bigint][] => {
    const { ids, amounts } = window.pairs(sum, side)
    return Array.from(ids, (id, i) => [id, amounts[i]!])
  }
  const above = all.filter(([, amount]) => amount > 0n)
  t.strictSame(
    told('above'),
    above.map(([id, amount]) => [id, capped(amount)]),
    `${what}: above`,
  )
  t.strictSame(
    told('below'),
    all.filter(([, amount]) => amount < 0n).map(([id, amount]) => [id, capped(-amount)]),
    `${what}: below`,
  )
  t.strictSame(
    [...window.wide(sum)].filter(({ amount }) => amount > 0n),
    above.filter(([, amount]) => amount > U64_MAX).map(([id, amount]) => ({ id, amount })),
    `${what}: wide`,
  )
}

class Modelled {
  readonly window: Accumulators
  readonly models: readonly Model[]

  constructor(rowsMax: number, sums: number) {
    this.window = new Accumulators(rowsMax, sums)
    this.models = Array.from({ length: sums }, () => new Map())
  }

  begin(ids: readonly bigint[], isDense: boolean): void {
    if (isDense) this.window.beginDense(ids[0]!, ids.length)
    else this.window.begin(BigUint64Array.from(ids))
    for (const model of this.models) model.clear()
  }

  put(sum: number, pairs: Pairs, isTaken: boolean): void {
    const model = this.models[sum]!
    for (const [id, amount] of pairs) {
      model.set(id, (model.get(id) ?? 0n) + (isTaken ? -amount : amount))
    }
  }

  check(t: Test, what: string): void {
    for (const [sum, model] of this.models.entries()) {
      assertIs(t, this.window, sum, model, `${what}, sum ${sum}`)
    }
  }
}

t.test('whatever is put on, taken and added up, in windows with holes and without', t => {
  const random = new Random()
  const m = new Modelled(300, 3)
  for (let round = 0; round < 60; round += 1) {
    const isDense = random.chance(2)
    const first = random.pick([0n, 1n, random.u64() >> 9n, U64_MAX - 299n])
    const step = isDense ? 1n : BigInt(1 + random.below(5))
    const ids = Array.from({ length: 1 + random.below(300) }, (_, i) => first + BigInt(i) * step)
      // Above the last one it would wrap.
      .filter(id => id <= U64_MAX)
    m.begin(ids, isDense)
    const amount = random.pick([
      () => BigInt(random.below(3)),
      () => random.u64(),
      () => U64_MAX - BigInt(random.below(2)),
    ])
    for (let i = 0; i < 12; i += 1) {
      const sum = random.below(3)
      const pairs = ids.filter(() => random.chance(3)).map(id => [id, amount()] as const)
      const isTaken = random.chance(2)
      switch (random.below(5)) {
        case 0:
          m.window.putPairs(sum, chunkOf(pairs), isTaken)
          m.put(sum, pairs, isTaken)
          break
        case 1: {
          const [after, to] = [random.pick([undefined, ...ids]), random.pick(ids)]
          let put = 0
          for (const block of packPlainly(HASH, chunkOf(pairs))) {
            put += m.window.putBlock(sum, HASH, block, { after, to }, isTaken)
          }
          const within = pairs.filter(([id]) => id > (after ?? -1n) && id <= to)
          t.equal(put, within.length, 'as many as are in the range')
          m.put(sum, within, isTaken)
          break
        }
        case 2: {
          const other = (sum + 1 + random.below(2)) % 3
          m.window.addTo(sum, other)
          m.put(other, [...m.models[sum]!], false)
          break
        }
        case 3: {
          const [id, large] = [random.pick(ids), random.u64() * BigInt(1 + random.below(1_000))]
          m.window.putOne(sum, id, large)
          m.put(sum, [[id, large]], false)
          break
        }
        default:
          m.window.clear(sum)
          m.models[sum]!.clear()
      }
    }
    m.check(t, `round ${round} of ${random.seed}`)
  }
  t.end()
})

t.test('at the ends of 64 bits', t => {
  const m = new Modelled(4, 2)
  m.begin([0n, 7n, U64_MAX], false)
  const most: Pairs = [
    [0n, U64_MAX],
    [7n, 1n],
    [U64_MAX, U64_MAX],
  ]
  const one: Pairs = [
    [0n, 1n],
    [U64_MAX, 1n],
  ]
  for (const [pairs, isTaken, what] of [
    [most, false, 'all that a pair holds'],
    [one, false, 'one more'],
    [most, false, 'and as much again'],
    [one, true, 'one less'],
    [most, true, 'less'],
    [most, true, 'nothing is left'],
    [most, true, 'below'],
    [one, true, '2^64 below'],
    [most, true, 'far below'],
    [[...most, ...one].slice(0, 3), false, 'and up again'],
  ] as const) {
    m.window.putPairs(1, chunkOf(pairs), isTaken)
    m.put(1, pairs, isTaken)
    m.check(t, what)
  }
  t.end()
})

t.test('what cancels out is neither above nor below', t => {
  const m = new Modelled(2_000, 1)
  const ids = Array.from({ length: 2_000 }, (_, i) => BigInt(i))
  m.begin(ids, true)
  const pairs = ids.map(id => [id, (id * 0x9e37_79b9_7f4a_7c15n) & U64_MAX] as const)
  for (const isTaken of [true, false, false, true]) {
    for (const block of packPlainly(HASH, chunkOf(pairs))) {
      m.window.putBlock(0, HASH, block, EVERYTHING, isTaken)
    }
    m.put(0, pairs, isTaken)
    m.check(t, 'half way')
  }
  t.equal(m.window.pairs(0, 'above').ids.length + m.window.pairs(0, 'below').ids.length, 0)
  t.end()
})

t.test('a window takes no more than there is room for, and begins at nothing', t => {
  const window = new Accumulators(8, 1)
  t.throws(() => window.beginDense(0n, 9))
  t.throws(() => window.beginDense(U64_MAX, 2), 'nor beyond the last id')
  t.throws(() => window.begin(new BigUint64Array(9)))
  window.beginDense(U64_MAX - 7n, 8)
  window.putPairs(0, chunkOf([[U64_MAX, 3n]]))
  window.begin(BigUint64Array.from([4n, U64_MAX]))
  t.equal(window.rows, 2)
  assertIs(t, window, 0, new Map(), 'another window')
  t.throws(() => window.putPairs(0, chunkOf([[5n, 1n]])), 'an id that is not in it')
  t.throws(() => window.putOne(0, 5n, 1n))
  window.begin(new BigUint64Array(0))
  assertIs(t, window, 0, new Map(), 'an empty one')
  t.end()
})

t.test('a block that is damaged changes nothing', t => {
  const m = new Modelled(100, 1)
  m.begin([1n, 2n, 3n], true)
  const pairs: Pairs = [
    [1n, 5n],
    [3n, U64_MAX],
  ]
  const [block] = packPlainly(HASH, chunkOf(pairs))
  const bytes = Buffer.from(block!.bytes)
  bytes[bytes.length - 1]! ^= 1
  for (const [hash, damaged] of [
    [HASH, { ...block!, bytes }],
    [HASH, { ...block!, amount: block!.amount + 1n }],
    [Buffer.alloc(32, 8), block!],
  ] as const) {
    t.throws(() => m.window.putBlock(0, hash, damaged, EVERYTHING), { code: 'BLOCK_UNREADABLE' })
    m.check(t, 'nothing')
  }
  m.window.putBlock(0, HASH, block!, EVERYTHING)
  m.put(0, pairs, false)
  m.check(t, 'then whole')
  t.strictSame([...m.window.idsOf(HASH, block!)], [1n, 3n])
  t.end()
})
