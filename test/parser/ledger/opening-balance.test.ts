import t from 'tap'
import type { Session } from '../../../parser/ledger/connection.ts'
import { openingOf } from '../../../parser/ledger/proving/opening-of.ts'
import { BlockSums } from '../../../parser/ledger/recording/block-sums.ts'
import { openLedger } from '../../../parser/ledger/schema/opening.ts'
import { takeOpening } from '../../../parser/ledger/schema/opening-balance.ts'
import { openingSeed, openingSequence } from '../../../parser/ledger/schema/opening-blocks.ts'
import { ledgerNames } from '../../../parser/ledger/schema/tables.ts'
import { readConfig } from '../../../shared/config.ts'
import { eventually } from '../../helpers/eventually.ts'
import { databaseOf, openSession, startServer } from './helpers.ts'

const server = await startServer(t)
const config = readConfig({})
const names = ledgerNames(config)
const MAX = 2n ** 64n - 1n

t.test('of totals that are there, each consumer has what stood there', async t => {
  const session = await openSession(t, await server.database())
  await session.execute(
    'CREATE TABLE consumption (id BIGINT UNSIGNED PRIMARY KEY, resource_consumption DECIMAL(38,0) NULL)',
  )
  await session.execute('INSERT INTO consumption SELECT seq, seq * 3 FROM seq_1_to_20000')
  const wide = 2n ** 64n
  await session.execute(
    `INSERT INTO consumption VALUES (30000, ${MAX}), (30001, ${wide}), (30002, -5), (30003, NULL), (${MAX}, 7)`,
  )
  const { uuid } = await openLedger(session, config)
  t.same(await takeOpening(session, config, uuid), { isUnknown: false, difference: 0n })
  t.equal(await takeOpening(session, config, uuid), undefined, 'once')
  for (const [id, amount] of [
    [1n, 3n],
    [20_000n, 60_000n],
    [30_000n, MAX],
    [30_001n, wide],
    [30_002n, -5n],
    [30_003n, 0n],
    [MAX, 7n],
    [25_000n, 0n],
  ] as const) {
    t.equal(await openingOf(session, names, id), amount, `consumer ${id}`)
  }
  const [meta] = await session.query<{ generation: bigint; rows: bigint; amount: string }>(
    `SELECT opening_generation AS generation, opening_rows AS \`rows\`, opening_amount AS amount FROM ${names.meta}`,
  )
  const sum = (3n * 20_000n * 20_001n) / 2n + MAX + wide - 5n + 7n
  t.match(meta, { rows: 20_005n, amount: String(sum) })
  const generation = meta!.generation
  const sums = new BlockSums(session, names, {
    ...{ sequence: openingSequence(generation), sha256: openingSeed(uuid, generation), pairs: 0 },
  })
  let [pairs, amount] = [0, 0n]
  for await (const chunk of sums.chunks(5_000)) {
    pairs += chunk.ids.length
    for (const one of chunk.amounts) amount += one
  }
  t.same([pairs, amount], [20_003, sum - wide + 5n])
})

t.test('of an account that may have one connection', async t => {
  const address = await server.database()
  const session = await openSession(t, address)
  await session.execute(
    'CREATE TABLE consumption (id BIGINT UNSIGNED PRIMARY KEY, resource_consumption BIGINT UNSIGNED NOT NULL)',
  )
  await session.execute('INSERT INTO consumption SELECT seq, 2 FROM seq_1_to_40000')
  await session.execute('CREATE USER one@localhost WITH MAX_USER_CONNECTIONS 1')
  await session.execute('GRANT ALL ON *.* TO one@localhost')
  const url = `mariadb://one@localhost/${databaseOf(address)}?socketPath=${server.socketPath}`
  const only = await openSession(t, { url })
  const { uuid } = await openLedger(only, config)
  t.same(await takeOpening(only, config, uuid), { isUnknown: false, difference: 0n })
  t.equal(await openingOf(session, names, 40_000n), 2n)
})

t.test('several that begin at once, and one that was killed, leave one', async t => {
  const address = await server.database()
  const sessions = await Promise.all([1, 2, 3].map(() => openSession(t, address)))
  const [first] = sessions
  await first!.execute(
    'CREATE TABLE consumption (id BIGINT UNSIGNED PRIMARY KEY, resource_consumption BIGINT UNSIGNED NOT NULL)',
  )
  await first!.execute('INSERT INTO consumption SELECT seq, 1 FROM seq_1_to_30000')
  const { uuid } = await openLedger(first!, config)
  // What an attempt has left that was killed.
  await first!.execute(
    `INSERT INTO ${names.sums} VALUES (${openingSequence(77n)}, 1, 1, 1, 1, 1, 'x')`,
  )
  const taken = await Promise.all(sessions.map(one => takeOpening(one, config, uuid)))
  t.equal(taken.filter(one => one !== undefined).length, 1, 'one has taken it')
  const [left] = await first!.query<{ sequences: bigint; pairs: string }>(
    `SELECT COUNT(DISTINCT file_sequence) AS sequences, SUM(pairs) AS pairs FROM ${names.sums}`,
  )
  t.match(left, { sequences: 1n, pairs: '30000' })
  t.equal(await openingOf(first!, names, 15_000n), 1n)
})

