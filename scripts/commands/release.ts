import { orderOf } from '../../parser/ledger/index.ts'
import { command, one } from '../command-table/index.ts'
import { askAndWait, contentMeant, untilCounted, withLedger } from '../mariadb/index.ts'
import { environment } from '../terminal/index.ts'
import {
  CORRECTION_SHAPE,
  DECISION_EXITS,
  patience,
  REASON,
  TIMEOUT,
  tellCorrection,
} from './correction.ts'

export const release = command({
  name: 'release',
  summary: 'count a file that is held',
  about: `Counts the content of a file that is held because its name was counted before with other content
(COUNTERSINK_SAME_NAME=hold): both are in the totals then. What is held is in "countersink status" and in
held/, with the reason beside it. The file goes to the archive.`,
  words: {
    ...{ kind: 'file', value: 'SHA256|PREFIX', min: 1, max: 1 },
    missing: 'at least 8 digits of the SHA-256 of the content',
  },
  options: { reason: REASON, timeout: TIMEOUT },
  exits: DECISION_EXITS,
  examples: [{ line: 'countersink release 3f2a91c0', what: 'count this content as well' }],
  answer: one(CORRECTION_SHAPE),
  async run({ values, positionals, answer }) {
    const { paths } = environment(values.dir)
    const told = await withLedger(paths, async ledger => {
      const row = await contentMeant(ledger, positionals[0]!)
      const common = { do: 'release' as const, row, isDryRun: false, order: null }
      if (row.state === 'applied') {
        return { ...common, state: 'done' as const, answer: 'it is counted' }
      }
      const patient = patience(paths, values.timeout)
      if (row.state === 'staged' || row.state === 'applying') {
        return { ...common, ...(await untilCounted(ledger, row, patient)) }
      }
      const request = orderOf('release', ledger.uuid, row, values.reason)
      const standing = await askAndWait(ledger, request, patient)
      const asked = { ...common, ...standing, order: request.id.toString('hex') }
      if (standing.state !== 'done') return asked
      return { ...asked, ...(await untilCounted(ledger, row, patient)) }
    })
    return tellCorrection(told, values.json ? answer : undefined, {
      ...{ done: 'is counted', possible: 'can be counted', cannot: 'cannot be counted' },
    })
  },
})
