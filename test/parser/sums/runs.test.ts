import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { crc32 } from 'node:zlib'
import t from 'tap'
import {
  deleteRun,
  isRunName,
  type RunLabel,
  RunSums,
  sweepRuns,
} from '../../../parser/sums/run-keeper.ts'
import { verifyRunSync } from '../../../parser/sums/run-reader.ts'
import { syncRunsSync, writeRunSync } from '../../../parser/sums/run-writer.ts'
import { MemorySums, type PairChunk, type Sums } from '../../../parser/sums/sums.ts'
import { pairsOf, runsDirectoryOf, runsIn } from '../digest/fixtures/files.ts'
import { Random } from '../digest/fixtures/random.ts'

const MAX = (1n << 64n) - 1n
const LABEL: RunLabel = { owner: 'work-7' }

/** Ascending pairs, often with the smallest and the largest id. */
function randomPairs(random: Random, count: number): [bigint, bigint][] {
  const ids = new Set<bigint>(random.chance(2) ? [0n, MAX].slice(0, count) : [])
  while (ids.size < count) ids.add(random.u64())
  return [...ids].sort((a, b) => (a < b ? -1 : 1)).map(id => [id, random.u64()])
}

function chunkOf(pairs: readonly (readonly [bigint, bigint])[]): PairChunk {
  return {
    ids: BigUint64Array.from(pairs, ([id]) => id),
    amounts: BigUint64Array.from(pairs, ([, amount]) => amount),
  }
}

function factsOf(pairs: readonly (readonly [bigint, bigint])[]): object {
  const amount = pairs.reduce((sum, [, more]) => sum + more, 0n)
  const largestSum = pairs.reduce((most, [, sum]) => (sum > most ? sum : most), 0n)
  return { ...LABEL, pairs: pairs.length, amount, largestSum }
}

/** Writes the same pairs at once, and in portions. */
function writeBoth(directory: string, pairs: [bigint, bigint][], portion: number): void {
  writeRunSync(directory, 'portions.run', LABEL, put => {
    for (let at = 0; at < pairs.length; at += portion) put(chunkOf(pairs.slice(at, at + portion)))
  })
  writeRunSync(directory, 'whole.run', LABEL, put => put(chunkOf(pairs)))
}

t.test('whole or in portions, by both readers: what was written is read', async t => {
  const random = new Random()
  const directory = runsDirectoryOf(t)
  const wrong: unknown[] = []
  for (const count of [0, 1, 2, 4095, 4096, 4097, 8192, 70_000]) {
    const pairs = randomPairs(random, count)
    writeBoth(directory, pairs, 1 + random.below(9000))
    for (const name of ['whole.run', 'portions.run']) {
      const path = join(directory, name)
      const run = await RunSums.open(path)
      await run.verify()
      const said = [run.facts, verifyRunSync(path, () => {})]
      if (!isDeepStrictEqual(said, [factsOf(pairs), factsOf(pairs)])) wrong.push({ count, said })
      for (const pairsMax of [5000, 4096, 100_000]) {
        const found = await pairsOf(run, pairsMax)
        if (!isDeepStrictEqual(found, pairs)) wrong.push({ count, name, pairsMax })
      }
      await run.close()
    }
  }
  t.strictSame(wrong, [], `SEED=${random.seed}`)
  t.strictSame(runsIn(directory), ['portions.run', 'whole.run'], 'no tmp file is left')
})

t.test('find, and chunks after an id, in memory and in a run', async t => {
  const random = new Random()
  const directory = runsDirectoryOf(t)
  const wrong: unknown[] = []
  for (const count of [0, 1, 3, 4096, 10_000]) {
    const pairs = randomPairs(random, count)
    const { ids, amounts } = chunkOf(pairs)
    writeRunSync(directory, 'x.run', LABEL, put => put({ ids, amounts }))
    const run = await RunSums.open(join(directory, 'x.run'))
    const both: [string, Sums][] = [
      ['memory', new MemorySums(ids, amounts)],
      ['run', run],
    ]
    const near = (at: number) => pairs[at]?.[0] ?? 5n
    const asked = [0n, 1n, MAX, MAX - 1n, near(0), near(count - 1), near(4095), near(4096)]
    for (let i = 0; i < 20; i++) asked.push(random.u64(), near(random.below(count + 1)))
    for (const id of [...asked, ...asked.map(id => id && id - 1n)]) {
      const expected = pairs.filter(([found]) => found > id)
      const sum = pairs.find(([found]) => found === id)?.[1]
      for (const [name, sums] of both) {
        if ((await sums.find(id)) !== sum) wrong.push({ count, name, find: id })
        const after = await pairsOf(sums, 1000 + random.below(9000), id)
        if (!isDeepStrictEqual(after, expected)) wrong.push({ count, name, after: id })
      }
    }
    for (const [, sums] of both) await sums.close()
  }
  t.strictSame(wrong, [], `SEED=${random.seed}`)
})

