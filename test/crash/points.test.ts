import { readFileSync } from 'node:fs'
import t from 'tap'
import { CRASH_POINTS, type CrashPoint } from '../../shared/crash-points.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { type DataFile, dataFile, seededFile } from '../helpers/files.ts'
import { assertEverythingAddsUp, type Fate } from '../helpers/invariants.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import type { Site } from '../helpers/state-dir.ts'
import { feed, holdLedger, spawnDoomed, tinySite, untilDigested, wideFile } from './scene.ts'

// One mariadbd for all; cases wait for processes and disks most of the time.
const server = await startDatabaseServer(t)
t.jobs = 4

const POINTS = CRASH_POINTS.filter(name => name.startsWith('P'))

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
const GOOD = FILES.filter(file => file !== bad)

/** Later passings stand in the middle of something: of other files, runs, chunks, moves. */
const LATER: { readonly [point in CrashPoint]?: readonly number[] } = {
  'P1-data-moved': [2],
  'P1-claim-journalled': [4],
  'P2-before-run-written': [20],
  'P2-run-synced': [7],
  'P2-run-renamed': [33, 40],
  'P2-checkpoint-before': [3],
  'P2-checkpoint-committed': [2, 3],
  'P3-before-digest-journalled': [2],
  'P3-digest-journalled': [2, 4],
  'P4-before-commit': [2],
  'P4-batch-begun': [2],
  'P5-before-commit': [2, 9],
  'P5-chunk-committed': [2, 9],
  'P6-before-commit': [2],
  'P6-batch-committed': [2],
  'P7-before-journalled': [2],
  'P7-done-journalled': [2, 3],
  'P8-moved': [2, 3],
  'P8-move-synced': [2],
  'P8-manifest-removed': [3],
}

for (const point of POINTS) {
  for (const passing of [1, ...(LATER[point] ?? [])]) {
    t.test(`killed at ${point}, passing ${passing}`, { buffered: true }, async t => {
      const site = await tinySite(t, server)
      const hold = await holdLedger(t, site)
      const doomed = await spawnDoomed(t, site, point, { passing })
      const acknowledged = await feed(t, site, doomed, FILES)
      await untilDigested(site, doomed, GOOD)
      await hold.release()
      await doomed.died()

      const next = await startParser(t, site)
      await feed(t, site, next, FILES.slice(acknowledged))
      await next.untilSettled(FILES.length)
      t.match(await stopProgram(next), { code: 0 })
      await assertEverythingAddsUp(t, site, FATES)
    })
  }
}

t.test('killed at every point in turn, on one site', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  // From the end of a file's way to its beginning: each start finds more left over by the last.
  const points = [...POINTS].reverse()
  const fates: Fate[] = []
  for (const [i, point] of points.entries()) {
    const files = roundOf(i)
    fates.push(...files)
    await killOnce(site, point, files)
  }
  const next = await startParser(t, site)
  await next.untilSettled(fates.length)
  t.match(await stopProgram(next), { code: 0 })
  await assertEverythingAddsUp(t, site, fates)

  async function killOnce(site: Site, point: CrashPoint, round: readonly Fate[]): Promise<void> {
    const files = round.map(([file]) => file)
    const doomed = await spawnDoomed(t, site, point)
    for (let i = 0; i < files.length && doomed.isRunning(); ) {
      i += await feed(t, site, doomed, files.slice(i))
    }
    await doomed.died()
  }
})

function roundOf(i: number): Fate[] {
  const name = `round-${String(i).padStart(2, '0')}`
  return [
    [wideFile(`${name}-large`, 1_000 + i, { bytes: 150 * 1024 }), 'applied'],
    [seededFile(`${name}-small`, 2_000 + i, { lines: 30, consumers: 10 }), 'applied'],
    [dataFile(`${name}-bad`, `${i} 1\n${i}\n`), 'quarantined'],
  ]
}

t.test('every crash point is exercised, here or with the generator', async t => {
  const text = readFileSync(new URL('../generator/crash.test.ts', import.meta.url), 'utf8')
  const elsewhere = CRASH_POINTS.filter(name => !name.startsWith('P'))
  const named = elsewhere.filter(name => text.includes(`'${name}'`))
  const loops = /CRASH_POINTS\.filter/.test(text)
  t.same(loops ? elsewhere : named, elsewhere, 'the generator is killed at each of its points')
  t.ok(POINTS.length > 20)
  t.same(CRASH_POINTS.filter(name => !/^[GP]\d-/.test(name)), [], 'a point is of one of the two')
})