t.test('whoever takes it waits for nobody who still packs', async t => {
  const address = await server.database()
  const [quick, slow] = [await openSession(t, address), await openSession(t, address)]
  await quick.execute(
    'CREATE TABLE consumption (id BIGINT UNSIGNED PRIMARY KEY, resource_consumption BIGINT UNSIGNED NOT NULL)',
  )
  await quick.execute('INSERT INTO consumption SELECT seq, 2 FROM seq_1_to_1000')
  const { uuid } = await openLedger(quick, config)
  await quick.execute('SET SESSION innodb_lock_wait_timeout = 0')
  await slow.execute('START TRANSACTION')
  for (const generation of [5n, 2n ** 40n - 5n]) {
    const sequence = openingSequence(generation)
    await slow.execute(`INSERT INTO ${names.sums} VALUES (${sequence}, 1, 2, 1, 1, 1, 'x')`)
    await slow.execute(`INSERT INTO ${names.opening_wide} VALUES (${generation}, -1, 1)`)
  }
  t.same(await takeOpening(quick, config, uuid), { isUnknown: false, difference: 0n })
  t.equal(await takeOpening(quick, config, uuid), undefined, 'nor does who begins again')
  // It is killed before it finds that it came too late.
  await slow.execute('COMMIT')
  t.equal(await takeOpening(quick, config, uuid), undefined)
  const [left] = await quick.query<Record<'sequences' | 'wide', bigint>>(
    `SELECT (SELECT COUNT(DISTINCT file_sequence) FROM ${names.sums}) AS sequences,
            (SELECT COUNT(*) FROM ${names.opening_wide}) AS wide`,
  )
  t.match(left, { sequences: 1n, wide: 0n }, 'what it has left is removed later')
  t.equal(await openingOf(quick, names, 1_000n), 2n)
})

t.test('whoever begins later does not undo what another one has nearly done', async t => {
  const address = await server.database()
  const [early, late, holder] = [
    ...(await Promise.all([1, 2, 3].map(() => openSession(t, address)))),
  ] as [Session, Session, Session]
  await early.execute(
    'CREATE TABLE consumption (id BIGINT UNSIGNED PRIMARY KEY, resource_consumption DECIMAL(38,0) NOT NULL)',
  )
  await early.execute('INSERT INTO consumption SELECT seq, 1 FROM seq_1_to_30000')
  await early.execute('INSERT INTO consumption SELECT 30000 + seq, -1 FROM seq_1_to_2500')
  const { uuid } = await openLedger(early, config)
  // What this table tells is made anew only when nobody has read it for a tenth of a second.
  const waiting = (count: number) =>
    eventually(
      `${count} wait for the row`,
      async () => {
        const rows = await holder.query(
          `SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'`,
        )
        return rows.length === count
      },
      { pollMs: 150 },
    )
  await holder.execute('START TRANSACTION')
  await holder.query(`SELECT 1 FROM ${names.meta} FOR UPDATE`)
  const first = takeOpening(early, config, uuid)
  await waiting(1)
  const second = takeOpening(late, config, uuid)
  await waiting(2)
  await holder.execute('COMMIT')
  t.match(await first, { isUnknown: false }, 'the first one has taken it')
  t.equal(await second, undefined)
  const [left] = await holder.query<Record<'sequences' | 'wide' | 'generations', bigint>>(
    `SELECT (SELECT COUNT(DISTINCT file_sequence) FROM ${names.sums}) AS sequences,
            (SELECT COUNT(*) FROM ${names.opening_wide}) AS wide,
            (SELECT COUNT(*) FROM ${names.sums} JOIN ${names.meta}
              ON file_sequence = 18446744073709551615 - opening_generation) > 0 AS generations`,
  )
  t.match(left, { sequences: 1n, wide: 2_500n }, 'nothing is left of the other one')
  t.equal(Number(left?.generations), 1, 'and it is the one that is named')
  t.equal(await openingOf(holder, names, 32_500n), -1n)
})

t.test('no totals cost nothing', async t => {
  const session = await openSession(t, await server.database())
  const { uuid } = await openLedger(session, config)
  t.match(await takeOpening(session, config, uuid), { isUnknown: false })
  t.equal(await openingOf(session, names, 1n), 0n)
  t.match(await session.query(`SELECT opening_generation AS g FROM ${names.meta}`), [{ g: 0n }])
})
