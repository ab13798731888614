import t, { type Test } from 'tap'
import { firstLease } from '../../../parser/ledger/schema/migration.ts'
import { checkServer } from '../../../parser/ledger/schema/server.ts'
import {
  createLedger,
  createTotals,
  ledgerNames,
  SCHEMA_VERSION,
} from '../../../parser/ledger/schema/tables.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { eventually } from '../../helpers/eventually.ts'
import { failureOf } from '../../shared/helpers.ts'
import {
  batchFor,
  batchOf,
  fileOf,
  openLedgerScene,
  openSession,
  pairSource,
  startServer,
} from './helpers.ts'

const server = await startServer(t)

async function meta(session: Awaited<ReturnType<typeof openSession>>) {
  const rows = await session.query<Record<string, unknown>>(
    `SELECT ledger_uuid AS uuid, opening_rows AS n, opening_amount AS amount,
            total_upper_bound AS bound FROM countersink_meta`,
  )
  t.equal(rows.length, 1)
  return rows[0]
}

t.test('first contact with an empty database, and the second', async t => {
  const address = await server.database()
  const { ledger, session, count } = await openLedgerScene(t, address)
  const first = await ledger.open()
  t.match(first, { uuid: /^[0-9a-f-]{36}$/, seesTriggers: true, warnings: [] })
  t.match(await meta(session), { uuid: first.uuid, n: 0n, amount: '0', bound: '0' })
  const result = await count(batchFor([[1n, 2n]]))
  t.match(result, { kind: 'applied', sequences: Map })
  const second = await (await openLedgerScene(t, address)).ledger.open()
  t.equal(second.uuid, first.uuid)
  t.match(await meta(session), { n: 0n, amount: '0', bound: '2' }, 'the opening stays')
})

t.test('totals that were there are the opening balance, recorded once', async t => {
  const address = await server.database()
  const { ledger, session, totals, count } = await openLedgerScene(t, address)
  await session.execute(
    'CREATE TABLE consumption (id BIGINT UNSIGNED PRIMARY KEY, resource_consumption BIGINT UNSIGNED NOT NULL)',
  )
  await session.execute(`INSERT INTO consumption VALUES (1, ${U64_MAX}), (2, ${U64_MAX}), (3, 1)`)
  await ledger.open()
  const opening = { n: 3n, amount: String(2n * U64_MAX + 1n), bound: String(U64_MAX) }
  t.match(await meta(session), opening)
  await count(batchFor([[3n, 1n]]))
  await (await openLedgerScene(t, address)).ledger.open()
  t.match(await meta(session), { n: opening.n, amount: opening.amount })
  t.same(await totals(), { 1: String(U64_MAX), 2: String(U64_MAX), 3: '2' })
})

t.test('many first contacts at once agree', async t => {
  const address = await server.database()
  const scenes = await Promise.all(
    [1, 2, 3, 4].map(i => openLedgerScene(t, address, { instance: Buffer.alloc(16, i) })),
  )
  const identities = await Promise.all(scenes.map(({ ledger }) => ledger.open()))
  t.equal(new Set(identities.map(identity => identity.uuid)).size, 1)
  t.match(await meta(scenes[0]!.session), { uuid: identities[0]!.uuid, n: 0n })
})

t.test('a first contact that looks at the tables while another one makes them', async t => {
  const address = await server.database()
  const { ledger, session, config } = await openLedgerScene(t, address)
  const names = ledgerNames(config)
  const statements = createLedger(names)
  await session.execute(createTotals(names))
  for (const table of ['meta', 'lease'] as const) await session.execute(statements[table])
  await session.execute(firstLease(names))
  // It has looked which tables are there, and waits for the row of who is about to write it.
  await session.execute(`LOCK TABLES ${names.meta} WRITE`)
  const opened = ledger.open()
  const other = await openSession(t, address)
  await eventually('it waits for the row', async () => {
    const waiting = await other.query(
      `SELECT 1 FROM information_schema.processlist
        WHERE db = DATABASE() AND state LIKE 'Waiting for table metadata lock%'`,
    )
    return waiting.length > 0
  })
  for (const statement of Object.values(statements)) {
    // The locked one is there.
    if (statement !== statements.meta) await other.execute(statement)
  }
  await session.execute(
    `INSERT INTO ${names.meta} (only_row, schema_version, ledger_uuid, opening_rows, opening_amount,
                               total_upper_bound, opened_at)
     VALUES (1, ?, UUID(), 0, 0, 0, UTC_TIMESTAMP(3))`,
    [SCHEMA_VERSION],
  )
  await session.execute('UNLOCK TABLES')
  t.match(await opened, { warnings: [] })
})

