import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Session } from '../../parser/ledger/connection.ts'
import { LEDGER_TABLES } from '../../shared/config.ts'
import { readRememberedLedger } from '../../shared/remembered-ledger.ts'
import { countersink } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { drop, seededFile, totalsText } from '../helpers/files.ts'
import { spawnParser, startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'
import { startUp } from '../helpers/up.ts'

// A state directory knows its database: a command that is run without the service's environment, or
// with another one, goes by the service's database or by none.

const server = await startDatabaseServer(t)
t.jobs = 3

const file = seededFile('a', 1)

/** The same site as a command sees it whose environment names another database, or none. */
function seenWith(site: Site, url: string | undefined): Site {
  const { COUNTERSINK_DATABASE_URL: _, ...env } = site.env
  return { ...site, env: url === undefined ? env : { ...env, COUNTERSINK_DATABASE_URL: url } }
}

async function tablesOf(url: string): Promise<string[]> {
  const session = await Session.open({ url })
  try {
    return (await session.query<Record<string, string>>('SHOW TABLES')).flatMap(Object.values)
  } finally {
    await session.close()
  }
}

async function counted(t: Parameters<typeof makeSite>[0], env = {}): Promise<Site> {
  const site = await makeSite(t, server, env)
  drop(site.paths, [file])
  const parser = await startParser(t, site)
  await parser.untilSettled(1)
  await stopProgram(parser)
  return site
}

t.test('a URL without a password is all that a command needs', { buffered: true }, async t => {
  const site = await counted(t, {
    COUNTERSINK_TABLE_PREFIX: 'mine_',
    COUNTERSINK_TOTALS_TABLE: 'usage_totals',
  })
  const bare = { ...site, env: {} }
  const parser = await startParser(t, site)
  const running = await countersink(t, bare, 'totals')
  t.match(running, { code: 0, stdout: totalsText([file]) }, 'also the names of its tables')
  await stopProgram(parser)
  t.match(await countersink(t, bare, 'totals'), { code: 0, stdout: totalsText([file]) })
  const url = site.config.databaseUrl
  const status = await countersink(t, bare, 'status', '--json')
  t.match(JSON.parse(status.stdout), { database: { kind: 'yours', remembered: url } })
  const line = (await countersink(t, bare, 'status')).stdout.split('\n')[3]
  t.equal(line, `database    unknown (yours, ${url})`)
})

t.test('a password is not kept: the command says what is missing', { buffered: true }, async t => {
  const root = await makeSite(t, server)
  const database = new URL(root.config.databaseUrl)
  await withSession(root, async session => {
    await session.execute("CREATE USER app@localhost IDENTIFIED BY 'geheim'")
    await session.execute(`GRANT ALL ON ${database.pathname.slice(1)}.* TO app@localhost`)
  })
  database.username = 'app'
  database.password = 'geheim'
  const site = seenWith(root, database.href)
  drop(site.paths, [file])
  const up = await startUp(t, site)
  const bare = seenWith(site, undefined)
  for (const state of ['while it runs', 'at rest']) {
    for (const command of [
      ['totals'],
      ['totals', '--top', '1'],
      ['recover'],
      ['recover', '--dry-run'],
    ]) {
      const ended = await countersink(t, bare, command[0]!, ...command.slice(1))
      const stderr =
        /database of .* is mariadb:\/\/app@localhost\/\S+, whose password is not kept here\. Set COUNTERSINK_DATABASE_URL/
      t.match(ended, { code: 3, stdout: '', stderr }, `${command.join(' ')} ${state}`)
    }
    t.match(await countersink(t, bare, 'status'), { stdout: /\(yours, mariadb:\/\/app@localhost/ })
    if (up.isRunning()) t.match(await stopProgram(up), { code: 0 })
  }
  t.notOk(existsSync(site.paths.mariadb), 'no private MariaDB was made')
  t.same(readdirSync(site.paths.inbox), [], 'nothing came back to the inbox')
  t.notMatch(readFileSync(site.paths.rememberedLedger, 'utf8'), 'geheim')
  const refused = await countersink(t, bare, 'up')
  t.match(refused, { code: 2, stdout: '', stderr: /works with the database mariadb:\/\/app@/ })
  t.notOk(existsSync(site.paths.mariadb), 'nor by `up`')
})

t.test('another database is refused', { buffered: true }, async t => {
  const site = await counted(t)
  const other = await counted(t)
  const empty = await server.createDatabase()
  const cases: [what: string, url: string, stderr: RegExp][] = [
    ['with another ledger', other.config.databaseUrl, /has the ledger [0-9a-f-]{36}: it is not/],
    ['without one', empty, /has no ledger: it is not the one that \S+ works with/],
  ]
  for (const [what, url, stderr] of cases) {
    t.match(
      await countersink(t, seenWith(site, url), 'totals'),
      { code: 3, stdout: '', stderr },
      what,
    )
    t.match(await countersink(t, seenWith(site, url), 'recover'), { code: 3, stdout: '', stderr })
    t.match(await spawnParser(t, seenWith(site, url)).ended, {
      code: 78,
      stderr: /LEDGER_BEHIND/,
    })
  }
  t.same(await tablesOf(empty), [], 'nothing was made there')
  t.same(readdirSync(site.paths.inbox), [])
  t.match(await countersink(t, site, 'totals'), { code: 0, stdout: totalsText([file]) })

  rmSync(site.paths.journal, { recursive: true })
  for (const [what, url] of cases) {
    const parser = await spawnParser(t, seenWith(site, url)).ended
    t.match(parser, { code: 78, stderr: /LEDGER_BEHIND/ }, `${what}, the journal deleted`)
  }
  t.same(await tablesOf(empty), [])
})

t.test('one ledger under another name is the same', { buffered: true }, async t => {
  const site = await counted(t)
  const url = new URL(site.config.databaseUrl)
  const link = join(site.paths.dir, 'other.sock')
  symlinkSync(url.searchParams.get('socketPath')!, link)
  url.searchParams.set('socketPath', link)
  const renamed = seenWith(site, url.href)
  t.match(await countersink(t, renamed, 'totals'), { code: 0, stdout: totalsText([file]) })

  // The server has moved: the parser goes on, and knows it from now on by its new place.
  const moved = await server.createDatabase()
  const [from, to] = [site.config.databaseUrl, moved].map(one => new URL(one).pathname.slice(1))
  await withSession(site, async session => {
    const all = [site.config.totalsTable, ...LEDGER_TABLES.map(name => `countersink_${name}`)]
    for (const table of all) {
      await session.execute(`RENAME TABLE ${from}.${table} TO ${to}.${table}`)
    }
  })
  const parser = await startParser(t, seenWith(site, moved))
  await stopProgram(parser)
  t.match(await readRememberedLedger(site.paths.rememberedLedger), { database: moved })
  t.match(await countersink(t, seenWith(site, undefined), 'totals'), { code: 0 })
})

t.test('what is remembered cannot be understood', { buffered: true }, async t => {
  const site = await counted(t)
  writeFileSync(site.paths.rememberedLedger, 'what')
  const stderr = /ledger\.json does not name a database\. Restore it/
  for (const command of ['totals', 'recover']) {
    t.match(await countersink(t, site, command), { code: 3, stdout: '', stderr }, command)
  }
  t.match(await countersink(t, seenWith(site, undefined), 'up'), { code: 3, stderr })
  t.match(await spawnParser(t, site).ended, { code: 78, stderr: /STATE_DIRECTORY_UNFIT/ })
  t.match(await countersink(t, site, 'status'), {
    code: 0,
    stdout: /^database .*unknown: .*ledger\.json does not name a database/m,
  })
  rmSync(site.paths.rememberedLedger)
  await stopProgram(await startParser(t, site))
  t.ok(existsSync(site.paths.rememberedLedger), 'a start writes it again')
})

t.test('the private one, too', { buffered: true }, async t => {
  const site = await makeSite(t)
  const up = await startUp(t, site, '--no-generator')
  await stopProgram(up)
  t.match(await readRememberedLedger(site.paths.rememberedLedger), { database: 'private' })
  const line = (await countersink(t, site, 'status')).stdout.split('\n')[3]
  t.equal(line, 'database    unknown (private)')
  const elsewhere = seenWith(site, await server.createDatabase())
  t.match(await countersink(t, elsewhere, 'totals'), {
    code: 3,
    stderr: /works with \(private, led/,
  })
  t.match(await countersink(t, elsewhere, 'status'), { stdout: /^database +unknown \(private\)$/m })
})
