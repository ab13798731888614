/**
 * Where a batch stands in the ledger, and what may become of it.
 *
 * - **absent**: the ledger has never heard of it, or it was taken back whole.
 * - **unrecorded**: begun by an earlier version of the program, which kept its sums in a file of its
 *   own. It waits until those of its members are recorded; its cursor is kept.
 * - **applying**: begun (P4), and applied as far as its cursor says (P5).
 * - **retreating**: a row of it is refused in its middle; what was applied is taken back, chunk by
 *   chunk. At the end of that it is absent, and its files are staged again or refused.
 * - **blocked**: it can be neither finished nor taken back for now; its cursor is kept.
 * - **applied** (P6): all of it is in the totals, for ever.
 *
 * Each event is one statement, in a transaction with what it is about, and names the states from which
 * it may happen: the table is held against the row as it is then. What may not happen is CURSOR_MOVED:
 * somebody else is at work on the batch, and we end.
 */

import { refusing, type StateTable } from '../../../shared/state-table.ts'
import { wayOf } from '../state-sql.ts'

export type BatchState = 'absent' | 'unrecorded' | 'applying' | 'retreating' | 'blocked' | 'applied'

/**
 * - **inherit**: an earlier version has begun it (`migration.ts`). **replan**: the sums of its members are recorded; what is planned and applied is told by them.
 * - **begin**: its row and its postings are written. **countWhole**: all of it is, in one transaction.
 * - **chunk**: its cursor moves on. **end**: applied equals planned.
 * - **retreat**, **takeBack** (a chunk), **retreated** (nothing of it is left).
 * - **block**, **unblock**: see above.
 */
export type BatchEvent = (typeof EVENTS)[number]

const EVENTS = [
  ...['inherit', 'replan', 'begin', 'countWhole', 'chunk', 'end'],
  ...['retreat', 'takeBack', 'retreated', 'block', 'unblock'],
] as const
const NOTHING_MAY = refusing(EVENTS)

export const BATCH_STATES = {
  absent: { ...NOTHING_MAY, inherit: 'unrecorded', begin: 'applying', countWhole: 'applied' },
  unrecorded: { ...NOTHING_MAY, replan: 'applying' },
  applying: {
    ...NOTHING_MAY,
    chunk: 'applying',
    end: 'applied',
    retreat: 'retreating',
  },
  retreating: {
    ...NOTHING_MAY,
    takeBack: 'retreating',
    retreated: 'absent',
    block: 'blocked',
  },
  // What cannot be taken back is tried again from where it stands.
  blocked: { ...NOTHING_MAY, unblock: 'retreating' },
  applied: NOTHING_MAY,
} as const satisfies StateTable<BatchState, BatchEvent>

/** The way of an event in SQL. */
export function batchWay(event: BatchEvent): { readonly to: BatchState; readonly from: string } {
  return wayOf<BatchState, BatchEvent>(BATCH_STATES, event)
}
