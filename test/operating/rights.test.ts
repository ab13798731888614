import { execFileSync } from 'node:child_process'
import t, { type Test } from 'tap'
import { readTotal } from '../../parser/ledger/asking/totals.ts'
import { Session } from '../../parser/ledger/connection.ts'
import { examineLedger } from '../../parser/ledger/examining/ledger.ts'
import { readConsumer } from '../../parser/ledger/proving/consumer-account.ts'
import { prove } from '../../parser/ledger/proving/verify.ts'
import { schemaStatements } from '../../parser/ledger/schema/printed.ts'
import { RIGHTS } from '../../parser/ledger/schema/rights.ts'
import { LEDGER_TABLES, readConfig } from '../../shared/config.ts'
import type { Finding } from '../../shared/findings.ts'
import { layVersion1 } from '../crash/version-2.ts'
import { BUILT } from '../helpers/root.ts'
import {
  addressOf,
  batchFor,
  openLedgerScene,
  openSession,
  startServer,
} from '../parser/ledger/helpers.ts'
import { failureOf } from '../shared/helpers.ts'

// An account that may not make tables works where an administrator has run what is printed; each right
// that it lacks is named before anything is written.

const server = await startServer(t)
const NAMES = { COUNTERSINK_TOTALS_TABLE: 'usage_of', COUNTERSINK_TABLE_PREFIX: 'cs_' }
const config = readConfig(NAMES)
let made = 0

/** A database for which everything was printed and run; its accounts have passwords now. */
async function printed() {
  made += 1
  const [database, user, reader] = [`p${made}`, `service${made}`, `o'reader${made}`]
  const host = 'localhost'
  const statements = schemaStatements(config, {
    database,
    service: { user, host },
    reader: { user: reader, host },
  })
  const all = Object.values(statements).flat()
  // Everything can be run again.
  for (const statement of [...all, ...all]) await server.admin.execute(statement)
  await server.admin.execute(`ALTER USER '${user}'@localhost IDENTIFIED BY 'x' ACCOUNT UNLOCK`)
  return { database, user, reader, address: as(database, user) }
}

function as(database: string, user: string) {
  const root = addressOf(server.socketPath, database) as { url: string }
  return { url: root.url.replace('root@', `${encodeURIComponent(user)}:x@`) }
}

async function open(t: Test, at: { database: string; address: { url: string } }) {
  const root = addressOf(server.socketPath, at.database)
  return openLedgerScene(t, root, { through: at.address, env: NAMES })
}

/** What `doctor` finds in a database. */
async function found(address: { readonly url: string }): Promise<readonly Finding[]> {
  const session = await Session.open(address)
  try {
    const on = { known: { uuid: undefined, applied: [] }, others: [], withinMs: 5_000 }
    return await examineLedger(session, { config, ...on })
  } finally {
    await session.close()
  }
}

async function rightsMissed(address: { readonly url: string }): Promise<readonly Finding[]> {
  const findings = await found(address)
  return findings.filter(({ check, verdict }) => verdict !== 'ok' && check.startsWith('right'))
}

t.test('an account without CREATE counts where the printed SQL was run', async t => {
  const at = await printed()
  const { ledger, totals, session, count } = await open(t, at)
  t.match(await ledger.open(), { seesTriggers: false })
  t.match(await count(batchFor([[5n, 7n]])), { kind: 'applied' })
  t.same(await totals(), { 5: '7' })
  const [meta] = await session.query('SELECT opening_rows, table_prefix FROM cs_meta')
  t.match(meta, { opening_rows: 0n, table_prefix: 'cs_' })
  const own = await openSession(t, at.address)
  t.equal(await own.hasSequences(), true, 'and as fast as any other')
  await (await open(t, at)).ledger.open()
})

t.test('what is printed is what the service makes itself', async t => {
  const { database } = await printed()
  const own = await server.database()
  const { ledger, session } = await openLedgerScene(t, own, { env: NAMES })
  await ledger.open()
  for (const table of ['usage_of', ...LEDGER_TABLES.map(one => `cs_${one}`)]) {
    const [mine] = await session.query<Record<string, string>>(`SHOW CREATE TABLE ${table}`)
    const [theirs] = await server.admin.query(`SHOW CREATE TABLE ${database}.${table}`)
    t.same(theirs, mine)
  }
})

t.test('run again on tables that are as they must be, it makes none of them anew', async t => {
  const at = await printed()
  const made = () =>
    server.admin.query(
      'SELECT name, table_id FROM information_schema.innodb_sys_tables WHERE name LIKE ?',
      [`${at.database}/%`],
    )
  const before = await made()
  t.equal(before.length, LEDGER_TABLES.length + 1)
  await (await open(t, at)).ledger.open()
  const account = { user: at.user, host: 'localhost' }
  const accounts = { service: account, reader: { ...account, user: at.reader } }
  const statements = schemaStatements(config, { database: at.database, ...accounts })
  for (const statement of Object.values(statements).flat()) await server.admin.execute(statement)
  t.same(await made(), before)
})

t.test('where it was not run the account is told of it, and nothing is made', async t => {
  const at = await printed()
  await server.admin.execute(`CREATE OR REPLACE DATABASE ${at.database}`)
  const { ledger, session } = await open(t, at)
  t.match(await failureOf(ledger.open()), {
    code: 'DATABASE_UNFIT',
    message: /CREATE command denied/,
    advice: /countersink schema/,
  })
  t.same(await session.query('SHOW TABLES'), [])
})

