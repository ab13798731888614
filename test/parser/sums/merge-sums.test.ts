import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import t, { type Test } from 'tap'
import { mergeSums } from '../../../parser/sums/merge-sums.ts'
import { BLOCK_PAIRS } from '../../../parser/sums/run-format.ts'
import { RunSums } from '../../../parser/sums/run-keeper.ts'
import { writeRunSync } from '../../../parser/sums/run-writer.ts'
import { MemorySums, type Sums } from '../../../parser/sums/sums.ts'
import { pairsOf, runsDirectoryOf, runsIn } from '../digest/fixtures/files.ts'
import { Random } from '../digest/fixtures/random.ts'

const MAX = (1n << 64n) - 1n

type Pairs = readonly (readonly [id: bigint, amount: bigint])[]

function inMemory(pairs: Pairs): Sums {
  const ids = BigUint64Array.from(pairs, ([id]) => id)
  return new MemorySums(
    ids,
    BigUint64Array.from(pairs, ([, amount]) => amount),
  )
}

async function inRun(directory: string, name: string, pairs: Pairs): Promise<Sums> {
  const ids = BigUint64Array.from(pairs, ([id]) => id)
  const amounts = BigUint64Array.from(pairs, ([, amount]) => amount)
  writeRunSync(directory, name, { owner: 'x' }, put => put({ ids, amounts }))
  return await RunSums.open(join(directory, name))
}

/** The same by BigInts in a Map: the merged pairs, or every overflow, by id and source. */
function modelOf(sources: readonly Pairs[]) {
  const sums = new Map<bigint, bigint>()
  const overflows = new Map<bigint, number>()
  for (const [source, pairs] of sources.entries()) {
    for (const [id, amount] of pairs) {
      const sum = (sums.get(id) ?? 0n) + amount
      if (sum > MAX && !overflows.has(id)) overflows.set(id, source)
      sums.set(id, sum)
    }
  }
  const pairs = [...sums].sort(([a], [b]) => (a < b ? -1 : 1))
  return { pairs, overflows }
}

function randomSource(random: Random, ids: readonly bigint[], large: boolean): Pairs {
  const picked = [...new Set(ids.filter(() => random.chance(3)))]
  picked.sort((a, b) => (a < b ? -1 : 1))
  return picked.map(id => [id, large ? random.u64() : random.u64() >> 8n])
}

t.test('any number of sources merge as the model does, from memory and from runs', async t => {
  const random = new Random()
  const directory = runsDirectoryOf(t)
  const seen = { merged: 0, overflow: 0, 'too many': 0 }
  for (let round = 0; round < 80; round++) {
    const ids = Array.from({ length: random.pick([3, 60, 12_000]) }, () => random.u64())
    if (random.chance(2)) ids.push(0n, MAX)
    const large = random.chance(8)
    const count = random.pick([0, 1, 2, 3, 4, 5, 7, 8, 9, 33])
    const pairs = Array.from({ length: count }, () => randomSource(random, ids, large))
    const sources = await Promise.all(
      pairs.map((some, i) =>
        random.chance(2) ? inMemory(some) : inRun(directory, `s${i}.run`, some),
      ),
    )
    const model = modelOf(pairs)
    const exactly = model.pairs.length
    const pairsMax = random.pick([0, 1, 50, exactly, exactly, exactly - 1, 100_000])
    const merged = await mergeSums(sources, { pairsMax })
    seen[merged.kind] += 1
    const told = { round, count, pairsMax, kind: merged.kind }
    let isRight: boolean
    if (merged.kind === 'overflow') {
      isRight = model.overflows.get(merged.id) === merged.source && merged.source > 0
    } else if (merged.kind === 'too many') {
      isRight = exactly > pairsMax
    } else {
      const found = { pairs: await pairsOf(merged.sums, 5000), count: merged.sums.pairs }
      const expected = { pairs: model.pairs, count: exactly }
      isRight = isDeepStrictEqual(found, expected) && model.overflows.size === 0
    }
    if (!isRight) return t.fail(`SEED=${random.seed}`, { told })
    for (const source of sources) {
      await source.find(0n) // still open
      await source.close()
    }
  }
  t.ok(seen.overflow > 0 && seen['too many'] > 0 && seen.merged > 20, JSON.stringify(seen))
})

t.test('the source at which a sum becomes too large', async t => {
  const sources: Pairs[] = [[[5n, MAX]], [[4n, 1n]], [[5n, 0n]], [[5n, 1n]], [[5n, MAX]]]
  const merged = await mergeSums(sources.map(inMemory), { pairsMax: 100 })
  t.strictSame(merged, { kind: 'overflow', id: 5n, source: 3 })
  const cut = await mergeSums(sources.slice(0, 3).map(inMemory), { pairsMax: 2 })
  if (cut.kind !== 'merged') return t.fail(cut.kind)
  t.strictSame(await pairsOf(cut.sums, 10), [
    [4n, 1n],
    [5n, MAX],
  ])
})

