/**
 * The first line with which a consumer's sum passes 2^64 − 1 is named, or the bad line before it:
 * whatever has to be sealed, checkpointed, shared among threads or resumed until it is met.
 */

import { closeSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { type DigestOptions, DigestWorkers } from '../../../parser/digest/digest.ts'
import { SmallFiles } from '../../../parser/digest/small-files.ts'
import type { Checkpoint } from '../../../parser/facts.ts'
import { startProgram } from '../../helpers/processes.ts'
import type { Cost } from './fixtures/digest-once.ts'
import {
  expectedOf,
  fileOf,
  limitsOf,
  runsDirectoryOf,
  runsIn,
  saidOf,
  withFile,
} from './fixtures/files.ts'
import { overflowingLines } from './fixtures/overflowing.ts'
import { Random } from './fixtures/random.ts'
import { stoppedAfter } from './fixtures/stopped.ts'

const MAX = (1n << 64n) - 1n
/** One, two and three threads that sum, with a line or a few to a read. */
const ALONE = new DigestWorkers({ readBytes: 31, sumThreads: 1 })
const TWO = new DigestWorkers({ readBytes: 250, sumThreads: 2 })
const THREE = new DigestWorkers({ readBytes: 90, sumThreads: 3 })
const ALL = [ALONE, TWO, THREE]
const smallFiles = new SmallFiles()
t.teardown(() => Promise.all([...ALL, smallFiles].map(one => one.close())))

/** Who digests a file, and what is other than in `difference`'s options. */
type Setting = readonly [DigestWorkers, Partial<DigestOptions>]

/** What is said of a file, and all that is said of its bad line. */
async function verdictBy(workers: DigestWorkers, options: DigestOptions) {
  const digest = await workers.digest(options)
  const said = await saidOf(digest)
  const bad = digest.verdict.ok ? undefined : digest.verdict.bad
  await digest.discard()
  return { said, bad }
}

/** Where what is said in memory is not what the model says, or under a setting not the same. */
async function difference(
  content: Buffer,
  options: DigestOptions,
  settings: readonly Setting[],
): Promise<object | undefined> {
  const one = await verdictBy(ALONE, options)
  const expected = expectedOf(content)
  if (!isDeepStrictEqual(one.said, expected)) return { said: one.said, expected }
  for (const [workers, setting] of settings) {
    const other = await verdictBy(workers, { ...options, ...setting })
    const left = runsIn(options.runsDirectory)
    if (!isDeepStrictEqual(other, one) || left.length > 0) return { setting, one, other, left }
  }
  return undefined
}

t.test('random files, under many settings', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const limits = limitsOf(t)
  let overflowing = 0
  let resumed = 0
  for (let round = 0; round < 100; round++) {
    const linesMax = random.pick([3, 40, 40, 400])
    const content = Buffer.from(overflowingLines(random, linesMax))
    const wrong = await withFile(t, content, async file => {
      const options = { ...limits, ...file, runsPrefix: `work-${round}` }
      const some = () => ({
        pairsMax: Math.ceil(linesMax / random.pick([100, 40, 10, 1])),
        memoryPairsMax: random.pick([0, 100_000]),
        checkpointBytes: random.pick([60, 333, 5000, 2 ** 30]),
        onCheckpoint() {},
      })
      const settings: Setting[] = ALL.map(workers => [workers, some()])
      const checkpointBytes = 100 + random.below(300)
      const commits = 1 + random.below(Math.ceil(content.length / checkpointBytes))
      const stopped = { ...options, ...some(), checkpointBytes }
      const resume = await stoppedAfter(random.pick(ALL), stopped, commits)
      if (resume !== undefined) {
        resumed += 1
        settings.unshift([random.pick(ALL), { ...some(), resume }])
      }
      return await difference(content, options, settings)
    })
    if (wrong !== undefined) return t.fail(`SEED=${random.seed} round ${round}`, wrong)
    const { bad } = expectedOf(content) as { bad?: { consumer: bigint | undefined } }
    if (bad?.consumer !== undefined) overflowing += 1
  }
  t.ok(overflowing > 30, `${overflowing} files with an overflow`)
  t.ok(resumed > 15, `${resumed} were resumed`)
})

