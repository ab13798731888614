import { truncateSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import t from 'tap'
import {
  formatManifest,
  type Manifest,
  parseManifest,
  readManifest,
} from '../../shared/manifest.ts'
import { failureOf, tempDir } from './helpers.ts'

const sha256 = 'ab'.repeat(32)
const full: Manifest = {
  sizeBytes: 2 ** 53 - 1,
  sha256,
  lines: 3,
  amount: 2n ** 128n - 1n,
  disposable: true,
}
const published: Manifest = {
  ...full,
  ...{ origin: '00ff'.repeat(8), publishedAtMs: Date.UTC(2026, 0, 31, 23, 59, 59, 999) },
}
const asking: Manifest = {
  ...full,
  terms: {
    ...{ supersedes: 'cd'.repeat(32), parent: 'ef'.repeat(32), reason: '\u20ac'.repeat(300) },
    rejectLines: { kind: 'share', millionths: 5_001 },
  },
}
const bare: Manifest = {
  sizeBytes: 0,
  sha256,
  lines: undefined,
  amount: undefined,
  disposable: false,
}

t.test('a manifest comes out as it went in', async t => {
  t.same(parseManifest(formatManifest(full)), full)
  t.same(parseManifest(formatManifest(bare)), bare)
  t.same(parseManifest(formatManifest(published)), published)
  t.same(parseManifest(formatManifest(asking)), asking)
  for (const rejectLines of ['0', '999999999999999', '0%', '0.0001%', '12.5%', '100%']) {
    const text = JSON.stringify({ ...JSON.parse(formatManifest(full)), rejectLines })
    t.equal(JSON.parse(formatManifest(parseManifest(text))).rejectLines, rejectLines)
  }
  t.match(formatManifest(full), /\n$/)
})

t.test('unknown fields are ignored', async t => {
  const fields = { ...JSON.parse(formatManifest(full)), more: { than: 'known' } }
  t.same(parseManifest(JSON.stringify(fields)), full)
})

t.test('every field that is wrong is refused', async t => {
  const good = JSON.parse(formatManifest(full))
  const wrong: Record<string, readonly unknown[]> = {
    version: [undefined, 0, 2, '1', null],
    size: [undefined, -1, 1.5, '5', null, 2 ** 53],
    sha256: [undefined, '', sha256.toUpperCase(), `${sha256}a`, 5, null],
    lines: [-1, 0.5, '3', null],
    amount: [5, '', '-1', '1e3', String(2n ** 128n), null],
    origin: ['', 'a'.repeat(31), 'A'.repeat(32), 7, null],
    supersedes: ['', sha256.toUpperCase(), 7, null],
    parent: ['a', `${sha256}0`, {}, null],
    rejectLines: ['', '-1', '1.5', '%', '101%', '100.1%', '1.00001%', '1e3', 5, null],
    reason: ['x'.repeat(301), 7, null],
    published: [
      ...['', 'today', '1969-12-31T23:59:59Z', 1_700_000_000_000, null],
      '+010000-01-01T00:00:00.000Z',
    ],
  }
  for (const [key, values] of Object.entries(wrong)) {
    for (const value of values) {
      const text = JSON.stringify({ ...good, [key]: value })
      t.match(await failureOf(() => parseManifest(text)), { code: 'MANIFEST_INVALID' }, text)
    }
  }
  for (const text of ['', '{', '[]', 'null', '5', '"x"', 'a 1\n']) {
    t.match(await failureOf(() => parseManifest(text)), { code: 'MANIFEST_INVALID' }, text)
  }
  t.equal(parseManifest(JSON.stringify({ ...good, disposable: 'yes' })).disposable, false)
})

t.test('read from a file', async t => {
  const dir = tempDir(t)
  const path = `${dir}/m`
  t.equal(await readManifest(path), undefined, 'there is none')
  writeFileSync(path, formatManifest(full))
  t.same(await readManifest(path), full)
  writeFileSync(path, Buffer.from([0xff, 0xfe, 0]))
  t.match(await failureOf(readManifest(path)), { code: 'MANIFEST_INVALID' })
})

t.test('a huge file under that name is refused without being read', async t => {
  const path = `${tempDir(t)}/m`
  writeFileSync(path, '')
  truncateSync(path, 3 * 2 ** 30)
  const before = process.memoryUsage().rss
  t.match(await failureOf(readManifest(path)), { code: 'MANIFEST_INVALID' })
  t.ok(process.memoryUsage().rss - before < 64 << 20)
})

t.test('a directory under that name is refused', async t => {
  const path = `${tempDir(t)}/m`
  await mkdir(path)
  t.match(await failureOf(readManifest(path)), { code: 'MANIFEST_INVALID' })
})
