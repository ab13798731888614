import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { ServiceNotices, takeServiceManager } from '../../scripts/supervising/service-notices.ts'
import { processIdentity } from '../../shared/lifecycle.ts'
import { eventually } from '../helpers/eventually.ts'
import { receiveNotices } from '../helpers/notify-socket.ts'
import { startNodeWithoutLoader } from '../helpers/plain-node.ts'
import { killProcess, processesOf } from '../helpers/processes.ts'
import { SupervisorScene } from '../scripts/supervisor-scene.ts'
import { tempDir } from '../shared/helpers.ts'

// The supervisor of small programs, and a service manager's socket, or what is in its place.

startNodeWithoutLoader(t)

/** A supervisor that runs, and tells whoever listens there. */
async function running(
  t: Test,
  socketPath: string,
  { watchdogMs = 300, path = process.env.PATH }: { watchdogMs?: number; path?: string } = {},
) {
  const scene = new SupervisorScene(t, {}, { withGenerator: false })
  await scene.supervisor.start()
  process.env.PATH = path
  const notices = new ServiceNotices({ socketPath, watchdogMs }, scene.supervisor)
  t.teardown(() => notices.close())
  const log = (): string => readFileSync(`${scene.paths.log}/supervisor.log`, 'utf8')
  return { scene, notices, log }
}

t.test('what waits is said, and is no reason to be started again', async t => {
  const path = `${tempDir(t)}/notify`
  const manager = await receiveNotices(t, path)
  const { scene } = await running(t, path)
  await manager.hears('READY=1')
  await manager.hears('STATUS=running; queue 1 files, 1 B; since start 0 applied')
  scene.parserSays({
    ...{ state: 'starting', database: 'unavailable', databaseReason: 'refused\nREADY=1' },
    leftInInbox: { files: 1_200, reasons: [] },
  })
  t.match(
    await manager.hears('STATUS=starting, MariaDB is unavailable: '),
    /: refused\\u000aREADY=1; 1 200 left in the inbox; queue 1 files/,
    'nobody else’s words are lines of it',
  )
  const told = manager.lines('WATCHDOG=1').length
  scene.parserSays({ state: 'paused', reason: `only 1 MiB is free ${'x'.repeat(2_000)}` })
  const status = await manager.hears('STATUS=paused: only 1 MiB is free')
  t.ok(status.length <= 'STATUS='.length + 500)
  await eventually('the watchdog is told', () => manager.lines('WATCHDOG=1').length > told + 2)
  scene.tell('parser', 'die')
  const others = manager.lines('WATCHDOG=1').length
  await eventually('also meanwhile', () => manager.lines('WATCHDOG=1').length > others + 2)
  t.equal(manager.lines('READY=1').length, 1)
})

t.test('a name that is in no directory', async t => {
  const path = `@countersink-test-${process.pid}`
  const manager = await receiveNotices(t, path)
  const { notices } = await running(t, path, { watchdogMs: 2 ** 40 })
  await manager.hears('READY=1')
  notices.reloading(() => {})
  await eventually('a reload', () => manager.lines('READY=1').length === 2)
  t.same(manager.lines('WATCHDOG'), [], 'there is time')
})

t.test('a helper that is killed has a successor', async t => {
  const path = `${tempDir(t)}/notify`
  const manager = await receiveNotices(t, path)
  await running(t, path, { watchdogMs: 60 })
  await manager.hears('WATCHDOG=1')
  const helper = processesOf(path).find(({ pid }) => pid !== manager.pid)
  killProcess(helper!.pid)
  await eventually('it is gone', () => processIdentity(helper!.pid) === undefined)
  const told = manager.lines('WATCHDOG=1').length
  await eventually('another tells on', () => manager.lines('WATCHDOG=1').length > told + 1)
})

t.test('that nobody can be told is said once, and again after somebody could', async t => {
  const path = `${tempDir(t)}/notify`
  const { log } = await running(t, path, { watchdogMs: 60 })
  const said = (): number => log().split(' cannot be told anything: ').length - 1
  await eventually('it is said', () => said() === 1)
  const manager = await receiveNotices(t, path)
  await manager.hears('WATCHDOG=1')
  t.equal(said(), 1)
  killProcess(manager.pid!)
  await eventually('it is said again', () => said() === 2)
})

t.test('nobody there, and nobody who could tell them', async t => {
  const { PATH } = process.env
  const said = (log: string): string[] =>
    log.split('\n').filter(line => / WARN supervisor the service manager at /.test(line))
  for (const [what, path] of [
    ['missing', `${tempDir(t)}/notify`],
    ['too long', `/${'x'.repeat(300)}`],
    ['without a perl', `${tempDir(t)}/notify`],
  ] as const) {
    const empty = what === 'without a perl' ? { path: tempDir(t) } : {}
    const { scene, notices, log } = await running(t, path, { watchdogMs: 60, ...empty })
    await eventually(`${what}: it is said`, () => said(log()).length > 0)
    scene.parserSays({ state: 'paused', reason: what })
    await eventually('it goes on', () => scene.supervisor.health.parser?.reason === what)
    await notices.close()
    process.env.PATH = PATH
    t.equal(said(log()).length, 1, what)
    t.equal(scene.state, 'running')
  }
})

t.test('who is to be told is taken out of the environment', async t => {
  const env = { NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '1500', WATCHDOG_PID: String(process.pid) }
  t.same(takeServiceManager(env), { socketPath: '/n', watchdogMs: 1.5 })
  t.same(env, {})
  t.equal(takeServiceManager(env), undefined)
  for (const unwatched of [{ WATCHDOG_PID: '1' }, { WATCHDOG_USEC: '0' }, { WATCHDOG_USEC: 'x' }]) {
    const found = takeServiceManager({ NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '1500', ...unwatched })
    t.same(found, { socketPath: '/n', watchdogMs: undefined })
  }
})
