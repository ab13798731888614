import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { makeOneFile } from '../../../generator/make-one-file.ts'
import { FileMaker } from '../../../generator/making/file-maker.ts'
import { RecordSource } from '../../../generator/making/record-source.ts'
import { readRecords, type Teardown } from '../helpers.ts'

const MIB = 2 ** 20
const unlimited = { signal: new AbortController().signal }

/** One for all tests that do not end it: its threads take their time to start. */
const maker = new FileMaker()
t.teardown(() => maker.close())

function scratch(t: Teardown): string {
  const dir = mkdtempSync(join(tmpdir(), 'cm-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return join(dir, 'file')
}

function recipe(sizeBytes: number, number = 1) {
  const fileSize = { minBytes: sizeBytes, maxBytes: sizeBytes }
  return { seed: 3n, number, fileSize, consumers: 10_000, distribution: 'zipf' as const }
}

t.test('what the threads make together is what the records are', async t => {
  const path = scratch(t)
  // From less than a block to many times the ring, and more than is ever left unsynced.
  for (const sizeBytes of [1_024, 256 * 1_024, 5 * MIB + 1, 70 * MIB]) {
    const made = await maker.make(path, recipe(sizeBytes), unlimited)
    const source = new RecordSource(recipe(sizeBytes))
    const hash = createHash('sha256')
    const buffer = Buffer.alloc(MIB)
    for (let bytes = source.fill(buffer); bytes > 0; bytes = source.fill(buffer)) {
      hash.update(buffer.subarray(0, bytes))
    }
    const { lines, amount } = source
    t.same(made, { sizeBytes, sha256: hash.digest('hex'), lines, amount })
    t.equal(createHash('sha256').update(readFileSync(path)).digest('hex'), made?.sha256)
    rmSync(path)
  }
})

t.test('a pace is kept: nothing is stored before it may be', async t => {
  const path = scratch(t)
  let allowedBytes = 0
  const pacer = {
    sliceBytes: 5_000,
    async take(bytes: number) {
      t.ok(bytes <= 5_000)
      const stored = existsSync(path) ? readFileSync(path).length : 0
      t.ok(stored <= allowedBytes, `${stored} stored, ${allowedBytes} allowed`)
      allowedBytes += bytes
    },
  }
  const made = await maker.make(path, recipe(100_000), { ...unlimited, pacer })
  t.equal(allowedBytes, 100_000)
  t.match(readRecords(readFileSync(path)), made!)
})

t.test('progress is told, and ends at no more than the size', async t => {
  const path = scratch(t)
  const positions: number[] = []
  const onProgress = (positionBytes: number) => positions.push(positionBytes)
  await maker.make(path, recipe(32 * MIB), { ...unlimited, onProgress })
  t.ok(positions.length > 0)
  t.same(
    positions,
    [...positions].sort((a, b) => a - b),
  )
  t.ok(positions.at(-1)! <= 32 * MIB)
})

t.test('a disk that is full in the middle of a file is told as such, and is no end', async t => {
  const path = scratch(t)
  const full = await open('/dev/full', 'w')
  await t.rejects(maker.write(full, recipe(MIB), unlimited), { code: 'ENOSPC' })
  await full.close()
  const made = await maker.make(path, recipe(MIB), unlimited)
  t.match(readRecords(readFileSync(path)), made!)
})

t.test('a file that stands there is not touched', async t => {
  const path = scratch(t)
  await maker.make(path, recipe(1_024), unlimited)
  const before = readFileSync(path)
  await t.rejects(maker.make(path, recipe(2_048), unlimited), { code: 'IO_FAILED' })
  t.ok(readFileSync(path).equals(before))
})

t.test('closed in the middle of a file, it ends with a code and leaves nothing', async t => {
  const path = scratch(t)
  const maker = new FileMaker()
  let begun: () => void = () => {}
  const waiting = new Promise<void>(resolve => {
    begun = resolve
  })
  const pacer = {
    sliceBytes: 1_024,
    async take(_bytes: number, signal: AbortSignal) {
      begun()
      await new Promise(resolve => signal.addEventListener('abort', resolve))
    },
  }
  const making = maker.make(path, recipe(MIB), { ...unlimited, pacer })
  const ended = t.rejects(making, { code: 'IO_FAILED' })
  await waiting
  await maker.close()
  await ended
  t.notOk(existsSync(path))
})

t.test('one file for a benchmark is what the generator makes', async t => {
  const path = scratch(t)
  const { seconds, ...made } = await makeOneFile({ path, sizeBytes: MIB, ...recipe(MIB) })
  t.ok(seconds > 0)
  t.same(made, await maker.make(`${path}.again`, recipe(MIB), unlimited))
})
