import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ledgerNames } from '../../parser/ledger/schema/tables.ts'
import { parseArchivedName } from '../../shared/archive.ts'
import type { CrashPoint } from '../../shared/crash-points.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { type DataFile, drop, manifestOf, seededFile, totalsOf } from '../helpers/files.ts'
import {
  archivedIn,
  assertLedgerBalances,
  assertNoLeftovers,
  assertTotalsEqual,
  list,
} from '../helpers/invariants.ts'
import { ledgerFaults } from '../helpers/ledger-faults.ts'
import { pingParser, startParser, stopProgram, untilSettled } from '../helpers/parser.ts'
import { makeNeighbour, type Site } from '../helpers/state-dir.ts'
import { type Mischief, startProxy } from './proxy.ts'
import { COMMITS, chunkedFile, NO_USAGE, spawnDoomed, tinySite, untilAgreed } from './scene.ts'
import { batchesOf, holdLease, waitingOf } from './sql.ts'

// Several hosts, each with a state directory of its own, that count into one database: one of them
// counts, and whatever becomes of it another one goes on.

const server = await startDatabaseServer(t)
t.jobs = 3
t.setTimeout(600_000)

const own = chunkedFile('a-own', 1)
const small = smallFile('b-small', 2)

/** Fits one transaction. */
function smallFile(name: string, seed: number): DataFile {
  return seededFile(name, seed, { consumers: 10 })
}

/** Each content counted once, whoever did it; a host that has another copy calls it a duplicate. */
async function assertCountedOnce(
  t: Test,
  sites: readonly Site[],
  files: readonly DataFile[],
  copies: number,
): Promise<void> {
  const [site] = sites
  await withSession(site!, async session => {
    await assertTotalsEqual(t, site!, session, totalsOf(files))
    await assertLedgerBalances(t, site!, session)
    const contents = files.map(({ content }) => content)
    t.same(await ledgerFaults(session, ledgerNames(site!.config), contents), [])
  })
  const archived = sites.flatMap(({ paths }) => archivedIn(paths.archive))
  const names = archived.map(name => parseArchivedName(name)?.name)
  t.same(names.sort(), files.map(({ name }) => name).sort(), 'each is archived by one host')
  t.equal(sites.flatMap(({ paths }) => list(paths.duplicate)).length, copies)
  for (const one of sites) await assertNoLeftovers(t, one)
}

/** The row of a content. */
async function rowOf(site: Site, { name }: DataFile) {
  const [row] = await withSession(site, session =>
    session.query<{ state: string; attempt: bigint | number }>(
      'SELECT state, attempt FROM countersink_file WHERE name = ?',
      [name],
    ),
  )
  return row && { state: row.state, attempt: Number(row.attempt) }
}

/** Nobody has counted for a while. */
async function untilLeaseIsFree(site: Site): Promise<void> {
  await eventually('the lease is free', async () => {
    const rows = await withSession(site, session =>
      session.query('SELECT 1 FROM countersink_lease WHERE until < UTC_TIMESTAMP(3)'),
    )
    return rows.length === 1
  })
}

/**
 * All that whoever counts passes in the ledger, and how it leaves a content of several chunks there.
 * What takes a batch back is in points.test.ts.
 */
const POINTS: readonly (readonly [CrashPoint, passing: number, left?: string])[] = [
  ['S1-claimed', 1, 'staging'],
  ['S2-portion-recorded', 2, 'staging'],
  ['S3-before-commit', 1, 'staging'],
  ['S3-staged', 1, 'staged'],
  ['P4-before-commit', 1, 'staged'],
  ['P4-batch-begun', 1, 'applying'],
  ['P5-before-commit', 3, 'applying'],
  ['P5-chunk-committed', 2, 'applying'],
  ['P6-before-commit', 1],
  ['P6-batch-committed', 1],
]

