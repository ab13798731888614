import t, { type Test } from 'tap'
import type { WriterLimits } from '../../../parser/ledger/adding/totals-writer.ts'
import type { Session } from '../../../parser/ledger/connection.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { failureOf } from '../../shared/helpers.ts'
import { startServer } from './helpers.ts'
import {
  chunkOf,
  differences,
  openWriterScene,
  range,
  type WriterSceneOptions,
} from './writer-scene.ts'

// Which statements are sent is watched; what they do is looked up in a real table.

const server = await startServer(t)
const scene = async (t: Test, options?: WriterSceneOptions) =>
  openWriterScene(t, await server.database(), options)

/** Everything happens within a few pairs: every boundary is crossed by small chunks. */
const TINY: WriterLimits = {
  digitBytesMax: 400,
  pairsMax: 12,
  cellPairs: 3,
  densePairsMin: 2,
  upsertPairsMin: 4,
}
/** Which of the two depends on the statement. */
const DOES_NOT_FIT = { sqlState: '22003' }
/** The usual ones, but for a number of pairs that is told by name here. */
const PIECES_OF_8192: WriterLimits = {
  digitBytesMax: 120 * 1024,
  pairsMax: 8_192,
  cellPairs: 256,
  densePairsMin: 64,
  upsertPairsMin: 64,
}
/** Uniform below 2^32, the same for the same seed. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0
    return Math.imul(state ^ (state >>> 13), 0x297a2d39) >>> 0
  }
}

t.test('dense ids that are there are updated, and only upserted when they are not', async t => {
  const { add, sent, totals } = await scene(t, { limits: PIECES_OF_8192 })
  const pairs = range(1_000n, 20_000, 7n)
  await add(pairs)
  t.equal(sent.filter(one => one === 'UPDATE').length, 2, 'two are tried, the others upserted')
  t.equal(sent.filter(one => one === 'UPSERT').length, 3)
  await add(pairs)
  await add(pairs)
  t.same(sent, ['SAVEPOINT', 'UPDATE', 'UPDATE', 'UPDATE'])
  t.same(differences(await totals(), new Map(range(1_000n, 20_000, 21n))), [])
})

t.test('rows that are missing in the middle of a dense range', async t => {
  const { session, add, sent, totals } = await scene(t)
  const pairs = range(0n, 1_000, 3n)
  await add(pairs)
  await session.execute('DELETE FROM totals WHERE id IN (0, 500, 999)')
  await add(pairs)
  t.same(sent, ['SAVEPOINT', 'UPDATE', 'FILL'])
  const expected = new Map(range(0n, 1_000, 6n))
  for (const id of [0n, 500n, 999n]) expected.set(id, 3n)
  t.same(differences(await totals(), expected), [])
  await add(pairs)
  t.same(sent, ['SAVEPOINT', 'UPDATE'], 'they are there now')
})

t.test('what comes before a failed piece is redone, not added twice', async t => {
  const { session, add, sent, totals } = await scene(t, {
    columns: 'id BIGINT UNSIGNED PRIMARY KEY, amount BIGINT UNSIGNED NULL',
    limits: PIECES_OF_8192,
  })
  const pairs = range(0n, 30_000, 3n)
  await add(pairs)
  await add(pairs)
  t.same(sent, ['SAVEPOINT', 'UPDATE', 'UPDATE', 'UPDATE', 'UPDATE'])
  // In the third and in the fourth of four pieces: rows that no INSERT can make.
  await session.execute('UPDATE totals SET amount = NULL WHERE id IN (20000, 29999)')
  await add(pairs)
  const first = ['SAVEPOINT', 'UPDATE', 'UPDATE', 'UPDATE', 'FILL', 'ROLLBACK TO']
  const again = ['SAVEPOINT', 'UPDATE', 'SAVEPOINT', 'UPDATE', 'UPSERT']
  t.same(sent, [...first, ...again, 'SAVEPOINT', 'UPDATE', 'FILL', 'ROLLBACK TO', 'UPSERT'])
  const expected = new Map(range(0n, 30_000, 9n))
  for (const id of [20_000n, 29_999n]) expected.set(id, 3n)
  t.same(differences(await totals(), expected), [])
})

t.test('dense ids with few gaps whose rows are not there, and then are', async t => {
  const { add, totals } = await scene(t)
  for (const nth of [2n, 3n, 10n, 1_000n]) {
    // An upsert of these needs more room, for the ids, than an update of their range.
    const first = nth * 10n ** 12n
    const all = range(first, 60_000, 7_654_321n).filter(([id]) => id % nth !== 0n)
    await add(all)
    await add(all)
    const found = [...(await totals())].filter(([id]) => id >= first && id < first + 60_000n)
    const expected = new Map(all.map(([id, amount]) => [id, amount * 2n]))
    t.same(differences(new Map(found), expected), [], `without each ${nth}th id`)
  }
})

t.test('rows of others in the range stay as they are', async t => {
  const { session, add, sent, totals } = await scene(t, {
    columns: 'id INT UNSIGNED PRIMARY KEY, amount BIGINT UNSIGNED NULL',
  })
  await session.execute('INSERT INTO totals SELECT seq, 5 FROM seq_0_to_999')
  await session.execute('UPDATE totals SET amount = NULL WHERE id MOD 3 = 1')
  const pairs = range(0n, 333, 2n).map(([id, amount]) => [id * 3n, amount] as const)
  await add(pairs)
  t.same(sent, ['SAVEPOINT', 'UPDATE'])
  const expected = new Map<bigint, bigint | null>()
  for (let id = 0n; id < 1_000n; id += 1n) expected.set(id, id % 3n === 1n ? null : 5n)
  for (const [id, amount] of pairs) expected.set(id, 5n + amount)
  t.same(differences(await totals(), expected), [])
  // A row without an amount that is in the chunk is found out, and counted as none.
  await add(range(0n, 100, 1n))
  t.same(sent, ['SAVEPOINT', 'UPDATE', 'FILL', 'ROLLBACK TO', 'UPSERT'])
  for (const [id] of range(0n, 100, 1n)) expected.set(id, (expected.get(id) ?? 0n) + 1n)
  t.same(differences(await totals(), expected), [])
})

t.test('sums of zero make rows, and change none', async t => {
  const { session, add, sent, totals } = await scene(t)
  await add(range(0n, 1_000, 1n))
  await session.execute('DELETE FROM totals WHERE id IN (77, 78)')
  const pairs = range(0n, 1_000, 4n).map(([id, amount]) => {
    return [id, [77n, 78n, 79n].includes(id) ? 0n : amount] as const
  })
  await add(pairs)
  t.same(sent, ['SAVEPOINT', 'UPDATE', 'LIST'])
  const expected = new Map(range(0n, 1_000, 5n))
  for (const id of [77n, 78n]) expected.set(id, 0n)
  expected.set(79n, 1n)
  t.same(differences(await totals(), expected), [])
  await add(range(500n, 1_000, 0n))
  t.same(sent, ['UPSERT'], 'nothing but zeros')
  for (const [id] of range(1_000n, 500, 0n)) expected.set(id, 0n)
  t.same(differences(await totals(), expected), [])
})

t.test('the ends of the 64 bits', async t => {
  const { add, sent, totals } = await scene(t)
  const top = U64_MAX - 511n
  const pairs = [...range(0n, 512, 1n), ...range(top, 512, U64_MAX / 4n)]
  const expected = new Map(pairs)
  for (let times = 1n; times <= 4n; times += 1n) {
    await add(pairs)
    for (const [id, amount] of pairs) expected.set(id, amount * times)
    t.same(differences(await totals(), expected), [])
  }
  t.ok(sent.includes('UPDATE'))
  t.notOk(sent.some(one => ['UPSERT', 'LIST'].includes(one)))
  await add([
    [0n, 1n],
    [U64_MAX, 3n],
  ])
  t.same(sent, ['LIST'])
  t.equal((await totals()).get(U64_MAX), U64_MAX, 'the largest total')
})

t.test('a total that does not fit: nothing is done', async t => {
  const { session, add, writer, totals } = await scene(t)
  const pairs = range(10n, 200, 5n)
  await add(pairs)
  await session.execute('UPDATE totals SET amount = ? WHERE id = 100', [U64_MAX - 4n])
  const before = await totals()
  for (const some of [pairs, pairs.slice(90, 92), pairs.filter((_, i) => i % 10 === 0)]) {
    await session.execute('START TRANSACTION')
    t.match(await failureOf(writer.add(session, chunkOf(some))), DOES_NOT_FIT)
    await session.rollback()
    t.same(differences(await totals(), before), [])
  }
})

t.test('what a failed statement was given is not given to the next', async t => {
  const { session, add, writer, totals } = await scene(t)
  // Long values, which go ahead of their statement in packets of their own.
  const dense = range(0n, 20_000, 1_234_567n)
  const sparse = dense.map(([id, amount]) => [(id + 1n) * 2n ** 49n, amount] as const)
  const expected = new Map<bigint, bigint>()
  for (const pairs of [dense, sparse]) {
    await add(pairs)
    const [last] = pairs.at(-1)!
    for (const [id, amount] of pairs) expected.set(id, amount)
    await session.execute('UPDATE totals SET amount = ? WHERE id = ?', [U64_MAX, last])
    for (let times = 0; times < 2; times += 1) {
      await session.execute('START TRANSACTION')
      t.match(await failureOf(writer.add(session, chunkOf(pairs))), DOES_NOT_FIT)
      await session.rollback()
    }
    await session.execute('UPDATE totals SET amount = 0 WHERE id = ?', [last])
    expected.set(last, 0n)
    await add(pairs)
    for (const [id, amount] of pairs) expected.set(id, expected.get(id)! + amount)
    t.same(differences(await totals(), expected), [])
  }
})

t.test('a DECIMAL column, exact beyond 64 bits, under odd names', async t => {
  const names = { totalsTable: 'select', totalsIdColumn: 'rows', totalsAmountColumn: 'seq' }
  const columns = '`rows` BIGINT PRIMARY KEY, `seq` DECIMAL(38,0) NOT NULL'
  const { session, add, sent, totals, writer } = await scene(t, { names, columns })
  const pairs = range(2n ** 63n - 500n, 500, U64_MAX)
  const gaps = pairs.filter((_, i) => i % 50 === 0)
  for (let times = 1; times <= 3; times += 1) await add(pairs)
  t.same(sent, ['SAVEPOINT', 'UPDATE'])
  const few = pairs.filter((_, i) => i % 6 === 0)
  await add(few)
  t.same(sent, ['UPSERT'])
  await add(gaps)
  t.same(sent, ['LIST'])
  const expected = new Map(pairs.map(([id, amount]) => [id, amount * 3n]))
  for (const [id, amount] of [...few, ...gaps]) expected.set(id, expected.get(id)! + amount)
  t.same(differences(await totals(), expected), [])
  const near = 10n ** 38n - 2n
  await session.execute('UPDATE `select` SET `seq` = ?', [String(near)])
  await add(range(2n ** 63n - 500n, 500, 1n))
  t.same(
    [...(await totals()).values()],
    pairs.map(() => near + 1n),
  )
  await session.execute('START TRANSACTION')
  const tooMuch = chunkOf(range(2n ** 63n - 500n, 500, 1n))
  t.match(await failureOf(writer.add(session, tooMuch)), DOES_NOT_FIT)
  await session.rollback()
  const beyond = chunkOf(range(2n ** 63n - 100n, 200, 1n))
  await session.execute('START TRANSACTION')
  t.match(await failureOf(writer.add(session, beyond)), DOES_NOT_FIT)
  await session.rollback()
})

t.test('any mixture, added and taken, with tiny limits and real ones', async t => {
  for (const [seed, limits] of [TINY, undefined, TINY, undefined, TINY, TINY].entries()) {
    const { session, writer, add, totals } = await scene(t, limits ? { limits } : {})
    const random = seeded(seed + 1)
    const below = (n: number): number => random() % n
    const expected = new Map<bigint, bigint>()
    const size = limits === undefined ? 3_000 : 60
    for (let round = 0; round < 8; round += 1) {
      const sums = new Map<bigint, bigint>()
      for (let cluster = below(5); cluster >= 0; cluster -= 1) {
        const starts = [0n, 900n, 2n ** 32n - 20n, 2n ** 53n - 9n, 2n ** 63n - 30n]
        let id = starts[below(starts.length)]! + BigInt(below(100))
        const step = [1, 1, 2, 5, 2 ** 30][below(5)]!
        for (let left = below(size); left >= 0; left -= 1) {
          const bits = [0, 3, 31, 33, 40, 58][below(6)]!
          sums.set(id, ((BigInt(random()) << 32n) | BigInt(random())) & ((1n << BigInt(bits)) - 1n))
          id += BigInt(1 + below(step))
        }
      }
      const pairs = [...sums].sort(([a], [b]) => (a < b ? -1 : 1))
      await add(pairs)
      for (const [id, sum] of pairs) expected.set(id, (expected.get(id) ?? 0n) + sum)
      t.same(
        differences(await totals(), expected),
        [],
        `seed ${seed}, round ${round}, ${pairs.length} pairs`,
      )
      const isTaken = await taken(session, () => writer.take(session, chunkOf(pairs)))
      t.equal(isTaken, true)
      for (const [id, sum] of pairs) expected.set(id, expected.get(id)! - sum)
      t.same(differences(await totals(), expected), [], 'all of it is taken again')
      const [low] = pairs.filter(([, sum]) => sum > 0n && expected.get(pairs[0]![0])! < 2n ** 63n)
      if (low !== undefined) {
        await add(pairs)
        await session.execute(`UPDATE totals SET amount = ${low[1] - 1n} WHERE id = ${low[0]}`)
        t.equal(
          await taken(session, () => writer.take(session, chunkOf(pairs))),
          false,
          'too little',
        )
        for (const [id, sum] of pairs) expected.set(id, expected.get(id)! + sum)
        expected.set(low[0], low[1] - 1n)
        t.same(differences(await totals(), expected), [], 'nothing is taken then')
      }
      // Somebody takes rows away; they begin again at zero.
      const gone = [...expected.keys()].filter(() => below(40) === 0)
      for (const id of gone) expected.delete(id)
      if (gone.length > 0) await session.execute(`DELETE FROM totals WHERE id IN (${gone})`)
    }
  }
})

t.test('a server with small packets, and one without the SEQUENCE engine', async t => {
  const base = await scene(t)
  for (const { packetBytesMax, has } of [
    { packetBytesMax: 4_096, has: true },
    { packetBytesMax: 4_096, has: false },
    { packetBytesMax: 16 * 2 ** 20, has: false },
  ]) {
    const { session, writer, totals } = await scene(t)
    const lengths: number[] = []
    const kinds = new Set<string>()
    const narrow = {
      packetBytesMax,
      hasSequences: async () => has,
      execute(sql: string) {
        lengths.push(sql.length)
        kinds.add(sql.slice(0, 6))
        if (!has && sql.includes('seq_0_to')) kinds.add('seq')
        return session.execute(sql)
      },
      executePrepared(sql: string, values: readonly unknown[]) {
        const bytes = values.map(value => (Buffer.isBuffer(value) ? value.length : 20))
        lengths.push(bytes.reduce((sum, one) => sum + one, sql.length))
        kinds.add(sql.slice(0, 6))
        if (!has && sql.includes('seq_0_to')) kinds.add('seq')
        return session.executePrepared(sql, values)
      },
    } as unknown as Session
    const pairs = [
      ...range(0n, 900, 12_345n),
      ...range(2n ** 40n, 900, 1n).map(([id, amount]) => {
        return [id * 1_000n, amount] as const
      }),
    ]
    for (let times = 0; times < 5; times += 1) await writer.add(narrow, chunkOf(pairs))
    t.same(await totals(), new Map(pairs.map(([id, amount]) => [id, amount * 5n])))
    t.ok(Math.max(...lengths) < packetBytesMax, 'each fits a packet')
    t.ok(kinds.has('UPDATE'))
    t.notOk(kinds.has('seq'))
  }
  t.equal(await base.session.hasSequences(), true)
  const [row] = await base.session.query<{ n: bigint }>('SELECT @@max_allowed_packet AS n')
  t.equal(base.session.packetBytesMax, Number(row?.n))
})

/** Committed, unless it was too much. */
async function taken(session: Session, take: () => Promise<boolean>): Promise<boolean> {
  await session.execute('START TRANSACTION')
  const isTaken = await take()
  await session.execute(isTaken ? 'COMMIT' : 'ROLLBACK')
  return isTaken
}
