import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { hasCode } from '../../shared/errors.ts'
import { freeRoom } from '../../shared/room.ts'
import { countersink, jsonLines } from '../helpers/cli.ts'
import { connectAnnouncer } from '../helpers/client.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { drop, seededFile } from '../helpers/files.ts'
import { assertEverythingAddsUp, list } from '../helpers/invariants.ts'
import { pingParser, spawnParser, startParser, stopProgram } from '../helpers/parser.ts'
import { applied, chunkedFile, settleAll, tinySite, wideFile } from './scene.ts'

// Work keeps away from a disk that is nearly full, says so, and goes on by itself.

const server = await startDatabaseServer(t)
t.setTimeout(600_000)

t.test('a reserve larger than what is free', async t => {
  const site = await tinySite(t, server, { COUNTERSINK_RESERVE: '1024TiB' })
  const files = [seededFile('a-first', 1), wideFile('b-large', 2, { bytes: 100 * 1024 })]
  const parser = await startParser(t, site)
  const why = /free in .*, 1(024 T|\.0 P)iB are kept in reserve/
  t.match(await pausedHealth(site), { state: 'paused', reason: why })
  t.match(jsonLines(await countersink(t, site, 'status', '--json'))[0], {
    parser: { state: 'paused', reason: why },
  })
  drop(site.paths, files)
  const announcer = await connectAnnouncer(t, site.paths)
  for (const file of files) {
    t.match(await announcer.announce(file), { outcome: 'later', reason: /reserve/ })
  }
  t.same(list(site.paths.work), [], 'nothing is taken')
  t.match(await stopProgram(parser), { code: 0 })

  const env = { COUNTERSINK_RESERVE: '0' }
  await settleAll(t, site, files.length, env)
  await assertEverythingAddsUp(t, site, applied(...files))
})

function pausedHealth(site: Parameters<typeof countersink>[1]) {
  return eventually('it is paused', async () => {
    const health = await pingParser(site.paths)
    return health?.state === 'paused' && health
  })
}

/** A small disk of its own for the sites of this test; undefined where that is not permitted. */
function smallDisk(t: Test, options = `size=${DISK_BYTES}`): string | undefined {
  const mountPoint = mkdtempSync(join(tmpdir(), 'csd'))
  t.teardown(() => rmSync(mountPoint, { recursive: true, force: true }))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', mountPoint], {
      stdio: 'ignore',
    })
  } catch {
    // Only root may, and not in every container.
    return undefined
  }
  t.teardown(() => void execFileSync('umount', ['--lazy', mountPoint]))
  const before = process.env.TMPDIR
  process.env.TMPDIR = mountPoint
  t.teardown(() => {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
  })
  return mountPoint
}

const DISK_BYTES = 24 * 2 ** 20
const FILES = [1, 2, 3].map(seed => wideFile(`file-${seed}`, seed, { bytes: 100 * 1024 }))

t.test('the disk fills up while files come, and is freed', async t => {
  const disk = smallDisk(t)
  if (disk === undefined) return t.pass('skipped: mounting a tmpfs is not permitted here')
  const site = await tinySite(t, server, { COUNTERSINK_RESERVE: '8MiB' })
  const parser = await startParser(t, site)
  drop(site.paths, FILES.slice(0, 1))
  await parser.untilSettled(1)
  const filler = join(disk, 'filler')
  writeFileSync(filler, Buffer.alloc((await freeRoom(disk)).freeBytes - 4 * 2 ** 20))
  t.match(await pausedHealth(site), { reason: /free in .*, 8\.0 MiB are kept in reserve/ })
  drop(site.paths, FILES.slice(1))
  const announcer = await connectAnnouncer(t, site.paths)
  t.match(await announcer.announce(FILES[1]!), { outcome: 'later' })
  rmSync(filler)
  await parser.untilSettled(FILES.length)
  t.match(parser.output(), /WARN parser paused .*NOTICE parser goes on/s)
  t.match(await stopProgram(parser), { code: 0 })
  await assertEverythingAddsUp(t, site, applied(...FILES))
})

