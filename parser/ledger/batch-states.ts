/**
 * Where a batch stands in the ledger, and what may become of it.
 *
 * - **absent**: the ledger has never heard of it, or it was withdrawn.
 * - **applying**: begun (P4), and applied as far as its cursor says (P5).
 * - **blocked**: nobody can finish it for now; the cursor is kept.
 * - **applied** (P6): all of it is in the totals, for ever.
 *
 * Each event is one statement, in a transaction with what it is about, and names the states from which
 * it may happen: other parsers write to this ledger too, so the table is held against the row as it is
 * then. What may not happen is CURSOR_MOVED: somebody else is at work on the batch, and we end.
 */

import { REFUSED, type StateTable } from '../../shared/state-table.ts'

export type BatchState = 'absent' | 'applying' | 'blocked' | 'applied'

/**
 * - **begin**: its row and its files' rows are written. **chunk**: its cursor moves on.
 * - **end**: applied equals planned. **withdraw**: nothing of it is in the totals yet, and a row of it
 *   is refused. **block**, **unblock**: see above; somebody may have finished it meanwhile.
 */
export type BatchEvent = 'begin' | 'chunk' | 'end' | 'withdraw' | 'block' | 'unblock'

export const BATCH_STATES = {
  absent: {
    begin: 'applying',
    chunk: REFUSED,
    end: REFUSED,
    withdraw: REFUSED,
    block: 'absent',
    unblock: REFUSED,
  },
  applying: {
    // It is known already, and goes on where it stands.
    begin: 'applying',
    chunk: 'applying',
    end: 'applied',
    withdraw: 'absent',
    block: 'blocked',
    unblock: 'applying',
  },
  blocked: {
    begin: 'blocked',
    chunk: REFUSED,
    end: REFUSED,
    withdraw: REFUSED,
    block: 'blocked',
    unblock: 'applying',
  },
  applied: {
    begin: 'applied',
    chunk: REFUSED,
    end: REFUSED,
    withdraw: REFUSED,
    block: 'applied',
    unblock: REFUSED,
  },
} as const satisfies StateTable<BatchState, BatchEvent>

/**
 * The way of an event in SQL.
 *
 * @returns the state it leads to, and a condition for the rows that can go there.
 */
export function wayOf(event: BatchEvent): { readonly to: BatchState; readonly from: string } {
  const cells = Object.entries(BATCH_STATES).map(
    ([state, events]) => [state, events[event]] as const,
  )
  const allowed = cells.filter(([, next]) => next !== REFUSED)
  const [, to] = allowed.find(([state, next]) => state !== next) ?? allowed[0]!
  const states = allowed.filter(([, next]) => next === to).map(([state]) => `'${state}'`)
  return { to: to as BatchState, from: `state IN (${states.join(', ')})` }
}
