import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import t, { type Test } from 'tap'
import { type MergeOptions, mergeSums } from '../../../parser/sums/merge-sums.ts'
import { deleteRun, RunSums } from '../../../parser/sums/run-keeper.ts'
import { writeRunSync } from '../../../parser/sums/run-writer.ts'
import { MemorySums, type Sums } from '../../../parser/sums/sums.ts'
import { pairsOf, runsDirectoryOf, runsIn } from '../digest/fixtures/files.ts'
import { Random } from '../digest/fixtures/random.ts'

const MAX = (1n << 64n) - 1n
const BATCH = { kind: 'batch', owner: 'ab'.repeat(16), members: [new Uint8Array(32)] } as const

function optionsOf(t: Test, memoryPairsMax: number): MergeOptions {
  const runsDirectory = runsDirectoryOf(t)
  return { memoryPairsMax, runsDirectory, runName: 'batch.run', label: BATCH }
}

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
  const label = { kind: 'file', owner: 'x', members: [] } as const
  writeRunSync(directory, name, label, put => put({ ids, amounts }))
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

t.test('any number of sources merge as the model does, in memory and in a run', async t => {
  const random = new Random()
  const options = optionsOf(t, 0)
  let overflown = 0
  for (let round = 0; round < 60; round++) {
    const ids = Array.from({ length: random.pick([3, 60, 12_000]) }, () => random.u64())
    if (random.chance(2)) ids.push(0n, MAX)
    const large = random.chance(8)
    const count = random.pick([0, 1, 2, 3, 4, 5, 7, 8, 9, 33])
    const pairs = Array.from({ length: count }, () => randomSource(random, ids, large))
    const sources = await Promise.all(
      pairs.map((some, i) =>
        random.chance(2) ? inMemory(some) : inRun(options.runsDirectory, `s${i}.run`, some),
      ),
    )
    const model = modelOf(pairs)
    const memoryPairsMax = random.pick([0, 1, 50, 100_000, model.pairs.length])
    const merged = await mergeSums(sources, { ...options, memoryPairsMax })
    const told = { round, count, memoryPairsMax }
    for (const source of sources) {
      await source.find(0n) // still open
      await source.close()
    }
    if (!merged.ok) {
      overflown += 1
      const isTrue = model.overflows.get(merged.id) === merged.source && merged.source > 0
      const left = runsIn(options.runsDirectory).includes('batch.run')
      if (!isTrue || left) return t.fail(`SEED=${random.seed}`, { told, merged })
      continue
    }
    const { sums, amount, largestSum, runName } = merged
    const found = { pairs: await pairsOf(sums, 5000), amount, largestSum, count: sums.pairs }
    const expected = {
      pairs: model.pairs,
      amount: model.pairs.reduce((sum, [, more]) => sum + more, 0n),
      largestSum: model.pairs.reduce((most, [, sum]) => (sum > most ? sum : most), 0n),
      count: model.pairs.length,
    }
    if (sums instanceof RunSums) await sums.verify()
    await sums.close()
    await deleteRun(options.runsDirectory, 'batch.run')
    const isSealed = model.pairs.length > memoryPairsMax
    if (!isDeepStrictEqual(found, expected) || isSealed !== (runName === 'batch.run')) {
      return t.fail(`SEED=${random.seed}`, { told, runName, found, expected })
    }
  }
  t.ok(overflown > 0 && overflown < 40, `${overflown} overflows`)
})

t.test('the source at which a sum becomes too large', async t => {
  const options = optionsOf(t, 100)
  const sources: Pairs[] = [[[5n, MAX]], [[4n, 1n]], [[5n, 0n]], [[5n, 1n]], [[5n, MAX]]]
  const merged = await mergeSums(sources.map(inMemory), options)
  t.strictSame(merged, { ok: false, id: 5n, source: 3 })
  const cut = await mergeSums(sources.slice(0, 3).map(inMemory), options)
  t.match(cut, { ok: true, amount: MAX + 1n, largestSum: MAX })
})

t.test('a batch run says whose it is', async t => {
  const options = optionsOf(t, 1)
  const merged = await mergeSums([inMemory([[1n, 2n]]), inMemory([[2n, 3n]])], options)
  if (!merged.ok) return t.fail('an overflow')
  const run = merged.sums as RunSums
  t.strictSame(run.facts, { ...BATCH, pairs: 2, amount: 5n, largestSum: 3n })
  await run.close()
})

t.test('a merge that fails leaves no file', async t => {
  const options = optionsOf(t, 1)
  const many = Array.from({ length: 200_000 }, (_, i) => [BigInt(i), 1n] as const)
  const bad = await inRun(options.runsDirectory, 'bad.run', many.slice(0, 9000))
  writeFileSync(join(options.runsDirectory, 'bad.run'), Buffer.alloc(9000 * 16 + 4096 + 48))
  await t.rejects(mergeSums([inMemory(many), bad], options), { code: 'RUN_UNREADABLE' })
  await bad.close()
  t.strictSame(runsIn(options.runsDirectory), ['bad.run'])

  const stop = new AbortController()
  const merging = mergeSums([inMemory(many), inMemory(many)], { ...options, signal: stop.signal })
  await setImmediate()
  stop.abort()
  await t.rejects(merging, { name: 'AbortError' })
  t.strictSame(runsIn(options.runsDirectory), ['bad.run'])

  const nowhere = { ...options, runsDirectory: join(options.runsDirectory, 'missing') }
  await t.rejects(mergeSums([inMemory(many)], nowhere), { code: 'IO_FAILED' })
})

t.test('the main thread stays free', async t => {
  const options = optionsOf(t, 1_000_000)
  const many = Array.from({ length: 300_000 }, (_, i) => [BigInt(i), 1n] as const)
  let working = true
  const merging = mergeSums([inMemory(many), inMemory(many), inMemory(many)], options)
  const done = merging.finally(() => {
    working = false
  })
  let turns = 0
  for (; working; turns++) await setImmediate()
  t.match(await done, { ok: true, amount: 900_000n, sums: { pairs: 300_000 } })
  t.ok(turns > 3, `${turns} turns of the event loop`)
})
