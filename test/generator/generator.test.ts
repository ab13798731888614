import {
  existsSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import t, { type Test } from 'tap'
import { startGenerator } from '../../generator/generator.ts'
import { readGeneratorState, runNames } from '../../generator/state.ts'
import { EXIT_CONFIG } from '../../shared/errors.ts'
import { silentLog } from '../../shared/log.ts'
import type { StatePaths } from '../../shared/paths.ts'
import {
  eventually,
  fakeParser,
  ping,
  readFiles,
  smallConfig,
  startProcess,
  stateDirectory,
  sumFiles,
  type Teardown,
} from './helpers.ts'

async function startHere(t: Teardown, paths: StatePaths, env: Record<string, string> = {}) {
  const service = await startGenerator({
    dir: paths.dir,
    config: smallConfig(env),
    runId: undefined,
    log: silentLog,
  })
  t.teardown(() => service.stop())
  return service
}

/** A directory on another filesystem; where there is none, that is said. */
function elsewhereThan(t: Test, dir: string): string | undefined {
  const elsewhere = mkdtempSync('/dev/shm/cg-')
  t.teardown(() => rmSync(elsewhere, { recursive: true }))
  if (statSync(elsewhere).dev !== statSync(dir).dev) return elsewhere
  t.comment('not tried: /dev/shm is where the temporary files are')
  return undefined
}

t.test('makes the files it was asked for, waits until they are settled, and ends', async t => {
  const paths = stateDirectory(t)
  await fakeParser(t, paths)
  const { code, log } = await startProcess(t, paths, { COUNTERSINK_FILES: '12' }).ended
  t.equal(code, 0, log)
  const files = readFiles(paths.work)
  t.equal(files.length, 12)
  t.ok(files.every(file => file.sizeBytes >= 1_024 && file.sizeBytes <= 8_192))
  t.equal(new Set(files.map(file => file.sha256)).size, 12)
  const state = await readGeneratorState(paths.generatorState)
  t.same(state?.control, sumFiles(files))
  t.match(state, { pending: null, nextNumber: 13 })
  t.same(
    [...runNames(state!.stream, state!.run!)],
    files.map(file => file.name),
  )
  t.same(readdirSync(paths.inbox), [])
  t.same(readdirSync(paths.generatorTmp), [])
  t.notOk(existsSync(paths.generatorSocket))
})

t.test('a restart never makes a file again', async t => {
  const paths = stateDirectory(t)
  await fakeParser(t, paths)
  for (const files of ['3', '4', '5']) {
    const { code } = await startProcess(t, paths, { COUNTERSINK_FILES: files }).ended
    t.equal(code, 0)
  }
  const files = readFiles(paths.work)
  t.equal(files.length, 12)
  t.equal(new Set(files.map(file => file.sha256)).size, 12)
})

t.test('waits at the backlog limit, says why, and goes on when files are settled', async t => {
  const paths = stateDirectory(t)
  const service = await startHere(t, paths, {
    COUNTERSINK_BACKLOG_FILES_MAX: '2',
    COUNTERSINK_FILES: '5',
  })
  const waiting = await eventually('waiting', async () => {
    const health = await ping(paths)
    return health?.reason?.includes('2 files are published') && health
  })
  t.match(waiting, {
    role: 'generator',
    state: 'waiting',
    reason: /not yet settled .*; the parser is not connected$/,
    connected: false,
    unsettled: 2,
    sinceStart: { files: 2 },
    pid: process.pid,
  })
  t.type(waiting.eventLoopDelayMs, 'number')
  t.equal(readFiles(paths.inbox).length, 2)

  const parser = await fakeParser(t, paths, (announce, parser) => parser.ack(announce, 'accepted'))
  await eventually('announced', () => parser.announced.length === 2)
  await eventually('connected', async () => (await ping(paths))?.connected)
  t.equal(readFiles(paths.inbox).length, 2, 'an ack makes no room')
  parser.settle(parser.announced[0]!.name)
  await eventually('a third', () => parser.announced.length === 3)
  t.equal(readFiles(paths.inbox).length, 3)
  for (let i = 1; i < 5; i += 1) {
    const announce = await eventually('announced', () => parser.announced[i])
    if (i === 4) {
      const draining = await eventually('draining', async () => {
        const health = await ping(paths)
        return health?.state === 'draining' && health.unsettled === 1 && health
      })
      t.match(draining.reason, /^waiting: 1 file is published/)
    }
    parser.settle(announce.name)
  }
  await service.finished
})

t.test('waits for the disk', async t => {
  const paths = stateDirectory(t)
  await startHere(t, paths, { COUNTERSINK_RESERVE: '1024TiB' })
  const health = await eventually('waiting', async () => {
    const health = await ping(paths)
    return health?.reason?.startsWith('waiting') && health
  })
  t.match(health.reason, /^waiting: .* free on \/.*\/inbox, .* wanted$/)
  t.same(readdirSync(paths.inbox), [])
})

t.test('waits for an inbox that cannot be reached, also with a file that is made', async t => {
  const paths = stateDirectory(t)
  const elsewhere = elsewhereThan(t, paths.dir)
  if (elsewhere === undefined) return
  await startHere(t, paths, { COUNTERSINK_FILE_SIZE: '1KiB', COUNTERSINK_RATE: '2KiB' })
  const reasonIs = (reason: RegExp) =>
    eventually(`${reason}`, async () => reason.test((await ping(paths))?.reason ?? ''))
  await eventually('in mid-file', async () => (await ping(paths))?.state === 'writing')
  renameSync(paths.inbox, `${paths.inbox}.mine`)
  symlinkSync(elsewhere, paths.inbox)
  await reasonIs(/^waiting to publish usage-.*two filesystems/)
  rmSync(paths.inbox)
  writeFileSync(paths.inbox, 'no directory')
  await reasonIs(/^waiting to publish usage-.*EEXIST/)
  rmSync(paths.inbox)
  renameSync(`${paths.inbox}.mine`, paths.inbox)
  await eventually('it is published', () => readFiles(paths.inbox).length === 1)
  t.same(readdirSync(elsewhere), [])
})

t.test('files that are in the inbox at the start are announced and waited for', async t => {
  const paths = stateDirectory(t)
  const env = { COUNTERSINK_BACKLOG_FILES_MAX: '3' }
  const first = await startHere(t, paths, env)
  await eventually('full', async () => (await ping(paths))?.unsettled === 3)
  await first.stop()
  await startHere(t, paths, { COUNTERSINK_BACKLOG_FILES_MAX: '2' })
  await eventually('full', async () => (await ping(paths))?.unsettled === 2)
  t.equal(readFiles(paths.inbox).length, 3)
  const parser = await fakeParser(t, paths)
  await eventually('all announced, and more made', () => parser.announced.length >= 6)
  t.equal(new Set(parser.announced.map(one => one.name)).size, parser.announced.length)
})

t.test('SIGTERM in the middle of a file ends it quickly and leaves nothing of it', async t => {
  const paths = stateDirectory(t)
  const running = startProcess(t, paths, {
    COUNTERSINK_FILE_SIZE: '1GiB',
    COUNTERSINK_RATE: '200KiB',
  })
  const health = await eventually('writing', async () => {
    const health = await ping(paths)
    return health?.writing && health.writing.positionBytes > 20_000 && health
  })
  t.match(health, { state: 'writing', writing: { sizeBytes: 2 ** 30 }, unsettled: 0 })
  t.equal(readdirSync(paths.generatorTmp).length, 1)
  const stoppedAtMs = Date.now()
  running.child.kill('SIGTERM')
  const { code, log } = await running.ended
  t.equal(code, 0, log)
  t.ok(Date.now() - stoppedAtMs < 30_000, 'the whole file would have taken more than an hour')
  t.same(readdirSync(paths.generatorTmp), [])
  t.same(readdirSync(paths.inbox), [])
  t.match(await readGeneratorState(paths.generatorState), { pending: null, nextNumber: 1 })
})

t.test('pings are answered at once at full speed', async t => {
  const paths = stateDirectory(t)
  const running = startProcess(t, paths, { COUNTERSINK_FILE_SIZE: '256MiB' })
  await eventually('writing', async () => (await ping(paths))?.state === 'writing')
  const times: number[] = []
  for (let i = 0; i < 20; i += 1) {
    const startedAtMs = performance.now()
    await ping(paths)
    times.push(performance.now() - startedAtMs)
  }
  times.sort((a, b) => a - b)
  t.ok(times[10]! < 100, `median ${times[10]} ms`)
  running.child.kill('SIGTERM')
  t.equal((await running.ended).code, 0)
})

t.test('a second generator on the same directory is refused', async t => {
  const paths = stateDirectory(t)
  await startHere(t, paths)
  const { code, log } = await startProcess(t, paths).ended
  t.equal(code, EXIT_CONFIG)
  t.match(log, /ALREADY_RUNNING/)
  t.ok(await ping(paths), 'and the first goes on')
})

t.test('what has no sense is refused', async t => {
  const paths = stateDirectory(t)
  const { code, log } = await startProcess(t, paths, { COUNTERSINK_RUN_ID: 'a b' }).ended
  t.equal(code, EXIT_CONFIG)
  t.match(log, /CONFIG_INVALID: COUNTERSINK_RUN_ID/)
  writeFileSync(paths.generatorState, '{}')
  const spoilt = await startProcess(t, paths).ended
  t.equal(spoilt.code, EXIT_CONFIG)
  t.match(spoilt.log, /STATE_DIRECTORY_UNFIT/)
})

t.test('an inbox on another filesystem is refused', async t => {
  const paths = stateDirectory(t)
  const elsewhere = elsewhereThan(t, paths.dir)
  if (elsewhere === undefined) return
  rmdirSync(paths.inbox)
  symlinkSync(elsewhere, paths.inbox)
  await t.rejects(startHere(t, paths), { code: 'STATE_DIRECTORY_UNFIT' })
})
