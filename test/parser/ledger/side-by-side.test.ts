import t, { type Test } from 'tap'
import { CountersinkError } from '../../../shared/errors.ts'
import { untilLockWait } from '../../crash/sql.ts'
import { eventually } from '../../helpers/eventually.ts'
import { failureOf } from '../../shared/helpers.ts'
import {
  asTotals,
  batchFor,
  databaseOf,
  openLedgerScene,
  openSession,
  type Pairs,
  startServer,
} from './helpers.ts'

// Two parsers on one ledger. The batch of the one that counts is in the middle of its only
// transaction: it waits for a row of the totals that somebody else has locked.

const server = await startServer(t)

/** @param pairs of the batch that waits, for the row of the first. */
async function scene(t: Test, pairs: Pairs, chunkPairsMax = 100) {
  const address = await server.database()
  const first = await openLedgerScene(t, address)
  const second = await openLedgerScene(t, address, {
    instance: Buffer.alloc(16, 8),
    env: { COUNTERSINK_CHUNK_PAIRS_MAX: String(chunkPairsMax) },
  })
  await first.ledger.open()
  await second.ledger.open()
  const waitedFor = pairs[0]![0]
  await first.session.execute('INSERT INTO consumption VALUES (?, 0)', [waitedFor])
  const foreign = await openSession(t, address)
  await foreign.execute('START TRANSACTION')
  await foreign.query('SELECT * FROM consumption WHERE id = ? FOR UPDATE', [waitedFor])
  const batch = batchFor(pairs)
  const waiting = first.count(batch)
  await untilLockWait(foreign)
  return { first, second, batch, waiting, letGo: () => foreign.rollback() }
}

t.test('who counts holds up nobody who records', async t => {
  for (const chunkPairsMax of [100, 1]) {
    const { first, second, waiting, letGo } = await scene(t, [[1n, 5n]], chunkPairsMax)
    t.equal(await second.ledger.counter.takeLease(), false, 'it is not waited for either')
    const batches = [2n, 3n].map(id =>
      batchFor([
        [id, 7n],
        [9n, 1n],
      ]),
    )
    const together = await second.record(batches.flatMap(({ files }) => files))
    const alone = await second.record(batchFor([[4n, 4n]]).files)
    t.match(together, [{ state: 'staged' }, { state: 'staged' }])
    t.match(await first.record(batchFor([[5n, 4n]]).files), [{ state: 'staged' }], 'nor itself')
    t.same(await first.totals(), { 1: '0' }, 'the first has not ended')
    await letGo()
    t.match(await waiting, { kind: 'applied' })
    const files = await first.ledger.counter.waiting(9)
    t.equal(files.length, 4)
    const id = Buffer.alloc(16, 5)
    t.match(await first.ledger.counter.countStaged({ id, files }), { kind: 'applied' })
    t.same(await first.totals(), { 1: '5', 2: '7', 3: '7', 4: '4', 5: '4', 9: '2' })
    t.same([...first.outages, ...second.outages], [])
    t.equal(alone?.length, 1)
  }
})

for (const most of [1, 2, 3]) {
  t.test(`an account that may have ${most} connections does all in turns`, async t => {
    const address = await server.database()
    const [name, user] = [databaseOf(address), `few_${databaseOf(address)}`]
    await server.admin.execute(`CREATE USER ${user}@localhost WITH MAX_USER_CONNECTIONS ${most}`)
    await server.admin.execute(`GRANT ALL ON ${name}.* TO ${user}@localhost`)
    const through = { url: `mariadb://${user}@localhost/${name}?socketPath=${server.socketPath}` }
    const scene = await openLedgerScene(t, address, { through })
    const { ledger, record, count, totals, outages, session } = scene
    await ledger.open()
    const used = await session.query(
      'SELECT 1 FROM information_schema.processlist WHERE user = ?',
      [user],
    )
    t.equal(used.length, most)
    t.match(await record(batchFor([[1n, 5n]]).files), [{ state: 'staged' }])
    t.match(await count(batchFor([[2n, 6n]])), { kind: 'applied' })
    const files = await ledger.counter.waiting(9)
    const id = Buffer.alloc(16, 5)
    const [counted, rolled] = await Promise.all([
      ledger.counter.countStaged({ id, files }),
      ledger.roller.goOn('all'),
    ])
    t.match([counted, rolled], [{ kind: 'applied' }, { kind: /^(?:done|goes on)$/ }])
    while ((await ledger.roller.goOn('all')).kind === 'goes on');
    t.match(await ledger.roller.unrolled(), { postings: 0 })
    t.same([await totals(), outages], [{ 1: '5', 2: '6' }, []])
    await ledger.close()
    t.same(
      await session.query('SELECT until < UTC_TIMESTAMP(3) AS isFree FROM countersink_lease'),
      [{ isFree: 1n }],
      'another parser may count at once',
    )
  })
}

t.test('what a person has to mend is waited for once one connection was found fit', async t => {
  const address = await server.database()
  await (await openLedgerScene(t, address)).ledger.open()
  // The address is asked for by each connection.
  for (const broken of [2, 3]) {
    let asked = 0
    const scene = await openLedgerScene(t, address, {
      instance: Buffer.alloc(16, broken),
      through() {
        asked += 1
        if (asked === broken) throw new CountersinkError('CONFIG_INVALID', 'the file is no JSON')
        return address
      },
    })
    await scene.ledger.open()
    t.ok(asked >= broken, 'it was broken')
    t.match(await scene.count(batchFor([[BigInt(broken), 6n]])), { kind: 'applied' })
    t.match(await scene.ledger.roller.goOn('all'), { kind: /^(?:done|goes on)$/ })
    await scene.ledger.close()
  }
})

t.test('a content that is just being counted is claimed for whoever records it', async t => {
  const pairs: Pairs = [[1n, 5n]]
  const { first, second, batch, waiting, letGo } = await scene(t, pairs)
  const recording = second.record(batch.files)
  await letGo()
  t.match(await waiting, { kind: 'applied' })
  t.equal(await recording, undefined)
  t.same([await first.totals(), await first.rows('sums')], [asTotals(pairs), 1])
})

for (const [what, broken, mended, reason] of [
  ['is replaced', "ledger_uuid = 'other'", 'ledger_uuid = @was', /LEDGER_BEHIND/],
  ['is made newer', 'schema_version = 99', 'schema_version = @was', /LEDGER_UNFIT/],
] as const) {
  t.test(`a ledger that ${what} under an open batch does not get it`, async t => {
    const { first, waiting, letGo } = await scene(t, [[1n, 5n]])
    const { session } = first
    await session.execute(`SET @was = (SELECT ${broken.split(' ')[0]} FROM countersink_meta)`)
    await session.execute(`UPDATE countersink_meta SET ${broken}`)
    await letGo()
    await eventually('it is told', () => reason.test(first.outages.join()))
    t.same([await first.totals(), await first.rows('file')], [{ 1: '0' }, 0])
    await session.execute(`UPDATE countersink_meta SET ${mended}`)
    t.match(await waiting, { kind: 'applied' })
    t.same(await first.totals(), { 1: '5' })
  })
}

t.test('no table is changed or made anew under an open batch', async t => {
  const { first, waiting, letGo } = await scene(t, [[1n, 5n]])
  for (const table of ['meta', 'lease', 'batch', 'file', 'posting', 'sums']) {
    const change = `ALTER TABLE countersink_${table} NOWAIT ADD COLUMN extra INT NULL`
    t.match(await failureOf(first.session.execute(change)), { errno: 1205 }, table)
  }
  await letGo()
  t.match(await waiting, { kind: 'applied' })
})