t.test('who counts is killed at each of its steps', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  const neighbour = await makeNeighbour(t, site)
  const other = await startParser(t, neighbour)
  const files: DataFile[] = []
  for (const [i, [point, passing, left]] of POINTS.entries()) {
    const [wide, little] = [chunkedFile(`wide-${i}`, i), smallFile(`little-${i}`, i)] as const
    const foreign = chunkedFile(`foreign-${i}`, 100 + i)
    files.push(wide, little, foreign)
    // So that it is not the other one who counts.
    other.signal('SIGSTOP')
    await untilLeaseIsFree(site)
    drop(site.paths, [wide, little])
    await (await spawnDoomed(t, site, point, { passing })).died()
    if (left !== undefined) t.match(await rowOf(site, wide), { state: left, attempt: 0 }, point)
    // It finishes what that one has begun, also the recording of what it has a copy of.
    drop(neighbour.paths, [wide, little, foreign])
    other.signal('SIGCONT')
    await other.untilSettled(files.length)
    const row = await rowOf(site, wide)
    t.equal(row?.state, 'applied', point)
    if (left !== undefined) t.equal(row?.attempt, left === 'staging' ? 1 : 0, point)
  }
  const again = await startParser(t, site)
  await again.untilSettled(2 * POINTS.length)
  for (const parser of [again, other]) t.match(await stopProgram(parser), { code: 0 })
  await assertCountedOnce(t, [site, neighbour], files, 2 * POINTS.length)
})

/**
 * At which COMMIT, and how that leaves the content. Before it: its transaction is open, and the server
 * ends it. After it: it finds out by itself.
 */
const STOPPED_AT: readonly (readonly [keyof typeof COMMITS | 'all', Mischief, left?: string])[] = [
  ['a portion', 'hold before', 'staging'],
  ['a portion', 'hold after', 'staging'],
  ['the last portion', 'hold after', 'staging'],
  ['all portions', 'hold before', 'staging'],
  ['the beginning', 'hold before', 'staged'],
  ['the beginning', 'hold after', 'applying'],
  ['a chunk', 'hold before', 'applying'],
  ['a chunk', 'hold after', 'applying'],
  ['the last chunk', 'hold before', 'applying'],
  // In one transaction.
  ['all', 'hold before'],
]

t.test('who counts is stopped, replaced, and goes on', { buffered: true }, async t => {
  const site = await tinySite(t, server, NO_USAGE)
  const neighbour = await makeNeighbour(t, site)
  const proxy = await startProxy(t, site)
  const stopped = await startParser(t, site, proxy.env)
  await untilAgreed(site)
  const other = await startParser(t, neighbour)
  const files: DataFile[] = []
  for (const [i, [where, mischief, left]] of STOPPED_AT.entries()) {
    const what = `${mischief} the COMMIT of ${where}`
    const make = where === 'all' ? smallFile : chunkedFile
    const [first, file] = [smallFile(`first-${i}`, i), make(`file-${i}`, 100 + i)] as const
    const foreign = chunkedFile(`foreign-${i}`, 200 + i)
    files.push(first, file, foreign)
    // So that it is not the other one who counts.
    other.signal('SIGSTOP')
    await untilLeaseIsFree(site)
    drop(site.paths, [first])
    await stopped.untilSettled(2 * i + 1)
    proxy.arm(mischief, where === 'all' ? 1 : COMMITS[where])
    drop(site.paths, [file])
    await eventually(`${what} is held`, () => proxy.done === i + 1)
    t.same((await rowOf(site, file))?.state, left, what)
    stopped.signal('SIGSTOP')
    // Once that one may be away no longer another counts; of what that one has claimed and not
    // recorded it has a copy.
    drop(neighbour.paths, [file, foreign])
    other.signal('SIGCONT')
    await other.untilSettled(2 * (i + 1))
    const attempt = left === 'staging' ? 1 : 0
    t.match(await rowOf(site, file), { state: 'applied', attempt }, what)
    proxy.release()
    stopped.signal('SIGCONT')
    await stopped.untilSettled(2 * (i + 1))
  }
  for (const parser of [stopped, other]) t.match(await stopProgram(parser), { code: 0 })
  await assertCountedOnce(t, [site, neighbour], files, STOPPED_AT.length)
})

