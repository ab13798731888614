import { objectionToUndo, orderOf } from '../../parser/ledger/index.ts'
import { command, one } from '../command-table/index.ts'
import { askAndWait, contentMeant, withLedger } from '../mariadb/index.ts'
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

export const undo = command({
  name: 'undo',
  summary: 'take a counted file back out of the totals',
  about: `Takes everything from the totals that the file with this content has added, exactly, and once however
often it is asked. It is carried out by whoever counts; a file that is not counted yet is waited for.
Before anything is changed each total is looked at: where one has less than is to be taken, a reset has
emptied it or somebody else has lowered it; then nothing is changed, and the consumers are named.

The file goes to reverted/. Its content is not counted again when it is published again, unless
"countersink redo" says so.`,
  words: {
    ...{ kind: 'file', value: 'SHA256|PREFIX', min: 1, max: 1 },
    missing: 'at least 8 digits of the SHA-256 of the content',
  },
  options: { reason: REASON, 'dry-run': DRY_RUN, timeout: TIMEOUT },
  exits: CORRECTION_EXITS,
  examples: [
    { line: 'countersink undo 3f2a91c0 --reason wrong-month', what: 'take this file back' },
    { line: 'countersink undo 3f2a91c0 --dry-run', what: 'whether that can be done' },
  ],
  answer: one(CORRECTION_SHAPE),
  async run({ values, positionals, answer }) {
    const { paths } = environment(values.dir)
    const isDryRun = values['dry-run']
    const told = await withLedger(paths, async ledger => {
      const { session, config, uuid } = ledger
      const row = await contentMeant(ledger, positionals[0]!)
      const common = { do: 'undo' as const, row, isDryRun, order: null }
      if (row.state === 'reverted') {
        return { ...common, state: 'done' as const, answer: 'it was taken back before' }
      }
      if (isDryRun) {
        const why = await objectionToUndo(session, config, row)
        return {
          ...common,
          state: why === undefined ? ('possible' as const) : ('refused' as const),
          answer: why ?? null,
        }
      }
      const request = orderOf('undo', uuid, row, values.reason)
      const standing = await askAndWait(ledger, request, patience(paths, values.timeout))
      return { ...common, ...standing, order: request.id.toString('hex') }
    })
    return tellCorrection(told, values.json ? answer : undefined, {
      ...{ done: 'taken back', possible: 'can be taken back', cannot: 'cannot be taken back' },
    })
  },
})