t.test('a ledger of another version is refused', async t => {
  const address = await server.database()
  const { ledger, session } = await openLedgerScene(t, address)
  await ledger.open()
  await session.execute('UPDATE countersink_meta SET schema_version = 99')
  const next = await openLedgerScene(t, address)
  t.match(await failureOf(next.ledger.open()), { code: 'LEDGER_UNFIT', exitCode: 78 })
})

/** Tables that cannot hold exact totals. */
const UNFIT: Readonly<Record<string, readonly string[]>> = {
  MyISAM: ['(id BIGINT UNSIGNED PRIMARY KEY, amount BIGINT UNSIGNED NOT NULL) ENGINE = MyISAM'],
  'no primary key': ['(id BIGINT UNSIGNED, amount BIGINT UNSIGNED NOT NULL)'],
  'another primary key': [
    '(k INT DEFAULT 1 PRIMARY KEY, id BIGINT UNSIGNED UNIQUE, amount BIGINT UNSIGNED NOT NULL)',
  ],
  'a composite key': [
    '(id BIGINT UNSIGNED, k INT DEFAULT 1, amount BIGINT UNSIGNED NOT NULL, PRIMARY KEY (id, k))',
  ],
  'a second unique key': [
    '(id BIGINT UNSIGNED PRIMARY KEY, amount BIGINT UNSIGNED NOT NULL, k INT UNIQUE)',
  ],
  'a trigger': [
    '(id BIGINT UNSIGNED PRIMARY KEY, amount BIGINT UNSIGNED NOT NULL)',
    'CREATE TRIGGER tr BEFORE UPDATE ON totals FOR EACH ROW SET NEW.amount = 0',
  ],
  'an id of text': ['(id VARCHAR(20) PRIMARY KEY, amount BIGINT UNSIGNED NOT NULL)'],
  'an id of decimals': ['(id DECIMAL(20,0) PRIMARY KEY, amount BIGINT UNSIGNED NOT NULL)'],
  'an amount with a sign': ['(id BIGINT UNSIGNED PRIMARY KEY, amount BIGINT NOT NULL)'],
  'a small amount': ['(id BIGINT UNSIGNED PRIMARY KEY, amount INT UNSIGNED NOT NULL)'],
  'a floating amount': ['(id BIGINT UNSIGNED PRIMARY KEY, amount DOUBLE NOT NULL)'],
  'an amount with decimals': ['(id BIGINT UNSIGNED PRIMARY KEY, amount DECIMAL(38,2) NOT NULL)'],
  'an amount of text': ['(id BIGINT UNSIGNED PRIMARY KEY, amount VARCHAR(40) NOT NULL)'],
  'no amount': ['(id BIGINT UNSIGNED PRIMARY KEY)'],
  'no id': ['(k BIGINT UNSIGNED PRIMARY KEY, amount BIGINT UNSIGNED NOT NULL)'],
  'a foreign key': [
    '(id BIGINT UNSIGNED PRIMARY KEY, amount BIGINT UNSIGNED NOT NULL, k BIGINT UNSIGNED, KEY (k), FOREIGN KEY (k) REFERENCES totals (id))',
  ],
  'a CHECK': [
    '(id BIGINT UNSIGNED PRIMARY KEY, amount BIGINT UNSIGNED NOT NULL, CHECK (amount < 1000))',
  ],
  'a CHECK of a column': [
    '(id BIGINT UNSIGNED PRIMARY KEY, amount BIGINT UNSIGNED NOT NULL CHECK (amount <> 7))',
  ],
  'a generated amount': [
    '(id BIGINT UNSIGNED PRIMARY KEY, k INT DEFAULT 1, amount BIGINT UNSIGNED AS (k + 1) STORED)',
  ],
  'another column that must be given': [
    '(id BIGINT UNSIGNED PRIMARY KEY, amount BIGINT UNSIGNED NOT NULL, k INT NOT NULL)',
  ],
}
const NAMES = { COUNTERSINK_TOTALS_TABLE: 'totals', COUNTERSINK_TOTALS_AMOUNT: 'amount' }

for (const [name, [columns, ...more]] of Object.entries(UNFIT)) {
  t.test(`refused: ${name}`, async t => {
    const { ledger, session } = await openLedgerScene(t, await server.database(), { env: NAMES })
    await session.execute(`CREATE TABLE totals ${columns}`)
    for (const statement of more) await session.execute(statement)
    await refused(t, ledger.open())
    const tables = await session.query('SHOW TABLES')
    t.equal(tables.length, 1, 'and nothing is made beside it')
  })
}

