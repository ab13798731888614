import type { Config } from '../../../shared/config.ts'
import { givenName } from '../../../shared/paths.ts'
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
): Promise<ReadonlyMap<string, readonly RecordedContent[]>> {
  const known = new Map<string, RecordedContent[]>()
  const digits = beginnings[0]?.length ?? 0
  for (let at = 0; at < beginnings.length; at += ASKED_AT_ONCE) {
    const some = beginnings.slice(at, at + ASKED_AT_ONCE)
    const ranges = some.map(() => 'sha256 BETWEEN ? AND ?').join(' OR ')
    const rows = await session.query<KnownRow>(
      `SELECT sha256, state, name, size_bytes AS sizeBytes FROM ${ledgerNames(config).file} WHERE ${ranges}`,
      some.flatMap(beginning => [boundary(beginning, 0x00), boundary(beginning, 0xff)]),
    )
    for (const { state, ...row } of rows) {
      if (!isOnItsWay(state)) continue
      const sha256 = row.sha256.toString('hex')
      const alike = known.get(sha256.slice(0, digits)) ?? []
      alike.push({ sha256, name: givenName(row.name, sha256), sizeBytes: Number(row.sizeBytes) })
      known.set(sha256.slice(0, digits), alike)
    }
  }
  return known
}

/** One whose hash begins as was asked; more than one only where few digits were. */
export interface RecordedContent {
  readonly sha256: string
  /** As its maker called it. */
  readonly name: string
  readonly sizeBytes: number
}

interface KnownRow {
  readonly sha256: Buffer
  readonly state: FileState
  readonly name: string
  readonly sizeBytes: bigint
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
