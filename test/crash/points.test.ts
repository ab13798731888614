import { readFileSync } from 'node:fs'
import t from 'tap'
import { CRASH_POINTS, type CrashPoint } from '../../shared/crash-points.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { type DataFile, dataFile, seededFile } from '../helpers/files.ts'
import { assertEverythingAddsUp, type Fate } from '../helpers/invariants.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import { Feeder, holdLedger, spawnDoomed, tinySite, untilDigested, wideFile } from './scene.ts'

// One mariadbd for all; cases wait for processes and disks most of the time.
const server = await startDatabaseServer(t)
t.jobs = 3
t.setTimeout(600_000)

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

/**
 * Each case kills the parser twice: at the first passing, then in what the second start makes of
 * it, at the passing named here: in the middle of other files, runs, chunks, moves.
 */
const SECOND: { readonly [point in CrashPoint]?: number } = {
  'P1-data-moved': 2,
  'P1-claim-synced': 2,
  'P1-claim-journalled': 3,
  'P2-before-run-written': 20,
  'P2-run-synced': 7,
  'P2-run-renamed': 33,
  'P2-checkpoint-before': 3,
  'P2-checkpoint-committed': 2,
  'P3-digest-journalled': 3,
  'P5-before-commit': 9,
  'P5-chunk-committed': 5,
  'P7-before-journalled': 2,
  'P7-done-journalled': 2,
  'P8-moved': 3,
  'P8-move-synced': 2,
  'P8-manifest-removed': 3,
}
/** Passed once only: after a crash there it is behind. */
const ONCE: readonly CrashPoint[] = ['P7-sidecar-written']

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

t.test('every crash point is exercised, here, with the generator or by `recover`', async t => {
  const text = readFileSync(new URL('../generator/crash.test.ts', import.meta.url), 'utf8')
  const elsewhere = CRASH_POINTS.filter(name => name.startsWith('G'))
  const named = elsewhere.filter(name => text.includes(`'${name}'`))
  const loops = /CRASH_POINTS\.filter/.test(text)
  t.same(loops ? elsewhere : named, elsewhere, 'the generator is killed at each of its points')
  t.ok(POINTS.length > 20)
  t.same(
    CRASH_POINTS.filter(name => !/^[GPR]\d-/.test(name)),
    [],
    'a point is of one of the three',
  )
})
