import { command, one } from '../command-table/index.ts'
import { CONTENT_WORDS, correct } from './correct.ts'
import { CORRECTION_SHAPE, DECISION_EXITS, REASON, TIMEOUT } from './correction.ts'

export const refuse = command({
  name: 'refuse',
  summary: 'do not count a file that is held',
  about: `Says that the content of a file that is held because its name was counted before with other content
(COUNTERSINK_SAME_NAME=hold) is not to be counted. The file goes to quarantine/, with the reason beside it;
"countersink requeue" brings it back, to be decided about once more.`,
  words: CONTENT_WORDS,
  options: { reason: REASON, timeout: TIMEOUT },
  exits: DECISION_EXITS,
  examples: [
    {
      line: 'countersink refuse 3f2a91c0 --reason duplicate-day',
      what: 'do not count this content',
    },
  ],
  answer: one(CORRECTION_SHAPE),
  run: asked =>
    correct(
      {
        kind: 'refuse',
        words: {
          ...{ done: 'is not counted', possible: 'can be refused', cannot: 'cannot be refused' },
        },
        whatIsDone: ({ state, reason }) => (state === 'refused' ? { answer: reason } : undefined),
        isDoneOnceCounted: false,
      },
      asked,
    ),
})
