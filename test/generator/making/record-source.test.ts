import { createHash } from 'node:crypto'
import t from 'tap'
import { fileSizeBytes, RecordSource } from '../../../generator/making/record-source.ts'
import { readRecords } from '../helpers.ts'

const KIB = 1_024

function options(overrides: object = {}) {
  return {
    fileSize: { minBytes: 20 * KIB, maxBytes: 200 * KIB },
    consumers: 10_000,
    distribution: 'uniform' as const,
    ...overrides,
  }
}

function recipe(seed: bigint, number: number, overrides: object = {}) {
  return { seed, number, ...options(overrides) }
}

function wholeFile(source: RecordSource, bufferBytes = 64 * KIB): Buffer {
  const buffer = Buffer.alloc(bufferBytes)
  const parts: Buffer[] = []
  for (let bytes = source.fill(buffer); bytes > 0; bytes = source.fill(buffer)) {
    parts.push(Buffer.from(buffer.subarray(0, bytes)))
  }
  return Buffer.concat(parts)
}

const hashOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

t.test('the same seed, number and options make the same bytes', async t => {
  for (const distribution of ['uniform', 'zipf']) {
    const make = (bufferBytes?: number) =>
      wholeFile(new RecordSource(recipe(42n, 3, { distribution })), bufferBytes)
    t.ok(make().equals(make()))
    t.ok(make().equals(make(64)), 'whatever the buffer')
    t.ok(make().equals(make(1_000)), 'whatever the buffer')
  }
})

t.test('the bytes stay what they were in earlier versions', async t => {
  const fileSize = { minBytes: KIB, maxBytes: 8 * KIB }
  for (const [golden, consumers, distribution] of GOLDEN) {
    const hash = createHash('sha256')
    // Many files, so that their last lines end in all the ways there are.
    for (let number = 1; number <= 100; number += 1) {
      const one = recipe(1n, number, { fileSize, consumers, distribution })
      hash.update(wholeFile(new RecordSource(one)))
    }
    t.equal(hash.digest('hex'), golden, `${consumers} consumers, ${distribution}`)
  }
})

t.test('another seed or another number makes another file', async t => {
  const hashes = new Set<string>()
  for (const seed of [0n, 1n, 2n ** 64n - 1n]) {
    for (let number = 1; number <= 20; number += 1) {
      const fileSize = { minBytes: KIB, maxBytes: KIB }
      hashes.add(
        hashOf(wholeFile(new RecordSource(recipe(seed, number, { fileSize, consumers: 1 })))),
      )
    }
  }
  t.equal(hashes.size, 60)
})

t.test('lines and amount are those of an independent reading', async t => {
  for (const consumers of [1, 9, 10, 10_000, 10 ** 7 + 1, 10 ** 8 + 5, 2 ** 40]) {
    for (const distribution of ['uniform', 'zipf']) {
      const source = new RecordSource(recipe(5n, 1, { consumers, distribution }))
      const records = readRecords(wholeFile(source, 4 * KIB))
      t.equal(records.lines, source.lines)
      t.equal(records.amount, source.amount)
      t.equal(records.sizeBytes, source.sizeBytes)
      t.equal(source.sizeBytes, fileSizeBytes(recipe(5n, 1, { consumers, distribution })))
      t.ok(records.ids.every(id => id >= 1 && id <= consumers))
    }
  }
})

t.test('every size is met to the byte', async t => {
  for (let size = KIB; size < KIB + 64; size += 1) {
    const fileSize = { minBytes: size, maxBytes: size }
    const bytes = wholeFile(new RecordSource(recipe(9n, size, { fileSize, consumers: 2 ** 40 })))
    t.equal(bytes.length, size)
    t.equal(bytes.at(-1), 0x0a)
    readRecords(bytes)
  }
})

t.test('sizes are spread evenly over the logarithm, between the bounds', async t => {
  const fileSize = { minBytes: KIB, maxBytes: KIB * KIB }
  const sizes = Array.from({ length: 2_000 }, (_, i) => fileSizeBytes(recipe(1n, i, { fileSize })))
  t.ok(sizes.every(size => size >= fileSize.minBytes && size <= fileSize.maxBytes))
  const small = sizes.filter(size => size < 32 * KIB).length
  t.ok(small > 900 && small < 1_100, `${small} of 2000 below the middle of the logarithm`)
})

function histogram(distribution: 'uniform' | 'zipf', consumers: number): Map<number, number> {
  const fileSize = { minBytes: 2_000 * KIB, maxBytes: 2_000 * KIB }
  const source = new RecordSource(recipe(11n, 1, { fileSize, consumers, distribution }))
  const counts = new Map<number, number>()
  for (const id of readRecords(wholeFile(source)).ids) counts.set(id, (counts.get(id) ?? 0) + 1)
  return counts
}

t.test('uniform: every consumer about as often', async t => {
  const counts = histogram('uniform', 100)
  t.equal(counts.size, 100)
  const values = [...counts.values()]
  t.ok(Math.max(...values) < 1.15 * Math.min(...values))
})

t.test('zipf: as often as the rank to the power of -1.1 says', async t => {
  const consumers = 1_000
  const counts = histogram('zipf', consumers)
  let lines = 0
  for (const count of counts.values()) lines += count
  let weight = 0
  for (let k = 1; k <= consumers; k += 1) weight += k ** -1.1
  for (const rank of [1, 2, 3, 10, 100]) {
    const expected = (lines * rank ** -1.1) / weight
    const found = counts.get(rank) ?? 0
    // Six standard deviations: a fixed seed that passes once passes always.
    t.ok(Math.abs(found - expected) < 6 * Math.sqrt(expected), `${rank}: ${found} of ${expected}`)
  }
  t.ok(Math.max(...counts.keys()) > 900, 'the tail occurs')
})

t.test('2^40 consumers: large numbers occur, odd ones too', async t => {
  for (const distribution of ['uniform', 'zipf'] as const) {
    const ids = [...histogram(distribution, 2 ** 40).keys()]
    const large = ids.filter(id => id > 2 ** 39)
    t.ok(large.length > 100)
    t.ok(large.some(id => id % 2 === 1))
    t.ok(ids.every(id => id <= 2 ** 40))
  }
})

const GOLDEN = [
  ['b72ebfdb91d195694c184259a9f23f8bf975d0178dfd425d41d5d20973071a24', 10_000, 'uniform'],
  ['ad78f7aba792ba3367eb1e606729c410e438acb7515e59be7807f36fd46a245e', 10_000, 'zipf'],
  ['f3b7eb02dddbf2989ca1f4950d312d0bfc66c2765fce9b58008dce6784e053d2', 2 ** 40, 'uniform'],
  ['24da22690f73c838d40cb813ead118462528251d6c537c2fde6369732336d60b', 2 ** 40, 'zipf'],
] as const