async function refused(t: Test, opening: Promise<unknown>): Promise<void> {
  t.match(await failureOf(opening), { code: 'DATABASE_UNFIT', exitCode: 78, advice: String })
}

t.test('refused: a view', async t => {
  const { ledger, session } = await openLedgerScene(t, await server.database(), { env: NAMES })
  await session.execute(
    'CREATE TABLE base (id BIGINT UNSIGNED PRIMARY KEY, amount BIGINT UNSIGNED)',
  )
  await session.execute('CREATE VIEW totals AS SELECT * FROM base')
  await refused(t, ledger.open())
})

const FIT: Readonly<Record<string, string>> = {
  'nullable, with more columns that have defaults':
    '(k INT NOT NULL DEFAULT 3, id BIGINT UNSIGNED PRIMARY KEY, amount BIGINT UNSIGNED, note TEXT, KEY (amount))',
  'words of constraints in its comments':
    "(id BIGINT UNSIGNED PRIMARY KEY COMMENT 'CHECK (it''s)', amount BIGINT UNSIGNED NOT NULL COMMENT 'FOREIGN KEY')",
  'columns in another case': '(ID BIGINT UNSIGNED PRIMARY KEY, Amount BIGINT UNSIGNED NOT NULL)',
  'an amount with a display width':
    '(id BIGINT(5) UNSIGNED PRIMARY KEY, amount BIGINT(5) UNSIGNED NOT NULL)',
  'a decimal amount': '(id BIGINT UNSIGNED PRIMARY KEY, amount DECIMAL(38,0) NOT NULL)',
}

for (const [name, columns] of Object.entries(FIT)) {
  t.test(`taken: ${name}`, async t => {
    const { ledger, session, totals, count } = await openLedgerScene(t, await server.database(), {
      env: NAMES,
    })
    await session.execute(`CREATE TABLE totals ${columns}`)
    await ledger.open()
    t.match(
      await count(
        batchFor([
          [0n, 1n],
          [U64_MAX, 2n],
        ]),
      ),
      { kind: 'applied' },
    )
    t.same(await totals(), { 0: '1', [String(U64_MAX)]: '2' })
  })
}

t.test('a total without a number: refused, or nothing is lost in it', async t => {
  const { ledger, session, totals, count } = await openLedgerScene(t, await server.database(), {
    env: NAMES,
  })
  await session.execute(
    'CREATE TABLE totals (id BIGINT UNSIGNED PRIMARY KEY, amount BIGINT UNSIGNED)',
  )
  await session.execute('INSERT INTO totals VALUES (5, NULL)')
  try {
    await ledger.open()
  } catch (error) {
    t.match(error, { code: 'DATABASE_UNFIT' })
    return
  }
  await count(batchFor([[5n, 2n]]))
  const [row] = await session.query<{ amount: bigint | null }>('SELECT amount FROM totals')
  t.equal(row?.amount, 2n)
  t.same(await totals(), { 5: '2' })
})

t.test('a key that counts by itself: refused, or consumer 0 is consumer 0', async t => {
  const { ledger, session, totals, count } = await openLedgerScene(t, await server.database(), {
    env: NAMES,
  })
  await session.execute(
    'CREATE TABLE totals (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, amount BIGINT UNSIGNED NOT NULL)',
  )
  try {
    await ledger.open()
  } catch (error) {
    t.match(error, { code: 'DATABASE_UNFIT' })
    return
  }
  const pairs = [
    [0n, 1n],
    [5n, 2n],
  ] as const
  await count(batchOf([fileOf(pairs)], pairSource(pairs)))
  t.same(await totals(), { 0: '1', 5: '2' })
})

t.test('a server that may lose commits is refused', async t => {
  const { ledger, session } = await openLedgerScene(t, await server.database())
  await server.admin.execute('SET GLOBAL innodb_flush_log_at_trx_commit = 2')
  t.teardown(() => server.admin.execute('SET GLOBAL innodb_flush_log_at_trx_commit = 1'))
  await refused(t, ledger.open())
  t.equal((await session.query('SHOW TABLES')).length, 0, 'nothing was made')
  await server.admin.execute('SET GLOBAL innodb_flush_log_at_trx_commit = 1')
  t.same(await checkServer(session), [])
  await ledger.open()
})
