import {
  isMissingTable,
  readUsage,
  type UsageAccount,
  type UsageQuestion,
} from '../../parser/ledger/index.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { withServiceDatabase } from '../mariadb/index.ts'
import { type Asking, AT_TERMINAL, cannot } from '../terminal/index.ts'
import { totalsDatabase } from './totals-database.ts'

/**
 * Usage by hour, day or month.
 *
 * @throws CountersinkError STOPPED when none is kept.
 */
export async function withUsage<R>(
  paths: StatePaths,
  question: UsageQuestion,
  use: (account: UsageAccount) => Promise<R>,
  asking: Asking = AT_TERMINAL,
): Promise<R> {
  const service = await totalsDatabase(paths, asking)
  const { config } = service
  try {
    const ask = async (session: Parameters<typeof readUsage>[0]) => {
      const used = await readUsage(session, config, question, async account => ({
        result: await use(account),
      }))
      if (used !== undefined) return used.result
      throw cannot(
        'usage by time is not kept in this ledger',
        'COUNTERSINK_USAGE=on keeps it, of all that was counted before, too.',
      )
    }
    return await withServiceDatabase(paths, service, ask, asking)
  } catch (error) {
    if (!isMissingTable(error)) throw error
    throw cannot(
      'the database has no ledger that keeps usage by time',
      'Start the service once: it makes the tables, or brings older ones up to date.',
    )
  }
}
