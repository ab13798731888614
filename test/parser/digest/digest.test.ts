import { randomBytes } from 'node:crypto'
import { closeSync, openSync, truncateSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { DigestWorkers } from '../../../parser/digest/digest.ts'
import { DEFECTS } from './fixtures/defect-cases.ts'
import { fileOf, limitsOf, MIB, mismatch, pairsOf, withFile, workersOf } from './fixtures/files.ts'
import { Random, randomLines } from './fixtures/random.ts'

const MAX = (1n << 64n) - 1n
/** Threads for all tests that do not end them: starting some takes a second here. */
const READ_BYTES = 16 * 1024
const shared = new DigestWorkers({ readBytes: READ_BYTES })
const tiny = new DigestWorkers({ readBytes: 3 })
t.teardown(() => Promise.all([shared.close(), tiny.close()]))

t.test('random files, good and bad, agree with the model', async t => {
  const random = new Random()
  const limits = limitsOf(t)
  for (const [name, workers] of Object.entries({ tiny, shared })) {
    for (let round = 0; round < 40; round++) {
      const content = Buffer.from(
        randomLines(random, 1 + random.below(workers === tiny ? 40 : 300)),
      )
      if (random.chance(3)) content[random.below(content.length)] = random.below(256)
      const wrong = await withFile(t, content, async file =>
        mismatch(await workers.digest({ ...file, ...limits }), content),
      )
      if (wrong !== undefined) return t.fail(`SEED=${random.seed} with ${name}`, wrong)
    }
  }
  t.pass('all agree')
})

t.test('a file of many reads and consumers', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const lines: string[] = []
  for (let i = 0; i < 300_000; i++) lines.push(`${random.below(70_000)} ${random.below(1e9)}`)
  const content = Buffer.from(lines.join('\n'))
  const positions: number[] = []
  const onProgress = (position: number) => positions.push(position)
  const limits = limitsOf(t)
  const digest = await shared.digest({ ...limits, ...fileOf(t, content), onProgress })
  t.equal(await mismatch(digest, content), undefined)
  t.ok(digest.hashMs > 0 && digest.sumMs > 0)
  const reads = Math.ceil(content.length / READ_BYTES)
  const expected = Array.from({ length: reads }, (_, i) =>
    Math.min((i + 1) * READ_BYTES, content.length),
  )
  t.strictSame(
    positions.filter(position => !expected.includes(position)),
    [],
  )
  const ascending = [...positions].sort((a, b) => a - b)
  t.strictSame(ascending, positions, 'progress never goes back')
  t.equal(positions.at(-1), content.length)
})

t.test('small whole files', async t => {
  const contents = ['', '1 2', '1 2\n', '1 2\r\n', '1 2\r', '\n', '1 2\n\n3 4', '0 0\n']
  contents.push(`1 ${MAX}\n2 ${MAX}\n`, `1 ${MAX}\n1 1\n`, `${MAX} 0\n0 ${MAX}\n`, '1 2\n3')
  for (const [text] of DEFECTS) contents.push(`5 5\n${text}\n6 6\n`)
  const limits = limitsOf(t)
  const wrong: object[] = []
  for (const text of contents) {
    const content = Buffer.from(text, 'latin1')
    const found = await withFile(t, content, async file =>
      mismatch(await shared.digest({ ...file, ...limits }), content),
    )
    if (found !== undefined) wrong.push({ text, ...found })
  }
  t.strictSame(wrong, [])
})

