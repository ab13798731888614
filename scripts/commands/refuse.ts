import { orderOf } from '../../parser/ledger/index.ts'
import { command, one } from '../command-table/index.ts'
import { askAndWait, contentMeant, withLedger } from '../mariadb/index.ts'
import { environment } from '../terminal/index.ts'
import {
  CORRECTION_SHAPE,
  DECISION_EXITS,
  patience,
  REASON,
  TIMEOUT,
  tellCorrection,
} from './correction.ts'

export const refuse = command({
  name: 'refuse',
  summary: 'do not count a file that is held',
  about: `Says that the content of a file that is held because its name was counted before with other content
(COUNTERSINK_SAME_NAME=hold) is not to be counted. The file goes to quarantine/, with the reason beside it;
"countersink requeue" brings it back, to be decided about once more.`,
  words: {
    ...{ kind: 'file', value: 'SHA256|PREFIX', min: 1, max: 1 },
    missing: 'at least 8 digits of the SHA-256 of the content',
  },
  options: { reason: REASON, timeout: TIMEOUT },
  exits: DECISION_EXITS,
  examples: [
    {
      line: 'countersink refuse 3f2a91c0 --reason duplicate-day',
      what: 'do not count this content',
    },
  ],
  answer: one(CORRECTION_SHAPE),
  async run({ values, positionals, answer }) {
    const { paths } = environment(values.dir)
    const told = await withLedger(paths, async ledger => {
      const row = await contentMeant(ledger, positionals[0]!)
      const common = { do: 'refuse' as const, row, isDryRun: false, order: null }
      if (row.state === 'refused') {
        return { ...common, state: 'done' as const, answer: row.reason }
      }
      const request = orderOf('refuse', ledger.uuid, row, values.reason)
      const standing = await askAndWait(ledger, request, patience(paths, values.timeout))
      return { ...common, ...standing, order: request.id.toString('hex') }
    })
    return tellCorrection(told, values.json ? answer : undefined, {
      ...{ done: 'is not counted', possible: 'can be refused', cannot: 'cannot be refused' },
    })
  },
})
