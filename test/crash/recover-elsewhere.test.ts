import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { LEDGER_TABLES } from '../../shared/config.ts'
import { readRememberedLedger } from '../../shared/remembered-ledger.ts'
import { countersink } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { dataFile, drop, seededFile, totalsOf } from '../helpers/files.ts'
import {
  archivedIn,
  assertEverythingAddsUp,
  assertLedgerBalances,
  assertTotalsEqual,
  list,
} from '../helpers/invariants.ts'
import { pingParser, spawnParser, startParser, stopProgram } from '../helpers/parser.ts'
import { processesOf } from '../helpers/processes.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'
import { startUp } from '../helpers/up.ts'
import {
  applied,
  chunkedFile,
  holdLedger,
  settleAll,
  spawnDoomed,
  tinySite,
  wideFile,
} from './scene.ts'
import { backUp, batchesOf, openBatchOf } from './sql.ts'

// `countersink recover` where something else than a restored ledger is found, or somebody at work.

const server = await startDatabaseServer(t)
t.jobs = 3
t.setTimeout(600_000)

const kept = seededFile('a-kept', 1)
const cut = dataFile('c-no-line-end', '7 1\n8 2')

t.test('a directory without a ledger stays as it is', { buffered: true }, async t => {
  const site = await makeSite(t, server)
  const { dir } = site.paths
  const folder = join(dir, 'somebody')
  mkdirSync(join(folder, 'archive'), { recursive: true })
  writeFileSync(join(folder, 'archive', `x.${'0'.repeat(16)}`), '1 1\n')
  for (const where of [dir, folder, join(dir, 'nowhere')]) {
    const before = readdirSync(dir, { recursive: true })
    for (const args of [[], ['--other-database', '--onto-totals']]) {
      const ended = await countersink(t, site, 'recover', '--dir', where, ...args)
      const why = /there is nothing to recover in|there is no state directory/
      t.match(ended, { code: 3, stdout: '', stderr: why })
    }
    t.same(readdirSync(dir, { recursive: true }), before, 'nothing was made')
  }
  await withSession(site, async session => t.same(await session.query('SHOW TABLES'), []))
})

t.test('a private MariaDB is never made by it', { buffered: true }, async t => {
  const site = await makeSite(t)
  drop(site.paths, [kept])
  const up = await startUp(t, site, '--no-generator')
  await eventually('it is counted', () => archivedIn(site.paths.archive).length === 1)
  await stopProgram(up)
  const copy = join(site.paths.dir, 'copy')
  cpSync(site.paths.mariadb, copy, { recursive: true })
  rmSync(site.paths.mariadb, { recursive: true })
  const ended = await countersink(t, site, 'recover')
  t.match(ended, { code: 3, stdout: '', stderr: /no private MariaDB in .*Put it back/ })
  t.notOk(existsSync(site.paths.mariadb))

  // Lost for good: an empty one is made, and not counted into before `recover` says what it lacks.
  const refused = await countersink(t, site, 'up', '--no-generator')
  t.match(refused, { code: 3 })
  t.match(refused.stdout + refused.stderr, /there is no ledger .*countersink recover/s)
  const env = { ...site.env, COUNTERSINK_CRASH_AT: 'R2-data-linked' }
  t.match(await countersink(t, { ...site, env }, 'recover'), { signal: 'SIGKILL' })
  await eventually('its MariaDB ends with it', () => processesOf(site.paths.dir).length === 0)
  t.match(await countersink(t, site, 'recover'), { code: 0, stdout: /1 went back to the inbox, 0/ })
  const next = await startUp(t, site, '--no-generator')
  await eventually('it is counted again', () => archivedIn(site.paths.archive).length === 1)
  t.match(await stopProgram(next), { code: 0 })
  await assertEverythingAddsUp(t, site, applied(kept))
})

t.test('a first start that ended before it remembered its ledger', { buffered: true }, async t => {
  const site = await makeSite(t, server)
  const nowhere = `mariadb://x@localhost/x?socketPath=${join(site.paths.dir, 'nowhere.sock')}`
  const parser = spawnParser(t, site, { COUNTERSINK_DATABASE_URL: nowhere })
  await eventually('it has its journal', async () => (await pingParser(site.paths)) !== undefined)
  await stopProgram(parser)
  // Whatever database was seen then, nothing was counted into it.
  t.match(await countersink(t, site, 'recover'), {
    code: 0,
    stdout: /^0 archived files looked at/m,
  })
})

