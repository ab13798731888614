import { objectionToUndo } from '../../parser/ledger/index.ts'
import { command, one } from '../command-table/index.ts'
import { CONTENT_WORDS, correct } from './correct.ts'
import { CORRECTION_EXITS, CORRECTION_SHAPE, DRY_RUN, REASON, TIMEOUT } from './correction.ts'

export const undo = command({
  name: 'undo',
  summary: 'take a counted file back out of the totals',
  about: `Takes everything from the totals that the file with this content has added, exactly, and once however
often it is asked. It is carried out by whoever counts; a file that is not counted yet is waited for.
Before anything is changed each total is looked at: where one has less than is to be taken, a reset has
emptied it or somebody else has lowered it; then nothing is changed, and the consumers are named.

The file goes to reverted/. Its content is not counted again when it is published again, unless
"countersink redo" says so.`,
  words: CONTENT_WORDS,
  options: { reason: REASON, 'dry-run': DRY_RUN, timeout: TIMEOUT },
  exits: CORRECTION_EXITS,
  examples: [
    { line: 'countersink undo 3f2a91c0 --reason wrong-month', what: 'take this file back' },
    { line: 'countersink undo 3f2a91c0 --dry-run', what: 'whether that can be done' },
  ],
  answer: one(CORRECTION_SHAPE),
  run: asked =>
    correct(
      {
        kind: 'undo',
        words: {
          ...{ done: 'taken back', possible: 'can be taken back', cannot: 'cannot be taken back' },
        },
        whatIsDone: ({ state }) =>
          state === 'reverted' ? { answer: 'it was taken back before' } : undefined,
        objection: (row, { session, config }) => objectionToUndo(session, config, row),
        isDoneOnceCounted: false,
      },
      asked,
    ),
})
