/**
 * The rights that the service's account needs on each table, and nothing beyond: what is printed for an
 * administrator, and what is tried on a new connection before anything is written. A right that is
 * missing is then known at the start, by name, and not when the first file, or the first blocked
 * batch, comes to need it.
 */

import { LEDGER_TABLES } from '../../../shared/config.ts'
import type { Session } from '../connection.ts'
import type { LedgerNames, LedgerTable } from './tables.ts'

export type Right = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE'

const EACH: readonly Right[] = ['SELECT', 'INSERT', 'UPDATE']

/** Rows of batches and files are deleted when a batch that was taken back has to leave no trace. */
export const RIGHTS: Readonly<Record<LedgerTable | 'totals', readonly Right[]>> = {
  totals: EACH,
  meta: EACH,
  batch: [...EACH, 'DELETE'],
  file: [...EACH, 'DELETE'],
  sighting: EACH,
}

/**
 * Statements that find no row need the same rights as those that do. That rows can be read was seen
 * before.
 *
 * @throws MariaDB's error, which names the right and the table.
 */
export async function checkRights(session: Session, names: LedgerNames): Promise<void> {
  const { totals, id, amount } = names
  await session.execute(
    `INSERT INTO ${totals} (${id}, ${amount}) SELECT ${id}, ${amount} FROM ${totals} WHERE FALSE`,
  )
  for (const table of LEDGER_TABLES) {
    await session.execute(`INSERT INTO ${names[table]} SELECT * FROM ${names[table]} WHERE FALSE`)
  }
  await session.execute(
    `UPDATE ${totals} t, ${names.meta} m, ${names.batch} b, ${names.file} f, ${names.sighting} s
        SET t.${amount} = t.${amount}, m.ledger_uuid = m.ledger_uuid, b.state = b.state,
            f.state = f.state, s.reason = s.reason WHERE FALSE`,
  )
  await session.execute(`DELETE b, f FROM ${names.batch} b, ${names.file} f WHERE FALSE`)
}
