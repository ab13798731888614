import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { u64 } from '../../../parser/digest/pair-words.ts'
import { SumTable, TABLE_PAIRS_MAX } from '../../../parser/digest/sum-table.ts'
import { Random } from './fixtures/random.ts'

const MAX = (1n << 64n) - 1n
const high = (value: bigint) => Number(BigInt.asIntN(32, value >> 32n))
const low = (value: bigint) => Number(BigInt.asIntN(32, value))

function add(table: SumTable, id: bigint, amount: bigint): string {
  return table.add(high(id), low(id), high(amount), low(amount))
}

function pairsOf(table: SumTable): [bigint, bigint][] {
  const { ids, amounts } = table.sorted()
  return [...ids].map((id, i) => [id, amounts[i] as bigint])
}

t.test('random sums are those of a Map, also past many growths', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const model = new Map<bigint, bigint>()
  const table = new SumTable(100_000)
  const idOf = [
    () => random.u64(),
    () => BigInt(random.below(20_000)),
    () => BigInt(random.below(5_000)) << 32n, // equal in the low word
    () => BigInt(random.below(300)) * 0x1_0000_0001n, // equal words
    () => MAX - BigInt(random.below(300)),
  ]
  for (let i = 0; i < 60_000; i++) {
    const id = random.pick(idOf)()
    const amount = random.u64() >> 18n
    model.set(id, (model.get(id) ?? 0n) + amount)
    if (add(table, id, amount) !== 'added') t.fail(`${id} ${amount}`)
  }
  const expected = [...model].sort(([a], [b]) => (a < b ? -1 : 1))
  t.equal(table.pairs, model.size)
  t.strictSame(pairsOf(table), expected)
  const largest = expected.reduce((most, [, sum]) => (sum > most ? sum : most), 0n)
  t.equal(table.sorted().largestSum, largest)
})

t.test('a sum reaches 2^64 − 1 and is left as it was when it would pass it', async t => {
  for (const id of [0n, 1n, MAX, 1n << 32n]) {
    for (const part of [1n, 0xffff_ffffn, 1n << 32n, 1n << 63n, MAX]) {
      const table = new SumTable(10)
      t.equal(add(table, id, MAX - part), 'added')
      t.equal(add(table, id, part), 'added')
      t.equal(add(table, id, 1n), 'overflow')
      t.equal(add(table, id, MAX), 'overflow')
      t.equal(add(table, id, 0n), 'added')
      t.strictSame(pairsOf(table), [[id, MAX]])
    }
  }
})

t.test('a carry goes from the low to the high half', async t => {
  const table = new SumTable(1)
  add(table, 5n, 0xffff_ffffn)
  add(table, 5n, 1n)
  t.strictSame(pairsOf(table), [[5n, 1n << 32n]])
})

t.test('a zero sum is a pair, and the consumer 0 is one like any other', async t => {
  const table = new SumTable(3)
  t.strictSame(pairsOf(table), [])
  t.equal(table.sorted().largestSum, 0n)
  add(table, MAX, 0n)
  t.strictSame(pairsOf(table), [[MAX, 0n]])
  add(table, 0n, 0n)
  add(table, 0n, 0n)
  t.strictSame(pairsOf(table), [
    [0n, 0n],
    [MAX, 0n],
  ])
  t.equal(table.pairs, 2)
})

t.test('a full table refuses new consumers and goes on adding to known ones', async t => {
  for (const newcomer of [0n, 9n]) {
    const table = new SumTable(2)
    add(table, 1n, 10n)
    add(table, 2n, 10n)
    t.equal(add(table, newcomer, 1n), 'full')
    t.equal(add(table, 2n, 1n), 'added')
    t.strictSame(pairsOf(table), [
      [1n, 10n],
      [2n, 11n],
    ])
  }
})

t.test('a table is used again, smaller and larger, and remembers nothing', async t => {
  const random = new Random()
  const table = new SumTable(1)
  for (const pairsMax of [10_000, 20, 40_000, 3000, 40_000]) {
    table.reset(pairsMax)
    for (let clear = 0; clear < 2; clear++) {
      const model = new Map<bigint, bigint>()
      while (model.size < pairsMax) {
        const id = random.chance(100) ? 0n : random.u64()
        model.set(id, (model.get(id) ?? 0n) + 1n)
        if (add(table, id, 1n) !== 'added') return t.fail(`SEED=${random.seed} ${pairsMax}`)
      }
      const { ids, amounts } = table.sortedView()
      const found = [...ids].map((id, i) => [id, amounts[i]])
      const expected = [...model].sort(([a], [b]) => (a < b ? -1 : 1))
      if (!isDeepStrictEqual(found, expected)) return t.fail(`SEED=${random.seed} ${pairsMax}`)
      table.clear()
    }
  }
  t.pass('all agree')
})

t.test('the bound of a table is checked', async t => {
  for (const wrong of [0, -1, 1.5, Number.NaN, TABLE_PAIRS_MAX + 1]) {
    t.throws(() => new SumTable(wrong), { code: 'ERR_ASSERTION' })
  }
})

t.test('halves become one number', async t => {
  t.equal(u64(-1, -1), MAX)
  t.equal(u64(1, -2), 0x1_ffff_fffen)
})
