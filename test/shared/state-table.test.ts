import t from 'tap'
import { REFUSED, StateMachine, type StateTable } from '../../shared/state-table.ts'

type Door = 'open' | 'shut' | 'locked'
type Act = 'push' | 'pull' | 'turn'

const DOOR = {
  open: { push: 'shut', pull: 'open', turn: REFUSED },
  shut: { push: 'shut', pull: 'open', turn: 'locked' },
  locked: { push: 'locked', pull: REFUSED, turn: 'shut' },
} as const satisfies StateTable<Door, Act>

t.test('an event leads where the table says, and only changes are told', async t => {
  const told: string[] = []
  const door = new StateMachine<Door, Act>('the door', DOOR, 'open', (state, event) =>
    told.push(`${event}: ${state}`),
  )
  for (const act of ['pull', 'push', 'push', 'turn', 'push', 'turn', 'pull'] as const) door.on(act)
  t.same(told, ['push: shut', 'turn: locked', 'turn: shut', 'pull: open'])
  t.equal(door.state, 'open')
})

t.test('what is refused is an assertion, and leaves the state alone', async t => {
  const door = new StateMachine<Door, Act>('the door', DOOR, 'locked', () => t.fail('it changed'))
  t.throws(() => door.on('pull'), {
    code: 'ERR_ASSERTION',
    message: 'the door is locked: "pull" cannot happen now',
  })
  t.equal(door.state, 'locked')
})
