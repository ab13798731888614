import { command, one } from '../command-table/index.ts'
import { CONTENT_WORDS, correct } from './correct.ts'
import { CORRECTION_SHAPE, DECISION_EXITS, REASON, TIMEOUT } from './correction.ts'

export const release = command({
  name: 'release',
  summary: 'count a file that is held',
  about: `Counts the content of a file that is held because its name was counted before with other content
(COUNTERSINK_SAME_NAME=hold): both are in the totals then. What is held is in "countersink status" and in
held/, with the reason beside it. The file goes to the archive.`,
  words: CONTENT_WORDS,
  options: { reason: REASON, timeout: TIMEOUT },
  exits: DECISION_EXITS,
  examples: [{ line: 'countersink release 3f2a91c0', what: 'count this content as well' }],
  answer: one(CORRECTION_SHAPE),
  run: asked =>
    correct(
      {
        kind: 'release',
        words: {
          ...{ done: 'is counted', possible: 'can be counted', cannot: 'cannot be counted' },
        },
        whatIsDone: ({ state }) => (state === 'applied' ? { answer: 'it is counted' } : undefined),
        isOnItsWay: ({ state }) => state === 'staged' || state === 'applying',
        isDoneOnceCounted: true,
      },
      asked,
    ),
})
