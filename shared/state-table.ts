/**
 * States as a table: every state, every event, and where that leads; no cell is left out, so nobody
 * has to guess what happens in the one that nobody thought of.
 *
 * What may not happen says `REFUSED`, and is an assertion: the fault is ours, and the process ends by
 * it. What may happen and changes nothing names the state itself. The way of writing it down is that
 * of the state-transition table in electric-sql's SPEC.md.
 */

import assert from 'node:assert/strict'

/** Stands in a cell for what may not happen; no state is called so. */
export const REFUSED = '(refused)'

type Refused = typeof REFUSED

export type StateTable<State extends string, Event extends string> = Readonly<
  Record<State, Readonly<Record<Event, State | Refused>>>
>

/** A row in which nothing may happen: for all but the few events that may. */
export function refusing<Event extends string>(
  events: readonly Event[],
): Readonly<Record<Event, Refused>> {
  return Object.fromEntries(events.map(event => [event, REFUSED])) as Record<Event, Refused>
}

/** Where the table leads. An assertion fails where it says REFUSED; `name` is whose state it is. */
export function nextState<State extends string, Event extends string>(
  name: string,
  table: StateTable<State, Event>,
  state: State,
  event: Event,
): State {
  const next = table[state][event]
  assert(next !== REFUSED, `${name} is ${state}: "${event}" cannot happen now`)
  return next as State
}

/** One thing that has a state: the only way to change it is an event that its table knows. */
export class StateMachine<State extends string, Event extends string> {
  readonly #name: string
  readonly #table: StateTable<State, Event>
  readonly #onChange: (state: State, event: Event) => void
  #state: State

  constructor(
    name: string,
    table: StateTable<State, Event>,
    initial: State,
    onChange: (state: State, event: Event) => void = () => {},
  ) {
    this.#name = name
    this.#table = table
    this.#state = initial
    this.#onChange = onChange
  }

  get state(): State {
    return this.#state
  }

  /** Goes where the table says, and tells it if that is another state. Throws where it says REFUSED. */
  on(event: Event): State {
    const next = nextState(this.#name, this.#table, this.#state, event)
    if (next !== this.#state) {
      this.#state = next
      this.#onChange(next, event)
    }
    return this.#state
  }
}
