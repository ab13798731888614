import t, { type Test } from 'tap'
import { wrongShapes } from '../../../parser/ledger/schema/table-shapes.ts'
import { readConfig } from '../../../shared/config.ts'
import { layVersion1 } from '../../crash/version-2.ts'
import { eventually, failureOf, within } from '../../shared/helpers.ts'
import { batchFor, type LedgerScene, openLedgerScene, startServer } from './helpers.ts'

// The table of totals is renamed, dropped, emptied, changed, or another by a mistyped setting.

const server = await startServer(t)

async function countedScene(
  t: Test,
): Promise<LedgerScene & { again(env?: object): Promise<LedgerScene> }> {
  const address = await server.database()
  const scene = await openLedgerScene(t, address)
  await scene.ledger.open()
  await scene.count(batchFor([[1n, 100n]]))
  return { ...scene, again: (env = {}) => openLedgerScene(t, address, { env: { ...env } }) }
}

/** Somebody does this while the ledger has a connection; then the connection is lost. */
async function meanwhile({ session }: LedgerScene, ...statements: string[]): Promise<void> {
  for (const statement of statements) await session.execute(statement)
  const others = await session.query<{ id: bigint }>(
    `SELECT id FROM information_schema.processlist
      WHERE db = DATABASE() AND id <> CONNECTION_ID()`,
  )
  for (const { id } of others) await session.execute(`KILL ${id}`)
}

const AWAY: Readonly<Record<string, { done: string[]; undone: string[]; says: RegExp }>> = {
  renamed: {
    done: ['RENAME TABLE consumption TO consumption_10'],
    undone: ['RENAME TABLE consumption_10 TO consumption'],
    says: /is gone; 1 files were counted into it.*Rename it back/,
  },
  emptied: {
    done: ['CREATE TABLE kept AS SELECT * FROM consumption', 'TRUNCATE consumption'],
    undone: ['INSERT INTO consumption SELECT * FROM kept'],
    says: /is empty, although/,
  },
  'given a trigger': {
    done: ['CREATE TRIGGER x BEFORE UPDATE ON consumption FOR EACH ROW SET NEW.id = NEW.id'],
    undone: ['DROP TRIGGER x'],
    says: /it has a trigger/,
  },
  'given a foreign key': {
    done: [
      'CREATE TABLE customer (id BIGINT UNSIGNED PRIMARY KEY)',
      'INSERT INTO customer VALUES (1)',
      'ALTER TABLE consumption ADD CONSTRAINT c FOREIGN KEY (id) REFERENCES customer (id)',
    ],
    undone: ['ALTER TABLE consumption DROP FOREIGN KEY c'],
    says: /it has a foreign key/,
  },
  'given a CHECK': {
    done: ['ALTER TABLE consumption ADD CONSTRAINT c CHECK (resource_consumption < 1000)'],
    undone: ['ALTER TABLE consumption DROP CONSTRAINT c'],
    says: /it has a CHECK constraint/,
  },
  'given another unique key': {
    done: ['ALTER TABLE consumption ADD k INT, ADD UNIQUE (k)'],
    undone: ['ALTER TABLE consumption DROP KEY k'],
    says: /a second unique key/,
  },
  'moved to another engine': {
    done: ['ALTER TABLE consumption ENGINE = Aria'],
    undone: ['ALTER TABLE consumption ENGINE = InnoDB'],
    says: /its engine is Aria/,
  },
}

for (const [what, { done, undone, says }] of Object.entries(AWAY)) {
  t.test(`the totals are ${what}: waited for while it runs, refused at a start`, async t => {
    const scene = await countedScene(t)
    await meanwhile(scene, ...done)
    const waiting = scene.count(batchFor([[1n, 5n]]))
    await eventually('it is told', () => says.test(scene.outages.at(-1) ?? ''))
    const refused = await failureOf((await scene.again()).ledger.open())
    t.match(refused, { exitCode: 78, advice: String })
    t.equal(await scene.rows('file'), 1, 'nothing was counted')
    for (const statement of undone) await scene.session.execute(statement)
    t.match(await within('it goes on', waiting), { kind: 'applied' })
    t.same(await scene.totals(), { 1: '105' })
  })
}

t.test('a table that is away for a moment, under a connection that stays', async t => {
  const { session, outages, totals, count } = await countedScene(t)
  await session.execute('RENAME TABLE consumption TO elsewhere')
  const waiting = count(batchFor([[1n, 5n]]))
  await eventually('it is told', () => outages.length > 0)
  await session.execute('RENAME TABLE elsewhere TO consumption')
  t.match(await within('it goes on', waiting), { kind: 'applied' })
  t.same(await totals(), { 1: '105' })
})