t.test('chunks are full but for the last, and start over; null is no id', async t => {
  const directory = runsDirectoryOf(t)
  const pairs = Array.from({ length: 10_000 }, (_, i) => [BigInt(i), 1n] as const)
  writeRunSync(directory, 'x.run', LABEL, put => put(chunkOf(pairs)))
  const run = await RunSums.open(join(directory, 'x.run'))
  for (let twice = 0; twice < 2; twice++) {
    const sizes: number[] = []
    for await (const { ids } of run.chunks(3000, null)) sizes.push(ids.length)
    t.strictSame(sizes, [3000, 3000, 3000, 1000])
  }
  for await (const { ids } of run.chunks(10)) {
    t.equal(ids.length, 10)
    break
  }
  await t.rejects(pairsOf(run, 0), { code: 'ERR_ASSERTION' })
  await run.close()
  await run.close()
  await t.rejects(pairsOf(run), { code: 'STOPPED' })
})

t.test("a batch's run of an earlier version is none any more", async t => {
  const directory = runsDirectoryOf(t)
  const path = join(directory, 'batch.run')
  const text = { kind: 'batch', owner: 'ab'.repeat(16), pairs: 0, amount: '0', largestSum: '0' }
  const header = Buffer.alloc(4_096, ' ')
  header.write(`countersink-run 1 00004096\n${JSON.stringify({ ...text, seed: 1, members: [] })}`)
  const crcAt = header.length - 9
  const crc = crc32(header.subarray(0, crcAt)).toString(16).padStart(8, '0')
  header.write(`${crc}\n`, crcAt)
  writeFileSync(path, header)
  const refused = { code: 'RUN_UNREADABLE', message: /its header is not understood/ }
  await t.rejects(RunSums.open(path), refused)
  t.strictSame(await sweepRuns(directory, new Set()), ['batch.run'])
})

t.test('any byte changed, added or missing is noticed', async t => {
  const random = new Random()
  const directory = runsDirectoryOf(t)
  const path = join(directory, 'x.run')
  writeRunSync(directory, 'x.run', LABEL, put => put(chunkOf(randomPairs(random, 5000))))
  const good = readFileSync(path)
  const read = async () => {
    const run = await RunSums.open(path)
    try {
      await run.verify()
    } finally {
      await run.close()
    }
  }
  /** How both readers end, which must be alike. */
  const outcome = async () => {
    const codes: unknown[] = []
    await read().catch((error: { code: unknown }) => codes.push(error.code))
    try {
      verifyRunSync(path, () => {})
    } catch (error: unknown) {
      codes.push((error as { code: unknown }).code)
    }
    return codes
  }
  t.strictSame(await outcome(), [])
  const refused = ['RUN_UNREADABLE', 'RUN_UNREADABLE']
  const wrong: unknown[] = []
  const places = [0, 20, 26, 27, 40, 2000, 4086, 4094, 4095, 4096, good.length - 1]
  places.push(4096 + 65_536, 4096 + 65_536 + 4, 4096 + 65_551, 4096 + 65_552, good.length - 16)
  for (let i = 0; i < 60; i++) places.push(random.below(good.length))
  for (const at of places) {
    const bad = Buffer.from(good)
    bad[at]! ^= 1 << random.below(8)
    writeFileSync(path, bad)
    const codes = await outcome()
    if (!isDeepStrictEqual(codes, refused)) wrong.push({ at, codes })
  }
  for (const bytes of [0, 10, 4095, 4096, 5000, good.length - 65_552, good.length - 1]) {
    writeFileSync(path, good.subarray(0, bytes))
    const codes = await outcome()
    if (!isDeepStrictEqual(codes, refused)) wrong.push({ bytes, codes })
  }
  writeFileSync(path, Buffer.concat([good, Buffer.alloc(16)]))
  if (!isDeepStrictEqual(await outcome(), refused)) wrong.push('longer')
  await deleteRun(directory, 'x.run')
  if (!isDeepStrictEqual(await outcome(), refused)) wrong.push('missing')
  t.strictSame(wrong, [], `SEED=${random.seed}`)
})

