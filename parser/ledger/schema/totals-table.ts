import type { CountersinkError } from '../../../shared/errors.ts'
import type { Session } from '../connection.ts'
import { databaseUnfit } from '../sql-errors.ts'
import type { TotalsRange } from './tables.ts'

/**
 * What must be true of the table of totals before a number is written, looked at on every new
 * connection: an upsert must hit the row of its id, add exactly what it says, and never be refused
 * for one row of many. Each refusal names what was found and what to change.
 */
export interface TotalsTable {
  readonly table: string
  readonly id: string
  readonly amount: string
}

export interface TotalsLook {
  /** The largest id and the largest total that the table takes. */
  readonly range: TotalsRange
  /** false: this account may not see triggers, so what is written has to be read back. */
  readonly seesTriggers: boolean
}

type Refuse = (why: string, advice: string) => CountersinkError

interface Column {
  readonly name: string
  readonly type: string
  readonly columnType: string
  readonly digits: bigint | number | null
  readonly scale: bigint | number | null
  readonly optional: bigint | number
  readonly extra: string
}

/** @throws CountersinkError DATABASE_UNFIT when the table cannot hold exact totals. */
export async function checkTotals(session: Session, totals: TotalsTable): Promise<TotalsLook> {
  const refuse: Refuse = (why, advice) =>
    databaseUnfit(`the table of totals \`${totals.table}\`: ${why}`, advice)
  const [table] = await session.query<{ engine: string; kind: string }>(
    `SELECT engine AS engine, table_type AS kind FROM information_schema.tables
      WHERE table_schema = DATABASE() AND table_name = ?`,
    [totals.table],
  )
  if (table === undefined) throw refuse('it is not there', 'Make it, or name another.')
  if (!/^(BASE TABLE|SYSTEM VERSIONED)$/.test(table.kind)) {
    throw refuse('it is not a table', 'Name a table, not a view.')
  }
  if (table.engine !== 'InnoDB') {
    throw refuse(`its engine is ${table.engine}`, 'Only InnoDB has the transactions this needs.')
  }
  const range = await checkColumns(session, totals, refuse)
  await checkKeys(session, totals, refuse)
  await checkConstraints(session, totals, refuse)
  return { range, seesTriggers: await checkTriggers(session, totals, refuse) }
}

async function checkColumns(
  session: Session,
  totals: TotalsTable,
  refuse: Refuse,
): Promise<TotalsRange> {
  const columns = await session.query<Column>(
    `SELECT column_name AS name, data_type AS type, column_type AS columnType,
            numeric_precision AS digits, numeric_scale AS scale, extra AS extra,
            (is_nullable = 'YES' OR column_default IS NOT NULL OR extra <> '') AS optional
       FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?`,
    [totals.table],
  )
  const column = (name: string): Column => {
    const found = columns.find(one => isSameName(one.name, name))
    if (found !== undefined) return found
    const names = columns.map(one => one.name).join(', ')
    throw refuse(
      `it has no column \`${name}\` (only ${names})`,
      'Set COUNTERSINK_TOTALS_ID/_AMOUNT.',
    )
  }
  const id = column(totals.id)
  const amount = column(totals.amount)
  if (!/^(tiny|small|medium|big)?int$/.test(id.type)) {
    throw refuse(
      `its id column is ${id.columnType}`,
      'It must be an integer, best BIGINT UNSIGNED.',
    )
  }
  const wholeDecimal = amount.type === 'decimal' && Number(amount.scale) === 0
  if (!/^bigint(\(\d+\))? unsigned( zerofill)?$/.test(amount.columnType) && !wholeDecimal) {
    throw refuse(
      `its amount column is ${amount.columnType}`,
      'It must be BIGINT UNSIGNED or DECIMAL(p,0).',
    )
  }
  for (const { name, extra } of [id, amount]) {
    if (/GENERATED/i.test(extra)) {
      throw refuse(`its column \`${name}\` is generated`, 'It must be an ordinary column.')
    }
  }
  const needed = columns.find(one => one !== id && one !== amount && Number(one.optional) === 0)
  if (needed !== undefined) {
    throw refuse(`its column \`${needed.name}\` has no default`, 'New rows could not be inserted.')
  }
  return {
    idMax: integerMax(id),
    amountMax: wholeDecimal ? 10n ** BigInt(amount.digits ?? 0) - 1n : integerMax(amount),
  }
}

