/** The kernel against the plain model: which sums there are, in whatever window and table. */

import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { type PairSource, SumKernel, TABLE_PAIRS_MAX } from '../../../parser/digest/sum-kernel.ts'
import type { PairChunk } from '../../../parser/sums/sums.ts'
import { disagreement, every, pairsIn, Summing } from './fixtures/kernel.ts'
import { modelOf } from './fixtures/model.ts'
import { Random } from './fixtures/random.ts'

const MAX = (1n << 64n) - 1n
const WINDOWS = [
  { base: 0n, size: 0 },
  { base: 0n, size: 64 },
  { base: 0n, size: 4096 },
  { base: 1n, size: 128 },
  { base: 1000n, size: 640 },
  { base: (1n << 32n) - 64n, size: 128 },
  { base: (1n << 63n) - 64n, size: 128 },
  { base: MAX - 63n, size: 64 },
]

/** Ids in, around and far from a window, and special ones. */
function idsAround(random: Random, base: bigint, size: number): bigint[] {
  const end = base + BigInt(size)
  const near = [base, base - 1n, base + 1n, end - 1n, end, end + 1n]
  const ids = [0n, 1n, MAX, MAX - 1n, 1n << 63n, ...near]
  for (let i = 0; i < 40; i++) ids.push(base + BigInt(random.below(size + 1)), random.u64())
  for (let i = 0; i < 20; i++) ids.push(BigInt(random.below(300)) << 32n) // equal in the low word
  return ids.filter(id => id >= 0n && id <= MAX)
}

t.test('random sums, in and around every window, with little and much room', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const summing = new Summing(t)
  for (let round = 0; round < 400; round++) {
    const window = random.pick(WINDOWS)
    const pairsMax = random.pick([1, 2, 3, 10, 64, 100, 100_000])
    const ids = idsAround(random, window.base, window.size)
    const small = random.chance(2)
    let text = ''
    for (let lines = random.below(400); lines > 0; lines--) {
      text += `${random.pick(ids)} ${small ? random.below(3) : random.u64() >> 10n}\n`
    }
    const content = Buffer.from(text)
    const model = modelOf(content)
    const found = summing.sum(content, { window, pairsMax, cuts: every(700, content) })
    const wrong = disagreement(found, model)
    const where = `SEED=${random.seed} round ${round}`
    if (wrong !== undefined) return t.fail(where, wrong)
    if (found.full.some(pairs => pairs !== pairsMax)) return t.fail(where, { full: found.full })
    if (model.sums.length > pairsMax !== found.full.length > 0) return t.fail(where, found)
  }
  t.pass('all agree')
})

t.test('a sum reaches 2^64 − 1, and the line that would pass it is named', async t => {
  const summing = new Summing(t)
  for (const window of WINDOWS) {
    for (const id of [0n, 5n, MAX, window.base, window.base + 63n]) {
      for (const part of [1n, 0xffff_ffffn, 1n << 32n, 1n << 63n, MAX]) {
        const other = id === 3n ? 4n : 3n
        const before = `${id} ${MAX - part}\n${other} 4\n${id} ${part}\n${id} 0\n`
        const found = summing.sum(Buffer.from(`${before}${id} 1\n${other} 1\n`), { window })
        const { bad, sums, lines, amount } = found
        const column = String(id).length + 1
        const place = { line: 5, offset: before.length, column, consumer: id }
        t.match(bad, { reason: 'CONSUMER_SUM_OVERFLOW', ...place })
        t.ok(sums.some(([key, sum]) => key === id && sum === MAX))
        t.strictSame([lines, amount], [4, MAX + 4n])
      }
    }
  }
})

t.test('a zero sum is a consumer, in the window and outside', async t => {
  const summing = new Summing(t)
  for (const window of WINDOWS) {
    const ids = new Set([0n, 7n, MAX, window.base])
    const content = Buffer.from([...ids, ...ids].map(id => `${id} 0\n`).join(''))
    t.equal(disagreement(summing.sum(content, { window }), modelOf(content)), undefined)
    t.equal(summing.sum(content, { window, pairsMax: ids.size }).full.length, 0)
    t.equal(summing.sum(content, { window, pairsMax: ids.size - 1 }).full.length > 0, true)
  }
})