t.test('equal contents at two hosts at once', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  const neighbour = await makeNeighbour(t, site)
  const hold = await holdLease(site)
  const sites = [site, neighbour]
  const parsers = await Promise.all(sites.map(one => startParser(t, one)))
  for (const one of sites) drop(one.paths, [own, small])
  await eventually('they are recorded once', async () => (await waitingOf(site)) === 2)
  await hold.release()
  await Promise.all(sites.map(one => untilSettled(one, 2)))
  for (const parser of parsers) t.match(await stopProgram(parser), { code: 0 })
  await assertCountedOnce(t, sites, [own, small], 2)
})

t.test('one publication at two hosts: it is the same file', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  const neighbour = await makeNeighbour(t, site)
  const published = { origin: 'ab'.repeat(16), published: new Date().toISOString() }
  const manifest = manifestOf(own.content, published)
  drop(site.paths, [own], { manifest })
  await (await spawnDoomed(t, site, 'S2-portion-recorded', { passing: 2 })).died()
  drop(neighbour.paths, [own], { manifest })
  const other = await startParser(t, neighbour)
  await other.untilSettled(1)
  const again = await startParser(t, site)
  await again.untilSettled(1)
  for (const one of [site, neighbour]) t.match((await pingParser(one.paths))?.ever, { applied: 1 })
  for (const parser of [again, other]) t.match(await stopProgram(parser), { code: 0 })
  await withSession(site, async session => {
    await assertTotalsEqual(t, site, session, totalsOf([own]))
    await assertLedgerBalances(t, site, session)
  })
})

t.test('who has taken a recording over is gone as well', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  const neighbour = await makeNeighbour(t, site)
  for (const [i, one] of [site, neighbour].entries()) {
    drop(one.paths, [own])
    await (await spawnDoomed(t, one, 'S2-portion-recorded', { passing: 2 + i })).died()
    t.match(await rowOf(site, own), { state: 'staging', attempt: i })
  }
  // By an attempt of the former, until it looks again.
  const again = await startParser(t, site)
  await again.untilSettled(1)
  t.match(await rowOf(site, own), { state: 'applied', attempt: 2 })
  const other = await startParser(t, neighbour)
  await other.untilSettled(1)
  for (const parser of [again, other]) t.match(await stopProgram(parser), { code: 0 })
  await assertCountedOnce(t, [site, neighbour], [own], 1)
})

for (const hosts of [2, 8]) {
  const what = `${hosts} hosts: one counts for all, is killed in the middle, and another goes on`
  t.test(what, { buffered: true }, async t => {
    const site = await tinySite(t, server)
    const sites = [site]
    while (sites.length < hosts) sites.push(await makeNeighbour(t, site))
    const hold = await holdLease(site)
    // Once for all of them: whoever counts.
    const marks = join(site.paths.dir, 'marks')
    mkdirSync(marks)
    const crash = {
      COUNTERSINK_CRASH_AT: 'P5-chunk-committed:2',
      COUNTERSINK_CRASH_MARKS: marks,
    }
    const parsers = await Promise.all(sites.map(one => startParser(t, one, crash)))
    const files = sites.map((_, i) => chunkedFile(`e-${i}`, 10 + i))
    for (const [i, one] of sites.entries()) drop(one.paths, [files[i]!, own])
    await eventually('all is recorded', async () => (await waitingOf(site)) === hosts + 1)
    await hold.release()
    await eventually('one dies', () => parsers.some(parser => !parser.isRunning()))
    const dead = parsers.findIndex(parser => !parser.isRunning())
    const alive = sites.filter((_, i) => i !== dead)
    await Promise.all(alive.map(one => untilSettled(one, 2)))
    parsers[dead] = await startParser(t, sites[dead]!)
    await untilSettled(sites[dead]!, 2)
    for (const parser of parsers) t.match(await stopProgram(parser), { code: 0 })
    const merged = BigInt(hosts + 1)
    t.match(await batchesOf(site), [
      { state: 'applied', files: merged, pairsPlanned: 60n * merged },
    ])
    await assertCountedOnce(t, sites, [...files, own], hosts - 1)
  })
}
