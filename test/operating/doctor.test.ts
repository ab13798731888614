import { chmodSync, existsSync, lstatSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Journal } from '../../parser/journal/journal.ts'
import { Session } from '../../parser/ledger/connection.ts'
import { RIGHTS } from '../../parser/ledger/schema/rights.ts'
import { examine } from '../../scripts/doctor/examine.ts'
import { filesystemOf, unfitKind } from '../../scripts/doctor/filesystem.ts'
import { exitOf } from '../../scripts/doctor/report.ts'
import type { Finding } from '../../shared/findings.ts'
import { countersink } from '../helpers/cli.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { drop, seededFile } from '../helpers/files.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'
import { startUp } from '../helpers/up.ts'

// What `doctor` finds: nothing where all is well, each fault by name, with what mends it; and that it
// leaves everything as it was.

const server = await startDatabaseServer(t)

/** Of the command, whose options may name another directory. */
async function doctor(t: Test, site: Site, ...args: string[]) {
  const ended = await countersink(t, site, 'doctor', '--json', ...args)
  const answer = JSON.parse(ended.stdout)
  t.match(answer, { version: 1, command: 'doctor', exit: ended.code })
  t.equal(ended.stderr, '')
  return { exit: ended.code, bad: withoutOk(answer.checks) }
}

/** What the command would say, with as much of its environment changed. */
async function examined(site: Site, env: Record<string, string | undefined> = {}) {
  const findings = await examine(site.paths, { ...site.env, ...env })
  return { exit: exitOf(findings), bad: withoutOk(findings) }
}

/** These directories may be in memory, which is warned of. */
function withoutOk(findings: readonly Finding[]): readonly Finding[] {
  return findings.filter(({ check, verdict }) => verdict !== 'ok' && check !== 'filesystem')
}

async function admin(t: Test, site: Site): Promise<Session> {
  const session = await Session.open(site.address)
  t.teardown(() => session.close())
  return session
}

/** One that has counted a file, with nothing running. */
async function counted(t: Test, env: Record<string, string> = {}): Promise<Site> {
  const site = await makeSite(t, server, env)
  drop(site.paths, [seededFile('a', 1)])
  const parser = await startParser(t, site)
  await parser.untilSettled(1)
  await stopProgram(parser)
  return site
}

/** Names, inodes and times of all that stands in a directory, but for LMDB's table of its readers. */
function pictureOf(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter(name => !name.endsWith('lock.mdb'))
    .sort()
    .map(name => {
      const { ino, mtimeMs, mode } = lstatSync(join(dir, name))
      return `${name} ${ino} ${mtimeMs} ${mode}`
    })
}

t.test('before the first start all is well, and nothing is made', async t => {
  const site = await makeSite(t, server)
  const dir = join(site.paths.dir, 'new')
  const { exit, bad } = await doctor(t, site, '--dir', dir)
  t.same([exit, bad], [0, []])
  t.notOk(existsSync(dir))
  const session = await admin(t, site)
  t.same(await session.query('SHOW TABLES'), [])
  const text = await countersink(t, site, 'doctor', '--dir', dir)
  t.match(text, { code: 0, stderr: '', stdout: /^\d+ ok, 0 warn, 0 FAIL$/m })
  for (const line of text.stdout.trim().split('\n').slice(0, -2)) t.match(line, /^ok {4}\S/)
})

t.test('beside a service and after it: all is well, and nothing changes', async t => {
  const site = await counted(t)
  const before = pictureOf(site.paths.dir)
  t.same(await doctor(t, site), { exit: 0, bad: [] })
  t.same(pictureOf(site.paths.dir), before)
  const up = await startUp(t, site)
  t.same(await doctor(t, site), { exit: 0, bad: [] })
  const told = await countersink(t, { ...site, env: {} }, 'doctor')
  t.match(told.stdout, `under a supervisor with pid ${up.pid}`)
  t.match(told, { code: 0, stdout: /^ok +server: durable commits/m }, 'by what is remembered')
  t.match(await stopProgram(up), { code: 0 })
})

