import t from 'tap'
import { isAlive, processIdentity } from '../../shared/lifecycle.ts'
import { eventually } from '../helpers/eventually.ts'
import { startNodeWithoutLoader } from '../helpers/plain-node.ts'
import { failureOf, tempDir } from '../shared/helpers.ts'
import { SupervisorScene } from './supervisor-scene.ts'

// The supervisor with real processes: small programs that answer pings and end as they are told.

startNodeWithoutLoader(t)

t.jobs = 4

t.test(
  'starts the generator when the parser answers, and stops it before',
  { buffered: true },
  async t => {
    const scene = new SupervisorScene(t)
    await scene.supervisor.start()
    t.equal(scene.state, 'running')
    await eventually('it is told to others', () => scene.told.state === 'running')
    t.match(scene.told, {
      pid: process.pid,
      parser: { state: 'running', pid: Number, restarts: 0 },
      generator: { state: 'running', pid: Number, restarts: 0 },
      mariadb: undefined,
    })
    t.match(scene.supervisor.health, {
      parser: { role: 'parser' },
      generator: { role: 'generator' },
    })
    t.match(scene.notices, [/^running/])
    await scene.supervisor.stop()
    t.same(scene.diary, [
      ...['parser starts', 'parser is reached', 'generator starts', 'generator is reached'],
      ...['generator is asked to stop', 'generator ends'],
      ...['parser is asked to stop', 'parser ends'],
    ])
    t.same(scene.way, ['running', 'stopping', 'stopped'])
    t.match(scene.told, { state: 'stopped', parser: { state: 'stopped', pid: undefined } })
  },
)

t.test('without a generator it runs when the parser answers', { buffered: true }, async t => {
  const scene = new SupervisorScene(t, {}, { withGenerator: false })
  await scene.supervisor.start()
  t.equal(scene.state, 'running')
  await scene.supervisor.stop()
  t.notOk(scene.diary.some(line => line.startsWith('generator')))
})

t.test(
  'drains when the generator has ended, until the queue is empty',
  { buffered: true },
  async t => {
    const scene = new SupervisorScene(t)
    const { supervisor } = scene
    let isDrained = false
    void supervisor.drained.then(() => (isDrained = true))
    await supervisor.start()
    scene.tell('generator', 'end')
    await scene.becomes('draining')
    t.equal(supervisor.health.parser?.queue.files, 1)
    t.notOk(isDrained)
    scene.tell('parser', 'emptyQueue')
    await supervisor.drained
    t.equal(scene.state, 'draining', 'nothing has ended of what one may look at')
    await supervisor.stopChildren()
    await supervisor.stopChildren()
    await supervisor.stop()
    t.same(scene.way, ['running', 'draining', 'stopping', 'stopped'])
  },
)

t.test('an empty queue is not the end while the generator lives', { buffered: true }, async t => {
  const scene = new SupervisorScene(t)
  let isDrained = false
  void scene.supervisor.drained.then(() => (isDrained = true))
  await scene.supervisor.start()
  scene.tell('parser', 'emptyQueue')
  await eventually('it is known', () => scene.supervisor.health.parser?.queue.files === 0)
  t.same([scene.state, isDrained], ['running', false])
})

t.test('what dies is started again, and nothing else changes', { buffered: true }, async t => {
  const scene = new SupervisorScene(t)
  await scene.supervisor.start()
  const before = scene.supervisor.status
  scene.tell('parser', 'die')
  await eventually('another parser answers', () => {
    const { pid, state } = scene.supervisor.status.parser!
    return pid !== before.parser?.pid && state === 'running'
  })
  t.match(scene.supervisor.status, { state: 'running', generator: before.generator })
  t.equal(scene.supervisor.status.parser?.restarts, 1)
  await eventually('and is what is asked', () => scene.supervisor.parserChannel)
})

for (const name of ['parser', 'generator'] as const) {
  t.test(
    `a ${name} that fails for good is told of, and ends nothing else`,
    { buffered: true },
    async t => {
      const scene = new SupervisorScene(t)
      await scene.supervisor.start()
      scene.tell(name, 'failForGood')
      t.match(await failureOf(scene.supervisor.failed), { code: 'CHILD_FAILED' })
      t.equal(scene.state, 'running')
      await scene.supervisor.stop()
      t.equal(scene.supervisor.status[name]?.state, 'failed')
      t.same(scene.way, ['running', 'stopping', 'stopped'])
    },
  )

  t.test(`a start ends when the ${name} fails for good`, { buffered: true }, async t => {
    const scene = new SupervisorScene(t, { [name]: 'mute' })
    const failure = failureOf(scene.supervisor.start())
    await scene.happens(`${name} starts`)
    scene.tell(name, 'failForGood')
    t.match(await failure, { code: 'CHILD_FAILED' })
    t.equal(scene.state, 'starting')
    await scene.supervisor.stop()
    t.same(scene.way, ['stopping', 'stopped'])
  })
}

