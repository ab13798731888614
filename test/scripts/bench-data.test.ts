import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import type { Consumers } from '../../scripts/bench/data/consumers.ts'
import { cutFile } from '../../scripts/bench/data/cut-file.ts'
import { makeFile } from '../../scripts/bench/data/make-file.ts'
import { PairsFingerprint } from '../../scripts/bench/pairs-fingerprint.ts'
import { BUILT } from '../helpers/root.ts'

// The benchmark's own data are what everything measured is held against: they must be right.

/** Sums in the plainest way. */
function sumsOf(content: string): Map<bigint, bigint> {
  const sums = new Map<bigint, bigint>()
  for (const line of content.trimEnd().split('\n')) {
    const [id = '', amount = ''] = line.split(' ')
    sums.set(BigInt(id), (sums.get(BigInt(id)) ?? 0n) + BigInt(amount))
  }
  return sums
}

function fingerprintOf(sums: ReadonlyMap<bigint, bigint>): string {
  const fingerprint = new PairsFingerprint()
  fingerprint.addAll({
    ids: BigUint64Array.from(sums.keys()),
    amounts: BigUint64Array.from(sums.values()),
  })
  return fingerprint.text
}

const KINDS: readonly Consumers[] = [
  { kind: 'uniform', count: 1 },
  { kind: 'uniform', count: 20_000 },
  { kind: 'zipf', count: 20_000 },
  { kind: 'sparse', count: 20_000 },
]

for (const consumers of KINDS) {
  t.test(
    `${consumers.kind} lines of ${consumers.count} consumers are what is said of them`,
    async t => {
      const plan = { sizeBytes: 300_000, consumers, seed: 3 }
      const known = await makeFile(join(t.testdir(), 'file.txt'), plan)
      const bytes = readFileSync(known.path)
      const content = bytes.toString('latin1')
      t.match(content, /^(?:[1-9]\d{0,19} [1-9]\d{0,5}\n)+$/)
      const sums = sumsOf(content)
      const amount = [...sums.values()].reduce((total, sum) => total + sum, 0n)
      t.same(
        { ...known, path: '', plan: undefined },
        {
          path: '',
          plan: undefined,
          sizeBytes: bytes.length,
          lines: content.split('\n').length - 1,
          amount,
          ids: sums.size,
          sha256: createHash('sha256').update(bytes).digest('hex'),
          fingerprint: fingerprintOf(sums),
        },
      )
      t.ok([...sums.keys()].every(id => id < 2n ** 64n))
      const again = await makeFile(join(t.testdir(), 'again.txt'), plan)
      t.equal(again.sha256, known.sha256, 'the same plan makes the same bytes')
    },
  )
}

t.test('sparse ids are all different', async t => {
  const consumers = { kind: 'sparse', count: 5_000 } as const
  const plan = { sizeBytes: 2_000_000, consumers, seed: 1 }
  const known = await makeFile(join(t.testdir(), 'file.txt'), plan)
  t.equal(known.ids, 5_000)
  t.equal(sumsOf(readFileSync(known.path, 'latin1')).size, 5_000)
})

t.test('a fingerprint tells sums apart, and not their order', async t => {
  const sums = new Map(Array.from({ length: 100 }, (_, i) => [BigInt(i), BigInt(i * i)]))
  const whole = fingerprintOf(sums)
  t.equal(fingerprintOf(new Map([...sums].reverse())), whole)
  t.not(fingerprintOf(new Map([...sums, [7n, 50n]])), whole)
  t.not(fingerprintOf(new Map([...sums, [7n, 49n + 2n ** 32n]])), whole)
  t.not(fingerprintOf(new Map([...sums, [100n, 0n]])), whole)
})

t.test('the pieces of a file are the file', async t => {
  const plan = { sizeBytes: 50_000, consumers: { kind: 'uniform', count: 900 }, seed: 9 } as const
  const known = await makeFile(join(t.testdir(), 'file.txt'), plan)
  const pieces = await cutFile(known, 4_096, join(t.testdirName, 'pieces'))
  const contents = pieces.map(({ path }) => readFileSync(path))
  t.equal(Buffer.concat(contents).compare(readFileSync(known.path)), 0)
  for (const [i, { sizeBytes, sha256 }] of pieces.entries()) {
    t.ok(sizeBytes <= 4_096)
    t.equal(createHash('sha256').update(contents[i]!).digest('hex'), sha256)
  }
})

t.test('digest of one file, in its own process', async t => {
  const run = promisify(execFile)
  const bench = (...args: string[]) =>
    run(process.execPath, [`${BUILT}scripts/bench/bench.js`, ...args])
  const consumers = { kind: 'uniform', count: 500 } as const
  const known = await makeFile(join(t.testdir(), 'file.txt'), {
    ...{ sizeBytes: 100_000, seed: 5, consumers },
  })
  const { stdout } = await bench('digest', known.path, '--json')
  const found = JSON.parse(stdout)
  t.match(found, {
    bytes: known.sizeBytes,
    lines: known.lines,
    ids: known.ids,
    amount: String(known.amount),
    sha256: known.sha256,
  })
  t.same(Object.keys(found).slice(-2), ['seconds', 'peakRssBytes'])
  t.ok(found.seconds > 0 && found.peakRssBytes > 2 ** 20)

  const bad = join(t.testdirName, 'bad.txt')
  writeFileSync(bad, '1 2\n3 four\n')
  await t.rejects(bench('digest', bad), { code: 1, stderr: /AMOUNT_NOT_DIGITS: line 2, byte 3/ })
  await t.rejects(bench('digest', `${bad}.missing`), { code: 1, stderr: /ENOENT/ })
  await t.rejects(bench('--onyl', 'digest'), { code: 2, stderr: /did you mean --only/ })
})