t.test('an overflow just before, at and behind each seal, checkpoint and segment', async t => {
  const limits = limitsOf(t)
  const lineOf = (id: number, amount: bigint) =>
    `${String(id).padStart(3, '0')} ${String(amount).padStart(20, '0')}\n`
  const bytes = lineOf(1, 1n).length
  const lines = 14
  for (let over = 2; over <= lines; over++) {
    const text = Array.from({ length: lines }, (_, i) =>
      i === 0 ? lineOf(7, MAX) : i + 1 === over ? lineOf(7, 1n) : lineOf(10 + i, MAX),
    ).join('')
    const content = Buffer.from(over % 2 === 0 ? text : text.slice(0, -1))
    const wrong = await withFile(t, content, file => {
      const onCheckpoint = () => {}
      const settings = [1, 2, 3, 5].flatMap((every): Setting[] => [
        [ALONE, { pairsMax: every }],
        [ALONE, { pairsMax: every, checkpointBytes: 4 * bytes, onCheckpoint }],
        [ALONE, { checkpointBytes: every * bytes - 1, onCheckpoint }],
        [THREE, { checkpointBytes: every * bytes, onCheckpoint }],
        [ALONE, { checkpointBytes: every * bytes + 1, onCheckpoint }],
      ])
      return difference(content, { ...limits, ...file }, settings)
    })
    if (wrong !== undefined) return t.fail(`line ${over}`, wrong)
  }
  t.pass('always that line')
})

t.test('of an overflow and a bad line the first counts', async t => {
  const limits = limitsOf(t)
  const filler = Array.from({ length: 40 }, (_, i) => `${i + 100} 1`)
  for (const [first, second] of [
    ['7 1', 'x'],
    ['x', '7 1'],
  ] as const) {
    const lines = [`7 ${MAX}`, ...filler, first, ...filler, second, ...filler]
    const content = Buffer.from(lines.join('\n'))
    t.match(expectedOf(content), { bad: { line: 42, consumer: first === 'x' ? undefined : 7n } })
    const settings = ALL.flatMap(workers =>
      [1, 3, 50].map((pairsMax): Setting => {
        return [workers, { pairsMax, checkpointBytes: 120, onCheckpoint() {} }]
      }),
    )
    const wrong = await withFile(t, content, file =>
      difference(content, { ...limits, ...file }, settings),
    )
    t.equal(wrong, undefined)
  }
})

t.test('small files that are read together leave it to be read by itself', async t => {
  const directory = t.testdir()
  const paths = ['1 2\n', `7 ${MAX}\n1 1\n7 1`, '3 4\n'].map((content, i) => {
    const path = join(directory, `${i}`)
    writeFileSync(path, content)
    return path
  })
  for (const pairsMax of [1, 2, 1000]) {
    const { signal } = new AbortController()
    t.equal((await smallFiles.digest({ paths, pairsMax, signal })).length, 1)
  }
})

/**
 * Every consumer's second line is too much, or that of the first one alone: the same line is named, and
 * what is read and written for it, and the memory, hardly differ.
 */