t.test('the disk is full to the last byte, and nothing was kept in reserve', async t => {
  const disk = smallDisk(t)
  if (disk === undefined) return t.pass('skipped: mounting a tmpfs is not permitted here')
  const site = await tinySite(t, server)
  const first = await startParser(t, site)
  drop(site.paths, FILES.slice(0, 1))
  await first.untilSettled(1)
  await stopProgram(first)
  drop(site.paths, FILES.slice(1))
  const filler = join(disk, 'filler')
  writeFileSync(filler, Buffer.alloc((await freeRoom(disk)).freeBytes - ROOM_BYTES))
  const parser = spawnParser(t, site)
  await eventually('it cannot go on', () => {
    return !parser.isRunning() || /paused .*DISK_FULL/.test(parser.output())
  })
  rmSync(filler)
  if (parser.isRunning()) parser.signal('SIGTERM')
  const { code } = await parser.ended
  t.ok(code === 0 || code === 70, 'it pauses, or ends on the error; a fresh start goes on')
  await settleAll(t, site, FILES.length)
  await assertEverythingAddsUp(t, site, applied(...FILES))
})

/** Enough to start, too little for the runs of a file. */
const ROOM_BYTES = 40 * 1024

t.test('the inodes are used up by others, and freed', async t => {
  const disk = smallDisk(t, `size=${DISK_BYTES},nr_inodes=400`)
  if (disk === undefined) return t.pass('skipped: mounting a tmpfs is not permitted here')
  const site = await tinySite(t, server, { COUNTERSINK_RESERVE_INODES: '100' })
  const parser = await startParser(t, site)
  drop(site.paths, FILES.slice(0, 1))
  await parser.untilSettled(1)
  const fillers: string[] = []
  while ((await freeRoom(disk)).freeInodes > 50) {
    fillers.push(join(disk, `filler-${fillers.length}`))
    writeFileSync(fillers.at(-1)!, '')
  }
  t.match(await pausedHealth(site), { reason: /inodes free in .*, 100 are kept in reserve/ })
  drop(site.paths, FILES.slice(1))
  const announcer = await connectAnnouncer(t, site.paths)
  t.match(await announcer.announce(FILES[1]!), { outcome: 'later', reason: /inodes/ })
  for (const filler of fillers) rmSync(filler)
  await parser.untilSettled(FILES.length)
  t.match(await stopProgram(parser), { code: 0 })
  await assertEverythingAddsUp(t, site, applied(...FILES))
})

t.test('a file for whose sums there is no room steps back, and others pass it', async t => {
  const disk = smallDisk(t)
  if (disk === undefined) return t.pass('skipped: mounting a tmpfs is not permitted here')
  const site = await tinySite(t, server, { COUNTERSINK_MEMORY_PAIRS_MAX: '64' })
  const parser = await startParser(t, site)
  const large = wideFile('large', 4, { bytes: 2 * 2 ** 20, consumers: 9_000 })
  const small = [5, 6, 7].map(seed => chunkedFile(`small-${seed}`, seed))
  const filler = join(disk, 'filler')
  const free = (await freeRoom(disk)).freeBytes
  writeFileSync(filler, Buffer.alloc(free - large.content.length - 256 * 1024))
  drop(site.paths, [large])
  await eventually('it steps back', async () => {
    return /waits for room/.test((await pingParser(site.paths))?.reason ?? '')
  })
  for (const file of small) {
    // The large one is tried again now and then, and takes all room that there is for a moment.
    await eventually(`there is room for ${file.name}`, () => {
      try {
        drop(site.paths, [file])
        return true
      } catch (error) {
        if (!hasCode(error, 'ENOSPC')) throw error
        return false
      }
    })
    await eventually(`${file.name} passes it`, async () => {
      const health = await pingParser(site.paths)
      return (health?.ever.applied ?? 0) > small.indexOf(file)
    })
  }
  t.match(await pingParser(site.paths), { queue: { files: 1 } })
  rmSync(filler)
  await parser.untilSettled(1 + small.length)
  t.equal(parser.output().match(/a file waits for room/g)?.length, 1, 'said once')
  t.match(await stopProgram(parser), { code: 0 })
  await assertEverythingAddsUp(t, site, applied(large, ...small))
})
