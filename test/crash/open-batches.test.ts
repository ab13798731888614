import { readFileSync, readlinkSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { U64_MAX } from '../../shared/limits.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { dataFile, drop, totalsOf } from '../helpers/files.ts'
import {
  assertEverythingAddsUp,
  assertLedgerBalances,
  assertTotalsEqual,
  list,
} from '../helpers/invariants.ts'
import { pingParser, type RunningParser, startParser, stopProgram } from '../helpers/parser.ts'
import type { Site } from '../helpers/state-dir.ts'
import { applied, chunkedFile, settleAll, spawnDoomed, tinySite, wideFile } from './scene.ts'
import { batchesOf, openBatchOf, type Trouble, untilLockWait, waitInThirdChunk } from './sql.ts'

// Batches that are not over: stopped between two chunks, or blocked until somebody helps.

const server = await startDatabaseServer(t)
t.jobs = 2
t.setTimeout(600_000)

const first = chunkedFile('a-first', 1)
const second = chunkedFile('b-second', 2)

/** The first file is counted, and the second's batch waits for a row of its third chunk. */
async function inThirdChunk(
  t: Test,
  site: Site,
): Promise<{ parser: RunningParser; trouble: Trouble }> {
  drop(site.paths, [first])
  const parser = await startParser(t, site)
  await parser.untilSettled(1)
  return { parser, trouble: await waitInThirdChunk(t, site, () => drop(site.paths, [second])) }
}

/** SIGTERM while the batch waits; the row is let go once the parser knows. */
async function stopInThirdChunk(
  t: Test,
  site: Site,
  { parser, trouble }: { parser: RunningParser; trouble: Trouble },
): Promise<void> {
  parser.signal('SIGTERM')
  await eventually('it is stopping', async () => {
    return (await pingParser(site.paths))?.state === 'stopping'
  })
  await trouble.foreign.rollback()
  t.match(await parser.ended, { code: 0 })
  t.match(await openBatchOf(site), {
    ...{ state: 'applying', cursor: trouble.ids[47], pairsApplied: 48n, pairsPlanned: 60n },
  })
}

t.test('stopped in mid-batch: it ends after the chunk in hand', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  await stopInThirdChunk(t, site, await inThirdChunk(t, site))
  t.ok(
    list(site.paths.runs).some(name => name.startsWith('batch-')),
    'its sums are kept',
  )
  const next = await settleAll(t, site, 2)
  t.match(next.output(), /finished a batch that was begun before/)
  t.notMatch(next.output(), /its files are read again/)
  t.equal((await batchesOf(site)).length, 2, 'nothing was begun twice')
  await assertEverythingAddsUp(t, site, applied(first, second))
})

t.test('stopped while the start finishes a batch', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  const { parser, trouble } = await inThirdChunk(t, site)
  parser.signal('SIGKILL')
  await parser.ended
  // Otherwise its transaction lives on, waiting for the row.
  await trouble.foreign.execute(`KILL CONNECTION ${trouble.waiting}`)
  const next = await startParser(t, site)
  await untilLockWait(trouble.foreign)
  await stopInThirdChunk(t, site, { parser: next, trouble })
  await settleAll(t, site, 2)
  t.equal((await batchesOf(site)).length, 2, 'nothing was begun twice')
  await assertEverythingAddsUp(t, site, applied(first, second))
})

t.test('blocked by a foreign writer, who mends it while it runs', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  const { parser, trouble } = await inThirdChunk(t, site)
  const { foreign, ids } = trouble
  const setTotal = (total: bigint | undefined) =>
    foreign.execute('UPDATE consumption SET resource_consumption = ? WHERE id = ?', [
      total,
      ids[47],
    ])
  await setTotal(U64_MAX)
  await foreign.execute('COMMIT')
  await eventually('it is blocked', async () => (await openBatchOf(site)).state === 'blocked')
  await setTotal(totalsOf([first]).get(ids[47]!))
  await parser.untilSettled(2)
  await eventually('nothing is left of it', () => list(site.paths.runs).length === 0)
  t.match(await pingParser(site.paths), { reason: undefined })
  t.match(await stopProgram(parser), { code: 0 })
  await assertEverythingAddsUp(t, site, applied(first, second))
})

