import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { CRASH_POINTS } from '../../shared/crash-points.ts'
import { connectAnnouncer } from '../helpers/client.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { dataFile, drop, seededFile } from '../helpers/files.ts'
import { assertEverythingAddsUp, type Fate } from '../helpers/invariants.ts'
import { spawnParser, startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite } from '../helpers/state-dir.ts'

const server = await startDatabaseServer(t)
const POINTS = CRASH_POINTS.filter(name => name.startsWith('P'))
// Cases wait for processes and disks most of the time.
t.jobs = 3

// Which of two equal contents comes first must not be up to chance: the second comes later.
const first = seededFile('a-first', 1, { lines: 300, consumers: 100 })
const second = seededFile('b-second', 2, { lines: 300, consumers: 100 })
const bad = dataFile('c-bad', '1 1\nwhat\n')
const third = seededFile('d-third', 3, { lines: 300, consumers: 100 })
const copy = { ...first, name: 'e-copy' }
const FATES: Fate[] = [
  [first, 'applied'],
  [second, 'applied'],
  [bad, 'quarantined'],
  [third, 'applied'],
  [copy, 'duplicate'],
]

/** Where a second passing stands in the middle of something: other files, chunks, moves. */
const TWICE = ['P1-data-moved', 'P5-chunk-written', 'P6-batch-committed', 'P8-moved']

for (const point of POINTS) {
  for (const passing of TWICE.includes(point) ? [1, 2] : [1]) {
    t.test(`killed at ${point}, passing ${passing}`, { buffered: true }, async t => {
      const site = await makeSite(t, server, { COUNTERSINK_CHUNK_PAIRS_MAX: '40' })
      const crash = { COUNTERSINK_CRASH_AT: `${point}:${passing}` }
      drop(site.paths, [first, second])
      drop(site.paths, [bad], { manifest: false })
      drop(site.paths, [third])
      const doomed = spawnParser(t, site, crash)
      t.match(await doomed.ended, { signal: 'SIGKILL' }, 'the point was passed')

      const next = await startParser(t, site)
      await next.untilSettled(4)
      drop(site.paths, [copy])
      await next.untilSettled(5)
      t.match(await stopProgram(next), { code: 0 })
      await assertEverythingAddsUp(t, site, FATES)
    })
  }
}

// A content that the journal knows passes no point between its claim and its settling.
for (const point of POINTS.filter(name => /^P[78]/.test(name))) {
  t.test(`killed at ${point} with a duplicate`, { buffered: true }, async t => {
    const site = await makeSite(t, server)
    drop(site.paths, [first])
    const before = await startParser(t, site)
    await before.untilSettled(1)
    await stopProgram(before)

    drop(site.paths, [copy])
    const doomed = spawnParser(t, site, { COUNTERSINK_CRASH_AT: point })
    t.match(await doomed.ended, { signal: 'SIGKILL' })
    const next = await startParser(t, site)
    await next.untilSettled(2)
    await stopProgram(next)
    await assertEverythingAddsUp(t, site, [
      [first, 'applied'],
      [copy, 'duplicate'],
    ])
  })
}

t.test('killed again and again, at each point once', { buffered: true }, async t => {
  const site = await makeSite(t, server, { COUNTERSINK_CHUNK_PAIRS_MAX: '40' })
  const marks = join(site.paths.dir, 'marks')
  mkdirSync(marks)
  const files = POINTS.map((point, i) => seededFile(point, 100 + i, { lines: 100 }))
  for (const [i, point] of POINTS.entries()) {
    drop(site.paths, files.slice(i, i + 1))
    const doomed = spawnParser(t, site, {
      COUNTERSINK_CRASH_AT: point,
      COUNTERSINK_CRASH_MARKS: marks,
    })
    t.match(await doomed.ended, { signal: 'SIGKILL' }, point)
  }
  const next = await startParser(t, site)
  await next.untilSettled(files.length)
  await stopProgram(next)
  t.same(readdirSync(marks).sort(), [...POINTS].sort())
  await assertEverythingAddsUp(
    t,
    site,
    files.map(file => [file, 'applied']),
  )
})

for (const point of POINTS.filter(name => name.startsWith('P1-'))) {
  t.test(`killed at ${point}, before the ack`, { buffered: true }, async t => {
    const site = await makeSite(t, server)
    const rarely = { COUNTERSINK_SCAN_INTERVAL_MS: '3600000' }
    const doomed = await startParser(t, site, { ...rarely, COUNTERSINK_CRASH_AT: point })
    const announcer = await connectAnnouncer(t, site.paths)
    drop(site.paths, [first])
    await t.rejects(announcer.announce(first), { code: 'CHANNEL_CLOSED' }, 'no ack came')
    t.match(await doomed.ended, { signal: 'SIGKILL' })

    const next = await startParser(t, site)
    const again = await connectAnnouncer(t, site.paths)
    // It is on its way, or was counted meanwhile; either way the announcer hears the end of it.
    t.match(await again.announce(first), { outcome: /^(accepted|known)$/ })
    t.match(await again.outcomeOf(first.name), { outcome: 'applied' })
    await next.untilSettled(1)
    await stopProgram(next)
    await assertEverythingAddsUp(t, site, [[first, 'applied']])
  })
}