t.test('hundreds of small sources, with large ones and runs between them', async t => {
  const random = new Random()
  const directory = runsDirectoryOf(t)
  const ids = Array.from({ length: 3_000 }, () => random.u64() >> 50n)
  const large = Array.from({ length: 5_000 }, (_, i): [bigint, bigint] => [BigInt(i) * 3n, 1n])
  const pairs = Array.from({ length: 700 }, (_, i) =>
    i % 300 === 150 ? large : i === 7 ? [] : randomSource(random, ids.slice(i * 4), false),
  )
  const sources = await Promise.all(
    pairs.map((some, i) => (i === 400 ? inRun(directory, 'one.run', some) : inMemory(some))),
  )
  const model = modelOf(pairs)
  const merged = await mergeSums(sources, { pairsMax: model.pairs.length })
  if (merged.kind !== 'merged') return t.fail(merged.kind)
  t.strictSame(await pairsOf(merged.sums, 5_000), model.pairs)
  const pairsMax = model.pairs.length - 1
  t.strictSame(await mergeSums(sources, { pairsMax }), { kind: 'too many' })
  const [id] = model.pairs.at(-1)!
  const guilty = [...sources, inMemory([[id, MAX]]), inMemory([[0n, 1n]])]
  const found = await mergeSums(guilty, { pairsMax: 100_000 })
  t.strictSame(found, { kind: 'overflow', id, source: 700 }, 'by its source, whatever was folded')
  for (const source of sources) await source.close()
})

t.test('merges side by side, each of more sources than the one before', async t => {
  letTimeFly(t)
  const random = new Random()
  for (let round = 0; round < 3; round += 1) {
    const all = Array.from({ length: 4 }, (_, n) => {
      // Large enough that each is a source by itself, and more than a merge takes in at once.
      const ids = Array.from({ length: 9_000 }, () => random.u64() >> 48n)
      return Array.from({ length: [2, 63, 65, 150][n]! }, (): Pairs => {
        const from = random.pick([0, 2_000, 4_000])
        const own = [...new Set(ids.slice(from, from + 4_400))].sort((a, b) => (a < b ? -1 : 1))
        return own.map(id => [id, random.u64() >> 8n])
      })
    })
    const merged = await Promise.all(
      all.map(sources => mergeSums(sources.map(inMemory), { pairsMax: 100_000 })),
    )
    for (const [n, one] of merged.entries()) {
      if (one.kind !== 'merged') return t.fail(one.kind)
      t.strictSame(await pairsOf(one.sums, 5_000), modelOf(all[n]!).pairs, `SEED=${random.seed}`)
    }
  }
})

t.test('as many small sums as are added up at once, none twice', async t => {
  const step = MAX / (33n * 4_096n)
  const sources = Array.from({ length: 33 }, (_, source) =>
    inMemory(
      Array.from({ length: 4_096 }, (_, i) => [BigInt(i * 33 + source) * step, 1n] as const),
    ),
  )
  const merged = await mergeSums(sources.slice(0, 32), { pairsMax: 131_072 })
  t.match(merged, { kind: 'merged', sums: { pairs: 131_072 } })
  const more = await mergeSums(sources, { pairsMax: 33 * 4_096 })
  if (more.kind !== 'merged') return t.fail(more.kind)
  const found = await pairsOf(more.sums, 10_000)
  t.ok(found.every(([id, amount], i) => id === BigInt(i) * step && amount === 1n))
  t.equal(found.length, 33 * 4_096)
})

/** Each look at the clock finds it a second later. */
function letTimeFly(t: Test): void {
  let nowMs = 0
  const value = (): number => {
    nowMs += 1_000
    return nowMs
  }
  t.intercept(performance, 'now', { value })
}

t.test('one source is what it is, and none has nothing', async t => {
  const one = inMemory([[1n, 2n]])
  t.strictSame(await mergeSums([one], { pairsMax: 1 }), { kind: 'merged', sums: one })
  t.strictSame(await mergeSums([one], { pairsMax: 0 }), { kind: 'too many' })
  for (const sources of [[], [inMemory([]), inMemory([])]]) {
    t.match(await mergeSums(sources, { pairsMax: 0 }), { kind: 'merged', sums: { pairs: 0 } })
  }
})

t.test('a merge that fails leaves its sources to the caller', async t => {
  const directory = runsDirectoryOf(t)
  const many = Array.from({ length: 200_000 }, (_, i) => [BigInt(i), 1n] as const)
  const bad = await inRun(directory, 'bad.run', many.slice(0, 9000))
  writeFileSync(join(directory, 'bad.run'), Buffer.alloc(9000 * 16 + 4096 + 48))
  const pairsMax = 1_000_000
  await t.rejects(mergeSums([inMemory(many), bad], { pairsMax }), { code: 'RUN_UNREADABLE' })
  await bad.close()

  const stop = new AbortController()
  letTimeFly(t)
  const merging = mergeSums([inMemory(many), inMemory(many)], { pairsMax, signal: stop.signal })
  await setImmediate()
  stop.abort()
  await t.rejects(merging, { name: 'AbortError' })
  t.strictSame(runsIn(directory), ['bad.run'], 'nothing is written')
})

t.test('the main thread stays free', async t => {
  const chunks = 20
  const some = (first: number) =>
    inMemory(Array.from({ length: chunks * BLOCK_PAIRS }, (_, i) => [BigInt(2 * i + first), 1n]))
  /** @returns how often others had their turn. */
  const turnsBeside = async (): Promise<number> => {
    let isMerging = true
    const merging = mergeSums([some(0), some(1)], { pairsMax: 1_000_000 }).finally(() => {
      isMerging = false
    })
    let turns = 0
    for (; isMerging; turns++) await setImmediate()
    t.match(await merging, { kind: 'merged', sums: { pairs: 2 * chunks * BLOCK_PAIRS } })
    return turns
  }
  // Where the time stands still nobody has waited; where it flies, whoever has merged a chunk has kept
  // the others waiting for long.
  t.intercept(performance, 'now', { value: () => 0 })
  t.ok((await turnsBeside()) <= 2, 'a merge that takes no time')
  letTimeFly(t)
  const turns = await turnsBeside()
  t.ok(turns >= 2 * chunks, `${turns} turns of the others for ${2 * chunks} chunks`)
})
