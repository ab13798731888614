import t from 'tap'
import {
  readBalance,
  readTopTotals,
  readTotal,
  readTotals,
} from '../../../parser/ledger/asking/totals.ts'
import { fromSqlTime, sqlTime } from '../../../parser/ledger/schema/tables.ts'
import type { Sighting } from '../../../parser/ledger/sightings.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { within } from '../../shared/helpers.ts'
import { batchFor, batchOf, fileOf, openLedgerScene, pairSource, startServer } from './helpers.ts'

const server = await startServer(t)

t.test('points in time go there and back', async t => {
  for (const ms of [0, 1, 951_782_400_000, Date.UTC(2024, 11, 31, 23, 59, 59, 999), Date.now()]) {
    t.equal(fromSqlTime(sqlTime(ms)), ms)
  }
  t.equal(sqlTime(Date.UTC(2024, 1, 29, 1, 2, 3, 4)), '2024-02-29 01:02:03.004')
  const { session } = await openLedgerScene(t, await server.database())
  const ms = Date.UTC(2024, 2, 31, 1, 30, 0, 7)
  const [row] = await session.query<{ at: string }>('SELECT CAST(? AS DATETIME(3)) AS at', [
    sqlTime(ms),
  ])
  t.equal(fromSqlTime(row!.at), ms, 'through the server')
})

t.test('totals: all by id, the largest, one', async t => {
  const { ledger, session, config, count } = await openLedgerScene(t, await server.database())
  await ledger.open()
  const pairs = [
    [10n, 3n],
    [2n, 3n],
    [U64_MAX, 1n],
    [0n, U64_MAX],
    [9n, 0n],
  ] as const
  await count(batchFor(pairs))
  const all = []
  for await (const total of readTotals(session, config)) all.push(total.id)
  t.same(all, [0n, 2n, 9n, 10n, U64_MAX], 'as numbers, not as texts')
  const top = []
  for await (const total of readTopTotals(session, config, 3)) top.push(total)
  t.same(top, [
    { id: 0n, amount: U64_MAX },
    { id: 2n, amount: 3n },
    { id: 10n, amount: 3n },
  ])
  t.same(await readTotal(session, config, U64_MAX), { id: U64_MAX, amount: 1n })
  t.equal(await within('the session goes on', readTotal(session, config, 77n)), undefined)
  for await (const total of readTotals(session, config)) {
    t.equal(total.id, 0n)
    break
  }
  t.match(await within('after a broken-off reading', readTotal(session, config, 9n)), {
    amount: 0n,
  })
})

t.test('the balance', async t => {
  const { ledger, session, config, count } = await openLedgerScene(t, await server.database())
  t.equal(await readBalance(session, config, []), undefined, 'no ledger yet')
  await session.execute(
    'CREATE TABLE consumption (id BIGINT UNSIGNED PRIMARY KEY, resource_consumption BIGINT UNSIGNED NOT NULL)',
  )
  await session.execute(`INSERT INTO consumption VALUES (1, ${U64_MAX - 5n}), (2, ${U64_MAX - 5n})`)
  await ledger.open()
  const zero = { ledgerAmount: 0n, namedAmount: 0n, namedFiles: 0, batchesOpen: 0 }
  const openingAmount = 2n * (U64_MAX - 5n)
  t.same(await readBalance(session, config, []), {
    totalsAmount: openingAmount,
    openingAmount,
    ...zero,
  })
  for (const [name, amount] of [
    ['g_1.txt', 1n],
    ['gx1.txt', 2n],
    ['h%.txt', U64_MAX],
  ] as const) {
    const pairs = [[3n + (amount % 3n), amount]] as const
    await count(batchOf([fileOf(pairs, { name })], pairSource(pairs)))
  }
  const ledgerAmount = U64_MAX + 3n
  const balance = await readBalance(session, config, ['g_'])
  t.same(balance, {
    ...{ totalsAmount: openingAmount + ledgerAmount, openingAmount, ledgerAmount },
    ...{ namedAmount: 1n, namedFiles: 1, batchesOpen: 0 },
  })
  t.match(await readBalance(session, config, ['g_', 'h%']), {
    namedFiles: 2,
    namedAmount: U64_MAX + 1n,
  })
  t.match(await readBalance(session, config, ['%']), { namedFiles: 0 })
})

t.test('rows for a new index, page by page', async t => {
  const { ledger, count } = await openLedgerScene(t, await server.database())
  await ledger.open()
  for (const name of ['a', 'b', 'c']) await count(batchFor([[1n, 1n]], { name }))
  const first = await ledger.appliedAfter(0n, 2)
  t.same(
    first.map(row => row.name),
    ['a', 'b'],
  )
  const second = await ledger.appliedAfter(first[1]!.sequence, 2)
  t.same(
    second.map(row => row.name),
    ['c'],
  )
  t.same(await ledger.appliedAfter(second[0]!.sequence, 2), [])
})

t.test('a sighting is written down once for each work file', async t => {
  const { ledger, session, rows } = await openLedgerScene(t, await server.database())
  await ledger.open()
  const sighting: Sighting = {
    workSequence: 5,
    sha256: Buffer.alloc(32, 1),
    name: 'ü'.repeat(100),
    outcome: 'duplicate',
    reason: 'counted before',
    seenAtMs: 1_700_000_000_123,
  }
  await ledger.sight(sighting)
  await ledger.sight({ ...sighting, reason: 'counted before as x' })
  await ledger.sight({ ...sighting, workSequence: 6, sha256: undefined, outcome: 'quarantined' })
  t.equal(await rows('sighting'), 2)
  const [row] = await session.query<Record<string, unknown>>(
    'SELECT * FROM countersink_sighting WHERE work_sequence = 5',
  )
  t.match(row, { name: sighting.name, outcome: 'duplicate', reason: 'counted before as x' })
  t.equal(fromSqlTime(String(row?.seen_at)), sighting.seenAtMs)
})

t.test('a reason of any length can be written down', async t => {
  const { ledger, rows } = await openLedgerScene(t, await server.database())
  await ledger.open()
  await ledger.sight({
    ...{ workSequence: 1, sha256: undefined, name: 'a', outcome: 'quarantined', seenAtMs: 0 },
    // As of a manifest whose sha256 is a text of 4,000 characters: the refusal quotes it.
    reason: `MANIFEST_INVALID: ${'x'.repeat(4_000)}`,
  })
  t.equal(await rows('sighting'), 1)
})