t.test('each fault of the database by name, and what is said mends it', async t => {
  const site = await counted(t)
  const session = await admin(t, site)
  const cases: readonly [check: string, found: RegExp, ...sql: string[]][] = [
    [
      'table of totals',
      /second unique key/,
      'ALTER TABLE consumption ADD UNIQUE (resource_consumption)',
    ],
    ['table of totals', /engine is MyISAM/, 'ALTER TABLE consumption ENGINE = MyISAM'],
    [
      'table of totals',
      /amount column is int/,
      'ALTER TABLE consumption MODIFY resource_consumption INT',
    ],
    ['table of totals', /has a CHECK/, 'ALTER TABLE consumption ADD CONSTRAINT c CHECK (id >= 0)'],
    [
      'table of totals',
      /has a CHECK/,
      'ALTER TABLE consumption MODIFY resource_consumption BIGINT UNSIGNED NOT NULL CHECK (resource_consumption >= 0)',
    ],
    [
      'table of totals',
      /foreign key/,
      'CREATE TABLE who (id BIGINT UNSIGNED PRIMARY KEY) SELECT id FROM consumption',
      'ALTER TABLE consumption ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES who (id)',
    ],
    [
      'table of totals',
      /trigger/,
      'CREATE TRIGGER g BEFORE INSERT ON consumption FOR EACH ROW SET NEW.id = NEW.id',
    ],
    ['table of totals', /no default/, 'ALTER TABLE consumption ADD more INT NOT NULL'],
    ['server: durable commits', /power cut/, 'SET GLOBAL innodb_flush_log_at_trx_commit = 2'],
    ['server: writable', /read only/, 'SET GLOBAL read_only = 1'],
  ]
  for (const [check, found, ...sql] of cases) {
    for (const one of sql) await session.execute(one)
    const { exit, bad } = await examined(site)
    t.match({ exit, bad }, { exit: 1, bad: [{ check, verdict: 'FAIL', found }] }, `${sql.at(-1)}`)
    t.equal(bad.length, 1, bad.map(one => one.found).join('; '))
    const mend = bad[0]?.mend ?? []
    t.ok(mend.length > 0 && mend.every(one => one.endsWith(';')), `SQL: ${mend}`)
    for (const one of mend) await session.execute(one.slice(0, -1))
  }
  t.match(await examined(site), { exit: 0, bad: [] })
})

t.test('each right that an account lacks, and the GRANT for it', async t => {
  const site = await counted(t)
  const session = await admin(t, site)
  const root = site.config.databaseUrl
  const database = new URL(root).pathname.slice(1)
  await session.execute(`CREATE USER few@localhost IDENTIFIED BY 'x'`)
  const env = { COUNTERSINK_DATABASE_URL: root.replace('root@', 'few:x@') }
  const first = await examined(site, env)
  t.match(first, { exit: 1, bad: [{ check: 'database', verdict: 'FAIL' }] })
  t.match(
    first.bad[0]?.mend,
    [`countersink schema --database ${database} --service few@localhost | mariadb`],
    'no more than it needs, for the very account',
  )
  const wrong = { COUNTERSINK_DATABASE_URL: root.replace('root@', 'few:y@') }
  const refused = await examined(site, wrong)
  t.match(refused.bad[0]?.mend, ["ALTER USER 'few'@'localhost' IDENTIFIED BY '…';"])
  await session.execute(`GRANT SELECT ON ${database}.* TO few@localhost`)
  for (let rounds = 0; rounds < 2; rounds += 1) {
    const { exit, bad } = await examined(site, env)
    const failed = bad.filter(one => one.verdict === 'FAIL')
    if (rounds === 0) t.match([exit, failed.length], [1, Object.keys(RIGHTS).length])
    else t.same([exit, bad], [0, []])
    for (const sql of bad.flatMap(({ mend }) => mend)) await session.execute(sql.slice(0, -1))
  }
  await session.execute('ALTER USER few@localhost WITH MAX_USER_CONNECTIONS 1')
  const own = await Session.open({ url: env.COUNTERSINK_DATABASE_URL })
  const limited = await examined(site, env)
  t.match(limited, { exit: 3, bad: [{ check: 'database', found: /1226/, isKnown: false }, {}] })
  await own.close()
  const few = { check: 'connections left', mend: [/^ALTER USER 'few'@'localhost' WITH/] }
  t.match(await examined(site, env), { exit: 0, bad: [few] })
  await session.execute("CREATE USER none@localhost IDENTIFIED BY 'x'")
  await session.execute('CREATE DATABASE empty_one')
  await session.execute('GRANT SELECT ON empty_one.* TO none@localhost')
  const fresh = await makeSite(t)
  const url = root.replace('root@', 'none:x@').replace(`/${database}`, '/empty_one')
  const { exit, bad } = await examined(fresh, { COUNTERSINK_DATABASE_URL: url })
  t.equal(exit, 1)
  t.match(bad[0], { check: 'right to make tables', found: /lacks INSERT, .*CREATE/ })
  t.match(bad[0]?.mend, [
    'countersink schema --database empty_one --service none@localhost | mariadb',
  ])
})

