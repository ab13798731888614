import { cpSync } from 'node:fs'
import t, { type Test } from 'tap'
import { Session } from '../../parser/ledger/connection.ts'
import { openSession as openAnyHost } from '../../parser/ledger/hosts.ts'
import { startPrivateMariadb } from '../../scripts/mariadb/private-mariadb.ts'
import { ProxiedHost } from '../helpers/proxied-host.ts'
import {
  addressOf,
  batchFor,
  openLedgerScene,
  openSession,
  pairSource,
} from '../parser/ledger/helpers.ts'
import { eventually, failureOf, tempDir, within } from '../shared/helpers.ts'

// Several hosts in one URL: which of them is used, and that going over to another one loses nothing
// and counts nothing twice. The second server is a copy of the first, made while it was stopped.

const dir = tempDir(t)

function start(name: string) {
  const at = `${dir}/${name}`
  return startPrivateMariadb({
    dataDir: `${at}/d`,
    socketPath: `${at}/r/s`,
    pidPath: `${at}/r/p`,
    logPath: `${at}/l`,
  })
}

let first = await start('first')
t.teardown(() => first.stop())
const [one, two] = [new ProxiedHost(first.socketPath), new ProxiedHost(`${dir}/second/r/s`)]
const counted = addressOf(first.socketPath, 'counted')
{
  const session = await Session.open({ socketPath: first.socketPath })
  await session.execute('CREATE DATABASE counted')
  const { ledger, count } = await openLedgerScene(t, counted)
  await ledger.open()
  await count(batchFor([[1n, 100n]]))
  await ledger.close()
  await session.close()
  await first.stop()
  cpSync(`${dir}/first/d`, `${dir}/second/d`, { recursive: true })
}
first = await start('first')
const second = await start('second')
t.teardown(() => second.stop())
for (const host of [one, two]) {
  await host.open()
  t.teardown(() => host.close())
}

function hostsUrl(database: string) {
  return { url: `mariadb://root@${one.name},${two.name}/${database}` }
}

/** A new database of this name on both. */
async function emptyOnBoth(t: Test, database: string) {
  for (const { socketPath } of [one, two]) {
    const session = await openSession(t, { socketPath })
    await session.execute(`CREATE DATABASE ${database}`)
  }
  return [one, two].map(({ socketPath }) => addressOf(socketPath, database))
}

async function tables(t: Test, address: ReturnType<typeof addressOf>): Promise<number> {
  const session = await openSession(t, address)
  return (await session.query('SHOW TABLES')).length
}

t.test('a host that goes away in the middle of a batch', async t => {
  const scene = await openLedgerScene(t, addressOf(two.socketPath, 'counted'), {
    through: hostsUrl('counted'),
  })
  const { ledger, hosts, outages, totals, count } = scene
  await ledger.open()
  t.same(hosts, [{ host: one.name, passedOver: [] }])
  const pairs = [1n, 2n, 3n, 4n].map(id => [id, id] as const)
  const sums = pairSource(pairs, () => {
    if (hosts.length === 1) one.close()
  })
  const batch = { ...batchFor(pairs), sums }
  t.match(await within('it is counted', count(batch)), { kind: 'applied' })
  t.match(hosts[1], { host: two.name, passedOver: [{ host: one.name, because: /ECONNREFUSED/ }] })
  const all = { 1: '101', 2: '2', 3: '3', 4: '4' }
  t.same(await totals(), all, 'nothing is lost or there twice')

  await one.open()
  two.close()
  outages.length = 0
  const waiting = count(batchFor([[4n, 1n]]))
  await eventually('both reasons are told', () => {
    const told = outages.at(-1) ?? ''
    return /was counted, is not there/.test(told) && /REFUSED/.test(told)
  })
  await two.open()
  t.match(await within('it goes on with the one that has all', waiting), { kind: 'applied' })
  t.same(await totals(), { ...all, 4: '5' })
})

