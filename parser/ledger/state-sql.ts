import { REFUSED, type StateTable } from '../../shared/state-table.ts'

/**
 * The way of an event in SQL: states are held against the row as it is then, as others write to the
 * ledger too.
 *
 * @returns the state it leads to, and a condition for the rows that can go there.
 */
export function wayOf<State extends string, Event extends string>(
  table: StateTable<State, Event>,
  event: Event,
): { readonly to: State; readonly from: string } {
  const cells = (Object.keys(table) as State[]).map(state => [state, table[state][event]] as const)
  const allowed = cells.filter(([, next]) => next !== REFUSED)
  const [, to] = allowed.find(([state, next]) => state !== next) ?? allowed[0]!
  const states = allowed.filter(([, next]) => next === to).map(([state]) => `'${state}'`)
  return { to: to as State, from: `state IN (${states.join(', ')})` }
}
