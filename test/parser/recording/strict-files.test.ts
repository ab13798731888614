import t from 'tap'
import type { LedgerFile } from '../../../parser/ledger/file-rows.ts'
import { eventually } from '../../shared/helpers.ts'
import { startServer } from '../ledger/helpers.ts'
import { FATES, type Fate, giveBack, PAIRS, ROWS, rowsScene, settled, waits } from './rows-scene.ts'

// A file that may have no bad lines, and whose good ones another parser has let in: the row decides.

const server = await startServer(t)

/** By the state of its content's row, which another parser has let in without the bad lines. */
const STRICT_FATES: Record<LedgerFile['state'], Fate> = {
  ...(Object.fromEntries(
    Object.entries(FATES).map(([state, { other }]) => [state, other]),
  ) as Record<LedgerFile['state'], Fate>),
  // Once that stands still, it is read again, and nothing is recorded of it.
  staging: waits('quarantined'),
  refused: settled('quarantined'),
}

for (const [state, { first, end }] of Object.entries(STRICT_FATES) as [
  LedgerFile['state'],
  Fate,
][]) {
  t.test(`bad lines, and its good ones are ${state}: ${first}, in the end ${end}`, async t => {
    const s = await rowsScene(t, server)
    const file = s.read('it', PAIRS)
    await ROWS[state](s, file, 'other')
    const { entry, digest } = file
    const reason = { code: 'AMOUNT_MISSING', text: 'line 2' } as const
    const strict = { kind: 'quarantine', isForItsLines: true, reason, evidence: {} } as const
    await s.hand({ ...strict, entry, digest })
    if (first === 'waits') {
      await s.waiting(1)
      if (state === 'applying') await giveBack(s)
      if (state === 'reverting') {
        await s.session.execute("UPDATE countersink_file SET state = 'reverted'")
      } else if (state === 'staging') {
        await eventually('it is read again', () => s.readAgain.length > 0)
        await s.hand({ ...strict, entry, digest })
      } else await s.countAll()
    }
    await s.settled(1)
    t.same(s.outcomes, { it: end })
    if (end === 'quarantined') t.match(s.journal.processed(1)?.reason, /^AMOUNT_MISSING: line 2/)
  })
}