t.test('a host that became read only is passed over, also by a question', async t => {
  const [at, other] = await emptyOnBoth(t, 'switched')
  const { ledger, hosts, count } = await openLedgerScene(t, at!, { through: hostsUrl('switched') })
  await ledger.open()
  const admin = await openSession(t, { socketPath: one.socketPath })
  await admin.execute('SET GLOBAL read_only = 1')
  t.teardown(() => admin.execute('SET GLOBAL read_only = 0'))
  const session = await openAnyHost(hostsUrl('switched'))
  t.match(session.address, { url: new RegExp(`@${two.name}/`) })
  await session.close()
  // As a replica would have it.
  const [from, to] = [await openSession(t, at!), await openSession(t, other!)]
  const tables = "SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'"
  for (const row of await from.query<Record<string, string>>(tables)) {
    const [name] = Object.values(row)
    const [made] = await from.query<Record<string, string>>(`SHOW CREATE TABLE ${name}`)
    await to.execute(made?.['Create Table'] ?? '')
    for (const values of await from.query<Record<string, unknown>>(`SELECT * FROM ${name}`)) {
      const places = Object.values(values).map(() => '?')
      await to.execute(`INSERT INTO ${name} VALUES (${places})`, Object.values(values))
    }
  }
  t.match(await within('it is counted', count(batchFor([[1n, 1n]]))), { kind: 'applied' })
  t.match(hosts.at(-1), { host: two.name, passedOver: [{ because: /read only/ }] })
})

t.test('a ledger is begun only when no host has one', async t => {
  const [at, other] = await emptyOnBoth(t, 'begun')
  one.close()
  const scene = await openLedgerScene(t, at!, { through: hostsUrl('begun') })
  const opening = scene.ledger.open()
  await eventually('it is told', () => /each host was asked/.test(scene.outages.at(-1) ?? ''))
  t.equal(await tables(t, other!), 0, 'nothing is made where it could be')
  await one.open()
  const { uuid } = await within('it starts', opening)
  // Which of the two it is depends on where the attempt was that found both there.
  const isOnOne = (await tables(t, at!)) > 0
  const [having, lacking] = isOnOne ? [one, two] : [two, one]
  t.equal(await tables(t, isOnOne ? other! : at!), 0, 'the other has none')

  const lackingFirst = { url: `mariadb://root@${lacking.name},${having.name}/begun` }
  const late = await openLedgerScene(t, at!, { through: lackingFirst })
  t.match(await late.ledger.open(), { uuid }, 'the one that is there is used')
  t.match(late.hosts, [{ host: having.name, passedOver: [{ because: /but one on/ }] }])
})

t.test('hosts none of which can be used are refused at a start, each with its reason', async t => {
  const through = { url: `mariadb://nobody:x@${one.name},${two.name}/counted` }
  const { ledger } = await openLedgerScene(t, counted, { through })
  const error = await failureOf(ledger.open())
  t.match(error, { code: 'DATABASE_UNFIT', message: new RegExp(`${one.name}: .*${two.name}: `) })
})

t.test('a password that changes is taken up without a restart', async t => {
  const admin = await openSession(t, { socketPath: one.socketPath })
  await admin.execute('CREATE DATABASE rotated')
  await admin.execute("CREATE USER app@localhost IDENTIFIED BY 'old'")
  await admin.execute('GRANT ALL ON rotated.* TO app@localhost')
  let password: string | undefined = 'old'
  const address = addressOf(one.socketPath, 'rotated')
  const { ledger, outages, totals, count } = await openLedgerScene(t, address, {
    through() {
      if (password === undefined) throw new Error('its file is just being written')
      return { url: address.url.replace('root@', `app:${password}@`) }
    },
  })
  await ledger.open()
  password = undefined
  await admin.execute("ALTER USER app@localhost IDENTIFIED BY 'new'")
  await admin.execute('KILL USER app')
  const waiting = count(batchFor([[1n, 1n]]))
  await eventually('that is told', () => /just being written/.test(outages.at(-1) ?? ''))
  password = 'old'
  await eventually('it is refused, and waits', () => /1045/.test(outages.at(-1) ?? ''))
  password = 'new'
  t.match(await within('it goes on', waiting), { kind: 'applied' })
  t.same(await totals(), { 1: '1' })
})
