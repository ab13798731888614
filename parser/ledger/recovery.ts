import type { Config } from '../../shared/config.ts'
import type { Session } from './connection.ts'
import { ledgerNames } from './schema/tables.ts'

/**
 * Whether the ledger has a content whose hash begins with these hex digits (an even number of
 * them). The hash is the primary key, so this reads one row.
 */
export async function countedWithPrefix(
  session: Session,
  config: Config,
  prefix: string,
): Promise<boolean> {
  const lowest = Buffer.alloc(32, 0)
  lowest.write(prefix, 'hex')
  const highest = Buffer.alloc(32, 0xff)
  highest.write(prefix, 'hex')
  const rows = await session.query(
    `SELECT 1 FROM ${ledgerNames(config).file} WHERE sha256 BETWEEN ? AND ? LIMIT 1`,
    [lowest, highest],
  )
  return rows.length > 0
}