t.test('what serves may fail for good, and the service goes on', { buffered: true }, async t => {
  const settings = { COUNTERSINK_SERVE: '127.0.0.1:8321' }
  const scene = new SupervisorScene(t, {}, { settings })
  const { supervisor } = scene
  await supervisor.start()
  await eventually('it answers', () => supervisor.status.serving?.state === 'running')
  scene.tell('serving', 'die')
  await eventually('another one serves', () => {
    const { state, restarts } = supervisor.status.serving!
    return state === 'running' && restarts === 1
  })
  scene.tell('serving', 'failForGood')
  await eventually('it is given up', () => supervisor.status.serving?.state === 'failed')
  t.match(scene.notices.at(-1), /^nothing is served any more: CHILD_FAILED/)
  const failed = await Promise.race([supervisor.failed, Promise.resolve('not')])
  t.same([failed, scene.state, supervisor.isAlive], ['not', 'running', true])
  await supervisor.stop()
  t.same(scene.way, ['running', 'stopping', 'stopped'])
})

t.test('a service does not wait for what serves', { buffered: true }, async t => {
  const settings = { COUNTERSINK_SERVE: '127.0.0.1:8321' }
  const scene = new SupervisorScene(t, { serving: 'mute' }, { settings })
  await scene.supervisor.start()
  t.equal(scene.state, 'running')
  await scene.supervisor.stop()
  t.same(scene.diary.filter(line => line.startsWith('serving')).at(-1), 'serving ends')
})

t.test('a stop while the parser starts leaves the generator alone', { buffered: true }, async t => {
  const scene = new SupervisorScene(t, { parser: 'mute' })
  const started = scene.supervisor.start()
  await scene.happens('parser starts')
  await scene.supervisor.stop()
  await started
  t.same(scene.diary, ['parser starts', 'parser is asked to stop', 'parser ends'])
  t.same(scene.notices, [], 'nobody is told that it runs')
})

t.test('a stop before the start has done anything starts nothing', { buffered: true }, async t => {
  const scene = new SupervisorScene(t)
  const started = scene.supervisor.start()
  await scene.supervisor.stop()
  await started
  t.same([scene.diary, scene.state], [[], 'stopped'])
})

t.test('all who stop it share one stop', { buffered: true }, async t => {
  const scene = new SupervisorScene(t)
  await scene.supervisor.start()
  const stop = scene.supervisor.stop()
  t.equal(scene.supervisor.stop(), stop)
  await stop
  t.equal(scene.supervisor.stop(), stop)
})

t.test(
  'one that is abandoned starts nothing again, and can be stopped',
  { buffered: true },
  async t => {
    const scene = new SupervisorScene(t, { parser: 'stubborn', generator: 'stubborn' })
    await scene.supervisor.start()
    const { parser, generator } = scene.supervisor.status
    const processes = [parser, generator].map(child => processIdentity(child!.pid!)!)
    scene.supervisor.abandon()
    await eventually('both are gone', () => !processes.some(isAlive))
    await scene.supervisor.stop()
    t.match(scene.supervisor.status, {
      state: 'stopped',
      parser: { state: 'stopped', restarts: 0 },
      generator: { state: 'stopped', restarts: 0 },
    })
    t.notOk(scene.diary.includes('generator is asked to stop'))
  },
)

t.test('a directory has one supervisor, and another afterwards', { buffered: true }, async t => {
  const dir = tempDir(t)
  const first = new SupervisorScene(t, {}, { dir, withGenerator: false })
  await first.supervisor.start()
  const second = new SupervisorScene(t, {}, { dir, withGenerator: false })
  t.match(await failureOf(second.supervisor.start()), { code: 'STATE_DIRECTORY_IN_USE' })
  await second.supervisor.stop()
  t.equal(first.told.pid, process.pid, 'it has not touched what the first one says')
  await first.supervisor.stop()
  const third = new SupervisorScene(t, {}, { dir, withGenerator: false })
  await third.supervisor.start()
  t.equal(third.state, 'running')
})
