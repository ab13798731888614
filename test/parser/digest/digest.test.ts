import { createHash, randomBytes } from 'node:crypto'
import { closeSync, openSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import {
  type Digest,
  type DigestOptions,
  DigestWorkers,
  type DigestWorkersOptions,
  type Sums,
} from '../../../parser/digest/digest.ts'
import { DEFECTS } from './fixtures/defect-cases.ts'
import { largestOf, modelOf } from './fixtures/model.ts'
import { Random, randomLines } from './fixtures/random.ts'

const MIB = 1024 * 1024
const MAX = (1n << 64n) - 1n

function workersOf(t: Test, options?: DigestWorkersOptions): DigestWorkers {
  const workers = new DigestWorkers(options)
  t.teardown(() => workers.close())
  return workers
}

/** A real file of this content, open for reading until the test ends. */
function fileOf(
  t: Test,
  content: Buffer | string,
): Pick<DigestOptions, 'fd' | 'sizeBytes'> & { path: string } {
  const path = join(t.testdir(), 'data')
  writeFileSync(path, content)
  const fd = openSync(path, 'r')
  t.teardown(() => closeSync(fd))
  return { fd, path, sizeBytes: Buffer.byteLength(content) }
}

async function pairsOf(sums: Sums, pairsMax = 1000): Promise<[bigint, bigint][]> {
  const pairs: [bigint, bigint][] = []
  for await (const { ids, amounts } of sums.chunks(pairsMax)) {
    for (let i = 0; i < ids.length; i++) pairs.push([ids[i] as bigint, amounts[i] as bigint])
  }
  return pairs
}

async function agreesWithModel(t: Test, digest: Digest, content: Buffer): Promise<void> {
  const model = modelOf(content)
  const hash = createHash('sha256').update(content).digest('hex')
  t.equal(Buffer.from(digest.sha256).toString('hex'), hash)
  t.equal(digest.sizeBytes, content.length)
  t.equal(digest.endsWithLineEnd, model.endsWithLineEnd)
  t.equal(digest.lines, model.lines)
  const { verdict } = digest
  if (!verdict.ok) {
    t.match(verdict.bad, { ...model.bad, firstBytes: Uint8Array.from(model.bad?.firstBytes ?? []) })
    return
  }
  t.equal(model.bad, undefined)
  t.equal(verdict.amount, model.amount)
  t.equal(verdict.largestSum, largestOf(model))
  t.equal(verdict.sums.pairs, model.sums.length)
  t.strictSame(await pairsOf(verdict.sums), model.sums)
  await verdict.sums.close()
}

t.test('random files, good and bad, agree with the model', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  for (const readBytes of [1, 1 + random.below(100), 1 + random.below(5000), MIB]) {
    const workers = workersOf(t, { readBytes })
    for (let round = 0; round < 40; round++) {
      await t.test(`round ${round}, ${readBytes} bytes at a time`, async t => {
        const content = Buffer.from(randomLines(random, 1 + random.below(400)))
        if (random.chance(3)) content[random.below(content.length)] = random.below(256)
        const digest = await workers.digest({ ...fileOf(t, content), pairsMax: 1000 })
        await agreesWithModel(t, digest, content)
      })
      if (t.counts.fail > 0) return
    }
  }
})

t.test('a file of many reads and consumers', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const lines: string[] = []
  for (let i = 0; i < 300_000; i++) lines.push(`${random.below(70_000)} ${random.below(1e9)}`)
  const content = Buffer.from(lines.join('\n'))
  const positions: number[] = []
  const onProgress = (position: number) => positions.push(position)
  const workers = workersOf(t)
  const digest = await workers.digest({ ...fileOf(t, content), pairsMax: 70_000, onProgress })
  await agreesWithModel(t, digest, content)
  t.ok(digest.hashMs > 0 && digest.sumMs > 0)
  const reads = Math.ceil(content.length / MIB)
  const expected = Array.from({ length: reads }, (_, i) => Math.min((i + 1) * MIB, content.length))
  t.strictSame(
    positions.filter(position => !expected.includes(position)),
    [],
  )
  t.strictSame(
    [...positions].sort((a, b) => a - b),
    positions,
    'progress never goes back',
  )
  t.equal(positions.at(-1), content.length)
})

t.test('small whole files', async t => {
  const workers = workersOf(t)
  const contents = ['', '1 2', '1 2\n', '1 2\r\n', '1 2\r', '\n', '1 2\n\n3 4', '0 0\n']
  contents.push(`1 ${MAX}\n2 ${MAX}\n`, `1 ${MAX}\n1 1\n`, `${MAX} 0\n0 ${MAX}\n`, '1 2\n3')
  for (const [text] of DEFECTS) contents.push(`5 5\n${text}\n6 6\n`)
  for (const text of contents) {
    await t.test(JSON.stringify(text.slice(0, 60)), async t => {
      const content = Buffer.from(text, 'latin1')
      const digest = await workers.digest({ ...fileOf(t, content), pairsMax: 10 })
      await agreesWithModel(t, digest, content)
    })
  }
})

