import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { DigestWorkers } from '../../../parser/digest/digest.ts'
import { RunSums } from '../../../parser/sums/run-keeper.ts'
import {
  expectedOf,
  fileOf,
  limitsOf,
  mismatch,
  runsIn,
  saidOf,
  withFile,
} from './fixtures/files.ts'
import { Random, randomLines } from './fixtures/random.ts'

const KIB = 1024
const workers = new DigestWorkers({ readBytes: 5000 })
t.teardown(() => workers.close())

t.test('tiny tables: all sums are in one run, whatever had to be sealed on the way', async t => {
  const random = new Random()
  const limits = limitsOf(t)
  for (const pairsMax of [1, 2, 64]) {
    for (let round = 0; round < 5; round++) {
      const content = Buffer.from(randomLines(random, 2 + random.below(90)))
      if (random.chance(4)) content[random.below(content.length)] = 0x78
      const wrong = await withFile(t, content, async file => {
        const digest = await workers.digest({ ...file, ...limits, pairsMax })
        const left = runsIn(limits.runsDirectory)
        const found = await mismatch(digest, content)
        await digest.discard()
        const named = digest.runName === undefined ? [] : [digest.runName]
        return (
          found ??
          (isDeepStrictEqual(left, named) ? undefined : { left, named }) ??
          (runsIn(limits.runsDirectory).length === 0 ? undefined : 'something was left')
        )
      })
      if (wrong !== undefined) return t.fail(`SEED=${random.seed} pairsMax ${pairsMax}`, { wrong })
    }
  }
  t.pass('all agree')
})

t.test('sums up to memoryPairsMax are in memory, more in a run', async t => {
  const limits = { ...limitsOf(t), memoryPairsMax: 3 }
  for (const [text, sealed] of [
    ['', false],
    ['1 1\n2 2\n3 3\n3 4\n', false],
    ['1 1\n2 2\n3 3\n4 4\n', true],
  ] as const) {
    const content = Buffer.from(text)
    await withFile(t, content, async file => {
      const digest = await workers.digest({ ...limits, ...file })
      t.equal(digest.runName !== undefined, sealed, JSON.stringify(text))
      t.strictSame(await saidOf(digest), expectedOf(content))
      await digest.discard()
    })
  }
  t.strictSame(runsIn(limits.runsDirectory), [])
})

t.test('a sealed file says of itself what it is', async t => {
  const limits = { ...limitsOf(t), pairsMax: 2 }
  const digest = await workers.digest({ ...limits, ...fileOf(t, '5 1\n3 2\n4 4\n5 8\n') })
  const run = await RunSums.open(join(limits.runsDirectory, digest.runName ?? ''))
  await run.verify()
  const facts = { owner: 'work-1', pairs: 3, amount: 15n }
  t.strictSame(run.facts, { ...facts, largestSum: 9n })
  await run.close()
  await digest.release()
  t.strictSame(runsIn(limits.runsDirectory), [digest.runName], 'release keeps the final run')
  await digest.discard()
  await digest.discard()
  t.strictSame(runsIn(limits.runsDirectory), [])
})

t.test('many seals: runs are merged on the way, and what a checkpoint names stays', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const limits = { ...limitsOf(t), pairsMax: 2, checkpointBytes: KIB }
  const content = Buffer.from(randomLines(random, 200))
  let most = 0
  const digest = await workers.digest({
    ...limits,
    ...fileOf(t, content),
    async onCheckpoint({ runs }) {
      const existing = runsIn(limits.runsDirectory)
      most = Math.max(most, runs.length)
      if (!runs.every(name => existing.includes(name))) t.fail('a named run is missing')
    },
  })
  t.ok(most <= 32, `${most} runs at most`)
  t.equal(await mismatch(digest, content), undefined)
  await digest.discard()
  t.strictSame(runsIn(limits.runsDirectory), [])
})

t.test('a runs directory that cannot be written to', async t => {
  const limits = { ...limitsOf(t), pairsMax: 1 }
  const options = { ...limits, ...fileOf(t, '1 1\n2 2\n') }
  const missing = join(limits.runsDirectory, 'missing')
  const digest = workers.digest({ ...options, runsDirectory: missing })
  await t.rejects(digest, { code: 'IO_FAILED', cause: { code: 'ENOENT' } })
  t.equal((await workers.digest(options)).lines, 2, 'the workers stay usable')
})