t.test('emptied, or made anew, under a connection that stays', async t => {
  const made =
    'CREATE TABLE consumption (id BIGINT UNSIGNED PRIMARY KEY, resource_consumption BIGINT UNSIGNED NOT NULL)'
  for (const emptied of [['TRUNCATE consumption'], ['DROP TABLE consumption', made]]) {
    const { session, outages, totals, count } = await countedScene(t)
    await session.execute('CREATE TABLE kept AS SELECT * FROM consumption')
    for (const statement of emptied) await session.execute(statement)
    const waiting = count(batchFor([[1n, 5n]]))
    await eventually('it is told', () => /is empty, although/.test(outages.at(-1) ?? ''))
    t.same(await totals(), {}, 'nothing is counted into it')
    await session.execute('INSERT INTO consumption SELECT * FROM kept')
    t.match(await within('it goes on', waiting), { kind: 'applied' })
    t.same(await totals(), { 1: '105' })
  }
})

t.test('an amount that holds less now is heeded from the next connection on', async t => {
  const scene = await countedScene(t)
  await meanwhile(
    scene,
    'ALTER TABLE consumption MODIFY resource_consumption DECIMAL(3,0) NOT NULL',
  )
  t.match(await scene.count(batchFor([[1n, 900n]])), {
    kind: 'overflow',
    reason: { code: 'TOTAL_OVERFLOW', text: /consumer 1 stands at 100/ },
  })
  // Under the connection, it is found out by the refusal.
  await scene.session.execute(
    'ALTER TABLE consumption MODIFY resource_consumption DECIMAL(4,0) NOT NULL',
  )
  t.match(await scene.count(batchFor([[1n, 20_000n]])), { kind: 'overflow' })
  t.match(await scene.count(batchFor([[1n, 9n]])), { kind: 'applied' })
  t.same(await scene.totals(), { 1: '109' })
})

const SETTINGS: Readonly<Record<string, string>> = {
  COUNTERSINK_TOTALS_TABLE: 'consumptions',
  COUNTERSINK_TOTALS_ID: 'ident',
  COUNTERSINK_TOTALS_AMOUNT: 'resources',
}

for (const [variable, value] of Object.entries(SETTINGS)) {
  t.test(`${variable} is another than at first contact`, async t => {
    const scene = await countedScene(t)
    const { ledger } = await scene.again({ [variable]: value })
    const before = await scene.session.query('SHOW TABLES')
    t.match(await failureOf(ledger.open()), {
      code: 'LEDGER_UNFIT',
      exitCode: 78,
      message: new RegExp(`${variable} says ${value} now`),
      advice: new RegExp(`Set ${variable}=.*If it was renamed for good: UPDATE`),
    })
    t.same(await scene.session.query('SHOW TABLES'), before, 'nothing is made')
  })
}

t.test('another prefix would begin a second ledger on the same totals', async t => {
  const scene = await countedScene(t)
  const { ledger } = await scene.again({ COUNTERSINK_TABLE_PREFIX: 'counter_sink_' })
  t.match(await failureOf(ledger.open()), {
    code: 'LEDGER_UNFIT',
    message: /under the prefix countersink_/,
    advice: /COUNTERSINK_TABLE_PREFIX=countersink_/,
  })
  const other = await scene.again({
    COUNTERSINK_TABLE_PREFIX: 'other_',
    COUNTERSINK_TOTALS_TABLE: 'other_totals',
  })
  t.match(await other.ledger.open(), { uuid: String }, 'totals of its own may have one')
})

t.test('a ledger of the first version is brought up to date', async t => {
  const address = await server.database()
  const { ledger, count, session, totals, rows } = await openLedgerScene(t, address)
  await layVersion1(session)
  const env = { COUNTERSINK_TOTALS_TABLE: 'consumptions' }
  const mistyped = await openLedgerScene(t, address, { env })
  t.match(await failureOf(mistyped.ledger.open()), { code: 'LEDGER_UNFIT' })
  await ledger.open()
  t.same(await wrongShapes(session, readConfig({})), [], 'tables as new ones are')
  t.match(await count(batchFor([[1n, 1n]])), { kind: 'applied' })
  t.same(await totals(), { 1: '101' })
  const [meta] = await session.query('SELECT * FROM countersink_meta')
  t.match(meta, { schema_version: 5, totals_table: 'consumption', table_prefix: 'countersink_' })
  const [first] = await ledger.appliedAfter(0n, 1)
  t.match(first, { name: 'a', pairs: null, amount: '100', countedAt: String, recordedAt: null })
  t.equal(await rows('posting'), 2)
})