const INTEGER_BITS: Readonly<Record<string, bigint>> = {
  tinyint: 8n,
  smallint: 16n,
  mediumint: 24n,
  int: 32n,
  bigint: 64n,
}

function integerMax(column: Column): bigint {
  const bits = INTEGER_BITS[column.type] ?? 0n
  return 2n ** (column.columnType.includes('unsigned') ? bits : bits - 1n) - 1n
}

async function checkKeys(session: Session, totals: TotalsTable, refuse: Refuse): Promise<void> {
  const keys = await session.query<{ name: string; columns: string }>(
    `SELECT index_name AS name, GROUP_CONCAT(column_name ORDER BY seq_in_index) AS columns
       FROM information_schema.statistics
      WHERE table_schema = DATABASE() AND table_name = ? AND non_unique = 0 GROUP BY index_name`,
    [totals.table],
  )
  const primary = keys.find(key => key.name === 'PRIMARY')
  if (primary === undefined || !isSameName(primary.columns, totals.id)) {
    throw refuse(
      `its primary key is ${primary?.columns ?? 'missing'}`,
      `It must be \`${totals.id}\` alone.`,
    )
  }
  const other = keys.find(key => key !== primary)
  if (other !== undefined) {
    throw refuse(
      `it has a second unique key, \`${other.name}\``,
      'An upsert could hit the wrong row: drop it.',
    )
  }
}

/**
 * Foreign keys and CHECKs refuse single rows, and with them whole files, in the middle of billing. The
 * table's own definition is asked: in information_schema an account sees only what it has rights for.
 */
async function checkConstraints(
  session: Session,
  totals: TotalsTable,
  refuse: Refuse,
): Promise<void> {
  const [row] = await session.query<Record<string, string>>(`SHOW CREATE TABLE \`${totals.table}\``)
  const definition = withoutQuoted(String(row?.['Create Table'] ?? ''))
  if (/\bFOREIGN\s+KEY\b/i.test(definition)) {
    throw refuse(
      'it has a foreign key',
      'A consumer without its row there would stop its whole file: drop the foreign key.',
    )
  }
  if (/\bCHECK\s*\(/i.test(definition)) {
    throw refuse(
      'it has a CHECK constraint',
      'A total that breaks it would stop its whole file: drop the constraint.',
    )
  }
}

/** Without names, defaults and comments, in which any word may stand. */
function withoutQuoted(sql: string): string {
  return sql.replace(/`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"/g, '?')
}

/** @returns whether triggers can be seen at all. */
async function checkTriggers(
  session: Session,
  totals: TotalsTable,
  refuse: Refuse,
): Promise<boolean> {
  const triggers = await session.query<{ name: string }>(
    `SELECT trigger_name AS name FROM information_schema.triggers
      WHERE event_object_schema = DATABASE() AND event_object_table = ?`,
    [totals.table],
  )
  if (triggers[0] !== undefined) {
    throw refuse(`it has a trigger, \`${triggers[0].name}\``, 'Triggers could change the sums.')
  }
  const [database] = await session.query<{ name: string }>('SELECT DATABASE() AS name')
  const grants = await session.query<Record<string, string>>('SHOW GRANTS')
  return grants.some(grant =>
    mayTrigger(Object.values(grant)[0] ?? '', database?.name ?? '', totals.table),
  )
}

/** Whether this line of SHOW GRANTS gives the TRIGGER privilege on the table. */
export function mayTrigger(grant: string, database: string, table: string): boolean {
  const match = /^GRANT (.+?) ON (?:TABLE )?(\*|`(?:[^`]|``)*`)\.(\*|`(?:[^`]|``)*`) TO /s.exec(
    grant,
  )
  if (match === null) return false
  const [, privileges = '', schema = '', name = ''] = match
  const isGiven = /^ALL PRIVILEGES\b/.test(privileges) || /(^|, )TRIGGER(,|$)/.test(privileges)
  // A pattern that is not exactly this database is not believed: what is written is read back then.
  const isHere = schema === '*' || unquoted(schema).replaceAll('\\', '') === database
  return isGiven && isHere && (name === '*' || isSameName(unquoted(name), table))
}

function unquoted(name: string): string {
  return name.slice(1, -1).replaceAll('``', '`')
}

/** Names of columns have no case. */
function isSameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
