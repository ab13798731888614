import type { Session } from '../connection.ts'
import { assertNotReadOnly, READ_ONLY } from './server.ts'
import { type LedgerNames, SCHEMA_VERSION } from './tables.ts'
import type { Witness } from './witnesses.ts'

/**
 * Whether the database still seems to be the one that was looked at when this connection was made: in
 * one short query, before each thing that is written. A dump can be loaded, and a table emptied or
 * made anew, under a connection that stays.
 *
 * @param newest the content that was counted last.
 * @returns false: it has to be looked at as a whole.
 * @throws CountersinkError DATABASE_UNAVAILABLE while it is read only.
 */
export async function seemsUnchanged(
  session: Session,
  names: LedgerNames,
  ledgerUuid: string,
  newest: Witness | undefined,
): Promise<boolean> {
  const sha256 = newest === undefined ? null : Buffer.from(newest.sha256)
  const [row] = await session.query<{
    readOnly: string
    uuid: string | null
    version: bigint | number | null
    sequence: bigint | null
    hasTotals: bigint
  }>(
    `SELECT ${READ_ONLY} AS readOnly,
            (SELECT ledger_uuid FROM ${names.meta} WHERE only_row = 1) AS uuid,
            (SELECT schema_version FROM ${names.meta} WHERE only_row = 1) AS version,
            (SELECT sequence FROM ${names.file} WHERE sha256 = ?) AS sequence,
            EXISTS (SELECT 1 FROM ${names.totals}) AS hasTotals`,
    [sha256],
  )
  assertNotReadOnly(row?.readOnly, 'read_only')
  const isKnown = newest === undefined || row?.sequence === (newest.sequence ?? row?.sequence)
  const isThere = newest === undefined || row?.sequence != null
  const isOurs = row?.uuid === ledgerUuid && Number(row.version) <= SCHEMA_VERSION
  return isOurs && isKnown && isThere && Number(row.hasTotals) === 1
}
