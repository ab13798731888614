/**
 * What a start does with each entry of the queue, by its stage and by what the ledger has of its
 * content. The journal says how far the file has come, the ledger whether it is counted; of the two
 * the ledger is right.
 *
 * What follows does not depend on where the file and its sums are: `reopening-cases.ts` and whoever
 * reads, counts or moves it find that out, and each of them has a word for a file that is gone.
 */

import { REFUSED, refusing } from '../shared/state-table.ts'
import type { QueueEntry } from './facts.ts'
import type { LedgerFile } from './ledger/index.ts'

/**
 * - **unasked**: its content is not known for certain, or does not matter any more.
 * - **none**: the ledger has no row of it. Else it has one, written for this very file (**ours**) or
 *   for another, in that state.
 */
export type RowOfContent = 'unasked' | 'none' | `${'ours' | 'other'} ${LedgerFile['state']}`

/**
 * - **read**: like any claimed file, from its checkpoint on.
 * - **count**: its sums are opened again, or it is read again, and recorded.
 * - **wait**: its sums are recorded, or somebody else records them: what becomes of that row decides,
 *   and neither the file nor its sums are needed for that.
 * - **settle**: it was counted before the crash, and only the journal does not know (P6).
 * - **move**: it is settled, and only its move out of work/ may be missing (P7, P8).
 */
export type StartAction = 'read' | 'count' | 'wait' | 'settle' | 'move'

const STATES = [
  ...(['staging', 'staged', 'applying', 'applied', 'refused'] as const),
  ...(['reverting', 'reverted', 'held'] as const),
] as const satisfies readonly LedgerFile['state'][]
const NEVER_SEEN = refusing([
  'none',
  ...STATES.map(state => `ours ${state}` as const),
  ...STATES.map(state => `other ${state}` as const),
])

export const START_UP = {
  claimed: { ...NEVER_SEEN, unasked: 'read' },
  digested: {
    unasked: REFUSED,
    none: 'count',
    'ours staging': 'count',
    'ours staged': 'wait',
    'ours applying': 'wait',
    'ours applied': 'settle',
    'ours refused': 'wait',
    'ours reverting': 'wait',
    'ours reverted': 'wait',
    'ours held': 'wait',
    'other staging': 'wait',
    'other staged': 'wait',
    'other applying': 'wait',
    'other applied': 'wait',
    'other refused': 'wait',
    'other reverting': 'wait',
    'other reverted': 'wait',
    'other held': 'wait',
  },
  settling: { ...NEVER_SEEN, unasked: 'move' },
} as const satisfies Record<QueueEntry['stage'], Record<RowOfContent, StartAction | typeof REFUSED>>