t.test('when there is no room, known consumers are still added to', async t => {
  const summing = new Summing(t)
  for (const window of [WINDOWS[0]!, WINDOWS[2]!]) {
    const content = Buffer.from('1 1\n2 2\n1 1\n77 3\n2 9\n2 1\n0 0\n1 5')
    const found = summing.sum(content, { window, pairsMax: 2 })
    t.strictSame(found.full, [2, 2, 2].slice(0, found.full.length))
    t.equal(found.full.length, 2)
    t.equal(disagreement(found, modelOf(content)), undefined)
  }
})

t.test('the table grows as far as there is memory, and is full then', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  for (const sumBytesMax of [64, 1000, 64 * 1024, 300_000, 4 * 2 ** 20]) {
    const summing = new Summing(t, new SumKernel({ sumBytesMax, segmentBytesMax: 2 ** 20 }))
    const ids = Array.from({ length: 40_000 }, () => random.u64() | (1n << 40n))
    const content = Buffer.from(ids.map(id => `${id} 1\n`).join('')).subarray(0, 2 ** 20)
    const found = summing.sum(content)
    t.equal(disagreement(found, modelOf(content)), undefined, `${sumBytesMax} bytes`)
    t.equal(found.full.length > 0, sumBytesMax < 2 ** 20)
    // 16 bytes at half the load, and an eighth more, but for what growing by four leaves unused.
    for (const pairs of found.full) t.ok(pairs * 36 > sumBytesMax * 0.99 - 72, `${pairs} were held`)
  }
})

t.test('a kernel is used again, smaller and larger, and remembers nothing', async t => {
  const random = new Random()
  const summing = new Summing(t)
  for (const [i, pairsMax] of [10_000, 20, 20_000, 3000, 1, 20_000].entries()) {
    const window = WINDOWS[(i * 3) % WINDOWS.length]!
    const ids = Array.from({ length: pairsMax }, () => random.u64() >> BigInt(random.below(50)))
    const content = Buffer.from(ids.map((id, i) => `${id} ${i}\n`).join(''))
    const cuts = every(2 ** 20, content)
    const found = summing.sum(content, { window, pairsMax, cuts })
    t.equal(disagreement(found, modelOf(content)), undefined, `SEED=${random.seed} ${pairsMax}`)
  }
})

t.test('sums made elsewhere are added, as far as there is room', async t => {
  const random = new Random()
  const kernel = new SumKernel({ sumBytesMax: 2 ** 22, segmentBytesMax: 1 })
  for (const window of WINDOWS) {
    const model = new Map<bigint, bigint>()
    kernel.reset(30_000, window)
    for (let round = 0; round < 3; round++) {
      const ids = BigUint64Array.from({ length: 20_000 }, () => BigInt(random.below(25_000))).sort()
      const amounts = ids.map(() => BigInt(random.below(5)))
      ids.forEach((id, i) => {
        model.set(id, (model.get(id) ?? 0n) + amounts[i]!)
      })
      t.strictSame(kernel.addPairs({ ids, amounts }, 0), { added: ids.length, stop: 'done' })
    }
    const sorted = [...model].sort(([a], [b]) => (a < b ? -1 : 1))
    t.ok(isDeepStrictEqual(pairsIn(kernel), sorted), `SEED=${random.seed}`)
    t.strictSame([kernel.lines, kernel.amount], [0, 0n], 'they are no lines')

    kernel.reset(2, window)
    const ids = BigUint64Array.of(0n, 5n, 0n, 8n, 5n)
    const amounts = BigUint64Array.of(1n, MAX, 1n, 1n, 1n)
    t.strictSame(kernel.addPairs({ ids, amounts }, 0), { added: 3, stop: 'full' })
    t.strictSame(pairsIn(kernel), [
      [0n, 2n],
      [5n, MAX],
    ])
    kernel.clear()
    t.strictSame(kernel.addPairs({ ids, amounts }, 3), { added: 2, stop: 'done' })
    t.strictSame(kernel.addPairs({ ids, amounts }, 1), { added: 0, stop: 'overflow' })
    t.equal(kernel.consumer, 5n)
  }
})

