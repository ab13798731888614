import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { DiskWatch } from '../../parser/disk-watch.ts'
import { eventually, tempDir, within } from '../shared/helpers.ts'
import { eventsToldTo, recordingLog } from './helpers.ts'

const MORE_THAN_ANY_DISK = 2 ** 60

/** A watch on a list of directories: full while there is one, not full while there is none. */
function scene(t: Test, directories: string[] = []) {
  const log = recordingLog()
  const watch = new DiskWatch({
    directories,
    reserveBytes: MORE_THAN_ANY_DISK,
    events: eventsToldTo(log),
  })
  const abort = new AbortController()
  t.teardown(() => abort.abort())
  const messages = (): string[] => log.lines.map(({ level, message }) => `${level} ${message}`)
  return { watch, log, messages, directories, abort, signal: abort.signal, dir: tempDir(t) }
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  void promise.then(() => {
    settled = true
  })
  for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate)
  return settled
}

const PAUSED = 'warn paused'
const GOES_ON = 'notice goes on: there is room again'

t.test('it pauses, says so once, and goes on by itself', async t => {
  const { watch, messages, log, directories, signal, dir } = scene(t)
  await watch.look()
  t.equal(watch.reason, undefined)
  await within('no waiting', watch.room(signal))
  directories.push(join(dir, 'missing'))
  await watch.look()
  t.equal(watch.reason, undefined, 'a directory that is not there yet')
  directories.push(dir)
  await watch.look()
  t.match(watch.reason, /free in .+, .+ in reserve$/)
  t.ok(watch.reason?.includes(dir))
  await watch.look()
  const waiting = [watch.room(signal), watch.room(signal)]
  t.notOk(await isSettled(Promise.race(waiting)))
  directories.length = 0
  await watch.look()
  t.equal(watch.reason, undefined)
  await within('all who wait', Promise.all(waiting))
  await watch.look()
  t.same(messages(), [PAUSED, GOES_ON])
  t.match(log.lines[0]?.fields, { because: /reserve/ })
})

t.test('the loop notices both, and ends with the signal', async t => {
  const { watch, directories, abort, signal, dir } = scene(t)
  directories.push(dir)
  const running = watch.run(signal)
  await eventually('it is full', () => watch.reason !== undefined)
  const waiting = watch.room(signal)
  directories.length = 0
  await within('it goes on', waiting)
  abort.abort()
  await within('the end', running)
})

t.test('a stop ends the waiting', async t => {
  const { watch, abort, signal, dir, directories } = scene(t)
  directories.push(dir)
  await watch.look()
  watch.foundFull('a write')
  const waiting = [watch.room(signal), watch.room(signal)]
  t.notOk(await isSettled(Promise.race(waiting)))
  abort.abort()
  await within('the end', Promise.all(waiting))
  await within('at once', watch.room(signal))
})

t.test('a write that found no space waits for a look, whatever the figures say', async t => {
  const { watch, messages, signal, dir } = scene(t)
  mkdirSync(join(dir, 'roomy'))
  watch.foundFull('DISK_FULL: the run')
  const waiting = watch.room(signal)
  t.equal(watch.reason, 'DISK_FULL: the run')
  const other = watch.room(signal)
  t.notOk(await isSettled(Promise.race([waiting, other])))
  await watch.look()
  await within('both', Promise.all([waiting, other]))
  t.equal(watch.reason, undefined)
  watch.foundFull('DISK_FULL: the run')
  await watch.look()
  t.same(messages(), [PAUSED, GOES_ON], 'found again and again, it is said once')
})

t.test('too few inodes are waited for like too few bytes', async t => {
  const log = recordingLog()
  const directories = [tempDir(t)]
  const reserve = { reserveBytes: 0, reserveInodes: Number.MAX_SAFE_INTEGER }
  const watch = new DiskWatch({ directories, ...reserve, events: eventsToldTo(log) })
  await watch.look()
  t.match(watch.reason, /inodes free in .+, 9 007 .+ are kept in reserve$/)
  directories[0] = '/proc'
  await watch.look()
  t.equal(watch.reason, undefined, 'a filesystem that has no inodes of its own')
})

t.test('a write that finds no space during a look is not forgotten', async t => {
  const log = recordingLog()
  const watch = new DiskWatch({
    directories: [tempDir(t)],
    reserveBytes: 0,
    events: eventsToldTo(log),
  })
  const abort = new AbortController()
  t.teardown(() => abort.abort())
  const looking = watch.look()
  watch.foundFull('DISK_FULL: the run')
  const waiting = watch.room(abort.signal)
  await looking
  await watch.look()
  t.equal(watch.reason, undefined)
  t.ok(await isSettled(waiting), 'whoever waits is told that there is room')
})

t.test('nothing is kept in reserve', async t => {
  const log = recordingLog()
  const watch = new DiskWatch({
    directories: [tempDir(t)],
    reserveBytes: 0,
    events: eventsToldTo(log),
  })
  await watch.look()
  t.equal(watch.reason, undefined)
  t.same(log.lines, [])
})
