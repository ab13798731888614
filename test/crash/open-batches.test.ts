import { readlinkSync } from 'node:fs'
import t, { type Test } from 'tap'
import { U64_MAX } from '../../shared/limits.ts'
import { countersink, jsonLines } from '../helpers/cli.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { dataFile, drop, totalsOf } from '../helpers/files.ts'
import { assertEverythingAddsUp, list } from '../helpers/invariants.ts'
import { pingParser, type RunningParser, startParser, stopProgram } from '../helpers/parser.ts'
import type { Site } from '../helpers/state-dir.ts'
import { applied, chunkedFile, settleAll, tinySite } from './scene.ts'
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
  const next = await settleAll(t, site, 2)
  t.match(next.output(), /finished a batch that was begun before/)
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

/**
 * Blocked: somebody has raised a total of its third chunk, so that it must be taken back, and lowered one
 * of its first, so that it cannot. `mend` makes both right.
 */
async function blocked(site: Site, { foreign, ids }: Trouble) {
  const [low, high] = [ids[0]!, ids[47]!]
  const rows = await foreign.query<{ total: bigint }>(
    'SELECT resource_consumption AS total FROM consumption WHERE id = ?',
    [low],
  )
  const setTotals = async (totals: ReadonlyMap<bigint, bigint>): Promise<void> => {
    for (const [id, total] of totals) {
      await foreign.execute('UPDATE consumption SET resource_consumption = ? WHERE id = ?', [
        ...[total, id],
      ])
    }
  }
  await setTotals(
    new Map([
      [low, 0n],
      [high, U64_MAX],
    ]),
  )
  await foreign.execute('COMMIT')
  await eventually('it is blocked', async () => (await openBatchOf(site)).state === 'blocked')
  const right = new Map([
    [low, rows[0]!.total],
    [high, totalsOf([first]).get(high)!],
  ])
  return { mend: () => setTotals(right) }
}

/** Each time it is tried again it is on its way for a moment. */
async function stuckBatchOf(site: Site) {
  let batch = await openBatchOf(site)
  await eventually('it stands still', async () => {
    batch = await openBatchOf(site)
    return batch.state === 'blocked'
  })
  return batch
}

t.test('blocked by a foreign writer, who mends it while it runs', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  const { parser, trouble } = await inThirdChunk(t, site)
  const { mend } = await blocked(site, trouble)
  const stuck = await stuckBatchOf(site)
  t.match(stuck, { cursor: trouble.ids[31], pairsApplied: 32n, pairsPlanned: 60n })
  await eventually('it is said', () => /ERROR parser .*code=BATCH_BLOCKED/.test(parser.output()))
  t.match(jsonLines(await countersink(t, site, 'status', '--json'))[0], {
    parser: {
      reason: /batch [0-9a-f]{32} is blocked: it cannot be finished, and not be taken back/,
    },
  })
  t.match(await stopProgram(parser), { code: 0 })

  // As long as nobody mends it, it stays as it is.
  const still = await startParser(t, site)
  await eventually('it is tried again', () => /BATCH_BLOCKED/.test(still.output()))
  t.same(await stuckBatchOf(site), stuck)
  await mend()
  await still.untilSettled(2)
  t.match(await pingParser(site.paths), { reason: undefined })
  t.match(await stopProgram(still), { code: 0 })
  await assertEverythingAddsUp(t, site, applied(first, second))
})

t.test('many wait for a blocked batch, and hold nothing', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  const { parser, trouble } = await inThirdChunk(t, site)
  const { mend } = await blocked(site, trouble)
  const copies = Array.from({ length: 5 }, (_, i) => ({ ...second, name: `copy-${i}` }))
  const neighbour = dataFile('neighbour', '1 5\n')
  drop(site.paths, copies)
  drop(site.paths, [neighbour])
  await eventually('a neighbour passes them', async () => {
    const health = await pingParser(site.paths)
    return health?.ever.applied === 2 && health.queue.files === 1 + copies.length
  })
  await eventually('no sums of theirs are open', () => {
    return openBelow(parser.pid, site.paths.runs).length === 0
  })
  // More than may be undecided: what is behind them waits as well, and nothing is lost.
  const more = Array.from({ length: 16 }, (_, i) => ({ ...second, name: `more-${i}` }))
  drop(site.paths, more)
  await eventually('all are taken', async () => {
    return (await pingParser(site.paths))?.queue.files === 1 + copies.length + more.length
  })
  await mend()
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
