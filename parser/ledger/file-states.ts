/**
 * Where a content stands in the ledger, and what may become of it. Its row is the claim, and is never
 * deleted; its sums are in blocks.
 *
 * - **absent**: nobody has claimed it.
 * - **staging**: claimed, its blocks are being written. Abandoned, it stays so until somebody has the
 *   content and takes it over.
 * - **staged**: all of its sums are in blocks; it waits for whoever counts. Should these turn out to be
 *   unreadable it is an abandoned recording again.
 * - **applying**: in a batch that has begun.
 * - **applied**: all of its sums are in the totals.
 * - **refused**: staged, but MariaDB or a total cannot take it; published again it is staged again.
 *
 * Each event is a statement that names the states from which it may happen, in one transaction with
 * what it is about.
 */

import { refusing, type StateTable } from '../../shared/state-table.ts'

export type FileState = 'absent' | 'staging' | 'staged' | 'applying' | 'applied' | 'refused'

/**
 * - **claim**, **takeOver**: by who records it; **stage**: its last block is in.
 * - **recordWhole**: claimed and recorded in one transaction.
 * - **countWhole**: claimed, recorded and counted in one transaction. **begin**: its batch has begun.
 * - **end**: its batch has ended. **giveBack**: its batch was taken back. **refuse**: it would make a
 *   total too large, or its batch was taken back and this was the file to blame. **unrecord**: its blocks
 *   cannot be read. **offerAgain**: it was published once more.
 */
const FILE_EVENTS = [
  ...(['claim', 'takeOver', 'stage', 'recordWhole', 'countWhole'] as const),
  ...(['begin', 'end', 'giveBack', 'refuse', 'unrecord', 'offerAgain'] as const),
] as const
export type FileEvent = (typeof FILE_EVENTS)[number]

const NOTHING_MAY = refusing(FILE_EVENTS)

export const FILE_STATES = {
  absent: { ...NOTHING_MAY, claim: 'staging', recordWhole: 'staged', countWhole: 'applied' },
  staging: { ...NOTHING_MAY, takeOver: 'staging', stage: 'staged' },
  staged: { ...NOTHING_MAY, begin: 'applying', refuse: 'refused', unrecord: 'staging' },
  applying: {
    ...NOTHING_MAY,
    end: 'applied',
    giveBack: 'staged',
    refuse: 'refused',
    unrecord: 'staging',
  },
  applied: NOTHING_MAY,
  refused: { ...NOTHING_MAY, offerAgain: 'staged' },
} as const satisfies StateTable<FileState, FileEvent>

/** It is in the totals, or will be without anybody having the content. */
export function isOnItsWay(state: FileState): boolean {
  return state === 'staged' || state === 'applying' || state === 'applied'
}