t.test('sums come in chunks, as often as asked for, until they are closed', async t => {
  const workers = workersOf(t)
  const { verdict } = await workers.digest({
    ...fileOf(t, '3 1\n1 1\n2 1\n5 1\n4 1\n'),
    pairsMax: 5,
  })
  if (!verdict.ok) return t.fail('a good file')
  const sizes: number[] = []
  for await (const { ids } of verdict.sums.chunks(2)) sizes.push(ids.length)
  t.strictSame(sizes, [2, 2, 1])
  t.same(
    (await pairsOf(verdict.sums, 5)).map(([id]) => id),
    [1n, 2n, 3n, 4n, 5n],
  )
  await t.rejects(pairsOf(verdict.sums, 0), { code: 'ERR_ASSERTION' })
  await verdict.sums.close()
  await verdict.sums.close()
  await t.rejects(pairsOf(verdict.sums), { code: 'ERR_ASSERTION' })
})

t.test('one consumer too many is a verdict', async t => {
  const workers = workersOf(t)
  const file = fileOf(t, '1 1\n2 2\n3 3\n')
  const digest = await workers.digest({ ...file, pairsMax: 2 })
  const bad = { reason: 'TOO_MANY_CONSUMERS', line: 3, offset: 8, consumer: 3n }
  t.match(digest.verdict, { ok: false, bad })
  t.match(await workers.digest({ ...file, pairsMax: 3 }), { verdict: { ok: true } })
})

t.test('a line of many megabytes takes no memory', async t => {
  const workers = workersOf(t, { readBytes: 64 * 1024 })
  const file = fileOf(t, `1 1\n${'8'.repeat(16 * MIB)}`)
  const before = process.memoryUsage().arrayBuffers
  const digest = await workers.digest({ ...file, pairsMax: 2 })
  t.ok(process.memoryUsage().arrayBuffers - before < MIB)
  t.equal(digest.endsWithLineEnd, false)
  t.match(digest.verdict, {
    ok: false,
    bad: { reason: 'ID_TOO_LONG', line: 2, offset: 4, column: 20 },
  })
})

t.test('bytes beyond the size are not read', async t => {
  const { fd } = fileOf(t, '1 2\n3 4\ngarbage')
  for (const readBytes of [3, 8, MIB]) {
    const digest = await workersOf(t, { readBytes }).digest({ fd, sizeBytes: 8, pairsMax: 2 })
    await agreesWithModel(t, digest, Buffer.from('1 2\n3 4\n'))
  }
})

t.test('a file shorter than its size has changed', async t => {
  const workers = workersOf(t, { readBytes: 4096 })
  const file = fileOf(t, '1 2\n'.repeat(10_000))
  truncateSync(file.path, 20_000)
  await t.rejects(workers.digest({ ...file, pairsMax: 2 }), { code: 'FILE_CHANGED' })
  truncateSync(file.path, 0)
  await t.rejects(workers.digest({ ...file, pairsMax: 2 }), { code: 'FILE_CHANGED' })
  const empty = await workers.digest({ ...file, sizeBytes: 0, pairsMax: 2 })
  t.equal(empty.lines, 0, 'the workers stay usable')
})

t.test('a file that cannot be read', async t => {
  const workers = workersOf(t)
  const file = fileOf(t, '1 2\n')
  // Not the number of a file just closed: starting threads open files of their own.
  const notOpen = workers.digest({ fd: 2 ** 30, sizeBytes: 4, pairsMax: 2 })
  await t.rejects(notOpen, { code: 'IO_FAILED', cause: { code: 'EBADF' } })

  const directory = openSync(t.testdirName, 'r')
  t.teardown(() => closeSync(directory))
  const notFile = workers.digest({ fd: directory, sizeBytes: 4, pairsMax: 2 })
  await t.rejects(notFile, { code: 'IO_FAILED', cause: { code: 'EISDIR' } })

  if (process.platform === 'linux') {
    // The first page of a process's memory is never mapped: a true EIO without a broken disk.
    const memory = openSync('/proc/self/mem', 'r')
    t.teardown(() => closeSync(memory))
    const broken = workers.digest({ fd: memory, sizeBytes: 4, pairsMax: 2 })
    await t.rejects(broken, { code: 'IO_FAILED', cause: { code: 'EIO' } })
  }
  const digest = await workers.digest({ ...file, pairsMax: 2 })
  t.equal(digest.lines, 1, 'the workers stay usable')
})