t.test('many wait for a blocked batch, and hold nothing', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  const { parser, trouble } = await inThirdChunk(t, site)
  const { foreign, ids } = trouble
  const setTotal = (total: bigint | undefined) =>
    foreign.execute('UPDATE consumption SET resource_consumption = ? WHERE id = ?', [
      total,
      ids[47],
    ])
  await setTotal(U64_MAX)
  await foreign.execute('COMMIT')
  await eventually('it is blocked', async () => (await openBatchOf(site)).state === 'blocked')
  const copies = Array.from({ length: 5 }, (_, i) => ({ ...second, name: `copy-${i}` }))
  const neighbour = dataFile('neighbour', '1 5\n')
  drop(site.paths, copies)
  drop(site.paths, [neighbour])
  await eventually('a neighbour passes them', async () => {
    const health = await pingParser(site.paths)
    return health?.ever.applied === 2 && health.queue.files === 1 + copies.length
  })
  await eventually('no sums of theirs are open', () => {
    const open = openBelow(parser.pid, site.paths.runs)
    return open.every(path => path.includes('/batch-'))
  })
  // More than may be undecided: what is behind them waits as well, and nothing is lost.
  const more = Array.from({ length: 16 }, (_, i) => ({ ...second, name: `more-${i}` }))
  drop(site.paths, more)
  await eventually('all are taken', async () => {
    return (await pingParser(site.paths))?.queue.files === 1 + copies.length + more.length
  })
  await setTotal(totalsOf([first]).get(ids[47]!))
  await parser.untilSettled(3 + copies.length + more.length)
  t.match(await stopProgram(parser), { code: 0 })
  await assertEverythingAddsUp(t, site, [
    ...applied(first, second, neighbour),
    ...[...copies, ...more].map(file => [file, 'duplicate'] as const),
  ])
})

/** What a process has open below a directory. */
function openBelow(pid: number, directory: string): string[] {
  return list(`/proc/${pid}/fd`).flatMap(fd => {
    try {
      const path = readlinkSync(`/proc/${pid}/fd/${fd}`)
      return path.startsWith(directory) ? [path] : []
    } catch {
      // Closed meanwhile.
      return []
    }
  })
}

t.test('blocked for want of a file, which comes back', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  const large = wideFile('b-large', 3, { bytes: 150 * 1024 })
  drop(site.paths, [first])
  await settleAll(t, site, 1)
  drop(site.paths, [large])
  await (await spawnDoomed(t, site, 'P5-chunk-committed', { passing: 4 })).died()
  const { cursor } = await openBatchOf(site)
  t.not(cursor, null, 'some of it is applied')
  rmSync(site.paths.runs, { recursive: true })
  const lost = list(site.paths.work).find(name => name.endsWith('.b-large'))!
  rmSync(join(site.paths.work, lost))

  const parser = await startParser(t, site)
  const sidecar = await eventually('it is missed', () =>
    list(site.paths.quarantine).find(name => name.startsWith('b-large')),
  )
  const { reason, whatNow } = JSON.parse(readFileSync(join(site.paths.quarantine, sidecar), 'utf8'))
  t.match(reason, /WORK_FILE_MISSING/)
  t.match(whatNow, /in batch [0-9a-f]{32}, which has begun: some of its sums may be in the totals/)
  t.notMatch(whatNow, /Nothing of this file/)

  drop(site.paths, [{ ...large, name: 'c-large-again' }])
  await parser.untilSettled(3)
  t.same(
    (await batchesOf(site)).map(({ state }) => state),
    ['applied', 'applied'],
  )
  await eventually('nothing is left of it', () => {
    return list(site.paths.work).length === 0 && list(site.paths.runs).length === 0
  })
  t.match(await stopProgram(parser), { code: 0 })
  await withSession(site, async session => {
    await assertTotalsEqual(t, site, session, totalsOf([first, large]))
    await assertLedgerBalances(t, site, session)
  })
})
