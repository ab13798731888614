import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { tryKernelLock } from '../../shared/kernel-lock.ts'
import { countersink, jsonLines, startCountersink } from '../helpers/cli.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { dataFile, drop, seededFile } from '../helpers/files.ts'
import { archivedIn, assertEverythingAddsUp, list } from '../helpers/invariants.ts'
import { killProcess, processesOf, startProgram } from '../helpers/processes.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'
import { startUp } from '../helpers/up.ts'

// A run that counts what is there and ends, as cron starts it.

const server = await startDatabaseServer(t)
const SILENT = { code: 0, stdout: '', stderr: '' }
const good = seededFile('good.txt', 1)
const plain = seededFile('plain.txt', 2)
const bad = dataFile('bad.txt', '1 1\n1 x\n')

const once = (t: Test, site: Site, ...args: string[]) =>
  countersink(t, site, 'run', '--once', ...args)

t.test('all is counted, and nothing is said', async t => {
  const site = await makeSite(t, server)
  drop(site.paths, [good])
  drop(site.paths, [plain], { manifest: false })
  t.match(await once(t, site), SILENT)
  t.same(processesOf(site.paths.dir), [], 'all has ended')
  drop(site.paths, [{ ...plain, name: 'again.txt' }])
  const ended = await once(t, site, '--json')
  t.match(ended, { code: 0, stderr: '' })
  t.match(jsonLines(ended), [
    {
      ...{ version: 1, exit: 0, outcome: 'settled', reason: null },
      ...{ applied: 0, duplicate: 1, quarantined: 0, left: 0 },
      ...{ quarantinedFiles: [], leftFiles: [], seconds: Number },
    },
  ])
  t.match(await once(t, site), SILENT, 'nothing to do')
  await assertEverythingAddsUp(t, site, [
    [good, 'applied'],
    [plain, 'applied'],
    [{ ...plain, name: 'again.txt' }, 'duplicate'],
  ])
})

t.test('a timer of systemd needs nothing but its empty directory', async t => {
  const site = await makeSite(t, server)
  const [state, logs] = ['state', 'logs'].map(name => join(site.paths.dir, name)) as [
    string,
    string,
  ]
  const env = { ...site.env, STATE_DIRECTORY: state, LOGS_DIRECTORY: `${logs}:${state}` }
  const run = () => {
    return startProgram(t, site.paths.dir, ['scripts/countersink.js', 'run', '--once'], env).ended
  }
  t.match(await run(), { code: 3, stderr: /no state directory/ }, 'it may only not be mounted')
  mkdirSync(join(state, 'of-somebody'), { recursive: true })
  t.match(await run(), { code: 3, stderr: /nothing of countersink is in/ })
  rmdirSync(join(state, 'of-somebody'))
  writeFileSync(join(state, 'countersink.json'), '{}')
  t.match(await run(), SILENT)
  t.ok(readdirSync(state).includes('inbox'))
  t.ok(existsSync(join(logs, 'supervisor.log')))
  t.notOk(existsSync(join(state, 'log')))
})

t.test('what is quarantined or left is named, with the reason', async t => {
  const site = await makeSite(t, server, {
    COUNTERSINK_CUT_HOLD_MS: '300',
    COUNTERSINK_ALERT_COMMAND: 'cat >> told',
  })
  mkdirSync(join(site.paths.inbox, 'folder'))
  drop(site.paths, [good])
  drop(site.paths, [bad], { manifest: false })
  drop(site.paths, [dataFile('cut.txt', '1 1\n2 2')], { manifest: false })
  drop(site.paths, [dataFile('unfinished.part', '1 1\n')], { manifest: false })
  const ended = await once(t, site)
  t.match(ended, { code: 1, stdout: '' })
  t.match(ended.stderr, /^countersink run: quarantined bad\.txt: .*line 2/m)
  t.match(ended.stderr, /^countersink run: quarantined cut\.txt: /m)
  t.match(ended.stderr, /^countersink run: left in the inbox folder: it is not a regular file$/m)
  t.equal(ended.stderr.split('\n').length, 4)
  const told = JSON.parse(readFileSync(join(site.paths.dir, 'told'), 'utf8').split('\n')[0]!)
  t.match(told, { version: 1, kind: 'quarantine', reason: /\.txt: / }, 'before it ended')
  const next = await once(t, site, '--json')
  t.match(next, { code: 1, stderr: /folder/ })
  t.match(jsonLines(next)[0], {
    ...{ exit: 1, outcome: 'left', quarantined: 0, left: 1 },
    leftFiles: [{ name: 'folder', why: 'it is not a regular file' }],
  })
})