for (const [table, rights] of Object.entries(RIGHTS)) {
  const name = table === 'totals' ? 'usage_of' : `cs_${table}`
  t.test(`each right on ${name} is missed by name, at a start and by doctor`, async t => {
    const at = await printed()
    for (const right of rights) {
      const about = `${right} ON ${at.database}.${name}`
      await server.admin.execute(`REVOKE ${about} FROM '${at.user}'@localhost`)
      const error = await failureOf((await open(t, at)).ledger.open())
      t.match(error, { code: 'DATABASE_UNFIT', advice: /countersink schema/ }, about)
      t.match(error.message, new RegExp(`${right} .*denied.*${name}`), about)
      const missed = await rightsMissed(at.address)
      const check = `rights on \`${name}\``
      t.match(missed, [{ check, verdict: 'FAIL', found: new RegExp(`${right} .*denied`) }], about)
      for (const sql of missed[0]?.mend ?? []) await server.admin.execute(sql.slice(0, -1))
      t.same(await rightsMissed(at.address), [], `what is said mends it: ${about}`)
    }
    t.match(await (await open(t, at)).ledger.open(), { uuid: String })
  })
}

t.test('tables of an older version are changed by an administrator, and go on', async t => {
  const at = await printed()
  await layOlder(at.database)
  const error = await failureOf((await open(t, at)).ledger.open())
  t.match(error, { code: 'LEDGER_UNFIT', advice: /countersink schema/ })
  t.match(await ledgerFound(at.address), { verdict: 'FAIL', mend: [/^countersink schema/] })
  const account = { user: at.user, host: 'localhost' }
  const accounts = { service: account, reader: { ...account, user: at.reader } }
  const statements = schemaStatements(config, { database: at.database, ...accounts })
  for (const statement of Object.values(statements).flat()) await server.admin.execute(statement)
  t.match(await ledgerFound(at.address), { verdict: 'warn', mend: [] })
  await assertCountsOn(t, at)
})

t.test('an account that makes its tables itself needs seven rights, and no more', async t => {
  for (const [n, lay] of [async () => {}, layOlder].entries()) {
    const [database, user] = [`own${n}`, `maker${n}`]
    const address = as(database, user)
    await server.admin.execute(`CREATE DATABASE ${database}`)
    await lay(database)
    await server.admin.execute(`CREATE USER ${user}@localhost IDENTIFIED BY 'x'`)
    await server.admin.execute(
      `GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX ON ${database}.* TO ${user}@localhost`,
    )
    t.notMatch(await ledgerFound(address), { verdict: 'FAIL' })
    await assertCountsOn(t, { database, address })
  }
})

/** As version 1 has left them. */
async function layOlder(database: string): Promise<void> {
  await server.admin.execute(`CREATE OR REPLACE DATABASE ${database}`)
  await server.admin.execute(`USE ${database}`)
  await layVersion1(server.admin, { prefix: 'cs_', totals: 'usage_of' })
}

async function ledgerFound(address: { readonly url: string }): Promise<Finding | undefined> {
  return (await found(address)).find(({ check }) => check === 'ledger')
}

/** The tables are brought up to date, and files are counted into them. */
async function assertCountsOn(t: Test, at: { database: string; address: { url: string } }) {
  const { ledger, session, count } = await open(t, at)
  await ledger.open()
  t.match(await ledger.takeOpening(), { isUnknown: false })
  t.match(await count(batchFor([[5n, 7n]])), { kind: 'applied' })
  const [meta] = await session.query('SELECT schema_version AS v, table_prefix AS p FROM cs_meta')
  t.match(meta, { v: 5n, p: 'cs_' })
}

t.test('the command prints it, and the account for questions only asks', async t => {
  const program = `${BUILT}scripts/countersink.js`
  const env = { ...process.env, ...NAMES, COUNTERSINK_DATABASE_URL: 'mariadb://app@db/printed' }
  const schema = (...args: string[]) =>
    execFileSync(process.execPath, [program, 'schema', '--reader', 'looks@localhost', ...args], {
      encoding: 'utf8',
      env,
    })
  const { version, command, ...statements } = JSON.parse(schema('--json'))
  t.same([version, command], [1, 'schema'])
  const sql = schema().replace(/^--.*$/gm, '')
  const run = sql.split(/;\n/).filter(one => one.trim() !== '')
  t.equal(run.length, Object.values(statements).flat().length)
  const dba = await openSession(t, { socketPath: server.socketPath })
  for (const statement of run) await dba.execute(statement)
  const looks = as('printed', 'looks')
  t.match(await failureOf(Session.open(looks)), { message: /locked|denied/ }, 'locked at first')
  await dba.execute("ALTER USER looks@localhost IDENTIFIED BY 'x' ACCOUNT UNLOCK")
  await dba.execute("ALTER USER app@'%' IDENTIFIED BY 'x' ACCOUNT UNLOCK")
  const at = { database: 'printed', address: as('printed', 'app') }
  const { ledger, count } = await open(t, at)
  await ledger.open()
  t.match(await ledger.takeOpening(), { isUnknown: false })
  await count(batchFor([[5n, 7n]]))
  const session = await openSession(t, looks)
  t.match(await readTotal(session, config, 5n), { amount: 7n })
  const proof = await prove(session, config, { journal: [], consumers: { differencesMax: 1 } })
  t.match(proof, { findings: [], consumers: { differencesCount: 0 } }, 'it may prove')
  const explained = await readConsumer(session, config, 5n, async ({ total, postings }) => {
    const amounts: bigint[] = []
    for await (const posting of postings) amounts.push(posting.amount)
    return { total, amounts }
  })
  t.same(explained, { total: 7n, amounts: [7n] }, 'and explain')
  const denied = await failureOf(session.execute('UPDATE usage_of SET resource_consumption = 0'))
  t.match(denied, { message: /UPDATE command denied/ })
})
