/**
 * What a start does with each entry of the queue, by its stage and by what the ledger has of its
 * content. The journal says how far the file has come, the ledger whether it is counted; of the two
 * the ledger is right.
 *
 * What follows does not depend on where the file and its sums are: `reopening-cases.ts` and whoever
 * reads, counts or moves it find that out, and each of them has a word for a file that is gone.
 */

import { REFUSED } from '../shared/state-table.ts'
import type { QueueEntry } from './facts.ts'

/**
 * - **unasked**: its content is not known for certain, or does not matter any more.
 * - **none**: the ledger has no row of it. **applying**, **applied**: it has one of a batch that has
 *   begun or is in the totals, written by this parser for this very file (**ours**), or for another.
 */
export type RowOfContent =
  | 'unasked'
  | 'none'
  | 'ours applying'
  | 'ours applied'
  | 'other applying'
  | 'other applied'

/**
 * - **read**: like any claimed file, from its checkpoint on.
 * - **count**: its sums are opened again, or it is read again, and the ledger decides once more: it is
 *   counted, or a duplicate, or waits for the batch that has its content.
 * - **settle**: it was counted before the crash, and only the journal does not know (P6).
 * - **move**: it is settled, and only its move out of work/ may be missing (P7, P8).
 */
export type StartAction = 'read' | 'count' | 'settle' | 'move'

export const START_UP = {
  claimed: {
    unasked: 'read',
    none: REFUSED,
    'ours applying': REFUSED,
    'ours applied': REFUSED,
    'other applying': REFUSED,
    'other applied': REFUSED,
  },
  digested: {
    unasked: REFUSED,
    none: 'count',
    // Its batch could not be finished when this start tried: it is blocked.
    'ours applying': 'count',
    'ours applied': 'settle',
    'other applying': 'count',
    'other applied': 'count',
  },
  settling: {
    unasked: 'move',
    none: REFUSED,
    'ours applying': REFUSED,
    'ours applied': REFUSED,
    'other applying': REFUSED,
    'other applied': REFUSED,
  },
} as const satisfies Record<QueueEntry['stage'], Record<RowOfContent, StartAction | typeof REFUSED>>
