import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { ProcessState } from '../../scripts/state/supervisor-status.ts'
import { ManagedProcess } from '../../scripts/supervising/managed-process.ts'
import { PROCESS_STATES } from '../../scripts/supervising/managed-process-states.ts'
import { EXIT_CONFIG, EXIT_DISK_FULL } from '../../shared/errors.ts'
import { eventually } from '../helpers/eventually.ts'
import { startNodeWithoutLoader } from '../helpers/plain-node.ts'
import { checkTable, type Scene, walkCells } from '../helpers/state-cells.ts'
import { failureOf, tempDir } from '../shared/helpers.ts'
import { childLogIn } from './log-scene.ts'

// Every cell of the table, with real processes: small programs that end as a signal tells them to.

startNodeWithoutLoader(t)

/** How its process is to end: `wait` is the pause of a full disk, so nothing comes back meanwhile. */
const ENDS = { well: 'SIGUSR2', badly: 'SIGHUP', wait: 'SIGWINCH', forGood: 'SIGIO' } as const
const PROGRAM = `
  const ends = { SIGUSR2: 0, SIGHUP: 1, SIGWINCH: ${EXIT_DISK_FULL}, SIGIO: ${EXIT_CONFIG} }
  for (const [signal, status] of Object.entries(ends)) process.on(signal, () => process.exit(status))
  // It takes its time to stop: until it is told how it ends.
  process.on('SIGTERM', () => {})
  process.stdin.resume().on('end', () => process.exit(0))
  console.log('now WARN it listens')
`

class Kept {
  readonly child: ManagedProcess
  /** The states it went through, as they were told. */
  readonly way: ProcessState[] = []
  /** How many of its processes have come so far that they take signals. */
  listening = 0
  isStartable: boolean

  constructor(t: Test, isStartable = true) {
    this.isStartable = isStartable
    this.child = new ManagedProcess({
      name: 'small program',
      command: ['-e', PROGRAM],
      env: {},
      log: childLogIn(tempDir(t), () => (this.listening += 1)),
      inherit: () => {
        if (this.isStartable) return []
        throw Object.assign(new Error('spawn EMFILE'), { code: 'EMFILE' })
      },
      stopTimeoutMs: 30_000,
      onNotice: () => {},
      // Told for the first time from within the constructor.
      onChange: () => this.child && this.way.push(this.state),
    })
    t.teardown(() => {
      this.child.abandon()
      return this.child.ended.catch(() => {})
    })
  }

  get state(): ProcessState {
    return this.child.report.state
  }

  get pid(): number | undefined {
    return this.child.report.pid
  }

  /** Once its `n`th process takes signals. */
  async listens(n = 1): Promise<this> {
    await eventually(`process ${n} listens`, () => this.listening === n)
    return this
  }

  async ends(how: keyof typeof ENDS): Promise<this> {
    const before = this.pid!
    process.kill(before, ENDS[how])
    await eventually('it is gone', () => this.pid !== before)
    return this
  }
}

/** What each state is like when it is entered. */
const IN = {
  starting: (t: Test) => new Kept(t).listens(),
  running: async (t: Test) => {
    const kept = await IN.starting(t)
    kept.child.ready()
    return kept
  },
  /** With the next process, which has not answered. */
  restarting: async (t: Test) => (await (await IN.running(t)).ends('badly')).listens(2),
  /** Without one. */
  pausing: async (t: Test) => (await IN.running(t)).ends('wait'),
  stopping: async (t: Test) => {
    const kept = await IN.running(t)
    void kept.child.stop()
    return kept
  },
  stopped: async (t: Test) => (await IN.stopping(t)).ends('well'),
  failed: async (t: Test) => (await IN.running(t)).ends('forGood'),
}

function scene(from: keyof typeof IN, event: (kept: Kept) => unknown): Scene<ProcessState> {
  return async t => {
    const kept = await IN[from](t)
    t.equal(kept.state, from === 'pausing' ? 'restarting' : from)
    await event(kept)
    return kept.state
  }
}

const answers = (kept: Kept): void => kept.child.ready()
const asksToStop = (kept: Kept): void => void kept.child.stop()
const ends = (how: keyof typeof ENDS) => (kept: Kept) => kept.ends(how)
const ALIVE = {
  answered: answers,
  ended: ends('well'),
  died: ends('wait'),
  'died for good': ends('forGood'),
  'stop asked': asksToStop,
}
function alive(from: keyof typeof IN) {
  const entries = Object.entries(ALIVE).map(([event, act]) => [event, scene(from, act)])
  return Object.fromEntries(entries) as Record<keyof typeof ALIVE, Scene<ProcessState>>
}

t.test('the table', async t => checkTable(t, PROCESS_STATES, 'starting', ['stopped', 'failed']))

t.test('every cell', t =>
  walkCells(t, PROCESS_STATES, {
    starting: { ...alive('starting'), spawned: async t => new Kept(t).state },
    running: alive('running'),
    restarting: {
      ...alive('restarting'),
      spawned: async t => {
        const kept = await (await IN.running(t)).ends('badly')
        await eventually('there is another process', () => kept.pid)
        return kept.state
      },
    },
    stopping: alive('stopping'),
    stopped: {
      died: async t => {
        const kept = new Kept(t, false)
        await kept.child.stop()
        t.equal(kept.state, 'stopped', 'before it is known that it could not be started')
        await setImmediate()
        await setImmediate()
        return kept.state
      },
      'died for good': 'it takes ten starts that fail, with pauses of half a minute in all',
      'stop asked': scene('stopped', asksToStop),
    },
    failed: { 'stop asked': scene('failed', asksToStop) },
  }),
)

t.test('what is REFUSED is refused by the process, too', async t => {
  for (const from of ['stopped', 'failed'] as const) {
    const { child } = await IN[from](t)
    t.throws(() => child.ready(), { code: 'ERR_ASSERTION' }, `${from}, answered`)
  }
})

t.test('its end is told: it was meant, or it failed', async t => {
  for (const from of ['starting', 'running', 'restarting'] as const) {
    const well = await IN[from](t)
    await well.ends('well')
    await well.child.ended
    const failed = await IN[from](t)
    await failed.ends('forGood')
    t.match(await failureOf(failed.child.ended), { code: 'CHILD_FAILED' }, from)
  }
  for (const how of ['well', 'badly', 'forGood'] as const) {
    const stopping = await IN.stopping(t)
    await stopping.ends(how)
    await stopping.child.ended
  }
})

t.test('between two starts there is nothing to wait for, and nothing comes back', async t => {
  const ways = {
    stop: (kept: Kept) => kept.child.stop(),
    abandon: (kept: Kept) => kept.child.abandon(),
  }
  for (const [name, end] of Object.entries(ways)) {
    const kept = await IN.pausing(t)
    await end(kept)
    await kept.child.ended
    t.same(kept.way.slice(-2), ['stopping', 'stopped'], name)
  }
})

t.test('one that is being stopped can still be abandoned, and one that is gone too', async t => {
  const kept = await IN.stopping(t)
  kept.child.abandon()
  await kept.child.ended
  t.equal(kept.state, 'stopped')
  kept.child.abandon()
  t.equal(kept.state, 'stopped')
})

t.test('each change is told', async t => {
  const kept = await IN.restarting(t)
  kept.child.ready()
  void kept.child.stop()
  await kept.ends('badly')
  const told = kept.way.filter((state, n) => state !== kept.way[n - 1])
  t.same(told, ['running', 'restarting', 'running', 'stopping', 'stopped'])
})
