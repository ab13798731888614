/**
 * The way of a queue entry: what a commit may make of it.
 *
 * - **absent**: nothing is known under this sequence. It is not claimed yet, or its file has left
 *   work/ for good.
 * - **claimed** (P1, P2), **digested** (P3), **settling** (P7): see `QueueEntry`.
 *
 * A checkpoint may come late, from a reader that does not know yet that its file was settled, and a
 * move may be told twice; both are nothing then. Each event is one LMDB commit: a crash leaves the
 * entry in one state or in the other.
 */

import { nextState, REFUSED, type StateTable } from '../../shared/state-table.ts'
import type { QueueEntry } from '../facts.ts'

export type EntryState = QueueEntry['stage'] | 'absent'

/**
 * - **claim**: its file stands in work/. **checkpoint**: a part of it is read.
 * - **digest**: it is read, good and new. **undigest**: its sums are lost.
 * - **settle**: its outcome is final. **move**: its file has left work/.
 */
export type EntryEvent = 'claim' | 'checkpoint' | 'digest' | 'undigest' | 'settle' | 'move'

export const QUEUE_ENTRY_STATES = {
  absent: {
    claim: 'claimed',
    checkpoint: 'absent',
    digest: REFUSED,
    undigest: REFUSED,
    settle: REFUSED,
    move: 'absent',
  },
  claimed: {
    claim: REFUSED,
    checkpoint: 'claimed',
    digest: 'digested',
    undigest: REFUSED,
    settle: 'settling',
    move: REFUSED,
  },
  digested: {
    claim: REFUSED,
    checkpoint: 'digested',
    digest: REFUSED,
    undigest: 'claimed',
    settle: 'settling',
    move: REFUSED,
  },
  settling: {
    claim: REFUSED,
    checkpoint: 'settling',
    digest: REFUSED,
    undigest: REFUSED,
    settle: REFUSED,
    move: 'absent',
  },
} as const satisfies StateTable<EntryState, EntryEvent>

/** @param entry as the journal has it before the commit. */
export function afterEvent(
  sequence: number,
  entry: Pick<QueueEntry, 'stage'> | undefined,
  event: EntryEvent,
): EntryState {
  return nextState(`queue entry ${sequence}`, QUEUE_ENTRY_STATES, entry?.stage ?? 'absent', event)
}
