import type { Config } from '../../../shared/config.ts'
import { CountersinkError, describeError } from '../../../shared/errors.ts'
import { Session } from '../connection.ts'
import type { Host } from '../hosts.ts'
import { databaseUnavailable } from '../sql-errors.ts'
import { findLedger } from './ledger-there.ts'

/**
 * Before a ledger is begun on one of several hosts: none of the others has one. Where the primary is
 * away, a second ledger would otherwise be begun on whoever else can be written to, and neither would
 * add up.
 *
 * @throws CountersinkError LEDGER_UNFIT when one has, DATABASE_UNAVAILABLE while one cannot be asked.
 */
export async function assertNoOtherLedger(
  others: readonly Host[],
  config: Config,
  withinMs?: number,
): Promise<void> {
  for (const { name, address } of others) {
    const uuid = await ledgerAt(address, config, withinMs).catch((cause: unknown) => {
      throw databaseUnavailable(
        `a ledger is begun only when each host was asked for one, and ${name} does not tell: ${describeError(cause)}`,
        cause,
      )
    })
    if (uuid === undefined) continue
    throw new CountersinkError(
      'LEDGER_UNFIT',
      `there is no ledger in MariaDB here, but one on ${name} (${uuid})`,
      { advice: 'Make this host its replica, or leave it out of the URL.' },
    )
  }
}

async function ledgerAt(
  address: Host['address'],
  config: Config,
  withinMs: number | undefined,
): Promise<string | undefined> {
  const session = await Session.open(address, withinMs)
  try {
    return await findLedger(session, config)
  } finally {
    await session.close()
  }
}
