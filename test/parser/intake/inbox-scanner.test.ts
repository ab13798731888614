import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Found, InboxScanner } from '../../../parser/intake/inbox-scanner.ts'
import { Sealer } from '../../../parser/intake/sealer.ts'
import { CLAIMS_PER_COMMIT_MAX } from '../../../shared/limits.ts'
import { formatManifest } from '../../../shared/manifest.ts'
import { MANIFEST_SUFFIX } from '../../../shared/paths.ts'
import { eventually, type Teardown, tempDir } from '../../shared/helpers.ts'
import { drop, manifestOf, recordingLog } from '../helpers.ts'

const QUIET = 1_000
const HOLD = 10_000
const HOUR = 3_600_000
const DAY = 24 * HOUR

/** From one end of the inbox to the other, whatever time a piece is given. */
async function wholeLook(scanner: InboxScanner, nowMs: number): Promise<Found[]> {
  const all: Found[] = []
  for (;;) {
    const { found, isOver } = await scanner.look(nowMs)
    all.push(...found)
    if (isOver) return all
  }
}

function scene(t: Teardown) {
  const inbox = tempDir(t)
  const log = recordingLog()
  const sealer = new Sealer()
  const scanner = new InboxScanner({ ...{ inbox, log, sealer }, quietMs: QUIET, cutHoldMs: HOLD })
  const path = (name: string): string => join(inbox, name)
  const lookOnce = async (nowMs: number): Promise<string[]> =>
    (await wholeLook(scanner, nowMs)).map(({ name }) => name).sort()
  return {
    ...{ inbox, log, sealer, scanner, path, lookOnce },
    /** Looks, and again once all that is quiet has been synced. */
    async look(nowMs: number) {
      await lookOnce(nowMs)
      await eventually('all is synced', () => sealer.isIdle)
      return lookOnce(nowMs)
    },
  }
}

t.test('a file with a manifest is taken at once', async t => {
  const { inbox, lookOnce } = scene(t)
  drop(inbox, 'a', '1 2', manifestOf('1 2'))
  t.same(await lookOnce(0), ['a'])
})

t.test('one without must have been quiet', async t => {
  const { inbox, look, path } = scene(t)
  drop(inbox, 'a')
  drop(inbox, 'b')
  t.same(await look(0), [])
  t.same(await look(QUIET - 1), [])
  t.same(await look(QUIET), ['a', 'b'])
  appendFileSync(path('a'), '3 4\n')
  t.same(await look(QUIET + 1), ['b'], 'it changed: it must be quiet anew')
  t.same(await look(2 * QUIET), ['b'])
  t.same(await look(2 * QUIET + 1), ['a', 'b'])
  utimesSync(path('a'), 5, 5)
  t.same(await look(9 * QUIET), ['b'], 'another time of modification is a change as well')
  const { mtime } = statSync(path('b'))
  drop(inbox, '.b', '7 8\n')
  utimesSync(path('.b'), mtime, mtime)
  renameSync(path('.b'), path('b'))
  t.same(await look(12 * QUIET), ['a'], 'and so is another file of the same size and time')
  t.same(await look(13 * QUIET), ['a', 'b'])
  writeFileSync(path('b'), '9 9\n')
  utimesSync(path('b'), mtime, mtime)
  t.same(await look(14 * QUIET), ['a'], 'nor does it help to set the time back')
})

t.test('and is ready only once it is synced, as what it was then', async t => {
  const { inbox, scanner, sealer, lookOnce, path } = scene(t)
  drop(inbox, 'a')
  await lookOnce(0)
  t.same(await lookOnce(QUIET), [], 'the sync has only begun')
  await eventually('it is synced', () => sealer.isIdle)
  const { ino, size, mtimeNs } = statSync(path('a'), { bigint: true })
  t.match(await wholeLook(scanner, QUIET), [{ name: 'a', sealed: { ino, size, mtimeNs } }])
  drop(inbox, 'b')
  await lookOnce(2 * QUIET)
  await lookOnce(3 * QUIET)
  appendFileSync(path('b'), '3 4\n')
  await eventually('it is synced', () => sealer.isIdle)
  t.same(await lookOnce(3 * QUIET), ['a'], 'it changed meanwhile')
})