t.test('a merge adds equal ids of any number of sources, and itself as one of them', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const kernel = new SumKernel({ sumBytesMax: 2 ** 22, segmentBytesMax: 1 })
  for (let round = 0; round < 60; round++) {
    const model = new Map<bigint, bigint>()
    const span = random.pick([10, 1000, 100_000])
    const pairsOfSource = () => {
      const ids = new Set<bigint>(random.chance(3) ? [0n, MAX] : [])
      for (let i = random.below(random.pick([2, 100, 9000])); i > 0; i--) {
        ids.add(random.chance(4) ? MAX - BigInt(random.below(span)) : BigInt(random.below(span)))
      }
      const sorted = BigUint64Array.from([...ids]).sort()
      const amounts = sorted.map(() => random.u64() >> 8n)
      sorted.forEach((id, i) => {
        model.set(id, (model.get(id) ?? 0n) + amounts[i]!)
      })
      return { ids: sorted, amounts }
    }
    kernel.reset(100_000, random.pick(WINDOWS))
    const added = kernel.addPairs(pairsOfSource(), 0)
    if (added.stop !== 'done') return t.fail('no room')
    const sources: PairSource[] = Array.from({ length: random.below(40) }, () =>
      chunksOf(pairsOfSource(), 1 + random.below(4096)),
    )
    const found: [bigint, bigint][] = []
    const isMerged = kernel.merge([...sources, kernel.sorted()], ({ ids, amounts }) => {
      ids.forEach((id, i) => {
        found.push([id, amounts[i]!])
      })
    })
    const expected = [...model].sort(([a], [b]) => (a < b ? -1 : 1))
    if (!isMerged || !isDeepStrictEqual(found, expected)) {
      return t.fail(`SEED=${random.seed} round ${round}`, { isMerged })
    }
  }
  for (const id of [0n, 5n, MAX]) {
    const chunk = (amount: bigint) => ({
      ids: BigUint64Array.of(id),
      amounts: BigUint64Array.of(amount),
    })
    kernel.reset(1)
    const sources = [chunksOf(chunk(MAX), 1), chunksOf(chunk(0n), 1), chunksOf(chunk(1n), 1)]
    t.notOk(
      kernel.merge(sources, () => {}),
      `the sum of ${id}`,
    )
  }
  t.pass('all agree')
})

function chunksOf({ ids, amounts }: PairChunk, pairs: number): PairSource {
  let at = 0
  return {
    next() {
      const end = at + pairs
      const chunk = { ids: ids.subarray(at, end), amounts: amounts.subarray(at, end) }
      at = end
      return chunk.ids.length === 0 ? undefined : chunk
    },
  }
}

t.test('the window is put where the ids are', async t => {
  const kernel = new SumKernel({ sumBytesMax: 2 ** 20, segmentBytesMax: 2 ** 18 })
  const windowOf = (ids: bigint[]) => {
    const end = kernel.input.length
    const text = Buffer.from(ids.map(id => `${id} 1\n`).join(''))
    kernel.input.set(text)
    return kernel.bestWindow(0, Math.min(text.length, end), 2 ** 30)
  }
  const covers = ({ base, size }: { base: bigint; size: number }, id: bigint) =>
    id >= base && id - base < BigInt(size)
  const near = (base: bigint) =>
    Array.from({ length: 3000 }, (_, i) => base + BigInt((i * 7) % 5000))
  for (const base of [0n, 1n, 20_000n, 1n << 32n, 1n << 63n, MAX - 5000n]) {
    const window = windowOf(near(base))
    t.ok(covers(window, base) && covers(window, base + 4999n), `${base}: ${window.base}`)
    const withStrays = windowOf([MAX, 0n, ...near(base), MAX / 3n])
    t.ok(covers(withStrays, base) && covers(withStrays, base + 4999n))
  }
  t.equal(windowOf(near(0n).map(id => id * 1_000_003n)).size, 0, 'ids far from each other')
  t.equal(windowOf([]).size, 0)
})

t.test('what a kernel may be given is checked', async t => {
  for (const wrong of [0, -1, 1.5, Number.NaN, TABLE_PAIRS_MAX + 1]) {
    const kernel = new SumKernel({ sumBytesMax: 2 ** 16, segmentBytesMax: 1 })
    t.throws(() => kernel.reset(wrong), { code: 'ERR_ASSERTION' })
  }
  for (const wrong of [
    { base: 0n, size: 63 },
    { base: MAX, size: 64 },
    { base: -1n, size: 64 },
    { base: 0n, size: 2 ** 20 },
  ]) {
    const kernel = new SumKernel({ sumBytesMax: 2 ** 16, segmentBytesMax: 1 })
    t.throws(() => kernel.reset(1, wrong), { code: 'ERR_ASSERTION' })
  }
})