t.test('an abort ends both threads in mid-file', async t => {
  const workers = workersOf(t, { readBytes: 16 * 1024 })
  const reason = new Error('enough')

  // 8 TiB of holes: nobody reads that to its end. The hash goes on after the first, bad line.
  const holes = fileOf(t, '')
  truncateSync(holes.path, 2 ** 43)
  const hashing = new AbortController()
  const hashed = workers.digest({
    fd: holes.fd,
    sizeBytes: 2 ** 43,
    pairsMax: 2,
    signal: hashing.signal,
    onProgress: () => hashing.abort(reason),
  })
  await t.rejects(hashed, reason)

  // A file of one block again and again, long enough to be still under way at the first report.
  const content = Buffer.alloc(64 * MIB, '1234567 89\n'.repeat(1000))
  const summing = new AbortController()
  let lastBytes = 0
  const summed = workers.digest({
    ...fileOf(t, content),
    pairsMax: 2,
    signal: summing.signal,
    onProgress: position => {
      lastBytes = position
      summing.abort(reason)
    },
  })
  await t.rejects(summed, reason)
  t.ok(lastBytes < content.length, `given up near ${lastBytes}`)

  const good = Buffer.from('1 2\n')
  await agreesWithModel(t, await workers.digest({ ...fileOf(t, good), pairsMax: 1 }), good)
})

t.test('an abort before anything has begun', async t => {
  const workers = workersOf(t)
  const file = fileOf(t, '1 2\n')
  const signal = AbortSignal.abort(new Error('never'))
  await t.rejects(workers.digest({ ...file, pairsMax: 1, signal }), { message: 'never' })
  const controller = new AbortController()
  const digest = workers.digest({ ...file, pairsMax: 1, signal: controller.signal })
  controller.abort()
  await t.rejects(digest, { name: 'AbortError' })
  t.equal((await workers.digest({ ...file, pairsMax: 1 })).lines, 1)
})

t.test('a thread that dies fails the file, and the next file has a new thread', async t => {
  const dying = new URL('fixtures/dying-worker.ts', import.meta.url)
  t.teardown(() => delete process.env.DEATH)
  const file = fileOf(t, '1 2\n'.repeat(1000))
  for (const DEATH of ['error', 'exit']) {
    process.env.DEATH = DEATH
    for (const options of [{ hashWorkerUrl: dying }, { sumWorkerUrl: dying }]) {
      const workers = workersOf(t, options)
      for (let attempt = 1; attempt <= 2; attempt++) {
        const digest = workers.digest({ ...file, pairsMax: 1 })
        await t.rejects(digest, { code: 'IO_FAILED', message: /thread died/ })
      }
    }
  }
})

t.test('close ends a running digest and refuses new ones', async t => {
  const workers = workersOf(t)
  const file = fileOf(t, '')
  truncateSync(file.path, 2 ** 43)
  let closing: Promise<void> | undefined
  const digest = workers.digest({
    fd: file.fd,
    sizeBytes: 2 ** 43,
    pairsMax: 1,
    onProgress: () => {
      closing ??= workers.close()
    },
  })
  await t.rejects(digest, { code: 'STOPPED' })
  await closing
  await workers.close()
  await t.rejects(workers.digest({ ...file, pairsMax: 1 }), { code: 'STOPPED' })
  await t.resolves(new DigestWorkers().close(), 'also before the first file')
})

t.test('one file at a time, and options in their ranges', async t => {
  const workers = workersOf(t)
  const file = fileOf(t, randomBytes(100))
  const first = workers.digest({ ...file, pairsMax: 1 })
  await t.rejects(workers.digest({ ...file, pairsMax: 1 }), { code: 'ERR_ASSERTION' })
  await first
  await t.rejects(workers.digest({ ...file, pairsMax: 0 }), { code: 'ERR_ASSERTION' })
  await t.rejects(workers.digest({ ...file, sizeBytes: -1, pairsMax: 1 }), {
    code: 'ERR_ASSERTION',
  })
  t.throws(() => new DigestWorkers({ readBytes: 0 }), { code: 'ERR_ASSERTION' })
})

t.test('the main thread stays free', async t => {
  const workers = workersOf(t)
  const content = Buffer.alloc(32 * MIB, '1234567 89\n'.repeat(1000))
  let working = true
  const digest = workers.digest({ ...fileOf(t, content), pairsMax: 2000 }).finally(() => {
    working = false
  })
  let turns = 0
  for (; working; turns++) await setImmediate()
  await digest
  t.ok(turns > 100, `${turns} turns of the event loop`)
})
