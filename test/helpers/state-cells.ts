import type { Test } from 'tap'
import { REFUSED, StateMachine, type StateTable } from '../../shared/state-table.ts'

/** Brings the real thing into the state, lets the event happen, and says where that led. */
export type Scene<State extends string> = (t: Test) => Promise<State>

/**
 * By state and event. Text instead of a scene says why the real thing cannot be brought there within
 * a test; the table alone is looked at then.
 */
export type Scenes<State extends string, Event extends string> = Readonly<
  Record<State, Readonly<Partial<Record<Event, Scene<State> | string>>>>
>

/** Each cell of a table: by its scene, or, where it says REFUSED, by the assertion. */
export async function walkCells<State extends string, Event extends string>(
  t: Test,
  table: StateTable<State, Event>,
  scenes: Scenes<State, Event>,
): Promise<void> {
  // Most of their time they wait for something to start or to end.
  t.jobs = 6
  const walks: Promise<unknown>[] = []
  for (const state of Object.keys(table) as State[]) {
    for (const event of Object.keys(table[state]) as Event[]) {
      const cell = `${state}, ${event}`
      const next = table[state][event]
      const scene = scenes[state][event]
      const machine = new StateMachine<State, Event>('it', table, state)
      if (next === REFUSED) {
        t.equal(scene, undefined, `${cell}: nobody knows how it could happen`)
        t.throws(() => machine.on(event), { code: 'ERR_ASSERTION' }, cell)
      } else if (typeof scene === 'function') {
        walks.push(t.test(cell, { buffered: true }, async t => t.equal(await scene(t), next)))
      } else {
        t.type(scene, 'string', `${cell}: there is a scene, or a reason why not`)
        t.equal(machine.on(event), next, cell)
      }
    }
  }
  await Promise.all(walks)
}

/** No hole, no state that nothing leads to, and no way out of the final ones. */
export function checkTable<State extends string, Event extends string>(
  t: Test,
  table: StateTable<State, Event>,
  initial: State,
  final: readonly State[],
): void {
  const states = Object.keys(table) as State[]
  const events = (Object.keys(table[initial]) as Event[]).sort()
  const nextOf = (state: State): State[] =>
    events.map(event => table[state][event]).filter(next => next !== REFUSED) as State[]
  for (const state of states) t.same(Object.keys(table[state]).sort(), events, `${state}: no hole`)
  const reached = new Set([initial])
  for (const state of reached) for (const next of nextOf(state)) reached.add(next)
  t.same([...reached].sort(), [...states].sort(), 'every state is reached')
  const withoutExit = states.filter(state => nextOf(state).every(next => next === state))
  t.same(withoutExit.sort(), [...final].sort(), 'the final states, and no others, have no exit')
}
