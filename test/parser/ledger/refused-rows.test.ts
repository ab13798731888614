import t from 'tap'
import { failureOf } from '../../shared/helpers.ts'
import { addressOf, batchFor, batchOfAll, openLedgerScene, startServer } from './helpers.ts'

// The server refuses single rows: of a constraint or a trigger that came after the connection.

const server = await startServer(t)

const RULES: Readonly<Record<string, { made: string[]; words: RegExp }>> = {
  'a CHECK': {
    made: ['ALTER TABLE consumption ADD CONSTRAINT quota CHECK (resource_consumption < 1000)'],
    words: /a CHECK refuses it \(4025: .*quota/,
  },
  'a foreign key': {
    made: [
      'CREATE TABLE customer (id BIGINT UNSIGNED PRIMARY KEY)',
      'INSERT INTO customer SELECT seq FROM seq_0_to_499 WHERE seq <> 77',
      'ALTER TABLE consumption ADD FOREIGN KEY (id) REFERENCES customer (id)',
    ],
    words: /a foreign key has no such row \(1452: /,
  },
  'a trigger': {
    made: [
      `CREATE TRIGGER no_row BEFORE INSERT ON consumption FOR EACH ROW
         IF NEW.id = 77 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not this one'; END IF`,
    ],
    words: /a trigger refuses it \(1644: .*not this one/,
  },
}

/** 500 consumers, of which one is refused by each of the rules. */
const PAIRS = Array.from({ length: 500 }, (_, i) => [BigInt(i), i === 77 ? 5_000n : 1n] as const)

for (const [rule, { made, words }] of Object.entries(RULES)) {
  t.test(`${rule}: a file is refused with the server's words, nothing of it is there`, async t => {
    const { ledger, session, totals, rows, count } = await openLedgerScene(
      t,
      await server.database(),
    )
    await ledger.open()
    await count(batchFor([[3n, 1n]]))
    for (const statement of made) await session.execute(statement)
    const result = await count(batchFor(PAIRS))
    t.match(result, {
      kind: 'refused',
      reason: { code: 'TOTAL_REFUSED', text: /MariaDB refuses the row of consumer 77: / },
    })
    if (result.kind === 'refused') t.match(result.reason.text, words)
    t.same(await totals(), { 3: '1' })
    t.equal(await rows('file'), 1)
    t.equal(await rows('batch'), 1)
    t.match(await count(batchFor(PAIRS.slice(0, 77))), { kind: 'applied' })
  })

  t.test(`${rule}: of several files it is not said which; the caller tries parts`, async t => {
    const { ledger, session, rows, count } = await openLedgerScene(t, await server.database())
    await ledger.open()
    await count(batchFor([[3n, 1n]]))
    for (const statement of made) await session.execute(statement)
    const batch = batchOfAll([[[1n, 1n]], [[77n, 5_000n]]])
    t.match(await count(batch), { kind: 'refused', reason: { text: words } })
    t.equal(await rows('file'), 1)
  })
}

t.test(
  'an account that cannot see triggers is warned, and what it writes is read back',
  async t => {
    const address = await server.database()
    const { session, totals, rows } = await openLedgerScene(t, address)
    const [row] = await session.query<{ name: string }>('SELECT DATABASE() AS name')
    const name = row?.name ?? ''
    await session.execute("CREATE USER blind@localhost IDENTIFIED BY 'x'")
    await session.execute(
      `GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON ${name}.* TO blind@localhost`,
    )
    const url = `mariadb://blind:x@localhost/${name}?socketPath=${encodeURIComponent(server.socketPath)}`
    const blind = await openLedgerScene(t, addressOf(server.socketPath, name), { through: { url } })
    const { warnings } = await blind.ledger.open()
    t.match(warnings, [/lacks the TRIGGER privilege/])
    t.match(await blind.count(batchFor(PAIRS)), { kind: 'applied' })
    await session.execute(
      'CREATE TRIGGER doubling BEFORE UPDATE ON consumption FOR EACH ROW SET NEW.resource_consumption = NEW.resource_consumption + 1',
    )
    const waiting = failureOf(blind.count(batchFor([[3n, 7n]])))
    while (!/made 9 of 1/.test(blind.outages.at(-1) ?? '')) await new Promise(setImmediate)
    t.equal((await totals())[3], '1', 'nothing of it is committed')
    t.equal(await rows('file'), 1)
    blind.abort.abort(new Error('over'))
    t.match(await waiting, { message: 'over' })
  },
)

t.test('rows of files are cut to the packets that the server takes', async t => {
  await server.admin.execute('SET GLOBAL max_allowed_packet = 16384')
  t.teardown(() => server.admin.execute('SET GLOBAL max_allowed_packet = 16777216'))
  const { ledger, rows, totals, count } = await openLedgerScene(t, await server.database())
  await ledger.open()
  const files = Array.from({ length: 300 }, (_, i) => [[BigInt(i), 1n]] as const)
  t.match(await count(batchOfAll(files)), { kind: 'applied', sequences: Map })
  t.equal(await rows('file'), 300)
  t.equal(Object.keys(await totals()).length, 300)
})

t.test('tables are made in a format that holds their keys, whatever the default is', async t => {
  await server.admin.execute("SET GLOBAL innodb_default_row_format = 'redundant'")
  t.teardown(() => server.admin.execute("SET GLOBAL innodb_default_row_format = 'dynamic'"))
  const { ledger, session } = await openLedgerScene(t, await server.database())
  await ledger.open()
  const formats = await session.query<{ format: string }>(
    `SELECT DISTINCT row_format AS format FROM information_schema.tables
      WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'`,
  )
  t.same(formats, [{ format: 'Dynamic' }])
})
