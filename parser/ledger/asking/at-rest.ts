import type { Config } from '../../../shared/config.ts'
import type { Session } from '../connection.ts'
import { type FileState, isOnItsWay } from '../file-states.ts'
import { ledgerNames } from '../schema/tables.ts'
import { isMissingTable } from '../sql-errors.ts'

/** Hashes asked for in one statement: each is a range of the key by content. */
const ASKED_AT_ONCE = 100

/**
 * Those of these contents that the ledger has the sums of: counted, or to be counted. A content is named by the
 * beginning of its hash: hex digits, an even number of them, equally many for all.
 */
export async function knownContents(
  session: Session,
  config: Config,
  beginnings: readonly string[],
): Promise<ReadonlySet<string>> {
  const known = new Set<string>()
  const digits = beginnings[0]?.length ?? 0
  for (let at = 0; at < beginnings.length; at += ASKED_AT_ONCE) {
    const some = beginnings.slice(at, at + ASKED_AT_ONCE)
    const ranges = some.map(() => 'sha256 BETWEEN ? AND ?').join(' OR ')
    const rows = await session.query<{ sha256: Buffer; state: FileState }>(
      `SELECT sha256, state FROM ${ledgerNames(config).file} WHERE ${ranges}`,
      some.flatMap(beginning => [boundary(beginning, 0x00), boundary(beginning, 0xff)]),
    )
    for (const { sha256, state } of rows) {
      if (isOnItsWay(state)) known.add(sha256.toString('hex').slice(0, digits))
    }
  }
  return known
}

/** Whether a total stands there already, whoever wrote it. */
export async function hasTotals(session: Session, config: Config): Promise<boolean> {
  try {
    const rows = await session.query(`SELECT 1 FROM ${ledgerNames(config).totals} LIMIT 1`)
    return rows.length > 0
  } catch (error) {
    if (isMissingTable(error)) return false
    throw error
  }
}

function boundary(beginning: string, fill: number): Buffer {
  const bytes = Buffer.alloc(32, fill)
  bytes.write(beginning, 'hex')
  return bytes
}
