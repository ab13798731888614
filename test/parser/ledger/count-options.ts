import { TotalsWriter } from '../../../parser/ledger/adding/totals-writer.ts'
import type { LongCountOptions } from '../../../parser/ledger/counting/count-whole.ts'
import { Lease } from '../../../parser/ledger/counting/lease.ts'
import { ledgerNames } from '../../../parser/ledger/schema/tables.ts'
import { startPacking } from '../../../parser/sums/block-encoder.ts'
import type { LedgerScene } from './helpers.ts'

/** What counts in a scene's database by the test's own hands, under a lease of its own. */
export async function countOptionsOf(
  { ledger, session, config }: Pick<LedgerScene, 'ledger' | 'session' | 'config'>,
  more: Partial<LongCountOptions> = {},
): Promise<LongCountOptions> {
  const { range, uuid } = await ledger.open()
  const names = ledgerNames(config)
  const instance = Buffer.alloc(16, 7)
  const lease = new Lease({ names, instance, lengthMs: () => 60_000 })
  await lease.take(session)
  return {
    ...{ names, lease, uuid, range, instance, readsBack: false, kernel: startPacking() },
    between: async () => {},
    ...{ writer: new TotalsWriter(names), chunkPairsMax: config.chunkPairsMax },
    ...more,
  }
}
