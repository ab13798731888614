import { CONTENT_STATES, contentVerdict, findContent } from '../asking/index.ts'
import {
  command,
  FILE_SHAPE,
  fields,
  fileJson,
  flag,
  one,
  oneOf,
  text,
} from '../command-table/index.ts'
import { EXIT, environment, print } from '../terminal/index.ts'

export const check = command({
  name: 'check',
  summary: 'tell whether a content is counted in the totals',
  about: `Tells whether this content is counted in the totals, when, and as what. An existing path is a file
and is hashed; anything else must be at least 8 hex digits of a SHA-256. MariaDB's ledger decides;
while it cannot be asked, what the journal knows to be counted is told, and nothing is denied.`,
  words: {
    ...{ kind: 'file', value: 'FILE|SHA256|PREFIX', min: 1, max: 1 },
    missing: 'a file, a SHA-256 or the beginning of one',
  },
  options: {},
  exits: {
    0: 'counted',
    1: 'not counted (never seen, waiting, held, taken back, or quarantined)',
    2: 'the prefix fits several contents',
    3: 'it cannot be known now',
  },
  examples: [
    { line: 'countersink check usage.txt', what: 'whether this file is in the totals' },
    {
      line: 'countersink check 5891b5b522d5df08',
      what: 'the same, of a hash from "countersink hashes"',
    },
  ],
  answer: one(
    fields(
      {
        sha256: text('of the content; the beginning that was given, where nothing is known of it'),
        ...{ counted: flag('as the exit status'), state: oneOf(...CONTENT_STATES) },
      },
      { file: { ...FILE_SHAPE, description: 'what was done with it last' } },
    ),
  ),
  async run({ values, positionals, answer }) {
    const { paths } = environment(values.dir)
    const { sha256, state, match } = await findContent(paths, positionals[0]!)
    const isCounted = state === 'counted'
    const file = match?.applied ?? match?.last
    if (values.json) {
      await answer({
        ...{ sha256, counted: isCounted, state },
        ...(file === undefined ? {} : { file: fileJson(file) }),
      })
    } else await print(`${sha256}  ${contentVerdict(state, match)}\n`)
    return isCounted ? EXIT.ok : EXIT.no
  },
})
