import t from 'tap'
import { CRASH_POINTS, type CrashPoint } from '../../shared/crash-points.ts'
import { U64_MAX } from '../../shared/limits.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { type DataFile, dataFile, drop, seededFile, totalsOf } from '../helpers/files.ts'
import { assertEverythingAddsUp, type Fate, list, processedFiles } from '../helpers/invariants.ts'
import { spawnParser, startParser, stopProgram } from '../helpers/parser.ts'
import { makeNeighbour, makeSite } from '../helpers/state-dir.ts'
import {
  applied,
  chunkedFile,
  Feeder,
  holdLedger,
  queueOf,
  settleAll,
  spawnDoomed,
  tinySite,
  untilDigested,
  wideFile,
} from './scene.ts'
import { batchesOf, holdLease, setTotal, waitingOf } from './sql.ts'

// One mariadbd for all; cases wait for processes and disks most of the time.
const server = await startDatabaseServer(t)
t.jobs = 3
t.setTimeout(600_000)

/**
 * B: what takes a batch back. Has a scene of its own, as nothing else may go wrong there; so has what
 * puts bad lines aside (`rejects.test.ts`).
 */
const POINTS = CRASH_POINTS.filter(name => /^[PS]/.test(name) && !name.includes('reject'))
const RETREAT = CRASH_POINTS.filter(name => name.startsWith('B'))

/**
 * The first file is a batch of one chunk; while it is held, the next three are read and then merged
 * into one batch of many chunks. The large one is sealed often, has three checkpoints, and its runs
 * are compacted.
 */
const first = seededFile('a-first', 1, { lines: 40, consumers: 12 })
const large = wideFile('b-large', 2)
const small = seededFile('c-small', 3, { lines: 20, consumers: 8 })
const middle = seededFile('d-middle', 4, { lines: 2_000, consumers: 150 })
const copy: DataFile = { ...small, name: 'e-copy' }
const bad = dataFile('f-bad', '1 1\nwhat\n')
const FATES: readonly Fate[] = [
  [first, 'applied'],
  [large, 'applied'],
  [small, 'applied'],
  [middle, 'applied'],
  [copy, 'duplicate'],
  [bad, 'quarantined'],
]
const FILES = FATES.map(([file]) => file)

/**
 * Each case kills the parser twice: at the first passing, then in what the second start makes of
 * it, at the passing named here: in the middle of other files, runs, chunks, moves.
 */
const SECOND: { readonly [point in CrashPoint]?: number } = {
  'P1-data-moved': 2,
  'P1-claim-synced': 2,
  'P1-claim-journalled': 3,
  'P2-before-run-written': 20,
  'P2-run-synced': 2,
  'P2-run-renamed': 33,
  'P2-checkpoint-before': 3,
  'P2-checkpoint-committed': 2,
  'P3-digest-journalled': 3,
  'S2-portion-recorded': 7,
  'P5-before-commit': 9,
  'P5-chunk-committed': 5,
  'P7-before-journalled': 2,
  'P7-done-journalled': 2,
  'P8-moved': 3,
  'P8-move-synced': 2,
  'P8-manifest-removed': 3,
}
/** Passed once only: after a crash there it is behind. */
const ONCE: readonly CrashPoint[] = ['P4-batch-begun', 'P7-sidecar-written']

for (const point of POINTS) {
  t.test(`killed at ${point}`, { buffered: true }, async t => {
    const site = await tinySite(t, server)
    const feeder = new Feeder(t, site, FILES)
    for (const passing of ONCE.includes(point) ? [1] : [1, SECOND[point] ?? 1]) {
      const hold = await holdLedger(t, site)
      const doomed = await spawnDoomed(t, site, point, { passing })
      await feeder.feed(doomed)
      await untilDigested(site, doomed, bad)
      await hold.release()
      await doomed.died()
    }
    const next = await startParser(t, site)
    await feeder.feed(next)
    await next.untilSettled(FILES.length)
    t.match(await stopProgram(next), { code: 0 })
    await assertEverythingAddsUp(t, site, FATES)
  })
}

/** A total of `b-guilty` is raised by somebody else, so that its third chunk does not fit. */
const raised = chunkedFile('a-raised', 11)
const guilty = chunkedFile('b-guilty', 12)
/** Has nothing to do with that total. */
const neighbour = seededFile('c-neighbour', 13, { consumers: 40 })

for (const point of RETREAT) {
  t.test(`killed at ${point}`, { buffered: true }, async t => {
    const site = await tinySite(t, server)
    const elsewhere = await makeNeighbour(t, site)
    const parser = await startParser(t, site)
    drop(site.paths, [raised])
    await parser.untilSettled(1)
    const id = [...totalsOf([guilty]).keys()].sort((a, b) => (a < b ? -1 : 1))[40]!
    const hold = await holdLease(site)
    drop(site.paths, [guilty, neighbour])
    await eventually('both are recorded', async () => (await waitingOf(site)) === 2)
    t.match(await stopProgram(parser), { code: 0 })
    const right = await setTotal(site, id, U64_MAX)
    await hold.release()
    // What is taken back are two chunks.
    const kills = point === 'B2-chunk-taken-back' ? 2 : 1
    for (let i = 0; i < kills; i += 1) await (await spawnDoomed(t, site, point)).died()
    // Another host ends it: none of its files are there.
    const other = await startParser(t, elsewhere)
    await eventually('nothing is left to be counted', async () => {
      const areOver = (await batchesOf(site)).every(({ state }) => state === 'applied')
      return areOver && (await waitingOf(site)) === 0
    })
    const next = await startParser(t, site)
    await next.untilSettled(3)
    for (const parser of [next, other]) t.match(await stopProgram(parser), { code: 0 })
    await setTotal(site, id, right)
    await assertEverythingAddsUp(t, site, [...applied(raised, neighbour), [guilty, 'quarantined']])
    const record = (await processedFiles(site)).find(({ name }) => name === guilty.name)
    t.match(record?.reason, /^TOTAL_OVERFLOW: consumer \d+ stands at/)
  })
}

/** Read at once, and claimed in one commit of the journal. */
const MANY: readonly DataFile[] = Array.from({ length: 40 }, (_, i) =>
  seededFile(`small-${String(i).padStart(2, '0')}`, i, { lines: 30, consumers: 50 }),
)

for (const [point, digested] of [
  ['P3-before-digest-journalled', 0],
  ['P3-digest-journalled', MANY.length],
] as const) {
  t.test(`killed at ${point} of many files`, { buffered: true }, async t => {
    const site = await makeSite(t, server)
    drop(site.paths, MANY)
    // Nothing is read before the ledger has been seen: so all are claimed before the first is.
    const nowhere = `mariadb://x@localhost/x?socketPath=${site.paths.dir}/nowhere.sock`
    const claiming = spawnParser(t, site, { COUNTERSINK_DATABASE_URL: nowhere })
    await eventually('all are claimed', () => list(site.paths.inbox).length === 0)
    await stopProgram(claiming)
    await (await spawnDoomed(t, site, point)).died()
    const queue = await queueOf(site)
    t.equal(queue.filter(({ stage }) => stage === 'digested').length, digested, 'all or none')
    t.equal(queue.length, MANY.length)
    await settleAll(t, site, MANY.length)
    await assertEverythingAddsUp(t, site, applied(...MANY))
  })
}
