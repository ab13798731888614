import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { LEDGER_TABLES } from '../../shared/config.ts'
import { CRASH_POINTS } from '../../shared/crash-points.ts'
import { workName } from '../../shared/paths.ts'
import { countersink, jsonLines } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import {
  type DataFile,
  dataFile,
  drop,
  manifestOf,
  seededFile,
  sha256Of,
  totalsOf,
} from '../helpers/files.ts'
import {
  archivedIn,
  archivedPath,
  assertLedgerBalances,
  assertTotalsEqual,
  list,
  nameInPlace,
} from '../helpers/invariants.ts'
import { spawnParser, startParser, stopProgram } from '../helpers/parser.ts'
import { type Ended, spawnNode } from '../helpers/processes.ts'
import { BUILT } from '../helpers/root.ts'
import type { Site } from '../helpers/state-dir.ts'
import { settleAll, tinySite } from './scene.ts'
import { backUp } from './sql.ts'

// `countersink recover`: whatever it is run on, and wherever it is interrupted.

const server = await startDatabaseServer(t)
const whole = t
t.jobs = 3
t.setTimeout(600_000)

const kept = seededFile('a-kept', 1)
const plain = seededFile('b plain näme', 2)
const cut = dataFile('c-no-line-end', '7 1\n8 2')
const generated = seededFile('d-generated', 3)
const twin = seededFile('e-twin', 4)
const otherTwin = seededFile('e-twin', 5)
const damaged = seededFile('f-damaged', 6)
const missing = seededFile('g-missing', 7)
const inInbox = seededFile('h-in-inbox', 8)
const inWork = seededFile('work', 9)
const similar = seededFile('ork', 10)
const LATER = [plain, cut, twin, damaged, missing, inInbox, inWork, similar]
/** What can be counted again. */
const HERE = [plain, cut, generated, twin, otherTwin, inInbox, inWork]

function archived(site: Site, { name, content }: DataFile): string {
  return archivedPath(site.paths.archive, nameInPlace(name, content, 'applied')) ?? ''
}

/**
 * A ledger from a backup that knows the first file alone, and an archive of which one file is cut,
 * two are missing, one is also in the inbox and one also in work/.
 */
async function makeRestoredSite(): Promise<Site> {
  const site = await tinySite(whole, server)
  drop(site.paths, [kept])
  await settleAll(t, site, 1)
  const backup = await backUp(site)
  const usedAt = '2026-03-28T12:00:00Z'
  const manifest = manifestOf(generated.content, { disposable: true, usedAt })
  drop(site.paths, [generated], { manifest })
  const parser = await startParser(t, site)
  drop(site.paths, LATER)
  await parser.untilSettled(2 + LATER.length)
  drop(site.paths, [otherTwin])
  await parser.untilSettled(3 + LATER.length)
  await stopProgram(parser)
  await backup.restore()
  truncateSync(archived(site, damaged), 20)
  for (const file of [missing, similar]) rmSync(archived(site, file))
  rmSync(archived(site, inWork))
  // Vouched for as by `publish`: it is sure to be counted.
  const vouched = manifestOf(inInbox.content, { lines: undefined, amount: undefined })
  drop(site.paths, [{ ...inInbox, name: 'under another name' }], { manifest: vouched })
  writeFileSync(join(site.paths.work, workName(Date.now(), inWork.name)), inWork.content)
  // Somebody's own file of a name that comes back.
  drop(site.paths, [{ name: twin.name, content: kept.content }])
  return site
}

let template: Promise<Site> | undefined

/** A copy of it, with a database of its own. */
async function restoredSite(t: Test): Promise<Site> {
  template ??= makeRestoredSite()
  const original = await template
  const site = await tinySite(t, server)
  cpSync(original.paths.dir, site.paths.dir, { recursive: true, force: true })
  const database = new URL(original.config.databaseUrl).pathname.slice(1)
  await withSession(site, async session => {
    for (const table of ['consumption', ...LEDGER_TABLES.map(name => `countersink_${name}`)]) {
      await session.execute(`CREATE TABLE ${table} LIKE ${database}.${table}`)
      await session.execute(`INSERT INTO ${table} SELECT * FROM ${database}.${table}`)
    }
  })
  return site
}

/** Everything but the clock in the name of the old journal. */
function pictureOf({ paths }: Site) {
  const dirs = [paths.inbox, paths.work, paths.archive, paths.archiveDisposable, paths.duplicate]
  const contents = dirs.map(dir =>
    [...list(dir), ...archivedIn(dir)].map(name => [
      name.replace(/^\d{15}/, 'N'),
      name.startsWith('.') ? '' : sha256Of(readFileSync(archivedPath(dir, name) ?? '')),
    ]),
  )
  const inParser = readdirSync(paths.parser).map(name => name.replace(/-[^-]*Z$/, '-TIME'))
  return { contents, inParser: inParser.sort() }
}

interface OneRun {
  readonly site: Site
  readonly dry: Ended
  readonly ended: Ended
  readonly picture: ReturnType<typeof pictureOf>
}

/** What every interrupted run must come to. */
let run: Promise<OneRun> | undefined
function oneRun(): Promise<OneRun> {
  run ??= (async () => {
    const site = await restoredSite(whole)
    const before = pictureOf(site)
    const dry = await countersink(whole, site, 'recover', '--dry-run')
    whole.same(pictureOf(site), before, 'a dry run changes nothing')
    const ended = await countersink(whole, site, 'recover')
    return { site, dry, ended, picture: pictureOf(site) }
  })()
  return run
}

