import { command, one } from '../command-table/index.ts'
import { CONTENT_WORDS, correct } from './correct.ts'
import { CORRECTION_EXITS, CORRECTION_SHAPE, DRY_RUN, REASON, TIMEOUT } from './correction.ts'

export const redo = command({
  name: 'redo',
  summary: 'count a file again that was taken back',
  about: `Counts the content again whose file "countersink undo" or "supersede" has taken back, from the sums that
the ledger keeps of it: no file is needed. Its file goes back to the archive.`,
  words: CONTENT_WORDS,
  options: { reason: REASON, 'dry-run': DRY_RUN, timeout: TIMEOUT },
  exits: CORRECTION_EXITS,
  examples: [{ line: 'countersink redo 3f2a91c0', what: 'count this content again' }],
  answer: one(CORRECTION_SHAPE),
  run: asked =>
    correct(
      {
        kind: 'redo',
        words: {
          ...{ done: 'is counted again', possible: 'can be counted again' },
          cannot: 'cannot be counted again',
        },
        whatIsDone: ({ state }) =>
          /^(applied|applying|staged)$/.test(state) ? { answer: `it is ${state}` } : undefined,
        objection: async ({ state }) =>
          state === 'reverted' || state === 'reverting'
            ? undefined
            : `it was never counted: it is ${state}`,
        isDoneOnceCounted: true,
      },
      asked,
    ),
})
