import { existsSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import t, { type Test } from 'tap'
import { runCommand } from '../../scripts/supervising/alert-command.ts'
import { processIdentity } from '../../shared/lifecycle.ts'
import { eventually } from '../helpers/eventually.ts'
import { startNodeWithoutLoader } from '../helpers/plain-node.ts'
import { failureOf, tempDir } from '../shared/helpers.ts'
import { SupervisorScene } from './supervisor-scene.ts'

// Somebody's command is told of what needs a person, by the supervisor of small programs.

startNodeWithoutLoader(t)

t.jobs = 4
const COUNTS = { applied: 0, duplicate: 0, reverted: 0, held: 0, bytes: 0, lines: 0 }
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** A supervisor that runs, and what its command was told. */
async function running(t: Test, command = 'cat >> told', words = {}) {
  const dir = tempDir(t)
  const scene = new SupervisorScene(
    t,
    {},
    {
      ...{ dir, withGenerator: false },
      settings: { COUNTERSINK_ALERT_COMMAND: `cd ${dir}; ${command}` },
    },
  )
  scene.parserSays(words)
  await scene.supervisor.start()
  const told = (): Record<string, unknown>[] =>
    existsSync(`${dir}/told`)
      ? readFileSync(`${dir}/told`, 'utf8')
          .split('\n')
          .filter(line => line !== '')
          .map(line => JSON.parse(line))
      : []
  const log = (): string => readFileSync(`${scene.paths.log}/supervisor.log`, 'utf8')
  return { scene, told, log, is: (n: number) => eventually(`${n} told`, () => told().length === n) }
}

const processed = (name: string) => ({
  ...{ number: 1, name, sha256: 'ab'.repeat(32), sizeBytes: 1, lines: 1, amount: '0' },
  ...{ outcome: 'quarantined', reason: 'ID_MISSING: line 2', claimedAtMs: 1, settledAtMs: 2 },
  ...{ digestStartedAtMs: 1, digestedAtMs: 2 },
})

t.test('a condition is told of once, however long it lasts', { buffered: true }, async t => {
  const { scene, told, is } = await running(t)
  const beforeMs = Date.now()
  scene.parserSays({ noRoom: '1 MiB free in /x' })
  await is(1)
  const [event] = told()
  t.same(Object.keys(event!).sort(), [
    ...['at', 'host', 'kind', 'reason', 'since', 'stateDirectory', 'version', 'what'],
  ])
  t.match(event, { version: 1, kind: 'low-disk', reason: '1 MiB free in /x', at: ISO, since: ISO })
  t.match(event, { what: /nearly full/, stateDirectory: scene.paths.dir, host: hostname() })
  t.ok(Date.parse(String(event?.since)) >= beforeMs)
  // Gone, here again, and others: of this kind nobody hears more.
  scene.parserSays({})
  await eventually('it has gone', () => scene.supervisor.health.parser?.noRoom === undefined)
  scene.parserSays({ noRoom: 'again', blockedBatch: 'batch 1 is blocked: x' })
  await is(2)
  scene.parserSays({ database: 'unfit', databaseReason: 'LEDGER_BEHIND: it lacks f' })
  await is(3)
  scene.parserSays({ database: 'unfit', databaseReason: 'LEDGER_UNFIT: no table' })
  await is(4)
  t.match(
    told().map(({ kind, reason }) => [kind, reason]),
    [
      ['low-disk', '1 MiB free in /x'],
      ['batch-blocked', 'batch 1 is blocked: x'],
      ['ledger-behind', 'LEDGER_BEHIND: it lacks f'],
      ['ledger-unfit', 'LEDGER_UNFIT: no table'],
    ],
  )
})

t.test('files that are quarantined, and a last one before the end', { buffered: true }, async t => {
  // What was there before is not news.
  const { scene, told, is } = await running(t, undefined, {
    ...{ sinceStart: { ...COUNTS, quarantined: 2 }, ever: { ...COUNTS, quarantined: 7 } },
    files: [processed('b.txt')],
  })
  await is(1)
  t.match(told(), [{ kind: 'quarantine', reason: /^2 files; the newest: b\.txt: ID_MISSING/ }])
  await scene.supervisor.stop()
  t.equal(told().length, 1)

  const other = await running(t)
  other.scene.parserSays({
    ...{ sinceStart: { ...COUNTS, quarantined: 1 }, ever: { ...COUNTS, quarantined: 1 } },
    files: [processed('c.txt')],
  })
  await other.scene.supervisor.stop()
  t.match(other.told(), [{ kind: 'quarantine', reason: 'c.txt: ID_MISSING: line 2' }])
})

t.test('a child that is given up, or dies of a full disk', { buffered: true }, async t => {
  const { scene, told, is } = await running(t)
  scene.tell('parser', 'fillDisk')
  await is(1)
  t.match(told(), [{ kind: 'low-disk', reason: 'no room' }])
  scene.supervisor.abandon()
  const other = await running(t)
  other.scene.tell('parser', 'failForGood')
  t.match(await failureOf(other.scene.supervisor.failed), { code: 'CHILD_FAILED' })
  await other.scene.supervisor.stop()
  t.match(other.told(), [{ kind: 'child-given-up', reason: /the parser ended with status 78/ }])
})

t.test('a command that fails is said once, and harms nothing', { buffered: true }, async t => {
  const { scene, log } = await running(t, 'cat >> told; echo no such pager >&2; exit 3')
  scene.parserSays({ noRoom: 'x', blockedBatch: 'y' })
  await eventually('it is said', () => log().includes('COUNTERSINK_ALERT_COMMAND'))
  scene.parserSays({ database: 'unfit', databaseReason: 'z' })
  await eventually('it is seen', () => scene.supervisor.health.parser?.database === 'unfit')
  await scene.supervisor.stop()
  const lines = log()
    .split('\n')
    .filter(line => line.includes('ALERT_COMMAND'))
  t.equal(lines.length, 1)
  t.match(lines[0], /WARN supervisor .* was not told of .*: it ended with status 3 no such pager/)
})

t.test('one that does not end is ended, with what it started', { buffered: true }, async t => {
  const pidFile = `${tempDir(t)}/pid`
  const command = `sleep 300 & echo $! > ${pidFile}; wait`
  t.equal(await runCommand(command, '{}\n', 500), 'it did not end within 500 ms')
  const pid = Number(readFileSync(pidFile, 'utf8'))
  await eventually('it is gone', () => processIdentity(pid) === undefined)
  t.equal(
    await runCommand('exec true', 'x'.repeat(1_000_000), 60_000),
    undefined,
    'it reads nothing',
  )
  t.equal(await runCommand('sleep 1 >&2 &', '', 60_000), undefined, 'what it leaves is its own')
})
