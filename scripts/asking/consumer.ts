import { type ConsumerAccount, isMissingTable, readConsumer } from '../../parser/ledger/index.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { withServiceDatabase } from '../mariadb/index.ts'
import { type Asking, AT_TERMINAL, cannot } from '../terminal/index.ts'
import { totalsDatabase } from './totals-database.ts'

/**
 * Why a consumer's total is what it is.
 *
 * @throws CountersinkError STOPPED when there is no ledger that can tell.
 */
export async function withConsumer<R>(
  paths: StatePaths,
  id: bigint,
  use: (account: ConsumerAccount) => Promise<R>,
  asking: Asking = AT_TERMINAL,
): Promise<R> {
  const service = await totalsDatabase(paths, asking)
  try {
    return await withServiceDatabase(
      paths,
      service,
      session => readConsumer(session, service.config, id, use),
      asking,
    )
  } catch (error) {
    if (!isMissingTable(error)) throw error
    throw cannot(
      'the database has no ledger that keeps the sums of each file',
      'Start the service once: it makes the tables, or brings older ones up to date.',
    )
  }
}
