import t from 'tap'
import { partitionsOf } from '../../../../parser/ledger/periods/partitions.ts'
import { ledgerNames } from '../../../../parser/ledger/schema/tables.ts'
import { addressOf, databaseOf, openSession, type Pairs, startServer } from '../helpers.ts'
import { usageScene } from './usage-scene.ts'

// Fine periods are kept for a while, coarse ones for longer.

const server = await startServer(t)
const PAIRS: Pairs = [
  [1n, 5n],
  [2n, 6n],
  [2n ** 60n, 7n],
]
const NOW = { nowMs: Date.parse('2026-11-20T12:00:00Z') }
const KEEPING = { hour: 2, day: 40, month: 400 } as const

t.test('dropped beside a roll-up, with late files and corrections', async t => {
  const s = await usageScene(t, await server.database(), { chunkPairs: 1_000 })
  const names = ledgerNames(s.config)
  const old = await s.used(PAIRS, '2026-10-05T01:00:00Z')
  await s.used(PAIRS, '2026-11-17T23:00:00Z')
  await s.used(PAIRS, '2026-11-18T00:00:00Z')
  await s.used(PAIRS, '2025-01-01T00:00:00Z')
  t.equal(await s.roll(), 'done')
  await s.agrees(t)
  const before = await partitionsOf(s.session, names, 'hour')
  t.match(
    before.map(({ name }) => name),
    ['to_20250101', 'to_20250102', 'to_20261005', 'to_20261006', 'to_20261117', 'to_20261118'],
  )
  await s.used(PAIRS, '2026-11-18T00:00:00Z')
  await s.used(PAIRS, '2026-11-17T22:00:00Z')
  await s.rollPartly({ ...NOW, rowsMax: 1 })
  await s.proven(t)
  t.equal(await s.roll({ ...NOW, keeping: KEEPING, rowsMax: 1 }), 'done')
  await s.proven(t)
  const { hour, day, month } = await s.usage()
  t.same([...hour.keys()], ['2026-11-18 00:00:00'])
  t.same([...day.keys()], ['2026-10-05', '2026-11-17', '2026-11-18'])
  t.same([...month.keys()], ['2025-01-01', '2026-10-01', '2026-11-01'])
  t.same(day.get('2026-11-17')?.get(1n), 10n)
  t.same(
    (await partitionsOf(s.session, names, 'hour')).map(({ name }) => name),
    ['to_20261119', 'others'],
  )
  await s.correct('undo', old)
  await s.used(PAIRS, '2026-09-30T00:00:00Z')
  t.equal(await s.roll({ ...NOW, keeping: KEEPING }), 'done')
  await s.proven(t)
  t.same([...(await s.usage()).day.keys()], ['2026-10-05', '2026-11-17', '2026-11-18'])
  t.equal((await s.usage()).month.get('2026-09-01')?.get(2n), 6n)
})

t.test('while somebody reads, and by an account that may alter nothing', async t => {
  const address = await server.database()
  const s = await usageScene(t, address, { chunkPairs: 1_000 })
  const reader = await openSession(t, address)
  await s.used(PAIRS, '2026-10-05T01:00:00Z')
  await reader.execute('START TRANSACTION')
  await reader.query('SELECT * FROM countersink_usage_block')
  t.equal(await s.roll(), 'later')
  await s.proven(t)
  await reader.execute('COMMIT')
  const database = databaseOf(address)
  await server.admin.execute('CREATE USER may_not')
  await server.admin.execute(`GRANT SELECT, INSERT, UPDATE, DELETE ON ${database}.* TO may_not`)
  const url = addressOf(server.socketPath, database).url.replace('root@', 'may_not@')
  const session = await openSession(t, { url })
  const limited = { ...s, session }
  t.equal(await s.roll({ as: limited.session }), 'done')
  await s.agrees(t)
  t.equal((await partitionsOf(s.session, ledgerNames(s.config), 'hour')).length, 1)
  t.equal(await s.roll({ ...NOW, as: limited.session, keeping: KEEPING }), 'done')
  t.same([...(await s.usage()).hour.keys()], [])
  await s.proven(t)
})