t.test('however many sums are too large, it costs the same', async t => {
  const consumers = 200_000
  const directory = t.testdir()
  const runs = runsDirectoryOf(t)
  const half = 2n ** 63n
  const linesOf = (amountOf: (i: number) => bigint) =>
    Array.from({ length: consumers }, (_, i) => {
      // Ids far from each other, so that no window serves them.
      return `${i * 7_777_777_777} ${String(amountOf(i)).padStart(20, '0')}\n`
    }).join('')
  const costs: Cost[] = []
  for (const overflowing of [1, consumers]) {
    const path = join(directory, `${overflowing}`)
    const second = linesOf(i => (i < overflowing ? half : 1n))
    writeFileSync(path, linesOf(() => half) + second)
    const args = [path, runs, String(consumers / 10)]
    const file = 'test/parser/digest/fixtures/digest-once.js'
    const { stdout, code } = await startProgram(t, directory, [file, ...args]).ended
    t.equal(code, 0)
    const cost = JSON.parse(stdout) as Cost
    t.match(cost, { line: consumers + 1, consumer: '0' })
    costs.push(cost)
  }
  t.comment(costs)
  const [one, all] = costs
  if (one === undefined || all === undefined) return t.fail('not measured')
  const bytes = statSync(join(directory, '1')).size
  // The file to hash it, to sum it, and a half and an eighth of it again; as much for runs.
  t.ok(all.readBytes < bytes * 8, `${all.readBytes} read of ${bytes}`)
  t.ok(all.readBytes < one.readBytes * 1.5)
  t.ok(all.writtenBytes < one.writtenBytes * 1.5)
  // What the garbage collector has not yet looked at differs from time to time.
  t.ok(all.peakKib < one.peakKib + 48 * 1024)
})

t.test('given up while it is searched for, it is found by the next digest', async t => {
  const filler = Array.from({ length: 3000 }, (_, i) => `${(i % 900) + 10} 1`)
  const content = Buffer.from([`7 ${MAX}`, ...filler, '7 1', ...filler.slice(0, 500)].join('\n'))
  const limits = { ...limitsOf(t), pairsMax: 100, checkpointBytes: 4000 }
  const options = { ...limits, ...fileOf(t, content) }
  let resume: Checkpoint | undefined
  let last = 0
  let signs = 0
  const stop = new AbortController()
  const given = ALONE.digest({
    ...options,
    signal: stop.signal,
    onCheckpoint(checkpoint) {
      resume = checkpoint
    },
    onProgress(position) {
      // Nothing goes on there any more, but what is done tells that it lives.
      signs = position === last ? signs + 1 : 0
      last = position
      if (signs === 40) stop.abort()
    },
  })
  await t.rejects(given, { name: 'AbortError' })
  if (resume === undefined) return t.fail('no checkpoint')
  t.strictSame(runsIn(limits.runsDirectory), [...resume.runs].sort(), 'no run is left but these')
  const found = await verdictBy(ALONE, { ...options, resume })
  t.match(found, { bad: { line: 3002, consumer: 7n } })
  t.strictSame(runsIn(limits.runsDirectory), [])
})

t.test('a file that has changed when it is read again', async t => {
  const limits = { ...limitsOf(t), pairsMax: 1, checkpointBytes: 100 }
  const numbers = Array.from({ length: 400 }, (_, i) => `${String(i + 10).padStart(20, '0')} 1\n`)
  const content = Buffer.from(`7 ${MAX}\n8 1\n7 1\n${numbers.join('')}`)
  const change = (path: string, bytes: string) => {
    const fd = openSync(path, 'r+')
    writeSync(fd, bytes, 0)
    closeSync(fd)
  }
  for (const [what, start] of [
    ['it has no overflow', '6'],
    ['a line is bad', 'x'],
  ] as const) {
    const file = fileOf(t, content)
    let resume: Checkpoint | undefined
    const digesting = ALONE.digest({
      ...limits,
      ...file,
      onCheckpoint(checkpoint) {
        // The threads wait for the first one soon, long before the overflow is met in a merge.
        if (resume === undefined) change(file.path, start)
        resume = checkpoint
      },
    })
    await t.rejects(digesting, { code: 'FILE_CHANGED' }, what)
    if (resume === undefined) return t.fail('no checkpoint')
    // A checkpoint of the file as it was is of no use, whichever thread is the first to see it.
    const again = await ALONE.digest({ ...limits, ...file, resume })
    t.type(again.checkpointDropped, 'string')
    t.strictSame(await saidOf(again), expectedOf(readFileSync(file.path)))
    await again.discard()
    t.strictSame(runsIn(limits.runsDirectory), [], 'no run is left')
  }
})