t.test('sums come in chunks, as often as asked for, until they are closed', async t => {
  const limits = { ...limitsOf(t), pairsMax: 5 }
  const { verdict } = await shared.digest({ ...limits, ...fileOf(t, '3 1\n1 1\n2 1\n5 1\n4 1\n') })
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

t.test('a line of many megabytes takes no memory', async t => {
  const limits = limitsOf(t)
  const file = fileOf(t, `1 1\n${'8'.repeat(16 * MIB)}`)
  const before = process.memoryUsage().arrayBuffers
  const digest = await shared.digest({ ...limits, ...file })
  t.ok(process.memoryUsage().arrayBuffers - before < MIB)
  t.equal(digest.endsWithLineEnd, false)
  t.match(digest.verdict, {
    ok: false,
    bad: { reason: 'ID_TOO_LONG', line: 2, offset: 4, column: 20 },
  })
})

t.test('bytes beyond the size are not read', async t => {
  const limits = limitsOf(t)
  const { fd } = fileOf(t, '1 2\n3 4\ngarbage')
  for (const workers of [tiny, shared]) {
    const digest = await workers.digest({ ...limits, fd, sizeBytes: 8 })
    t.equal(await mismatch(digest, Buffer.from('1 2\n3 4\n')), undefined)
  }
})

t.test('a file shorter than its size has changed', async t => {
  const limits = limitsOf(t)
  const file = fileOf(t, '1 2\n'.repeat(10_000))
  truncateSync(file.path, 20_000)
  await t.rejects(shared.digest({ ...limits, ...file }), { code: 'FILE_CHANGED' })
  truncateSync(file.path, 0)
  await t.rejects(shared.digest({ ...limits, ...file }), { code: 'FILE_CHANGED' })
  const empty = await shared.digest({ ...limits, ...file, sizeBytes: 0 })
  t.equal(empty.lines, 0, 'the workers stay usable')
})

t.test('a file that cannot be read', async t => {
  const limits = limitsOf(t)
  const file = fileOf(t, '1 2\n')
  // Not the number of a file just closed: starting threads open files of their own.
  const notOpen = shared.digest({ ...limits, fd: 2 ** 30, sizeBytes: 4 })
  await t.rejects(notOpen, { code: 'IO_FAILED', cause: { code: 'EBADF' } })

  const directory = openSync(t.testdirName, 'r')
  t.teardown(() => closeSync(directory))
  const notFile = shared.digest({ ...limits, fd: directory, sizeBytes: 4 })
  await t.rejects(notFile, { code: 'FILE_UNFIT', cause: { code: 'EISDIR' } })

  if (process.platform === 'linux') {
    // The first page of a process's memory is never mapped: a true EIO without a broken disk.
    const memory = openSync('/proc/self/mem', 'r')
    t.teardown(() => closeSync(memory))
    const broken = shared.digest({ ...limits, fd: memory, sizeBytes: 4 })
    await t.rejects(broken, { code: 'FILE_UNFIT', cause: { code: 'EIO' } })
  }
  const digest = await shared.digest({ ...limits, ...file })
  t.equal(digest.lines, 1, 'the workers stay usable')
})

t.test('an abort ends both threads in mid-file', async t => {
  const limits = limitsOf(t)
  const reason = new Error('enough')

  // 8 TiB of holes: nobody reads that to its end. The hash goes on after the first, bad line.
  const holes = fileOf(t, '')
  truncateSync(holes.path, 2 ** 43)
  const hashing = new AbortController()
  const hashed = shared.digest({
    ...limits,
    fd: holes.fd,
    sizeBytes: 2 ** 43,
    signal: hashing.signal,
    onProgress: () => hashing.abort(reason),
  })
  await t.rejects(hashed, reason)

  // A file of one block again and again, long enough to be still under way at the first report.
  const content = Buffer.alloc(64 * MIB, '1234567 89\n'.repeat(1000))
  const summing = new AbortController()
  let lastBytes = 0
  const summed = shared.digest({
    ...limits,
    ...fileOf(t, content),
    signal: summing.signal,
    onProgress: position => {
      lastBytes = position
      summing.abort(reason)
    },
  })
  await t.rejects(summed, reason)
  t.ok(lastBytes < content.length, `given up near ${lastBytes}`)

  const good = Buffer.from('1 2\n')
  const digest = await shared.digest({ ...limits, ...fileOf(t, good) })
  t.equal(await mismatch(digest, good), undefined)
})

t.test('an abort before anything has begun', async t => {
  const limits = limitsOf(t)
  const file = fileOf(t, '1 2\n')
  const signal = AbortSignal.abort(new Error('never'))
  await t.rejects(shared.digest({ ...limits, ...file, signal }), { message: 'never' })
  const controller = new AbortController()
  const digest = shared.digest({ ...limits, ...file, signal: controller.signal })
  controller.abort()
  await t.rejects(digest, { name: 'AbortError' })
  t.equal((await shared.digest({ ...limits, ...file })).lines, 1)
})

t.test('a thread that dies fails the file, and the next file has a new thread', async t => {
  const dying = new URL('fixtures/dying-worker.js', import.meta.url)
  t.teardown(() => delete process.env.DEATH)
  const limits = limitsOf(t)
  const file = fileOf(t, '1 2\n'.repeat(1000))
  const sumDies = workersOf(t, { sumWorkerUrl: dying })
  const bothDie = workersOf(t, { sumWorkerUrl: dying, hashWorkerUrl: dying })
  for (const [DEATH, workers] of [
    ['error', sumDies],
    ['exit', sumDies],
    ['exit', bothDie],
  ] as const) {
    process.env.DEATH = DEATH
    const digest = workers.digest({ ...limits, ...file })
    await t.rejects(digest, { code: 'IO_FAILED', message: /thread died/ })
  }
})

t.test('close ends a running digest and refuses new ones', async t => {
  const workers = workersOf(t)
  const limits = limitsOf(t)
  const file = fileOf(t, '')
  truncateSync(file.path, 2 ** 43)
  let closing: Promise<void> | undefined
  const digest = workers.digest({
    ...limits,
    fd: file.fd,
    sizeBytes: 2 ** 43,
    onProgress: () => {
      closing ??= workers.close()
    },
  })
  await t.rejects(digest, { code: 'STOPPED' })
  await closing
  await workers.close()
  await t.rejects(workers.digest({ ...limits, ...file }), { code: 'STOPPED' })
  await t.resolves(new DigestWorkers().close(), 'also before the first file')
})

t.test('one file at a time, and options in their ranges', async t => {
  const limits = limitsOf(t)
  const file = fileOf(t, randomBytes(100))
  const first = shared.digest({ ...limits, ...file })
  await t.rejects(shared.digest({ ...limits, ...file }), { code: 'ERR_ASSERTION' })
  await first
  for (const wrong of [
    { pairsMax: 0 },
    { memoryPairsMax: -1 },
    { checkpointBytes: 0 },
    { sizeBytes: -1 },
    { runsPrefix: '' },
    { runsPrefix: '../x' },
    { runsPrefix: 'x'.repeat(200) },
  ]) {
    const digest = shared.digest({ ...limits, ...file, ...wrong })
    await t.rejects(digest, { code: 'ERR_ASSERTION' }, JSON.stringify(wrong))
  }
  t.throws(() => new DigestWorkers({ readBytes: 0 }), { code: 'ERR_ASSERTION' })
})

t.test('the main thread stays free', async t => {
  const content = Buffer.alloc(32 * MIB, '1234567 89\n'.repeat(1000))
  const limits = limitsOf(t)
  let working = true
  const digest = shared.digest({ ...limits, ...fileOf(t, content) }).finally(() => {
    working = false
  })
  let turns = 0
  for (; working; turns++) await setImmediate()
  await digest
  t.ok(turns > 100, `${turns} turns of the event loop`)
})