t.test('one that may be a cut copy, or is empty, is held', async t => {
  const { inbox, look, path } = scene(t)
  drop(inbox, 'cut', '1 2\n3')
  drop(inbox, 'empty', '')
  t.same(await look(0), [])
  t.same(await look(QUIET), [])
  t.same(await look(HOLD - 1), [])
  t.same(await look(HOLD), ['cut', 'empty'])
  for (const name of ['cut', 'empty']) appendFileSync(path(name), '4 4\n')
  t.same(await look(HOLD), [])
  t.same(await look(HOLD + QUIET), ['cut', 'empty'], 'whole, they need quiet alone')
})

t.test('one that cannot be synced is left, told of once, until it is copied anew', async t => {
  const { inbox, look, sealer, log, path } = scene(t)
  const seal = sealer.seal.bind(sealer)
  sealer.seal = (asked, identity) =>
    /bad/.test(asked) && identity.size === 4n
      ? Promise.resolve({ kind: 'failed', why: 'EIO: i/o error, fsync' })
      : seal(asked, identity)
  for (const name of ['bad', 'good']) drop(inbox, name)
  await look(0)
  for (const nowMs of [QUIET, HOLD, HOUR]) t.same(await look(nowMs), ['good'])
  t.same(log.warnedOf(), ['bad'])
  t.match(log.lines[0], { message: /cannot be synced \(EIO.*copy it anew/ })
  rmSync(path('bad'))
  drop(inbox, 'bad', '1 2\n3 4\n')
  await look(2 * HOUR)
  t.same(await look(2 * HOUR + QUIET), ['bad', 'good'])
})

t.test('unfinished names are left alone', async t => {
  const { inbox, look, log } = scene(t)
  const names = ['.hidden', 'a.tmp', 'a.FilePart', 'a.crdownload', 'a~', '#a#', '~$a', '.#a']
  for (const name of names) drop(inbox, name)
  drop(inbox, 'b.tmp', 'x', manifestOf('x'))
  await look(0)
  t.same(await look(HOLD), [])
  t.same(log.lines, [])
})

t.test('those that have not changed for an hour are told of once, hidden ones never', async t => {
  const { inbox, look, log, path } = scene(t)
  for (const name of ['.hidden', 'a.part', 'growing.part', 'gone.part']) drop(inbox, name)
  for (let hours = 0; hours < 5; hours += 1) {
    appendFileSync(path('growing.part'), '3 4\n')
    if (hours === 1) rmSync(path('gone.part'))
    t.same(await look(hours * HOUR), [])
    t.same(log.warnedOf(), hours === 0 ? [] : ['a.part'])
  }
  t.same(await look(5 * HOUR), [])
  t.same(log.warnedOf(), ['a.part', 'growing.part'], 'it has stopped growing')
  t.match(log.lines[0], { message: /ends in \.part, .*rename it/ })
})

t.test('what cannot be taken is warned of once each', async t => {
  const { inbox, look, log, path } = scene(t)
  mkdirSync(path('directory'))
  symlinkSync('/etc/passwd', path('link'))
  execFileSync('mkfifo', [path('pipe')])
  const unfit = ['a\nb', 'x'.repeat(201)]
  for (const name of unfit) drop(inbox, name)
  for (const nowMs of [0, QUIET, HOLD, 2 * HOLD]) t.same(await look(nowMs), [])
  t.same(log.warnedOf().sort(), [...unfit, 'directory', 'link', 'pipe'].sort())
  drop(inbox, 'good')
  await look(3 * HOLD)
  t.same(await look(4 * HOLD), ['good'], 'the others go their way')
  t.equal(readdirSync(inbox).length, 6, 'nothing was touched')
})

t.test('a look in pieces forgets nothing, and goes on where it was', async t => {
  const { inbox, scanner, lookOnce, log } = scene(t)
  const unfit = Array.from({ length: 40 }, (_, i) => `unfit\n${i}`)
  for (const name of unfit) drop(inbox, name)
  const fit = Array.from({ length: CLAIMS_PER_COMMIT_MAX + 5 }, (_, i) => `f${i}`)
  for (const name of fit) drop(inbox, name, '1 2\n', manifestOf('1 2\n'))
  let piece = await scanner.look(0, 3)
  while (piece.found.length === 0) piece = await scanner.look(0, 3)
  t.ok(piece.found.length <= 3 && !piece.isOver, 'no more than can be claimed')
  for (const { name } of piece.found) rmSync(join(inbox, name))
  const others = (await lookOnce(0)).filter(name => name.startsWith('f'))
  const left = fit.length - piece.found.length
  t.equal(others.length, left, 'those that were not met yet')
  for (const nowMs of [1, 2]) t.equal((await lookOnce(nowMs)).length, left)
  t.same(log.warnedOf().sort(), unfit.sort(), 'each once')
  t.match(scanner.left, { files: unfit.length, reasons: [{ files: unfit.length }] })
})

t.test('what could not be claimed does not hold up what is behind it', async t => {
  const { inbox, scanner, look, lookOnce, log } = scene(t)
  const names = Array.from({ length: CLAIMS_PER_COMMIT_MAX }, (_, i) => `immovable-${i}`)
  for (const name of names) drop(inbox, name, '1 2\n', manifestOf('1 2\n'))
  t.equal((await lookOnce(0)).length, names.length)
  for (const name of names) scanner.leaveForNow(name, 'it does not move', 0)
  drop(inbox, 'good')
  await look(1)
  t.same(await look(QUIET + 1), ['good'])
  t.same(await lookOnce(HOUR), ['good', ...names].sort(), 'it is tried again')
  for (const name of names) scanner.leaveForNow(name, 'it does not move', HOUR)
  t.equal(log.warnedOf().length, names.length, 'and told of once')
})

t.test('a manifest whose data never came is removed a day after it was first seen', async t => {
  const { inbox, look, path, log } = scene(t)
  const old = Date.now() / 1_000 - 48 * 3_600
  const put = (name: string): void => {
    writeFileSync(path(name), formatManifest(manifestOf('1 2\n')))
    utimesSync(path(name), old, old)
  }
  const [alone, late] = ['alone', 'late'].map(name => name + MANIFEST_SUFFIX) as [string, string]
  put(alone)
  put(late)
  await look(0)
  t.same(readdirSync(inbox), [alone, late], 'its own time does not matter')
  await look(QUIET)
  drop(inbox, 'late')
  t.same(await look(DAY - 1), ['late'])
  t.ok(existsSync(path(alone)))
  t.same(await look(DAY), ['late'])
  t.notOk(existsSync(path(alone)))
  t.ok(existsSync(path(late)), 'that of data which is there stays')
  rmSync(path('late'))
  await look(DAY + 1)
  t.ok(existsSync(path(late)), 'its age counts from when it is alone')
  await look(2 * DAY + 1)
  t.notOk(existsSync(path(late)))
  t.same(log.warnedOf(), [])
})

t.test('what is no manifest of ours is told of once and never removed', async t => {
  const { inbox, look, path, log } = scene(t)
  const names = ['data', 'huge', 'other', 'directory', 'link', 'pipe'].map(
    name => name + MANIFEST_SUFFIX,
  )
  drop(inbox, names[0]!, '77 1\n')
  drop(inbox, names[1]!, '77 1\n'.repeat(10_000))
  drop(inbox, names[2]!, '{"version":2,"size":4}')
  mkdirSync(path(names[3]!))
  symlinkSync('/etc/passwd', path(names[4]!))
  execFileSync('mkfifo', [path(names[5]!)])
  for (let days = 0; days < 4; days += 1) {
    t.same(await look(days * DAY), [])
    t.same(await look(days * DAY + QUIET), [])
  }
  t.same(readdirSync(inbox).sort(), [...names].sort())
  t.same(log.warnedOf().sort(), [...names].sort())
  t.ok(log.lines.every(({ message }) => /^left in the inbox: .*manifest/.test(message)))
})
