import t, { type Test } from 'tap'
import { U64_MAX } from '../../../shared/limits.ts'
import { untilLockWait } from '../../crash/sql.ts'
import { failureOf } from '../../shared/helpers.ts'
import {
  addressOf,
  batchFor,
  openLedgerScene,
  openSession,
  type Pairs,
  startServer,
} from './helpers.ts'
import {
  chunkOf,
  differences,
  openWriterScene,
  range,
  type WriterSceneOptions,
} from './writer-scene.ts'

// Rows that are missing here and there in a dense range: only these are inserted.

const server = await startServer(t)
const scene = async (t: Test, options?: WriterSceneOptions) =>
  openWriterScene(t, await server.database(), options)

const NULLABLE = 'id BIGINT UNSIGNED PRIMARY KEY, amount BIGINT UNSIGNED NULL'
const FILLED = ['SAVEPOINT', 'UPDATE', 'FILL']
const UPSERTED = [...FILLED, 'ROLLBACK TO', 'UPSERT']

t.test('as many holes as you like', async t => {
  const { session, add, sent, totals } = await scene(t)
  const pairs = range(5_000n, 4_000, 7n)
  for (const [there, statements] of [
    [4_000n, ['SAVEPOINT', 'UPDATE']],
    [3_999n, FILLED],
    [2_000n, FILLED],
    [1n, FILLED],
    [0n, ['SAVEPOINT', 'UPDATE', 'UPSERT']],
  ] as const) {
    await session.execute('DELETE FROM totals')
    const rows = pairs.filter((_, i) => BigInt((i * 1_663) % 4_000) < there)
    if (rows.length > 0) {
      await session.execute(`INSERT INTO totals VALUES ${rows.map(([id]) => `(${id}, 2)`)}`)
    }
    await add(pairs)
    t.same(sent, statements, `${there} of 4000 rows are there`)
    const expected = new Map(pairs)
    for (const [id] of rows) expected.set(id, 9n)
    t.same(differences(await totals(), expected), [])
  }
})

t.test('where few rows are there, not every piece is tried', async t => {
  const { session, add, sent, totals } = await scene(t)
  const pairs = range(0n, 100_000, 3n)
  const some = pairs.filter(([id]) => id % 10n === 0n)
  await session.execute('INSERT INTO totals SELECT seq, 3 FROM seq_0_to_99999_step_10')
  await add(pairs)
  t.same(sent.slice(0, 5), [...FILLED, 'UPSERT', 'UPDATE'])
  t.ok(sent.filter(one => one === 'UPSERT').length > sent.filter(one => one === 'UPDATE').length)
  const expected = new Map(pairs)
  for (const [id] of some) expected.set(id, 6n)
  t.same(differences(await totals(), expected), [])
})

t.test('holes, gaps and rows of others, at the ends of the 64 bits', async t => {
  for (const first of [0n, 2n ** 63n - 300n, U64_MAX - 599n]) {
    const { session, add, sent, totals } = await scene(t)
    const all = range(first, 600, U64_MAX / 3n)
    await session.execute(`INSERT INTO totals VALUES ${all.map(([id]) => `(${id}, 1)`)}`)
    const last = first + 599n
    const missing = [first, first + 1n, first + 300n, last]
    await session.execute(`DELETE FROM totals WHERE id IN (${[...missing, first + 303n]})`)
    // Of the ids in between some are not in it, with a row and without.
    const pairs = all.filter(([id]) => id === last || (id - first) % 4n !== 3n)
    await add(pairs)
    t.same(sent, FILLED)
    const expected = new Map(all.map(([id]) => [id, 1n]))
    expected.delete(first + 303n)
    for (const [id, amount] of pairs) expected.set(id, amount + (missing.includes(id) ? 0n : 1n))
    t.same(differences(await totals(), expected), [], `from ${first}`)
  }
})

t.test('pieces of every size a statement can have, up to the last id', async t => {
  const { session, add, sent, totals } = await scene(t)
  // From some size on the server reads all of the rows that it makes, and not just the first ones.
  for (const ids of [8_000n, 12_000n, 16_000n, 16_380n, 16_383n, 16_384n]) {
    await session.execute('DELETE FROM totals')
    const first = U64_MAX - ids + 1n
    const pairs = range(first, Number(ids), 9n).filter(([id]) => id === U64_MAX || id % 4n === 3n)
    await add(pairs)
    await session.execute(`DELETE FROM totals WHERE id IN (${first + 3n}, ${U64_MAX})`)
    const expected = new Map(pairs.map(([id]) => [id, 18n]))
    for (const id of [first + 3n, U64_MAX]) if (expected.has(id)) expected.set(id, 9n)
    await add(pairs)
    t.same(sent, FILLED)
    t.same(differences(await totals(), expected), [], `a range of ${ids}`)
  }
})

t.test('a row made for a sum of zero does not stand for one without an amount', async t => {
  const { session, add, sent, totals } = await scene(t, { columns: NULLABLE })
  await add(range(0n, 200, 1n))
  await session.execute('DELETE FROM totals WHERE id IN (50, 51)')
  await session.execute('UPDATE totals SET amount = NULL WHERE id = 150')
  const pairs = range(0n, 200, 4n).map(([id, amount]) => [id, id === 50n ? 0n : amount] as const)
  await add(pairs)
  t.same(sent, UPSERTED)
  const expected = new Map(range(0n, 200, 5n))
  expected.set(50n, 0n)
  for (const id of [51n, 150n]) expected.set(id, 4n)
  t.same(differences(await totals(), expected), [])
})