t.test('an older ledger, another one, and a table that somebody has locked', async t => {
  const site = await counted(t)
  const session = await admin(t, site)
  const [meta] = await session.query<{ uuid: string }>(
    'SELECT ledger_uuid AS uuid FROM countersink_meta',
  )
  await session.execute('UPDATE countersink_meta SET ledger_uuid = REVERSE(ledger_uuid)')
  const other = await examined(site)
  t.match(other, { exit: 1, bad: [{ check: 'ledger', found: /another ledger/ }] })
  await session.execute('UPDATE countersink_meta SET ledger_uuid = ?', [meta?.uuid])
  await session.execute('UPDATE countersink_file SET sequence = sequence + 7')
  const restored = await examined(site)
  t.match(restored, { exit: 1, bad: [{ check: 'what was counted', found: /was counted/ }] })
  t.match(restored.bad[0]?.mend, ['countersink recover --dry-run', 'countersink recover'])
  await session.execute('UPDATE countersink_file SET sequence = sequence - 7')
  for (const [state, found] of Object.entries({
    ...{ unrecorded: '1 unfinished, none is blocked', retreating: '2 unfinished, none is blocked' },
    blocked: '1 are blocked',
  })) {
    await session.execute(
      `INSERT INTO countersink_batch (id, instance, kind, state, pairs_planned, pairs_applied,
              amount_planned, amount_applied, begun_at)
       VALUES (RPAD(?, 16, '.'), REPEAT('i', 16), 'count', ?, 1, 0, 1, 0, UTC_TIMESTAMP(3))`,
      [state, state],
    )
    const findings = await examine(site.paths, site.env)
    t.match(findings.find(({ check }) => check === 'batches')?.found, found)
  }
  await session.execute("DELETE FROM countersink_batch WHERE state <> 'applied'")
  await session.execute('LOCK TABLES consumption WRITE')
  const startedMs = performance.now()
  const locked = await examined(site)
  t.ok(performance.now() - startedMs < 10_000, 'it does not wait for long')
  t.equal(locked.exit, 3)
  t.ok(
    locked.bad.every(({ isKnown }) => !isKnown),
    'nothing is said of what is not known',
  )
  await session.execute('UNLOCK TABLES')
  t.match(await examined(site), { exit: 0, bad: [] })
})

t.test('a database that is not there, or does not answer', async t => {
  const site = await makeSite(t)
  const silent = createServer(socket => socket.on('error', () => {}))
  await new Promise<void>(done => silent.listen(0, '127.0.0.1', done))
  t.teardown(() => silent.close())
  const { port } = silent.address() as AddressInfo
  const at = (where: string) => ({ COUNTERSINK_DATABASE_URL: `mariadb://u:S3CRET@${where}/d` })
  const startedMs = performance.now()
  const hanging = await countersink(t, { ...site, env: at(`127.0.0.1:${port}`) }, 'doctor')
  t.ok(performance.now() - startedMs < 9_000, 'within seconds')
  t.match(hanging, {
    code: 3,
    stdout: /^warn +database +could not be looked at: .*answers nothing/m,
  })
  t.notMatch(hanging.stdout, /S3CRET/)
  const { exit, bad } = await examined(site, at('127.0.0.1:1'))
  t.match([exit, bad[0]], [1, { verdict: 'FAIL', mend: ['systemctl start mariadb'] }])
  const ca = join(site.paths.dir, 'no ca')
  const tls = await examined(site, {
    COUNTERSINK_DATABASE_URL: `mariadb://u@127.0.0.1:1/d?ssl=verify-full&ca=${ca}`,
  })
  t.match(tls.bad[0], { verdict: 'FAIL', found: /ca of its URL cannot be read/ })
  t.same(tls.bad[0]?.mend, [`ls -ld '${ca}'`], 'the server is not to blame')
})

