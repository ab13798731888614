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

/** Rows are deleted of what has to leave no trace; a claim, and what was applied, always does. */
export const RIGHTS: Readonly<Record<LedgerTable | 'totals', readonly Right[]>> = {
  totals: EACH,
  meta: EACH,
  lease: EACH,
  batch: [...EACH, 'DELETE'],
  file: EACH,
  posting: [...EACH, 'DELETE'],
  sums: ['SELECT', 'INSERT', 'DELETE'],
  todo: ['SELECT', 'INSERT', 'DELETE'],
  opening_wide: ['SELECT', 'INSERT', 'DELETE'],
  order: EACH,
  sighting: EACH,
  rollup: EACH,
  period: EACH,
  usage: [...EACH, 'DELETE'],
  usage_block: ['SELECT', 'INSERT', 'DELETE'],
  usage_wide: [...EACH, 'DELETE'],
  usage_day: [...EACH, 'DELETE'],
  usage_month: [...EACH, 'DELETE'],
}

interface Trial {
  readonly table: LedgerTable | 'totals'
  readonly right: Right
  readonly sql: string
}

/** Statements that find no row need the same rights as those that do. */
export function rightTrials(names: LedgerNames): readonly Trial[] {
  const columns = {
    totals: names.amount,
    ...{ meta: 'ledger_uuid', lease: 'moves', batch: 'state', file: 'state' },
    ...{ posting: 'folded', sums: 'crc', todo: 'kind', opening_wide: 'id' },
    ...{ order: 'state', sighting: 'reason', rollup: 'state', period: 'dropped' },
    ...{ usage: 'amount', usage_block: 'crc', usage_wide: 'amount' },
    ...{ usage_day: 'amount', usage_month: 'amount' },
  }
  return (['totals', ...LEDGER_TABLES] as const).flatMap(table => {
    const [name, column] = [names[table], columns[table]]
    const rows = table === 'totals' ? `${names.id}, ${names.amount}` : '*'
    const into = table === 'totals' ? ` (${rows})` : ''
    const sql: Readonly<Record<Right, string>> = {
      SELECT: `SELECT ${rows} FROM ${name} LIMIT 0`,
      INSERT: `INSERT INTO ${name}${into} SELECT ${rows} FROM ${name} WHERE FALSE`,
      UPDATE: `UPDATE ${name} SET ${column} = ${column} WHERE FALSE`,
      DELETE: `DELETE FROM ${name} WHERE FALSE`,
    }
    return RIGHTS[table].map(right => ({ table, right, sql: sql[right] }))
  })
}

/** @throws MariaDB's error, which names the right and the table. */
export async function checkRights(session: Session, names: LedgerNames): Promise<void> {
  for (const { sql } of rightTrials(names)) await session.execute(sql)
}

/** What an account needs, besides those, that makes its tables itself. */
export const MAKING_RIGHTS = ['CREATE', 'ALTER', 'INDEX'] as const
