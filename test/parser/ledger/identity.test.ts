import t, { type Test } from 'tap'
import type { Session } from '../../../parser/ledger/connection.ts'
import { eventually, failureOf, within } from '../../shared/helpers.ts'
import { batchFor, openLedgerScene, startServer } from './helpers.ts'

// Whether the database on a new connection is the one, and as new as the one, that was worked with.

const server = await startServer(t)

/** Ends the ledger's connection, so that its next call makes a new one. */
async function cutConnections(session: Session): Promise<void> {
  const others = await session.query<{ id: bigint }>(
    `SELECT id FROM information_schema.processlist
      WHERE db = DATABASE() AND id <> CONNECTION_ID()`,
  )
  for (const { id } of others) await session.execute(`KILL ${id}`)
}

async function copyTables(session: Session, from: string, to: string): Promise<void> {
  for (const table of [
    'consumption',
    'countersink_meta',
    ...['countersink_batch', 'countersink_file', 'countersink_posting', 'countersink_sums'],
  ]) {
    await session.execute(`DROP TABLE IF EXISTS ${to}${table}`)
    await session.execute(`CREATE TABLE ${to}${table} LIKE ${from}${table}`)
    await session.execute(`INSERT INTO ${to}${table} SELECT * FROM ${from}${table}`)
  }
}

/** A batch was counted after the state in which the database is now; both are kept. */
async function setBack(t: Test) {
  const s = await openLedgerScene(t, await server.database())
  await s.ledger.open()
  await s.count(batchFor([[1n, 100n]]))
  await copyTables(s.session, '', 'old_')
  await s.count(batchFor([[1n, 20n]]))
  await copyTables(s.session, '', 'new_')
  await copyTables(s.session, 'old_', '')
  return s
}

t.test('an older state of the database is noticed on the next connection', async t => {
  const { ledger, session, outages, totals, rows, count } = await setBack(t)
  // Somebody else goes on with it first, and is given the sequence that was given before.
  const other = await openLedgerScene(t, await databaseOf(session), {
    instance: Buffer.alloc(16, 8),
  })
  await other.ledger.open()
  await ledger.counter.releaseLease(session)
  await other.count(batchFor([[5n, 5n]]))
  await other.ledger.close()

  await cutConnections(session)
  const waiting = count(batchFor([[1n, 3n]]))
  await eventually('it is told', () => outages.at(-1)?.startsWith('LEDGER_BEHIND'))
  t.match(outages.at(-1), /was counted, is not there.*countersink recover/)
  t.same(await totals(), { 1: '100', 5: '5' }, 'nothing is written meanwhile')
  t.equal(await rows('batch'), 2)

  await copyTables(session, 'new_', '')
  t.match(await within('the right one is back', waiting), { kind: 'applied' })
  t.same(await totals(), { 1: '123' })
})

t.test('a database that is put back to before its opening balance has it taken anew', async t => {
  const { ledger, session, count, rows } = await openLedgerScene(t, await server.database())
  await ledger.open()
  await ledger.takeOpening()
  await session.execute('UPDATE countersink_meta SET opening_generation = NULL')
  await session.execute('INSERT INTO consumption VALUES (1, 7)')
  await cutConnections(session)
  await count(batchFor([[1n, 100n]]))
  const [meta] = await session.query(
    'SELECT opening_amount AS amount FROM countersink_meta WHERE opening_generation IS NOT NULL',
  )
  t.match(meta, { amount: '7' }, 'before anything is counted')
  t.equal(await rows('sums'), 2)
})

t.test('a dump that is loaded under a connection that stays is noticed too', async t => {
  const { session, outages, totals, rows, count } = await setBack(t)
  const waiting = count(batchFor([[1n, 3n]]))
  await eventually('it is told', () => outages.at(-1)?.startsWith('LEDGER_BEHIND'))
  t.same([await totals(), await rows('batch')], [{ 1: '100' }, 1], 'nothing is written')
  await copyTables(session, 'new_', '')
  t.match(await within('the right one is back', waiting), { kind: 'applied' })
  t.same(await totals(), { 1: '123' })
})

async function databaseOf(session: Session) {
  const [row] = await session.query<{ name: string }>('SELECT DATABASE() AS name')
  return {
    url: `mariadb://root@localhost/${row?.name}?socketPath=${encodeURIComponent(server.socketPath)}`,
  }
}

t.test(
  'the same sequence under another hash, or the same hash under another, proves it',
  async t => {
    const address = await server.database()
    const { ledger, session, count } = await openLedgerScene(t, address)
    const { uuid } = await ledger.open()
    const batch = batchFor([[1n, 1n]])
    const result = await count(batch)
    if (!('sequences' in result)) throw new Error(result.kind)
    const { sha256 } = batch.files[0]!
    const [sequence = 0n] = result.sequences.values()
    const open = async (known: { sha256: Uint8Array; sequence: bigint | undefined }) =>
      (await openLedgerScene(t, address)).ledger.open({ uuid, applied: [known] })
    t.match(await open({ sha256, sequence }), { uuid })
    t.match(await open({ sha256, sequence: undefined }), { uuid }, 'an old journal knows none')
    const behind = { code: 'LEDGER_BEHIND', exitCode: 78 }
    t.match(await failureOf(open({ sha256, sequence: sequence + 1n })), behind)
    t.match(await failureOf(open({ sha256: Buffer.alloc(32, 1), sequence })), behind)
    await session.execute("UPDATE countersink_file SET state = 'applying'")
    t.match(await open({ sha256, sequence }), { uuid }, 'a begun batch is finished at the start')
  },
)

t.test('another ledger, or none, is refused where one was worked with', async t => {
  const address = await server.database()
  const { ledger, session } = await openLedgerScene(t, address)
  const behind = { code: 'LEDGER_BEHIND', exitCode: 78 }
  t.match(await failureOf(ledger.open({ uuid: 'u'.repeat(36), applied: [] })), behind)
  t.equal((await session.query('SHOW TABLES')).length, 0, 'and none is made')
  await (await openLedgerScene(t, address)).ledger.open()
  const again = await openLedgerScene(t, address)
  t.match(await failureOf(again.ledger.open({ uuid: 'u'.repeat(36), applied: [] })), behind)
})

t.test('the thousand newest contents are compared', async t => {
  const { ledger, session, outages, abort, count } = await openLedgerScene(
    t,
    await server.database(),
  )
  await ledger.open()
  for (let i = 0; i < 1_010; i += 1) await count(batchFor([]))
  const oldest = 'DELETE FROM countersink_file ORDER BY sequence LIMIT'
  await session.execute(`${oldest} 10`)
  await cutConnections(session)
  t.match(await within('it goes on', ledger.openBatches()), [])
  t.notMatch(outages.at(-1), /LEDGER_BEHIND/)
  await session.execute(`${oldest} 1`)
  await cutConnections(session)
  const waiting = failureOf(ledger.openBatches())
  await eventually('it is told', () => outages.at(-1)?.startsWith('LEDGER_BEHIND'))
  abort.abort(new Error('over'))
  t.match(await waiting, { message: 'over' })
})
