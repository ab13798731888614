import t from 'tap'
import type { Batch } from '../../../parser/ledger/batch.ts'
import { Session } from '../../../parser/ledger/connection.ts'
import { eventually, failureOf, within } from '../../shared/helpers.ts'
import { commitCutter } from './commit-cutter.ts'
import {
  addressOf,
  asTotals,
  batchFor,
  databaseOf,
  openLedgerScene,
  openSession,
  type Pairs,
  pairSource,
  startServer,
} from './helpers.ts'

// Whatever happens to the connection, and whenever: each batch counts exactly once.

const server = await startServer(t)
const PAIRS = [
  [1n, 5n],
  [2n, 6n],
  [3n, 7n],
] as const
const ONCE = { 1: '5', 2: '6', 3: '7' }

t.test('cut right before the COMMIT, and right after it', async t => {
  const database = await server.database()
  const name = databaseOf(database)
  const proxy = await commitCutter(t, `${server.dir}/proxy`, server.socketPath)
  const { ledger, totals, rows, outages } = await openLedgerScene(t, database, {
    through: addressOf(`${server.dir}/proxy`, name),
    env: { COUNTERSINK_CHUNK_PAIRS_MAX: '2' },
  })
  await ledger.open()
  let batches = 0
  for (const cut of ['before', 'after', 'after', 'before'] as const) {
    proxy.cut = cut
    const result = await within(cut, ledger.apply(batchFor(PAIRS)))
    batches += 1
    t.match(result, { kind: 'applied', sequences: Map }, cut)
    t.equal(proxy.cuts, batches, 'it was cut')
    t.equal(outages.length, batches, 'which was noticed')
    const expected = Object.entries(ONCE).map(([id, sum]) => [id, String(Number(sum) * batches)])
    t.same(await totals(), Object.fromEntries(expected), `exact after ${cut}`)
    t.same([await rows('batch'), await rows('file')], [batches, batches])
  }
})

t.test('around each COMMIT of a batch: that of its beginning, and of every chunk', async t => {
  const database = await server.database()
  const proxy = await commitCutter(t, `${server.dir}/proxy3`, server.socketPath)
  const { ledger, totals, rows, outages } = await openLedgerScene(t, database, {
    through: addressOf(`${server.dir}/proxy3`, databaseOf(database)),
    env: { COUNTERSINK_CHUNK_PAIRS_MAX: '1' },
  })
  await ledger.open()
  let batches = 0
  for (const commit of ['the beginning', 'the first', 'a middle one', 'the last'].keys()) {
    for (const cut of ['before', 'after'] as const) {
      Object.assign(proxy, { cut, spare: commit })
      const result = await within(cut, ledger.apply(batchFor(PAIRS)))
      batches += 1
      t.match(result, { kind: 'applied', sequences: Map }, `${cut} COMMIT ${commit}`)
      t.same([proxy.cuts, proxy.spare, outages.length], [batches, 0, batches], 'it was cut there')
      t.same(await totals(), asTotals(PAIRS, BigInt(batches)), 'exact')
      t.same([await rows('batch'), await rows('file')], [batches, batches])
      t.same(await ledger.openBatches(), [])
    }
  }
})

t.test('the same onto rows that are there, range by range', async t => {
  const dense: Pairs = Array.from({ length: 300 }, (_, i) => [BigInt(1_000 + i), BigInt(i)])
  const database = await server.database()
  const proxy = await commitCutter(t, `${server.dir}/proxy5`, server.socketPath)
  const { ledger, totals, rows } = await openLedgerScene(t, database, {
    through: addressOf(`${server.dir}/proxy5`, databaseOf(database)),
    env: { COUNTERSINK_CHUNK_PAIRS_MAX: '100' },
  })
  await ledger.open()
  t.match(await ledger.apply(batchFor(dense)), { kind: 'applied' })
  let batches = 1
  for (let commit = 0; commit < 4; commit += 1) {
    for (const cut of ['before', 'after'] as const) {
      Object.assign(proxy, { cut, spare: commit })
      t.match(await within(cut, ledger.apply(batchFor(dense))), { kind: 'applied' })
      batches += 1
      t.same([proxy.cuts, proxy.spare], [batches - 1, 0], 'it was cut there')
      t.same(await totals(), asTotals(dense, BigInt(batches)), `exact, ${cut} COMMIT ${commit}`)
      t.same([await rows('batch'), await rows('file')], [batches, batches])
    }
  }
})

t.test('the only COMMIT of a small batch', async t => {
  const database = await server.database()
  const proxy = await commitCutter(t, `${server.dir}/proxy4`, server.socketPath)
  const { ledger, totals, rows } = await openLedgerScene(t, database, {
    through: addressOf(`${server.dir}/proxy4`, databaseOf(database)),
  })
  await ledger.open()
  for (const [i, cut] of (['before', 'after'] as const).entries()) {
    proxy.cut = cut
    t.match(await within(cut, ledger.apply(batchFor(PAIRS))), { kind: 'applied' })
    t.equal(proxy.cuts, i + 1)
    t.same(await totals(), asTotals(PAIRS, BigInt(i + 1)), cut)
    t.same([await rows('batch'), await rows('file')], [i + 1, i + 1])
  }
})

