import { orderOf } from '../../parser/ledger/index.ts'
import { command, one } from '../command-table/index.ts'
import { askAndWait, contentMeant, untilCounted, withLedger } from '../mariadb/index.ts'
import { environment } from '../terminal/index.ts'
import {
  CORRECTION_EXITS,
  CORRECTION_SHAPE,
  DRY_RUN,
  patience,
  REASON,
  TIMEOUT,
  tellCorrection,
} from './correction.ts'

export const redo = command({
  name: 'redo',
  summary: 'count a file again that was taken back',
  about: `Counts the content again whose file "countersink undo" or "supersede" has taken back, from the sums that
the ledger keeps of it: no file is needed. Its file goes back to the archive.`,
  words: {
    ...{ kind: 'file', value: 'SHA256|PREFIX', min: 1, max: 1 },
    missing: 'at least 8 digits of the SHA-256 of the content',
  },
  options: { reason: REASON, 'dry-run': DRY_RUN, timeout: TIMEOUT },
  exits: CORRECTION_EXITS,
  examples: [{ line: 'countersink redo 3f2a91c0', what: 'count this content again' }],
  answer: one(CORRECTION_SHAPE),
  async run({ values, positionals, answer }) {
    const { paths } = environment(values.dir)
    const isDryRun = values['dry-run']
    const told = await withLedger(paths, async ledger => {
      const row = await contentMeant(ledger, positionals[0]!)
      const common = { do: 'redo' as const, row, isDryRun, order: null }
      if (row.state === 'applied' || row.state === 'applying' || row.state === 'staged') {
        return { ...common, state: 'done' as const, answer: `it is ${row.state}` }
      }
      if (isDryRun) {
        const isPossible = row.state === 'reverted' || row.state === 'reverting'
        const why = isPossible ? null : `it was never counted: it is ${row.state}`
        return {
          ...common,
          state: isPossible ? ('possible' as const) : ('refused' as const),
          answer: why,
        }
      }
      const request = orderOf('redo', ledger.uuid, row, values.reason)
      const patient = patience(paths, values.timeout)
      const standing = await askAndWait(ledger, request, patient)
      const asked = { ...common, ...standing, order: request.id.toString('hex') }
      if (standing.state !== 'done') return asked
      return { ...asked, ...(await untilCounted(ledger, row, patient)) }
    })
    return tellCorrection(told, values.json ? answer : undefined, {
      ...{ done: 'is counted again', possible: 'can be counted again' },
      cannot: 'cannot be counted again',
    })
  },
})
