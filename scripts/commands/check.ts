import { formatCount, formatCountOf } from '../../shared/numbers.ts'
import { quotedName } from '../../shared/printable.ts'
import type { ContentMatch } from '../../shared/protocol.ts'
import { CONTENT_STATES, type ContentState, findContent } from '../asking/index.ts'
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
import { cannot, EXIT, environment, print, timeText } from '../terminal/index.ts'

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
    1: 'not counted (never seen, waiting, or quarantined)',
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
    const { sha256, state, match, ledgerSilentBecause } = await findContent(paths, positionals[0]!)
    const isCounted = state === 'counted'
    const said = `${sha256}  ${verdict(state, match)}`
    if (!isCounted && ledgerSilentBecause !== undefined) {
      throw cannot(
        `${said.replace('  ', ' ')} as far as the journal knows, and MariaDB cannot be asked: ${ledgerSilentBecause}`,
      )
    }
    const file = match?.applied ?? match?.last
    if (values.json) {
      await answer({
        ...{ sha256, counted: isCounted, state },
        ...(file === undefined ? {} : { file: fileJson(file) }),
      })
    } else await print(`${said}\n`)
    return isCounted ? EXIT.ok : EXIT.no
  },
})

function verdict(state: ContentState, match: ContentMatch | undefined): string {
  const file = match?.applied ?? match?.last
  const at = file === undefined ? '' : `${timeText(file.settledAtMs)} UTC`
  const name = file === undefined ? '' : quotedName(file.name)
  switch (state) {
    case 'counted':
      return `counted ${at} as ${name}: ${formatCountOf(file!.lines, 'line')}, amount ${formatCount(BigInt(file!.amount))}`
    case 'ledger-lacks-it':
      return `not counted: the journal has it as ${name}, ${at}, but MariaDB's ledger does not: it is an older or another database`
    case 'being-counted':
      return 'not counted yet: its batch has begun'
    case 'waiting':
      return 'not counted yet: it waits'
    case 'refused':
      return `not counted: ${file!.outcome} ${at} as ${name}: ${file!.reason ?? ''}`
    case 'never-seen':
      return 'not counted: never seen'
  }
}
