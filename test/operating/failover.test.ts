import { chmodSync, cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Session } from '../../parser/ledger/connection.ts'
import { startPrivateMariadb } from '../../scripts/mariadb/private-mariadb.ts'
import { countersink } from '../helpers/cli.ts'
import { eventually } from '../helpers/eventually.ts'
import { drop, seededFile, totalsText } from '../helpers/files.ts'
import { pingParser, startParser, stopProgram, untilSettled } from '../helpers/parser.ts'
import { ProxiedHost } from '../helpers/proxied-host.ts'
import { makeSite } from '../helpers/state-dir.ts'
import { startUp } from '../helpers/up.ts'
import { tempDir } from '../shared/helpers.ts'

// A whole service whose database goes over to another host, or gets another password, while it runs.

const dir = tempDir(t)

function start(name: string) {
  const at = `${dir}/${name}`
  return startPrivateMariadb({
    ...{ dataDir: `${at}/d`, socketPath: `${at}/r/s`, pidPath: `${at}/r/p`, logPath: `${at}/l` },
  })
}

let first = await start('first')
t.teardown(() => first.stop())
const [one, two] = [new ProxiedHost(first.socketPath), new ProxiedHost(`${dir}/second/r/s`)]
for (const host of [one, two]) {
  await host.open()
  t.teardown(() => host.close())
}

async function sql(...statements: readonly string[]): Promise<void> {
  const session = await Session.open({ socketPath: first.socketPath })
  for (const statement of statements) await session.execute(statement)
  await session.close()
}

t.test('a password is changed under a service', async t => {
  await sql('CREATE DATABASE rotated', "CREATE USER app@'%' IDENTIFIED BY 'old'")
  await sql("GRANT ALL ON rotated.* TO app@'%'")
  const made = await makeSite(t)
  const secret = join(made.paths.dir, 'url')
  const write = (password: string): void => {
    writeFileSync(secret, `mariadb://app:${password}@${one.name}/rotated\n`)
    chmodSync(secret, 0o600)
  }
  write('old')
  const site = { ...made, env: { ...made.env, COUNTERSINK_DATABASE_URL_FILE: secret } }
  const up = await startUp(t, site)
  const files = [seededFile('a', 1), seededFile('b', 2)]
  drop(site.paths, files.slice(0, 1))
  await untilSettled(site, 1)
  await sql("ALTER USER app@'%' IDENTIFIED BY 'new'", 'KILL USER app')
  drop(site.paths, files.slice(1))
  await eventually('it is refused, and waits', async () => {
    return /1045/.test((await pingParser(site.paths))?.databaseReason ?? '')
  })
  t.match(await countersink(t, site, 'doctor'), { code: 1, stdout: /^FAIL +database .*1045/m })
  write('new')
  await untilSettled(site, 2)
  t.match(await countersink(t, site, 'totals'), { code: 0, stdout: totalsText(files) })
  t.match(await countersink(t, site, 'doctor'), { code: 0 })
  t.ok(up.isRunning())
  t.match(await stopProgram(up), { code: 0 })
})

t.test('the host goes away under a service, and another one takes over', async t => {
  await sql('CREATE DATABASE switched')
  const made = await makeSite(t)
  const at = (hosts: string) => ({
    ...made,
    env: { ...made.env, COUNTERSINK_DATABASE_URL: `mariadb://root@${hosts}/switched` },
  })
  const files = [seededFile('a', 1), seededFile('b', 2)]
  const alone = await startParser(t, at(one.name))
  drop(made.paths, files.slice(0, 1))
  await alone.untilSettled(1)
  await stopProgram(alone)
  // As a replica would have it.
  await first.stop()
  cpSync(`${dir}/first/d`, `${dir}/second/d`, { recursive: true })
  first = await start('first')
  const second = await start('second')
  t.teardown(() => second.stop())

  const site = at(`${one.name},${two.name}`)
  const up = await startUp(t, site)
  const status = async () => (await countersink(t, site, 'status')).stdout
  t.match(await status(), `, on ${one.name})`)
  one.close()
  drop(site.paths, files.slice(1))
  await untilSettled(site, 2)
  t.match(await status(), `, on ${two.name})`)
  const json = JSON.parse((await countersink(t, site, 'status', '--json')).stdout)
  t.equal(json.database.host, two.name)
  const total = { code: 0, stdout: totalsText(files) }
  t.match(await countersink(t, site, 'totals'), total)
  const examined = await countersink(t, site, 'doctor')
  t.match(examined, { code: 0, stdout: new RegExp(`^warn +host ${one.name} .*ECONNREFUSED`, 'm') })
  await one.open()
  t.match(await countersink(t, site, 'totals'), total, 'not by one that is back, and behind')
  t.match(await stopProgram(up), { code: 0 })
  const behind = await countersink(t, site, 'doctor')
  t.match(behind.stdout, new RegExp(`^ok +host ${two.name} .*it is used`, 'm'))
  t.match(behind, {
    code: 0,
    stdout: new RegExp(`^warn +ledger on ${one.name} .*LEDGER_BEHIND`, 'm'),
  })
})