t.test('killed at every chunk of one batch, again and again', async t => {
  const address = await server.database()
  const { ledger, session, totals } = await openLedgerScene(t, address, {
    env: { COUNTERSINK_CHUNK_PAIRS_MAX: '1' },
  })
  await ledger.open()
  const handed: bigint[] = []
  const source = pairSource(PAIRS)
  const batch = batchFor(PAIRS)
  const sums: Batch['sums'] = {
    ...source,
    async *chunks(most, after) {
      for await (const chunk of source.chunks(most, after)) {
        const id = chunk.ids[0]!
        const isFirst = !handed.includes(id)
        handed.push(id)
        if (isFirst) await killAllBut(session, databaseOf(address))
        yield chunk
      }
    },
  }
  t.match(await within('applying', ledger.apply({ ...batch, sums })), { kind: 'applied' })
  t.same(handed, [1n, 1n, 2n, 2n, 3n, 3n], 'it went on where it stood, not from the beginning')
  t.same(await totals(), asTotals(PAIRS))
})

t.test('the sequence of a batch found committed is its own', async t => {
  const database = await server.database()
  const name = databaseOf(database)
  const proxy = await commitCutter(t, `${server.dir}/proxy2`, server.socketPath)
  const { ledger } = await openLedgerScene(t, database, {
    through: addressOf(`${server.dir}/proxy2`, name),
  })
  await ledger.open()
  await ledger.apply(batchFor(PAIRS))
  proxy.cut = 'after'
  const batch = batchFor(PAIRS)
  const result = await ledger.apply(batch)
  const row = await ledger.find(batch.files[0]!.sha256)
  t.same(result, {
    kind: 'applied',
    sequences: new Map([[row?.sha256.toString('hex'), row?.sequence]]),
  })
})

t.test('killed by the server in the middle of a transaction', async t => {
  for (const killAtChunk of [0, 1, 2]) {
    const address = await server.database()
    const { ledger, session, totals, rows, outages } = await openLedgerScene(t, address, {
      env: { COUNTERSINK_CHUNK_PAIRS_MAX: '1' },
    })
    await ledger.open()
    const database = databaseOf(address)
    let kills = 0
    const batch: Batch = {
      ...batchFor(PAIRS),
      sums: pairSource(PAIRS, async chunk => {
        if (chunk === killAtChunk && kills === 0) kills += await killAllBut(session, database)
      }),
    }
    t.match(await within('applying', ledger.apply(batch)), { kind: 'applied' })
    t.equal(kills, 1, `killed before chunk ${killAtChunk}`)
    t.ok(outages.length > 0)
    t.same(await totals(), ONCE)
    t.same([await rows('batch'), await rows('file')], [1, 1])
  }
})

/** Kills all connections to this database but the one that looks on. */
async function killAllBut(looker: Session, database: string): Promise<number> {
  const [own] = await looker.query<{ id: bigint }>('SELECT CONNECTION_ID() AS id')
  const others = await server.admin.query<{ id: bigint }>(
    'SELECT id FROM information_schema.processlist WHERE db = ? AND id <> ?',
    [database, own?.id],
  )
  for (const { id } of others) await server.admin.execute(`KILL ${id}`)
  return others.length
}

t.test('killed between two calls, nobody notices', async t => {
  const address = await server.database()
  const { ledger, session, totals } = await openLedgerScene(t, address)
  await ledger.open()
  await ledger.apply(batchFor([[1n, 1n]]))
  const database = databaseOf(address)
  t.equal(await killAllBut(session, database), 1)
  t.match(await ledger.apply(batchFor([[1n, 1n]])), { kind: 'applied' })
  t.same(await totals(), { 1: '2' })
})

t.test('a lock that is held is waited for, a deadlock is tried again', async t => {
  const address = await server.database()
  const { ledger, totals, session } = await openLedgerScene(t, address)
  await ledger.open()
  await ledger.apply(batchFor(PAIRS))
  const other = await openSession(t, address)
  await other.execute('START TRANSACTION')
  await other.execute('UPDATE consumption SET resource_consumption = 100 WHERE id = 3')
  const applying = ledger.apply(batchFor(PAIRS))
  await eventually('it waits for the row', async () => {
    const [row] = await session.query<{ Value: string }>(
      "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'",
    )
    return Number(row?.Value) > 0
  })
  // Its row 1 is locked by the batch: this closes the circle, and one of the two must give way.
  await other
    .execute('UPDATE consumption SET resource_consumption = 50 WHERE id = 1')
    .then(() => other.execute('COMMIT'))
    .catch(() => other.rollback())
  t.match(await within('applying', applying), { kind: 'applied' })
  const sums = await totals()
  t.ok(
    ['10,12,14', '55,12,107'].includes(Object.values(sums).join()),
    `all of the one and all or nothing of the other: ${Object.values(sums)}`,
  )
})

t.test('a database that is away is waited for, until the signal', async t => {
  const { ledger, outages, abort } = await openLedgerScene(t, await server.database(), {
    through: { socketPath: `${server.dir}/nobody` },
  })
  const opening = failureOf(ledger.open())
  await eventually('it has tried a few times', () => outages.length > 2)
  t.match(outages[0], /^DATABASE_UNAVAILABLE/)
  abort.abort(new Error('enough'))
  t.match(await within('the end', opening), { message: 'enough' })
})

t.test('what waiting cannot mend is refused at once', async t => {
  const unknown = addressOf(server.socketPath, 'no_such_database')
  t.match(await failureOf(Session.open(unknown)), { code: 'DATABASE_UNFIT', exitCode: 78 })
  const nobody = `mariadb://nobody:x@localhost/d1?socketPath=${server.socketPath}`
  t.match(await failureOf(Session.open({ url: nobody })), { code: 'DATABASE_UNFIT' })
  t.match(await failureOf(Session.open({ socketPath: `${server.dir}/none` })), {
    code: 'DATABASE_UNAVAILABLE',
  })
})
