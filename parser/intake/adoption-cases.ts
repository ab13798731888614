/**
 * What becomes of a name in work/, by what stands there and what the journal knows of its sequence.
 * Every combination is here, so that a new one is a decision and not an accident.
 *
 * What the journal knows decides first: a file that has an entry belongs to whoever has the entry. One
 * that it does not know was moved by a claim that a crash has cut off, by a parser that had been
 * replaced, or under a journal that is gone: it is adopted. The ledger may know it by the sequence in
 * its name, so it keeps that, unless the sequence was given to another file too.
 */

import { REFUSED } from '../../shared/state-table.ts'

/**
 * - **foreign**: no name of ours. **data**: a regular file.
 * - **manifest**: with its data beside it. **lone manifest**: without.
 * - **no file**: a directory, a link, a pipe.
 */
export type FoundInWork = 'foreign' | 'data' | 'manifest' | 'lone manifest' | 'no file'

/**
 * - **this**: the entry under this sequence has this name, or this is its manifest.
 * - **another**: an entry under this sequence has another name, or one has just been adopted.
 * - **given**: the sequence was given in a commit, and the journal has no entry of it any more. While
 *   others are read, all count as given: who reads goes by sequence, and has passed those in names.
 * - **nothing**: the sequence is in no commit, or the journal is new.
 */
export type KnownToJournal = 'this' | 'another' | 'given' | 'nothing'

/**
 * - **leave**: whoever has the entry, or its data, sees to it. **tell**: left alone, and told of.
 * - **put back**: to the inbox, where its data is or will be.
 * - **adopt**: claimed under the sequence in its name. **adopt anew**: under one of its own.
 */
export type Adoption = 'leave' | 'tell' | 'put back' | 'adopt' | 'adopt anew'

export const ADOPTION = {
  foreign: { this: REFUSED, another: REFUSED, given: REFUSED, nothing: 'tell' },
  data: { this: 'leave', another: 'adopt anew', given: 'adopt anew', nothing: 'adopt' },
  manifest: { this: 'leave', another: 'leave', given: 'leave', nothing: 'leave' },
  'lone manifest': {
    this: 'leave',
    another: 'put back',
    given: 'put back',
    nothing: 'put back',
  },
  // Of one that the journal knows whoever reads it says what is wrong.
  'no file': { this: 'leave', another: 'tell', given: 'tell', nothing: 'tell' },
} as const satisfies Record<FoundInWork, Record<KnownToJournal, Adoption | typeof REFUSED>>
