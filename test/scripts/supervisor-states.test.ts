import t, { type Test } from 'tap'
import type { SupervisorState } from '../../scripts/state/supervisor-status.ts'
import { SUPERVISOR_STATES } from '../../scripts/supervising/supervisor-states.ts'
import { startNodeWithoutLoader } from '../helpers/plain-node.ts'
import { checkTable, type Scene, walkCells } from '../helpers/state-cells.ts'
import { failureOf } from '../shared/helpers.ts'
import { type Manner, type Name, SupervisorScene } from './supervisor-scene.ts'

// Every cell of the table, with real processes.

startNodeWithoutLoader(t)

type Manners = Readonly<Partial<Record<Name, Manner>>>

/** What each state is like; `start` is the start that brought it there. */
const IN = {
  /** The generator has been started, and does not answer. */
  starting: async (t: Test) => {
    const scene = new SupervisorScene(t, { generator: 'mute' })
    const start = scene.supervisor.start()
    await scene.happens('generator starts')
    return { scene, start }
  },
  running: async (t: Test, manners: Manners = {}) => {
    const scene = new SupervisorScene(t, manners)
    const start = scene.supervisor.start()
    await start
    return { scene, start }
  },
  draining: async (t: Test) => {
    const { scene, start } = await IN.running(t)
    scene.tell('generator', 'end')
    return { scene: await scene.becomes('draining'), start }
  },
  /** Neither obeys, so that it lasts. */
  stopping: async (t: Test) => {
    const { scene, start } = await IN.running(t, { generator: 'stubborn', parser: 'stubborn' })
    void scene.supervisor.stop()
    await scene.happens('generator is asked to stop')
    return { scene, start }
  },
  stopped: async (t: Test) => {
    const { scene, start } = await IN.running(t)
    await scene.supervisor.stop()
    return { scene, start }
  },
}
type In = Awaited<ReturnType<(typeof IN)['starting']>>

function scene(from: keyof typeof IN, event: (it: In) => unknown): Scene<SupervisorState> {
  return async t => {
    const it = await IN[from](t)
    t.equal(it.scene.state, from)
    await event(it)
    return it.scene.state
  }
}

const stopAsked = ({ scene }: In): void => void scene.supervisor.stop()
const abandoned = ({ scene }: In): void => scene.supervisor.abandon()
const childrenStopAsked = ({ scene }: In) => scene.supervisor.stopChildren()

t.test('the table', async t => checkTable(t, SUPERVISOR_STATES, 'starting', ['stopped']))

t.test('every cell', t =>
  walkCells(t, SUPERVISOR_STATES, {
    starting: {
      ready: async t => (await IN.running(t)).scene.state,
      'generator ended': scene('starting', async ({ scene }) => {
        scene.tell('generator', 'end')
        await scene.becomes('draining')
      }),
      'stop asked': scene('starting', stopAsked),
      abandoned: scene('starting', abandoned),
    },
    running: {
      'generator ended': async t => (await IN.draining(t)).scene.state,
      'children stop asked': async t => {
        const { supervisor } = new SupervisorScene(t, {}, { withGenerator: false })
        await supervisor.start()
        await supervisor.stopChildren()
        return supervisor.state
      },
      'stop asked': scene('running', stopAsked),
      abandoned: scene('running', abandoned),
    },
    draining: {
      ready: scene('starting', async ({ scene, start }) => {
        scene.tell('generator', 'end')
        await start
      }),
      'children stop asked': scene('draining', childrenStopAsked),
      'stop asked': scene('draining', stopAsked),
      abandoned: scene('draining', abandoned),
    },
    stopping: {
      ready: scene('starting', async ({ scene, start }) => {
        void scene.supervisor.stop()
        await start
      }),
      'generator ended': scene('stopping', async ({ scene }) => {
        scene.tell('generator', 'end')
        // Which it is when the supervisor knows of the generator's end.
        await scene.happens('parser is asked to stop')
      }),
      'children stop asked': scene('stopping', it => {
        void childrenStopAsked(it)
      }),
      'stop asked': scene('stopping', stopAsked),
      abandoned: scene('stopping', abandoned),
      'all ended': scene('stopping', async ({ scene }) => {
        scene.tell('generator', 'end')
        await scene.happens('parser is asked to stop')
        scene.tell('parser', 'end')
        await scene.supervisor.stop()
      }),
    },
    stopped: {
      'children stop asked': scene('stopped', childrenStopAsked),
      'stop asked': scene('stopped', stopAsked),
      abandoned: scene('stopped', abandoned),
    },
  }),
)

t.test('a last look is taken only of what has come up', async t => {
  const { scene } = await IN.starting(t)
  t.match(await failureOf(scene.supervisor.stopChildren()), { code: 'ERR_ASSERTION' })
  t.equal(scene.state, 'starting')
})