t.test('somebody else makes a missing row meanwhile', async t => {
  const address = await server.database()
  const foreign = await openSession(t, address)
  const insert = 'INSERT INTO totals VALUES (70, 1000)'
  for (const [how, before, during, total, statements] of [
    ['before the INSERT', [insert], [], 1_004n, UPSERTED],
    ['while it waits', ['START TRANSACTION', insert], ['COMMIT'], 1_004n, UPSERTED],
    ['and takes it back', ['START TRANSACTION', insert], ['ROLLBACK'], 4n, FILLED],
  ] as const) {
    let ending: Promise<unknown> = Promise.resolve()
    const { session, add, sent, totals } = await openWriterScene(t, address, {
      async before(kind) {
        if (kind !== 'FILL') return
        for (const sql of before) await foreign.execute(sql)
        const [last] = during
        if (last !== undefined) ending = untilLockWait(foreign).then(() => foreign.execute(last))
      },
    })
    await add(range(0n, 100, 1n))
    await session.execute('DELETE FROM totals WHERE id IN (20, 70)')
    await add(range(0n, 100, 4n))
    await ending
    t.same(sent, statements, how)
    const expected = new Map(range(0n, 100, 5n))
    expected.set(20n, 4n)
    expected.set(70n, total)
    t.same(differences(await totals(), expected), [], how)
    await session.execute('DROP TABLE totals')
  }
})

t.test('the connection is lost between UPDATE and INSERT: nothing is done', async t => {
  const address = await server.database()
  const foreign = await openSession(t, address)
  const pairs = range(0n, 100, 4n)
  const { session, writer, sent } = await openWriterScene(t, address, {
    async before(kind) {
      if (kind === 'FILL') await foreign.execute(`KILL ${session.serverThread.thread}`)
    },
  })
  await foreign.execute('INSERT INTO totals SELECT seq, 1 FROM seq_1_to_99')
  await session.execute('START TRANSACTION')
  t.match(await failureOf(writer.add(session, chunkOf(pairs))), { fatal: true })
  t.same(sent, FILLED)
  const another = await openSession(t, address)
  await another.execute('START TRANSACTION')
  await writer.add(another, chunkOf(pairs))
  await another.execute('COMMIT')
  const [row] = await foreign.query('SELECT COUNT(*) AS n, SUM(amount) AS sum FROM totals')
  t.match(row, { n: 100n, sum: '499' })
})

t.test('a sum that does not fit, where its row is missing: nothing is done', async t => {
  const { session, writer, sent, add, totals } = await scene(t, {
    columns: 'id SMALLINT UNSIGNED PRIMARY KEY, amount DECIMAL(4,0) NOT NULL',
  })
  await add(range(65_436n, 100, 5n))
  await session.execute('DELETE FROM totals WHERE id IN (65500, 65501)')
  const before = await totals()
  for (const pairs of [
    range(65_436n, 100, 1n).map(([id]) => [id, id === 65_500n ? 10_000n : 1n] as const),
    // The last id is beyond its column.
    range(65_436n, 101, 1n),
  ]) {
    sent.length = 0
    await session.execute('START TRANSACTION')
    t.match(await failureOf(writer.add(session, chunkOf(pairs))), { sqlState: '22003' })
    t.same(sent, FILLED)
    await session.rollback()
    t.same(differences(await totals(), before), [])
  }
  await add(range(65_436n, 100, 9_994n))
  const expected = new Map(range(65_436n, 100, 9_999n))
  for (const id of [65_500n, 65_501n]) expected.set(id, 9_994n)
  t.same(differences(await totals(), expected), [])
})

t.test('a trigger that cannot be seen changes what is inserted: it is read back', async t => {
  const address = await server.database()
  const { session, totals } = await openLedgerScene(t, address)
  const [row] = await session.query<{ name: string }>('SELECT DATABASE() AS name')
  const name = row?.name ?? ''
  await session.execute("CREATE USER half_blind@localhost IDENTIFIED BY 'x'")
  await session.execute(
    `GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON ${name}.* TO half_blind@localhost`,
  )
  const socketPath = encodeURIComponent(server.socketPath)
  const url = `mariadb://half_blind:x@localhost/${name}?socketPath=${socketPath}`
  const blind = await openLedgerScene(t, addressOf(server.socketPath, name), { through: { url } })
  const pairs: Pairs = range(0n, 64, 1n)
  t.match(await blind.count(batchFor(pairs)), { kind: 'applied' })
  await session.execute('DELETE FROM consumption WHERE id = 40')
  await session.execute(
    'CREATE TRIGGER rounding BEFORE INSERT ON consumption FOR EACH ROW SET NEW.resource_consumption = NEW.resource_consumption + 1',
  )
  const before = await totals()
  const waiting = failureOf(blind.count(batchFor(pairs)))
  while (!/consumer 40 made 2 of nothing/.test(blind.outages.at(-1) ?? '')) {
    await new Promise(setImmediate)
  }
  t.same(await totals(), before, 'nothing of it is committed')
  blind.abort.abort(new Error('over'))
  t.match(await waiting, { message: 'over' })
})
