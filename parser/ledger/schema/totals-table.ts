import type { CountersinkError } from '../../../shared/errors.ts'
import type { Session } from '../connection.ts'
import { databaseUnfit } from '../sql-errors.ts'
import { isGranted } from './grants.ts'
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

/** @param change of the table, with which it would do. */
type Refuse = (why: string, advice: string, change?: string) => CountersinkError

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
  const refuse: Refuse = (why, advice, change) =>
    databaseUnfit(`the table of totals \`${totals.table}\`: ${why}`, advice, {
      mend: change === undefined ? [] : [`ALTER TABLE \`${totals.table}\` ${change};`],
    })
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
    throw refuse(
      `its engine is ${table.engine}`,
      'Only InnoDB has the transactions this needs.',
      'ENGINE = InnoDB',
    )
  }
  const range = await checkColumns(session, totals, refuse)
  await checkKeys(session, totals, refuse)
  await checkConstraints(session, totals, refuse)
  return { range, seesTriggers: await checkTriggers(session, totals) }
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
      asU64(totals.id),
    )
  }
  const wholeDecimal = amount.type === 'decimal' && Number(amount.scale) === 0
  if (!/^bigint(\(\d+\))? unsigned( zerofill)?$/.test(amount.columnType) && !wholeDecimal) {
    throw refuse(
      `its amount column is ${amount.columnType}`,
      'It must be BIGINT UNSIGNED or DECIMAL(p,0).',
      asU64(totals.amount),
    )
  }
  for (const { name, extra } of [id, amount]) {
    if (/GENERATED/i.test(extra)) {
      throw refuse(
        `its column \`${name}\` is generated`,
        'It must be an ordinary column.',
        asU64(name),
      )
    }
  }
  const needed = columns.find(one => one !== id && one !== amount && Number(one.optional) === 0)
  if (needed !== undefined) {
    throw refuse(
      `its column \`${needed.name}\` has no default`,
      'New rows could not be inserted.',
      `MODIFY \`${needed.name}\` ${needed.columnType} NULL`,
    )
  }
  return {
    idMax: integerMax(id),
    amountMax: wholeDecimal ? 10n ** BigInt(amount.digits ?? 0) - 1n : integerMax(amount),
  }
}

function asU64(column: string): string {
  return `MODIFY \`${column}\` BIGINT UNSIGNED NOT NULL`
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
      `${primary === undefined ? '' : 'DROP PRIMARY KEY, '}ADD PRIMARY KEY (\`${totals.id}\`)`,
    )
  }
  const other = keys.find(key => key !== primary)
  if (other !== undefined) {
    throw refuse(
      `it has a second unique key, \`${other.name}\``,
      'An upsert could hit the wrong row: drop it.',
      `DROP INDEX \`${other.name}\``,
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
  const written = String(row?.['Create Table'] ?? '')
  const definition = withoutQuoted(written)
  if (/\bFOREIGN\s+KEY\b/i.test(definition)) {
    throw refuse(
      'it has a foreign key',
      'A consumer without its row there would stop its whole file: drop the foreign key.',
      dropping(written, 'FOREIGN KEY'),
    )
  }
  if (/\bCHECK\s*\(/i.test(definition)) {
    throw refuse(
      'it has a CHECK constraint',
      'A total that breaks it would stop its whole file: drop the constraint.',
      dropping(written, 'CHECK'),
    )
  }
}

/** A CHECK of a column may have no name: then the column is made anew without it. */
function dropping(definition: string, kind: 'FOREIGN KEY' | 'CHECK'): string | undefined {
  const named = new RegExp(`CONSTRAINT (\`[^\`]+\`) ${kind}`, 'i').exec(definition)?.[1]
  if (named !== undefined) return `DROP ${kind === 'CHECK' ? 'CONSTRAINT' : kind} ${named}`
  const column = /^\s*(`[^`]+` .*?) CHECK\s*\(/im.exec(definition)?.[1]
  return column === undefined ? undefined : `MODIFY ${column}`
}

/** Without names, defaults and comments, in which any word may stand. */
function withoutQuoted(sql: string): string {
  return sql.replace(/`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"/g, '?')
}

/** @returns whether triggers can be seen at all. */
async function checkTriggers(session: Session, totals: TotalsTable): Promise<boolean> {
  const triggers = await session.query<{ name: string }>(
    `SELECT trigger_name AS name FROM information_schema.triggers
      WHERE event_object_schema = DATABASE() AND event_object_table = ?`,
    [totals.table],
  )
  if (triggers[0] !== undefined) {
    const { name } = triggers[0]
    throw databaseUnfit(
      `the table of totals \`${totals.table}\`: it has a trigger, \`${name}\``,
      'Triggers could change the sums.',
      { mend: [`DROP TRIGGER \`${name}\`;`] },
    )
  }
  return isGranted(session, 'TRIGGER', totals.table)
}

/** Names of columns have no case. */
function isSameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
