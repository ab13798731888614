/**
 * Where a content stands in the ledger, and what may become of it. Its row is the claim, and is never
 * deleted; its sums are in blocks.
 *
 * - **absent**: nobody has claimed it.
 * - **staging**: claimed, its blocks are being written. Abandoned, it stays so until somebody has the
 *   content and takes it over.
 * - **staged**: all of its sums are in blocks; it waits for whoever counts, or, when it supersedes
 *   another one, for that order. Should its blocks turn out to be unreadable it is an abandoned
 *   recording again.
 * - **held**: the same, but a person decides first whether it is to be counted.
 * - **applying**: in a batch that has begun.
 * - **applied**: all of its sums are in the totals.
 * - **refused**: staged, but MariaDB, a total or a person does not take it; published again it is staged
 *   or held again.
 * - **reverting**: in a batch that takes it back and has begun.
 * - **reverted**: it was counted and taken back; by an order it is staged again.
 *
 * Each event is a statement that names the states from which it may happen, in one transaction with
 * what it is about.
 */

import { refusing, type StateTable } from '../../shared/state-table.ts'

export type FileState =
  | 'absent'
  | 'staging'
  | 'staged'
  | 'applying'
  | 'applied'
  | 'refused'
  | 'reverting'
  | 'reverted'
  | 'held'

/**
 * - **claim**, **takeOver**: by who records it; **stage**, **hold**: its last block is in.
 * - **recordWhole**: claimed and recorded in one transaction.
 * - **countWhole**: claimed, recorded and counted in one transaction. **begin**: its batch has begun.
 * - **end**: its batch has ended. **giveBack**: its batch was taken back. **refuse**: it would make a
 *   total too large, or its batch was taken back and this was the file to blame, or somebody has said so.
 *   **unrecord**: its blocks cannot be read. **offerAgain**, **holdAgain**: it was published once
 *   more.
 * - **revert**: the batch that takes it back has begun. **endRevert**: that has ended. **keep**: that was
 *   taken back itself. **redo**: it is to be counted again. **release**: it may be counted.
 */
export type FileEvent = (typeof EVENTS)[number]

const EVENTS = [
  ...(['claim', 'takeOver', 'stage', 'hold', 'recordWhole', 'countWhole'] as const),
  ...(['begin', 'end', 'giveBack', 'refuse', 'unrecord', 'offerAgain', 'holdAgain'] as const),
  ...(['revert', 'endRevert', 'keep', 'redo', 'release'] as const),
] as const
const NOTHING_MAY = refusing(EVENTS)

export const FILE_STATES = {
  absent: { ...NOTHING_MAY, claim: 'staging', recordWhole: 'staged', countWhole: 'applied' },
  staging: { ...NOTHING_MAY, takeOver: 'staging', stage: 'staged', hold: 'held' },
  staged: { ...NOTHING_MAY, begin: 'applying', refuse: 'refused', unrecord: 'staging' },
  applying: {
    ...NOTHING_MAY,
    end: 'applied',
    giveBack: 'staged',
    refuse: 'refused',
    unrecord: 'staging',
  },
  applied: { ...NOTHING_MAY, revert: 'reverting' },
  refused: { ...NOTHING_MAY, offerAgain: 'staged', holdAgain: 'held' },
  reverting: { ...NOTHING_MAY, endRevert: 'reverted', keep: 'applied' },
  reverted: { ...NOTHING_MAY, redo: 'staged' },
  held: { ...NOTHING_MAY, release: 'staged', refuse: 'refused' },
} as const satisfies StateTable<FileState, FileEvent>

/** Its sums are in the ledger, and what becomes of them is decided there: nobody needs the content. */
export function isOnItsWay(state: FileState): boolean {
  return state !== 'absent' && state !== 'staging' && state !== 'refused'
}