t.test('another database takes its place', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  drop(site.paths, [kept, cut])
  await settleAll(t, site, 2)
  const url = await server.createDatabase()
  const other = await tinySite(t, server)
  const moved: Site = {
    ...site,
    ...{ address: { url }, config: { ...site.config, databaseUrl: url } },
    env: { ...site.env, COUNTERSINK_DATABASE_URL: url },
  }
  const refused = await countersink(t, moved, 'recover')
  t.match(refused, { code: 3, stdout: '', stderr: /has no ledger: .* --other-database/ })
  t.match(await spawnParser(t, moved).ended, { code: 78, stderr: /LEDGER_BEHIND/ })

  const env = { ...moved.env, COUNTERSINK_CRASH_AT: 'R4-ledger-remembered' }
  const killed = await countersink(t, { ...moved, env }, 'recover', '--other-database')
  t.match(killed, { signal: 'SIGKILL' })
  t.match(await spawnParser(t, moved).ended, { code: 78 }, 'its journal is still of the old one')
  t.match(await countersink(t, moved, 'recover'), {
    code: 0,
    stdout: /0 went back to the inbox, 0/,
  })
  t.match(await readRememberedLedger(site.paths.rememberedLedger), {
    database: url,
    ledgerUuid: undefined,
  })
  t.match(await countersink(t, site, 'totals'), { code: 3, stderr: /it is not the one/ })
  await settleAll(t, moved, 2)
  await assertEverythingAddsUp(t, moved, applied(kept, cut))
  t.match(await spawnParser(t, site).ended, { code: 78 }, 'the old one is another now')

  const full = {
    ...moved,
    env: { ...moved.env, ...{ COUNTERSINK_DATABASE_URL: other.config.databaseUrl } },
  }
  drop(other.paths, [kept])
  await settleAll(t, other, 1)
  t.match(await countersink(t, full, 'recover'), { code: 3, stderr: /has the ledger/ })
  const joined = await countersink(t, full, 'recover', '--other-database')
  t.match(
    joined,
    { code: 0, stdout: /1 went back to the inbox, 0 contents/ },
    'what that one lacks',
  )
})

t.test('totals without the ledger that explains them', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  drop(site.paths, [kept, cut])
  await settleAll(t, site, 2)
  const dropTables = (...tables: string[]) =>
    withSession(site, session => session.execute(`DROP TABLE ${tables.join(', ')}`))
  await dropTables(...LEDGER_TABLES.map(name => `countersink_${name}`))
  const refused = await countersink(t, site, 'recover')
  t.match(refused, { code: 3, stdout: '', stderr: /has totals in consumption and no ledger/ })
  t.same(list(site.paths.inbox), [])
  const taken = await countersink(t, site, 'recover', '--dry-run', '--onto-totals')
  t.match(taken, { code: 0, stdout: /2 would go back/ }, 'they are from before')
  await dropTables('consumption')
  t.match(await countersink(t, site, 'recover'), { code: 0, stdout: /2 went back/ })
  await settleAll(t, site, 2)
  await assertEverythingAddsUp(t, site, applied(kept, cut))
})

t.test('a content that is being applied is left alone', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  const large = wideFile('large', 1, { bytes: 150 * 1024 })
  const hold = await holdLedger(t, site)
  const doomed = await spawnDoomed(t, site, 'P5-chunk-committed', { passing: 2 })
  drop(site.paths, [large])
  await hold.release()
  await doomed.died()
  const backup = await backUp(site)
  await settleAll(t, site, 1)
  await backup.restore()
  t.equal((await openBatchOf(site)).state, 'applying')
  const ended = await countersink(t, site, 'recover')
  t.match(ended, { code: 0, stdout: /1 archived files looked at, 0 went back to the inbox, 0 con/ })
  const parser = await startParser(t, site)
  await eventually('its batch is finished', async () =>
    (await batchesOf(site)).every(({ state }) => state === 'applied'),
  )
  t.match(await stopProgram(parser), { code: 0 })
  await withSession(site, async session => {
    await assertTotalsEqual(t, site, session, totalsOf([large]))
    await assertLedgerBalances(t, site, session)
  })
})

t.test('a content that was half recorded then is brought back', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  const file = chunkedFile('half', 1)
  drop(site.paths, [file])
  await (await spawnDoomed(t, site, 'S2-portion-recorded', { passing: 2 })).died()
  const backup = await backUp(site)
  await settleAll(t, site, 1)
  await backup.restore()
  const refused = await spawnParser(t, site).ended
  t.match(refused, { code: 78, stderr: /LEDGER_BEHIND.* is staging there/ })
  t.match(await countersink(t, site, 'recover'), { code: 0, stdout: /1 went back to the inbox/ })
  await settleAll(t, site, 1)
  await assertEverythingAddsUp(t, site, applied(file))
})

t.test('while a parser runs', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  const parser = await startParser(t, site)
  t.match(await countersink(t, site, 'recover'), { code: 3, stderr: /a parser is at work in/ })
  await stopProgram(parser)
})

t.test('a journal from a version that remembered nothing', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  drop(site.paths, [kept])
  await settleAll(t, site, 1)
  rmSync(site.paths.rememberedLedger)
  const env = { ...site.env, COUNTERSINK_DATABASE_URL: await server.createDatabase() }
  t.match(await countersink(t, { ...site, env }, 'recover'), { code: 3, stderr: /has no ledger/ })
  t.match(await countersink(t, site, 'recover'), { code: 0, stdout: /0 went back/ })
  await settleAll(t, site, 1)
  await assertEverythingAddsUp(t, site, applied(kept))
})
