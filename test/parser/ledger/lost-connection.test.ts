import { type AddressInfo, connect, createServer } from 'node:net'
import t from 'tap'
import { Session } from '../../../parser/ledger/connection.ts'
import { sqlNumber } from '../../../parser/ledger/sql-errors.ts'
import { eventually, failureOf, within } from '../../shared/helpers.ts'
import { commitCutter } from './commit-cutter.ts'
import {
  addressOf,
  asTotals,
  batchFor,
  databaseOf,
  fileOf,
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
/** Connections of a parser: for files, for whoever counts, for usage. */
const LANES = 3

t.test('around each COMMIT: of the sums, the beginning of the batch, and every chunk', async t => {
  const database = await server.database()
  const proxy = await commitCutter(t, `${server.dir}/proxy3`, server.socketPath)
  const { ledger, totals, rows, outages, count } = await openLedgerScene(t, database, {
    through: addressOf(`${server.dir}/proxy3`, databaseOf(database)),
    env: { COUNTERSINK_CHUNK_PAIRS_MAX: '1' },
  })
  await ledger.open()
  await ledger.counter.takeLease()
  const commits = [
    ...['the blocks', 'all is recorded', 'the beginning'],
    ...['the first chunk', 'a middle one', 'the last'],
  ]
  let batches = 0
  for (const [spare, commit] of commits.entries()) {
    for (const cut of ['before', 'after'] as const) {
      Object.assign(proxy, { cut, spare })
      const result = await within(cut, count(batchFor(PAIRS, { workSequence: batches })))
      batches += 1
      t.match(result, { kind: 'applied' }, `${cut} COMMIT of ${commit}`)
      t.same([proxy.cuts, proxy.spare, outages.length], [batches, 0, batches], 'it was cut there')
      t.same(await totals(), asTotals(PAIRS, BigInt(batches)), 'exact')
      t.same([await rows('batch'), await rows('file')], [batches, batches])
      // Where a transaction is one pair, so is a block.
      t.equal(await rows('sums'), batches * PAIRS.length)
      t.same([await rows('posting'), await rows('todo')], [batches, 0])
      t.same(await ledger.openBatches(), [])
    }
  }
})

t.test('around the COMMIT of many that are recorded together, and of taking the lease', async t => {
  const database = await server.database()
  const proxy = await commitCutter(t, `${server.dir}/proxy`, server.socketPath)
  const { ledger, totals, record, rows } = await openLedgerScene(t, database, {
    through: addressOf(`${server.dir}/proxy`, databaseOf(database)),
  })
  await ledger.open()
  for (const [round, cut] of (['before', 'after'] as const).entries()) {
    proxy.cut = cut
    const files = [1, 2, 3].map(i => fileOf(PAIRS, { workSequence: 10 * round + i }))
    t.match(await within(cut, record(files)), Array(3).fill({ state: 'staged', attempt: 0 }))
    t.equal(await rows('todo'), 3 * (round + 1))
  }
  for (const cut of ['before', 'after'] as const) {
    proxy.cut = cut
    await ledger.counter.releaseLease(await openSession(t, database))
    t.equal(await within(cut, ledger.counter.takeLease()), true)
  }
  t.equal(proxy.cuts, 4)
  const files = await ledger.counter.waiting(9)
  const result = await ledger.counter.countStaged({ id: Buffer.alloc(16, 1), files })
  t.same([result, await totals()], [{ kind: 'applied' }, asTotals(PAIRS, 6n)])
})

t.test('the same onto rows that are there, range by range', async t => {
  const dense: Pairs = Array.from({ length: 300 }, (_, i) => [BigInt(1_000 + i), BigInt(i)])
  const database = await server.database()
  const proxy = await commitCutter(t, `${server.dir}/proxy5`, server.socketPath)
  const { ledger, totals, rows, count } = await openLedgerScene(t, database, {
    through: addressOf(`${server.dir}/proxy5`, databaseOf(database)),
    env: { COUNTERSINK_CHUNK_PAIRS_MAX: '100' },
  })
  await ledger.open()
  t.match(await count(batchFor(dense)), { kind: 'applied' })
  let batches = 1
  for (let commit = 2; commit < 6; commit += 1) {
    for (const cut of ['before', 'after'] as const) {
      Object.assign(proxy, { cut, spare: commit })
      t.match(await within(cut, count(batchFor(dense))), { kind: 'applied' })
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
  const { ledger, totals, rows, count } = await openLedgerScene(t, database, {
    through: addressOf(`${server.dir}/proxy4`, databaseOf(database)),
  })
  await ledger.open()
  for (const [i, cut] of (['before', 'after'] as const).entries()) {
    proxy.cut = cut
    t.match(await within(cut, count(batchFor(PAIRS))), { kind: 'applied' })
    t.equal(proxy.cuts, i + 1)
    t.same(await totals(), asTotals(PAIRS, BigInt(i + 1)), cut)
    t.same([await rows('batch'), await rows('file')], [i + 1, i + 1])
  }
})

t.test('killed behind every chunk of one batch, again and again', async t => {
  const address = await server.database()
  let kill = async (): Promise<void> => {}
  let chunks = 0
  const killing: Promise<void>[] = []
  const { ledger, session, totals, record } = await openLedgerScene(t, address, {
    env: { COUNTERSINK_CHUNK_PAIRS_MAX: '1' },
    onChunk() {
      chunks += 1
      killing.push(kill())
    },
  })
  await ledger.open()
  await ledger.counter.takeLease()
  const files = (await record([fileOf(PAIRS)]))!
  kill = async () => void (await killAllBut(session, databaseOf(address)))
  const counting = ledger.counter.countStaged({ id: Buffer.alloc(16, 1), files })
  t.match(await within('applying', counting), { kind: 'applied' })
  await Promise.all(killing)
  // Of one whose COMMIT is not answered nobody hears.
  t.ok(chunks <= PAIRS.length, 'it went on where it stood, not from the beginning')
  t.same(await totals(), asTotals(PAIRS))
})

t.test('the sequence of a batch found committed is its own', async t => {
  const database = await server.database()
  const name = databaseOf(database)
  const proxy = await commitCutter(t, `${server.dir}/proxy2`, server.socketPath)
  const { ledger, count } = await openLedgerScene(t, database, {
    through: addressOf(`${server.dir}/proxy2`, name),
  })
  await ledger.open()
  await count(batchFor(PAIRS))
  proxy.cut = 'after'
  const batch = batchFor(PAIRS)
  const result = await count(batch)
  const row = await ledger.find(batch.files[0]!.sha256)
  t.same(result, {
    kind: 'applied',
    sequences: new Map([[row?.sha256.toString('hex'), row?.sequence]]),
  })
})

t.test('killed by the server in the middle of a transaction', async t => {
  for (const [what, killAt] of [
    ['while its blocks are packed', 'file'],
    ['while its sums are added', 'batch'],
  ] as const) {
    const address = await server.database()
    const { ledger, session, totals, rows, outages, count } = await openLedgerScene(t, address)
    await ledger.open()
    let kills = 0
    const source = pairSource(PAIRS, async () => {
      if (kills === 0) kills += await killAllBut(session, databaseOf(address))
    })
    const facts = killAt === 'file' ? { sums: source } : {}
    const batch = batchFor(PAIRS, facts)
    const killed = killAt === 'batch' ? { ...batch, sums: source } : batch
    t.match(await within('applying', count(killed)), { kind: 'applied' })
    t.equal(kills, LANES, what)
    t.ok(outages.length > 0)
    t.same(await totals(), asTotals(PAIRS))
    t.same([await rows('batch'), await rows('file'), await rows('sums')], [1, 1, 1])
  }
})

t.test('killed while its sums are recorded', async t => {
  const wide = Array.from({ length: 6_000 }, (_, i) => [BigInt(i) * 2n ** 45n, 2n ** 50n] as const)
  for (const killAtPortion of [0, 1, 2, 3]) {
    const address = await server.database()
    const { ledger, session, outages, record, rows } = await openLedgerScene(t, address, {
      env: { COUNTERSINK_CHUNK_PAIRS_MAX: '1000' },
    })
    await ledger.open()
    let kills = 0
    const sums = pairSource(wide, async portion => {
      if (portion !== killAtPortion || kills > 0) return
      kills += await killAllBut(session, databaseOf(address))
    })
    const [row] = (await within('recording', record([fileOf(wide, { sums })]))) ?? []
    t.equal(kills, LANES, 'also those of who counts and of who rolls up')
    t.ok(outages.length > 0)
    t.match(row, { state: 'staged', pairs: 6_000n, recordedTo: wide.at(-1)![0] })
    const found = await session.query('SELECT SUM(pairs) AS n FROM countersink_sums')
    t.match(found, [{ n: '6000' }], `before portion ${killAtPortion}`)
    t.equal(await rows('todo'), 1)
  }
})

/** Kills all connections to this database but the one that looks on. */
async function killAllBut(looker: Session, database: string): Promise<number> {
  const [own] = await looker.query<{ id: bigint }>('SELECT CONNECTION_ID() AS id')
  const others = await server.admin.query<{ id: bigint }>(
    'SELECT id FROM information_schema.processlist WHERE db = ? AND id <> ?',
    [database, own?.id],
  )
  for (const { id } of others) {
    await server.admin.execute(`KILL ${id}`).catch((error: unknown) => {
      // It has gone meanwhile.
      if (sqlNumber(error) !== 1094) throw error
    })
  }
  return others.length
}

t.test('killed between two calls, nobody notices', async t => {
  const address = await server.database()
  const { ledger, session, totals, count } = await openLedgerScene(t, address)
  await ledger.open()
  await count(batchFor([[1n, 1n]]))
  const database = databaseOf(address)
  t.equal(await killAllBut(session, database), LANES)
  t.match(await count(batchFor([[1n, 1n]])), { kind: 'applied' })
  t.same(await totals(), { 1: '2' })
})

t.test('a lock that is held is waited for, a deadlock is tried again', async t => {
  const address = await server.database()
  const { ledger, totals, session, count } = await openLedgerScene(t, address)
  await ledger.open()
  await count(batchFor(PAIRS))
  const other = await openSession(t, address)
  await other.execute('START TRANSACTION')
  await other.execute('UPDATE consumption SET resource_consumption = 100 WHERE id = 3')
  const applying = count(batchFor(PAIRS))
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

t.test('one that the server has ended unseen is given up, and nothing else happens', async t => {
  const database = databaseOf(await server.database())
  let [connections, isSilent, isClosed] = [0, false, false]
  const way = createServer(client => {
    connections += 1
    const upstream = connect(server.socketPath)
    client.on('data', data => upstream.write(data))
    upstream.on('data', data => isSilent || client.write(data))
    for (const socket of [client, upstream]) socket.on('error', () => {})
    client.on('close', () => {
      isClosed = true
    })
  })
  await new Promise<void>(done => way.listen(0, '127.0.0.1', done))
  t.teardown(() => way.close())
  const { port } = way.address() as AddressInfo
  const session = await Session.open({ url: `mariadb://root@127.0.0.1:${port}/${database}` })
  isSilent = true
  const answer = failureOf(session.query('SELECT SLEEP(60)'))
  await server.admin.execute(`KILL ${session.serverThread.thread}`)
  session.destroy()
  t.match(await answer, { code: 'DATABASE_UNAVAILABLE' })
  await eventually('its socket is closed', () => isClosed)
  t.equal(connections, 1, 'the connector opens none of its own, whose errors nobody could catch')
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