t.test('a garbled block is noticed by whoever comes across it', async t => {
  const directory = runsDirectoryOf(t)
  const path = join(directory, 'x.run')
  const pairs = Array.from({ length: 9000 }, (_, i) => [BigInt(i), 1n] as const)
  writeRunSync(directory, 'x.run', LABEL, put => put(chunkOf(pairs)))
  const other = join(directory, 'y.run')
  writeRunSync(directory, 'y.run', LABEL, put => put(chunkOf(pairs)))
  // A sound block, but of another run.
  const bytes = readFileSync(path)
  readFileSync(other).copy(bytes, 4096 + 2 * 65_552, 4096 + 2 * 65_552)
  writeFileSync(path, bytes)
  const run = await RunSums.open(path)
  t.equal(await run.find(5n), 1n)
  await t.rejects(run.find(8500n), { code: 'RUN_UNREADABLE', message: /block 2/ })
  await t.rejects(pairsOf(run), { code: 'RUN_UNREADABLE' })
  await t.rejects(pairsOf(run, 10, 6000n), { code: 'RUN_UNREADABLE' })
  for await (const { ids } of run.chunks(8192)) {
    t.equal(ids.length, 8192, 'what stands before it is sound')
    break
  }
  await run.close()
})

t.test('a writer that fails leaves nothing', async t => {
  const directory = runsDirectoryOf(t)
  const disordered = chunkOf([
    [2n, 1n],
    [2n, 1n],
  ])
  t.throws(() => writeRunSync(directory, 'x.run', LABEL, put => put(disordered)), {
    code: 'ERR_ASSERTION',
  })
  t.strictSame(runsIn(directory), [])
  const missing = join(directory, 'missing')
  t.throws(() => writeRunSync(missing, 'x.run', LABEL, () => {}), { code: 'IO_FAILED' })
  t.throws(() => syncRunsSync(directory, ['gone.run']), { code: 'IO_FAILED' })
  syncRunsSync(missing, [])
})

t.test('leftovers are swept, and nothing else', async t => {
  const directory = runsDirectoryOf(t)
  const names = ['a.run', 'b.run', '.c.run.tmp', 'other.txt', '.hidden', '.x.tmp']
  for (const name of names) writeFileSync(join(directory, name), '')
  t.strictSame((await sweepRuns(directory, new Set(['a.run', 'z.run']))).sort(), [
    '.c.run.tmp',
    'b.run',
  ])
  t.strictSame(runsIn(directory), ['.hidden', '.x.tmp', 'a.run', 'other.txt'])
})

t.test('names of runs', async t => {
  for (const good of ['a.run', 'work-1-00.run', 'A_b.c.run']) t.ok(isRunName(good), good)
  for (const bad of ['', '.run', '.a.run', '../a.run', 'a/b.run', 'a.run.tmp', 'a', 'a.run\n']) {
    t.notOk(isRunName(bad), JSON.stringify(bad))
  }
})

t.test('a run that fails its check holds no descriptor', async t => {
  const directory = runsDirectoryOf(t)
  const path = join(directory, 'a.run')
  writeRunSync(directory, 'a.run', LABEL, put => put(chunkOf([[1n, 2n]])))
  const good = await RunSums.openVerified(path)
  t.same(openUnder(directory), [path])
  await good.close()
  const bytes = readFileSync(path)
  bytes.writeUInt8(bytes.at(-30)! ^ 1, bytes.length - 30)
  writeFileSync(path, bytes)
  await t.rejects(RunSums.openVerified(path), { code: 'RUN_UNREADABLE' })
  t.same(openUnder(directory), [])
  const stopped = AbortSignal.abort(new Error('stopped'))
  await t.rejects(RunSums.openVerified(path, stopped), { code: 'RUN_UNREADABLE' })
  t.same(openUnder(directory), [])
})

/** What this process has open below a directory. */
function openUnder(directory: string): string[] {
  return readdirSync('/proc/self/fd').flatMap(fd => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`)
      return path.startsWith(directory) ? [path] : []
    } catch {
      // The one that listed them is closed again.
      return []
    }
  })
}
