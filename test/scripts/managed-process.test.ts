import { readFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { ManagedProcess } from '../../scripts/supervising/managed-process.ts'
import { eventually, tempDir } from '../shared/helpers.ts'
import { childLogIn } from './log-scene.ts'

// A child of the supervisor that cannot be started: for want of descriptors, say.

function unstartable(t: Test) {
  let tries = 0
  const notices: string[] = []
  const child = new ManagedProcess({
    name: 'parser',
    command: ['-e', ''],
    env: {},
    log: childLogIn(tempDir(t)),
    inherit: () => {
      tries += 1
      throw Object.assign(new Error('spawn EMFILE'), { code: 'EMFILE' })
    },
    stopTimeoutMs: 1_000,
    onNotice: text => notices.push(text),
    onChange: () => {},
  })
  return { child, notices, tries: () => tries }
}

t.test('counts as one that died, and is tried again', async t => {
  const { child, notices, tries } = unstartable(t)
  await eventually('it is tried again', () => tries() > 2)
  t.match(notices[0], /could not be started \(EMFILE: spawn EMFILE\); it is started again at once/)
  await child.stop()
  t.equal(child.report.state, 'stopped')
})

t.test('one that is stopped before that is known stays stopped', async t => {
  const { child, notices, tries } = unstartable(t)
  await child.stop()
  await setImmediate()
  await setImmediate()
  t.equal(child.report.state, 'stopped')
  t.same([notices, tries()], [[], 1])
})

t.test('one that somebody has stopped is woken to end in order', async t => {
  const directory = tempDir(t)
  const started = performance.now()
  const child = new ManagedProcess({
    name: 'parser',
    command: [
      '-e',
      "process.on('SIGTERM', () => process.exit(0)); console.error('up'); setInterval(() => {}, 9)",
    ],
    env: {},
    log: childLogIn(directory),
    inherit: () => [],
    stopTimeoutMs: 60_000,
    onNotice: text => t.fail(text),
    onChange: () => {},
  })
  await eventually('it is there', () =>
    readFileSync(`${directory}/parser.log`, 'utf8').includes('up'),
  )
  process.kill(child.report.pid!, 'SIGSTOP')
  await child.stop()
  t.equal(child.report.state, 'stopped')
  t.ok(performance.now() - started < 30_000)
})
