/**
 * The proof that the totals are what the files have made them: of the service's database, and held against
 * what its journal knows.
 */

import {
  type Proof,
  type ProofOptions,
  prove,
  WITNESSES_MAX,
  type Witness,
  witnessOf,
} from '../../parser/ledger/index.ts'
import { hasCode } from '../../shared/errors.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { withServiceDatabase } from '../mariadb/index.ts'
import { type Asking, AT_TERMINAL, withAnswers } from '../terminal/index.ts'
import { totalsDatabase } from './totals-database.ts'

/** @param consumers undefined: without a look at single ones. */
export async function proveTotals(
  paths: StatePaths,
  consumers: ProofOptions['consumers'],
  asking: Asking = AT_TERMINAL,
): Promise<Proof> {
  const service = await totalsDatabase(paths, asking)
  // First: whatever it knows, the ledger knows as well.
  const journal = await newestCounted(paths, asking)
  return withServiceDatabase(
    paths,
    service,
    session => prove(session, service.config, { journal, consumers }),
    asking,
  )
}

/** What the journal knows to be counted; nothing, where there is none. */
async function newestCounted(paths: StatePaths, asking: Asking): Promise<readonly Witness[]> {
  const found: Witness[] = []
  try {
    await withAnswers(
      paths,
      async ask => {
        for (let before: number | undefined; ; ) {
          const from = before === undefined ? {} : { before }
          const page = await ask({ kind: 'newest', outcome: 'applied', ...from })
          found.push(...page.files.map(witnessOf))
          before = page.next
          if (before === undefined || found.length >= WITNESSES_MAX) return
        }
      },
      why => `${why}: MariaDB is compared with its journal`,
      asking,
    )
  } catch (error) {
    if (!hasCode(error, 'STOPPED')) throw error
    asking.aside('there is no journal to compare with')
  }
  return found.slice(0, WITNESSES_MAX)
}