t.test('a file that is written to all the time is left, and holds up nobody', async t => {
  const site = await makeSite(t, server, { COUNTERSINK_QUIET_MS: '2000' })
  drop(site.paths, [good])
  const growing = join(site.paths.inbox, 'growing.txt')
  const grow = (): void => appendFileSync(growing, '1 1\n')
  grow()
  const timer = setInterval(grow, 20)
  t.teardown(() => clearInterval(timer))
  const ended = await once(t, site, '--timeout', '5')
  t.match(ended, { code: 1, stdout: '' })
  t.equal(
    ended.stderr,
    'countersink run: left in the inbox growing.txt: it must not have changed for 2.0 s\n',
  )
  t.same(archivedIn(site.paths.archive).length > 0, true, 'its neighbour is counted')
})

t.test('a database that is away, a lock that is held, a disk that is full', async t => {
  const site = await makeSite(t, undefined, {
    COUNTERSINK_DATABASE_URL: 'mariadb://nobody:none@127.0.0.1:1/none',
  })
  drop(site.paths, [good])
  const full = await makeSite(t, server, { COUNTERSINK_RESERVE: '1024TiB' })
  drop(full.paths, [good])
  const [away, paused] = await Promise.all([
    once(t, site, '--timeout', '6', '--json'),
    once(t, full, '--timeout', '6'),
  ])
  t.match(away, { code: 3, stderr: /MariaDB is unavailable: .*ECONNREFUSED.*the next run goes on/ })
  t.match(jsonLines(away)[0], { exit: 3, outcome: 'cannot', reason: /ECONNREFUSED/, applied: 0 })
  const lock = await tryKernelLock(site.paths.supervisorLock, 'exclusive')
  t.teardown(() => lock?.release())
  const held = await once(t, site, '--timeout', '1')
  t.match(held, { code: 3, stdout: '', stderr: /a countersink is at work in / })
  t.match(paused, {
    code: 3,
    stdout: '',
    stderr: /paused: .* are kept in reserve\. Nothing is lost/,
  })
  t.same(list(full.paths.inbox).length, 2, 'it is where it was')
  t.ok(existsSync(join(site.paths.inbox, good.name)) || list(site.paths.work).length > 0)
})

t.test('starts on top of each other, and one that is killed', async t => {
  const site = await makeSite(t, server)
  const many = Array.from({ length: 12 }, (_, n) => seededFile(`many${n}.txt`, 10 + n))
  drop(site.paths, many.slice(0, 6))
  const doomed = startCountersink(t, site, 'run', '--once')
  await eventually('it works', () => list(site.paths.work).length > 0 || !doomed.isRunning())
  killProcess(doomed.pid)
  await doomed.ended
  drop(site.paths, many.slice(6))
  const runs = [1, 2, 3].map(() => once(t, site))
  for (const ended of await Promise.all(runs)) t.match(ended, SILENT)
  await assertEverythingAddsUp(
    t,
    site,
    many.map(file => [file, 'applied']),
  )
})

t.test('a service at work is waited for, and stays', async t => {
  const site = await makeSite(t, server, { COUNTERSINK_QUIET_MS: '500' })
  const up = await startUp(t, site)
  drop(site.paths, [plain], { manifest: false })
  t.match(await once(t, site), SILENT)
  t.notOk(existsSync(join(site.paths.inbox, plain.name)), 'it was waited for')
  mkdirSync(join(site.paths.inbox, 'folder'))
  t.match(await once(t, site), { code: 1, stderr: /left in the inbox folder: it is not a reg/ })
  t.ok(up.isRunning())
  const log = readFileSync(join(site.paths.log, 'supervisor.log'), 'utf8')
  t.notMatch(log, /stopping/)
  up.signal('SIGTERM')
  t.match(await up.ended, { code: 0 })
})

t.test('wrong usage', async t => {
  const site = await makeSite(t, server)
  const bare = await countersink(t, site, 'run')
  t.match(bare, { code: 2, stdout: '', stderr: /--once says so; .*up --no-generator/ })
  t.match(await once(t, site, '--timeout', '5m'), { code: 2, stderr: /--timeout must be/ })
  const nowhere = join(site.paths.dir, 'nowhere')
  t.match(await once(t, site, '--dir', nowhere), { code: 3, stderr: /no state directory/ })
  t.notOk(existsSync(nowhere), 'a directory that is not mounted is not made anew')
})