t.test('what comes back, and what does not', async t => {
  const { site, dry, ended, picture } = await oneRun()
  const { stdout } = ended
  t.equal(ended.code, 1)
  t.match(
    stdout,
    /8 archived files looked at, 5 went back to the inbox, 1 are not what was archived, 3 contents/,
  )
  t.match(stdout, /^CHANGED +\d{4}\/\d\d\/\d\d\/f-damaged\.[0-9a-f]{12}: its content is/m)
  for (const file of [damaged, missing, similar]) {
    t.match(stdout, new RegExp(`^LOST HERE +${sha256Of(file.content)}  ${file.name}  amount`, 'm'))
  }
  t.equal(stdout.match(/^LOST HERE/gm)?.length, 3, 'a name that ends alike is another')
  t.match(dry, { code: 1, stdout: /8 archived files looked at, 5 would go back/ })
  t.same(
    archivedIn(site.paths.archive).length,
    3,
    'the kept, the changed, and the one that is in the inbox',
  )
  t.ok(existsSync(archived(site, damaged)), 'it stays where it is')
  const told = jsonLines(await countersink(t, site, 'recover', '--dry-run', '--json'))
  t.match(told.at(-1), { event: 'end', looked: 3, back: 0, changed: 1, lost: 3 })
  t.match(
    told
      .slice(0, 4)
      .map(({ event }) => event)
      .sort(),
    ['changed', 'lost', 'lost', 'lost'],
  )
  const again = await countersink(t, site, 'recover')
  t.same(pictureOf(site), picture, 'run again, there is nothing to do')
  t.match(again, { code: 1, stdout: /0 went back to the inbox, 1 are not what .*, 3 contents/ })
  t.equal(again.stdout.match(/^LOST HERE/gm)?.length, 3, 'and it says the same')

  await assertCounted(t, site)
  const rows = await withSession(site, session =>
    session.query(
      `SELECT IF(used_at < claimed_at, 'earlier', 'now') AS used,
              IF(sha256 = UNHEX(?), used_at, '') AS usedAt
         FROM countersink_file WHERE sha256 IN (UNHEX(?), UNHEX(?)) ORDER BY usedAt`,
      [generated, generated, plain].map(({ content }) => sha256Of(content)),
    ),
  )
  t.same(
    rows,
    [
      { used: 'earlier', usedAt: '' },
      { used: 'earlier', usedAt: '2026-03-28 12:00:00.000' },
    ],
    'it was used when it was used',
  )
})

/** All that can be, once, and each file lies in one place. */
async function assertCounted(t: Test, site: Site): Promise<void> {
  const parser = await startParser(t, site)
  await eventually(
    'all are settled',
    () => list(site.paths.inbox).length + list(site.paths.work).length === 0,
  )
  await stopProgram(parser)
  await withSession(site, async session => {
    await assertTotalsEqual(t, site, session, totalsOf([kept, ...HERE]))
    await assertLedgerBalances(t, site, session)
  })
  t.equal(list(site.paths.quarantine).length, 0)
  t.equal(archivedIn(site.paths.archiveDisposable).length, 1, 'the generated one is known as such')
  t.equal(list(site.paths.duplicate).length, 1, 'only the content that was there already')
}

const POINTS = CRASH_POINTS.filter(name => name.startsWith('R'))
/** Passed once for each file that comes back. */
const OFTEN = ['R1-manifest-written', 'R1-manifest-linked', 'R2-data-linked', 'R3-archive-left']

for (const point of POINTS) {
  t.test(`killed at ${point}, and run again`, { buffered: true }, async t => {
    const site = await restoredSite(t)
    for (const passing of OFTEN.includes(point) ? [1, 3] : [1]) {
      const env = { ...site.env, COUNTERSINK_CRASH_AT: `${point}:${passing}` }
      t.match(await countersink(t, { ...site, env }, 'recover'), { signal: 'SIGKILL' })
    }
    const ended = await countersink(t, site, 'recover')
    t.match(ended, { code: 1, stdout: /1 are not what was archived, 3 contents are lost here/ })
    t.same(pictureOf(site), (await oneRun()).picture, 'as after one run')
  })
}

t.test('nobody reads what it says: it is done all the same', { buffered: true }, async t => {
  const site = await restoredSite(t)
  const args = [`${BUILT}scripts/countersink.js`, 'recover', '--dir', site.paths.dir]
  const child = spawnNode(args, {
    cwd: site.paths.dir,
    env: { PATH: process.env.PATH, ...site.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  child.stdout?.destroy()
  t.same(await once(child, 'exit'), [1, null])
  t.same(pictureOf(site), (await oneRun()).picture)
})

const NO_DATABASE = { COUNTERSINK_DATABASE_URL: 'mariadb://x@localhost/x?socketPath=/nowhere' }

t.test('a parser is started between two runs', { buffered: true }, async t => {
  for (const point of ['R2-data-synced', 'R4-ledger-remembered']) {
    const site = await restoredSite(t)
    const env = { ...site.env, COUNTERSINK_CRASH_AT: point }
    t.match(await countersink(t, { ...site, env }, 'recover'), { signal: 'SIGKILL' })
    // Which takes files while it waits for its database.
    const waiting = spawnParser(t, site, NO_DATABASE)
    await eventually('files are claimed', () => list(site.paths.inbox).length === 0)
    await stopProgram(waiting)
    t.match(await spawnParser(t, site).ended, { code: 78 }, 'it must be run again')
    const ended = await countersink(t, site, 'recover')
    t.match(ended, { code: 1, stdout: /1 are not what was archived, 3 contents are lost here/ })
    await assertCounted(t, site)
  }
})
