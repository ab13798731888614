import { CountersinkError } from '../../../shared/errors.ts'
import type { Session } from '../connection.ts'
import type { TotalsRange } from './tables.ts'

/**
 * What must be true of a server and of the totals table before a number is written. Each refusal
 * names what was found and what to change; nothing is changed by itself.
 */

interface ServerSettings {
  readonly version: string
  readonly flushLog: bigint | number
  readonly logBin: bigint | number
  readonly binlogFormat: string
  readonly syncBinlog: bigint | number
  readonly readOnly: bigint | number
}

/** @throws CountersinkError DATABASE_UNFIT. Returns what deserves a warning. */
export async function checkServer(session: Session): Promise<readonly string[]> {
  const [settings] = await session.query<ServerSettings>(
    `SELECT @@version AS version, @@innodb_flush_log_at_trx_commit AS flushLog,
            @@log_bin AS logBin, @@binlog_format AS binlogFormat, @@sync_binlog AS syncBinlog,
            @@read_only AS readOnly`,
  )
  if (settings === undefined) throw unfit('it does not tell its settings', '')
  if (!/mariadb/i.test(settings.version)) {
    throw unfit(`it is not MariaDB (${settings.version})`, 'Point countersink at a MariaDB server.')
  }
  const [major = 0, minor = 0] = settings.version.split('.').map(Number.parseFloat)
  if (major < 10 || (major === 10 && minor < 5)) {
    throw unfit(`its version is ${settings.version}`, 'Version 10.5 or newer is needed.')
  }
  if (Number(settings.flushLog) !== 1) {
    throw unfit(
      `innodb_flush_log_at_trx_commit is ${settings.flushLog}: a commit would not survive a power cut`,
      'Set innodb_flush_log_at_trx_commit=1.',
    )
  }
  if (Number(settings.logBin) === 1 && settings.binlogFormat === 'STATEMENT') {
    throw unfit(
      'binlog_format is STATEMENT, which READ COMMITTED cannot be logged in',
      'Set binlog_format=ROW or MIXED.',
    )
  }
  const warnings: string[] = []
  if (Number(settings.logBin) === 1 && Number(settings.syncBinlog) !== 1) {
    warnings.push(
      `sync_binlog is ${settings.syncBinlog}: replicas may miss commits after a power cut`,
    )
  }
  if (Number(settings.readOnly) !== 0) warnings.push('the server is read only for ordinary users')
  return warnings
}

interface Column {
  readonly name: string
  readonly type: string
  readonly columnType: string
  readonly digits: bigint | number | null
  readonly scale: bigint | number | null
  readonly optional: bigint | number
}

export interface TotalsTable {
  readonly table: string
  readonly id: string
  readonly amount: string
}

/**
 * @returns the largest id and the largest total that the table takes.
 * @throws CountersinkError DATABASE_UNFIT when the table cannot hold exact totals.
 */
export async function checkTotals(session: Session, totals: TotalsTable): Promise<TotalsRange> {
  const refuse = (why: string, advice: string): CountersinkError =>
    unfit(`the table of totals \`${totals.table}\`: ${why}`, advice)
  const [table] = await session.query<{ engine: string; kind: string }>(
    `SELECT engine AS engine, table_type AS kind FROM information_schema.tables
      WHERE table_schema = DATABASE() AND table_name = ?`,
    [totals.table],
  )
  if (table?.kind !== 'BASE TABLE') throw refuse('it is not a table', 'Name a table, not a view.')
  if (table.engine !== 'InnoDB') {
    throw refuse(`its engine is ${table.engine}`, 'Only InnoDB has the transactions this needs.')
  }
  const columns = await session.query<Column>(
    `SELECT column_name AS name, data_type AS type, column_type AS columnType,
            numeric_precision AS digits, numeric_scale AS scale,
            (is_nullable = 'YES' OR column_default IS NOT NULL OR extra <> '') AS optional
       FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?`,
    [totals.table],
  )
  const column = (name: string): Column => {
    const found = columns.find(one => one.name === name)
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
  if (!/^bigint(\(\d+\))? unsigned$/.test(amount.columnType) && !wholeDecimal) {
    throw refuse(
      `its amount column is ${amount.columnType}`,
      'It must be BIGINT UNSIGNED or DECIMAL(p,0).',
    )
  }
  const needed = columns.find(one => one !== id && one !== amount && Number(one.optional) === 0)
  if (needed !== undefined) {
    throw refuse(`its column \`${needed.name}\` has no default`, 'New rows could not be inserted.')
  }
  await checkKeys(session, totals, refuse)
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

async function checkKeys(
  session: Session,
  totals: TotalsTable,
  refuse: (why: string, advice: string) => CountersinkError,
): Promise<void> {
  const keys = await session.query<{ name: string; columns: string }>(
    `SELECT index_name AS name, GROUP_CONCAT(column_name ORDER BY seq_in_index) AS columns
       FROM information_schema.statistics
      WHERE table_schema = DATABASE() AND table_name = ? AND non_unique = 0 GROUP BY index_name`,
    [totals.table],
  )
  const primary = keys.find(key => key.name === 'PRIMARY')
  if (primary?.columns !== totals.id) {
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
  const triggers = await session.query<{ name: string }>(
    `SELECT trigger_name AS name FROM information_schema.triggers
      WHERE event_object_schema = DATABASE() AND event_object_table = ?`,
    [totals.table],
  )
  if (triggers[0] !== undefined) {
    throw refuse(`it has a trigger, \`${triggers[0].name}\``, 'Triggers could change the sums.')
  }
}

function unfit(why: string, advice: string): CountersinkError {
  return new CountersinkError('DATABASE_UNFIT', `this MariaDB cannot be used: ${why}`, { advice })
}
