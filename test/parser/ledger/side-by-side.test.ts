import t, { type Test } from 'tap'
import { U64_MAX } from '../../../shared/limits.ts'
import { untilLockWait } from '../../crash/sql.ts'
import { eventually } from '../../helpers/eventually.ts'
import { failureOf } from '../../shared/helpers.ts'
import { batchFor, openLedgerScene, openSession, type Pairs, startServer } from './helpers.ts'

// Two parsers on one ledger. The batch of the first is in the middle of its only transaction: it
// waits for a row of the totals that somebody else has locked.

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
  const waiting = first.ledger.apply(batchFor(pairs))
  await untilLockWait(foreign)
  return {
    ...{ first, second, waiting },
    letGo: () => foreign.rollback(),
    async bound(): Promise<bigint> {
      const [meta] = await first.session.query<{ bound: string }>(
        'SELECT total_upper_bound AS bound FROM countersink_meta',
      )
      return BigInt(meta?.bound ?? -1)
    },
  }
}

t.test('an open batch holds up nobody else', async t => {
  for (const chunkPairsMax of [100, 1]) {
    const { first, second, waiting, letGo, bound } = await scene(t, [[1n, 5n]], chunkPairsMax)
    for (const id of [2n, 3n]) {
      const pairs: Pairs = [
        [id, 7n],
        [9n, 1n],
      ]
      t.match(await second.ledger.apply(batchFor(pairs)), { kind: 'applied' })
    }
    t.equal(await bound(), 14n)
    t.equal(await second.rows('batch'), 2, 'the first has not ended')
    await letGo()
    t.match(await waiting, { kind: 'applied' })
    t.equal(await bound(), 19n, 'none of them is forgotten')
    t.same(await first.totals(), { 1: '5', 2: '7', 3: '7', 9: '2' })
    t.same([...first.outages, ...second.outages], [])
  }
})

t.test('what another has counted meanwhile is seen before the commit', async t => {
  const most = U64_MAX - 10n
  const { first, second, waiting, letGo, bound } = await scene(t, [[1n, most]])
  t.match(await second.ledger.apply(batchFor([[2n, 11n]])), { kind: 'applied' })
  await letGo()
  t.match(await waiting, { kind: 'applied' }, 'the totals were looked at, and they fit')
  t.equal(await bound(), U64_MAX)
  t.same(await first.totals(), { 1: String(most), 2: '11' })
  t.match(await second.ledger.apply(batchFor([[1n, 11n]])), { kind: 'overflow' })
})

t.test('two that fill the same holes at once', async t => {
  const address = await server.database()
  const scenes = await Promise.all(
    // Their pieces begin and end elsewhere.
    [700, 900].map((chunkPairsMax, i) =>
      openLedgerScene(t, address, {
        instance: Buffer.alloc(16, i),
        env: { COUNTERSINK_CHUNK_PAIRS_MAX: String(chunkPairsMax) },
      }),
    ),
  )
  const { session } = scenes[0]!
  for (const { ledger } of scenes) await ledger.open()
  for (let round = 0; round < 4; round += 1) {
    await session.execute('DELETE FROM consumption')
    await session.execute(
      'INSERT INTO consumption SELECT seq, 1 FROM seq_0_to_1999 WHERE CRC32(seq) MOD 9 > 1',
    )
    const there = new Set(Object.keys(await scenes[0]!.totals()))
    const all: Pairs = Array.from({ length: 2_000 }, (_, i) => [BigInt(i), 5n] as const)
    const results = await Promise.all(scenes.map(({ ledger }) => ledger.apply(batchFor(all))))
    t.match(results, [{ kind: 'applied' }, { kind: 'applied' }])
    const totals = Object.entries(await scenes[0]!.totals())
    t.equal(totals.length, 2_000)
    t.same(
      totals.filter(([id, total]) => total !== (there.has(id) ? '11' : '10')),
      [],
    )
  }
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
  for (const table of ['meta', 'batch', 'file']) {
    const change = `ALTER TABLE countersink_${table} NOWAIT ADD COLUMN extra INT NULL`
    t.match(await failureOf(first.session.execute(change)), { errno: 1205 }, table)
  }
  await letGo()
  t.match(await waiting, { kind: 'applied' })
})