t.test('the state directory, secrets, settings and the clock', async t => {
  const site = await counted(t)
  const { paths } = site
  const expect = async (what: object, exit: number, env: Record<string, string> = {}) => {
    const found = await examined(site, env)
    t.match(found, { exit, bad: [what] }, JSON.stringify(what))
  }
  chmodSync(paths.dir, 0o777)
  await expect({ check: 'state directory', mend: [`chmod go-w ${paths.dir}`] }, 0)
  chmodSync(paths.dir, 0o700)
  renameSync(paths.duplicate, `${paths.duplicate}-away`)
  writeFileSync(paths.duplicate, '')
  await expect({ check: 'directories', found: /duplicate is not a directory/ }, 1)
  renameSync(paths.duplicate, join(paths.dir, 'file'))
  renameSync(`${paths.duplicate}-away`, paths.duplicate)
  await expect({ check: `room in ${paths.inbox}`, found: /in reserve: nothing is begun/ }, 1, {
    COUNTERSINK_RESERVE: '512TiB',
  })
  await expect({ check: 'configuration', mend: ['unset COUNTERSINK_REDERS'] }, 1, {
    COUNTERSINK_REDERS: '2',
  })
  await expect({ check: 'alert command', found: /no command .*\/none/ }, 1, {
    COUNTERSINK_ALERT_COMMAND: `${paths.dir}/none --now`,
  })
  await expect({ check: 'alert command', found: /cannot read it/ }, 1, {
    COUNTERSINK_ALERT_COMMAND: 'if true',
  })
  const secret = join(paths.dir, 'url')
  writeFileSync(secret, site.config.databaseUrl)
  const { COUNTERSINK_DATABASE_URL: _, ...rest } = site.env
  const byFile = { ...site, env: { ...rest, COUNTERSINK_DATABASE_URL_FILE: secret } }
  chmodSync(secret, 0o644)
  t.match(await examined(byFile), {
    ...{ exit: 0, bad: [{ check: 'secret files', mend: [`chmod 600 ${secret}`] }] },
  })
  chmodSync(secret, 0o666)
  t.match(await examined(byFile), { exit: 1, bad: [{ found: /everybody may write to it/ }, {}] })
  chmodSync(secret, 0o400)
  t.match(await examined(byFile), { exit: 0, bad: [] })
  t.match(await examined({ ...site, env: {} }), {
    ...{ exit: 1, bad: [{ check: 'database', found: /COUNTERSINK_DATABASE_URL is not set/ }] },
  })
  await Journal.open(paths.journal, Date.now() + 86_400_000).close()
  await expect({ check: 'clock', mend: ['timedatectl set-ntp true'] }, 0)
})

t.test('filesystems are known by their mounts', async t => {
  const mountinfo = [
    '22 1 0:21 / / rw,relatime - ext4 /dev/vda rw',
    '30 22 0:40 / /srv/a\\040b rw shared:1 - nfs4 host:/x rw',
    '31 22 0:41 / /srv/a\\040b/c rw - xfs /dev/b rw',
  ].join('\n')
  const kindOf = (path: string) => filesystemOf(path, mountinfo)?.kind
  t.same(['/srv/a', '/srv/a b/x', '/srv/a b/c/d'].map(kindOf), ['ext4', 'nfs4', 'xfs'])
  t.match(unfitKind('nfs4'), { isFatal: true })
  t.match(unfitKind('fuse.sshfs'), { isFatal: true })
  t.match(unfitKind('tmpfs'), { isFatal: false })
  t.equal(unfitKind('ext4'), undefined)
})

t.test('a place that cannot be one, and one that this user may not look into', async t => {
  const site = await makeSite(t)
  const deep = join(site.paths.dir, 'd'.repeat(100))
  t.match(await doctor(t, site, '--dir', deep), { exit: 1, bad: [{ check: 'socket path' }] })
  if (process.geteuid?.() !== 0) return
  process.seteuid?.(65_534)
  t.teardown(() => process.seteuid?.(0))
  const denied = await examined(site)
  process.seteuid?.(0)
  t.match(denied, { exit: 3, bad: [{ check: 'state directory', isKnown: false }] })
  t.match(denied.bad[0]?.mend, [`sudo -u '#0' countersink doctor --dir ${site.paths.dir}`])
})
