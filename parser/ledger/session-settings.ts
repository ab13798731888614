/**
 * Every setting of a session that could cut a result, change a number, or end a statement early is
 * set, and then read back: a server's defaults, its `init_connect` or a proxy on the way may want
 * something else. What can only be read is asserted below.
 */

interface Setting {
  readonly name: string
  /** As SQL. */
  readonly sql: string
  /** As it is read back. */
  readonly expected: string
}

function flag(name: string, isOn: boolean): Setting {
  const value = isOn ? '1' : '0'
  return { name, sql: value, expected: value }
}

function number(name: string, value: bigint | number): Setting {
  return { name, sql: String(value), expected: String(value) }
}

function text(name: string, value: string): Setting {
  return { name, sql: `'${value}'`, expected: value }
}

const NO_LIMIT = 2n ** 64n - 1n

const SETTINGS: readonly Setting[] = [
  // Otherwise 2^64 is silently clamped.
  text(
    'sql_mode',
    'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION',
  ),
  // Repeatable read's gap locks deadlock neighbouring chunks.
  text('tx_isolation', 'READ-COMMITTED'),
  flag('tx_read_only', false),
  flag('autocommit', true),
  // A COMMIT must not begin something new, or end the connection.
  text('completion_type', 'NO_CHAIN'),
  text('time_zone', '+00:00'),
  // What cuts results.
  number('sql_select_limit', NO_LIMIT),
  number('max_join_size', NO_LIMIT),
  flag('sql_big_selects', true),
  number('group_concat_max_len', 1_048_576),
  // What ends statements.
  number('max_statement_time', 0),
  flag('sql_safe_updates', false),
  number('innodb_lock_wait_timeout', 20),
  // What lets a row in, or finds another than it should.
  flag('foreign_key_checks', true),
  flag('unique_checks', true),
  flag('check_constraint_checks', true),
  flag('sql_auto_is_null', false),
  flag('sql_quote_show_create', true),
  // A limit for a connection whose owner has vanished; of its transactions: `limitIdleTransactions`.
  number('wait_timeout', 28_800),
]

/**
 * Whoever is stopped in the middle of a transaction holds up everybody whose rows it has changed, the
 * one of the lease above all: the server ends it when the lease is over.
 */
export function limitIdleTransactions(leaseMs: number): string {
  const seconds = Math.min(Math.ceil(leaseMs / 1_000), IDLE_SECONDS_MAX)
  return `SET SESSION idle_transaction_timeout = ${seconds}`
}

const IDLE_SECONDS_MAX = 60

/** Names and reasons are sent, kept and compared as they are, whatever the server's default is. */
const CHARACTER_SET = 'utf8mb4'
const COLLATION = 'utf8mb4_bin'

/** To be executed in this order on every new connection. */
export const SET_STATEMENTS: readonly string[] = [
  `SET NAMES ${CHARACTER_SET} COLLATE ${COLLATION}`,
  `SET ${SETTINGS.map(({ name, sql }) => `SESSION ${name} = ${sql}`).join(', ')}`,
]

const ASSERTED: readonly Pick<Setting, 'name' | 'expected'>[] = [
  ...SETTINGS,
  ...['character_set_client', 'character_set_connection', 'character_set_results'].map(name => ({
    name,
    expected: CHARACTER_SET,
  })),
  { name: 'collation_connection', expected: COLLATION },
  // Without it a replica would never hear of what is written here.
  { name: 'sql_log_bin', expected: '1' },
]

/** Reads them all back, as one row. */
export const READ_BACK = `SELECT ${ASSERTED.map(({ name }) => `CAST(@@SESSION.${name} AS CHAR) AS ${name}`).join(', ')}`

/** The first setting that is not as it was set; undefined when all are. */
export function wrongSetting(
  row: Readonly<Record<string, string | null>>,
): { readonly name: string; readonly found: string; readonly expected: string } | undefined {
  for (const { name, expected } of ASSERTED) {
    const found = row[name] ?? 'nothing'
    if (normal(found) !== normal(expected)) return { name, found, expected }
  }
  return undefined
}

/** Lists of words have no order, numbers may have decimals, and a flag may be told as a word. */
function normal(value: string): string {
  const plain = value.replace(/\.0+$/, '').replace(/^OFF$/i, '0').replace(/^ON$/i, '1')
  return plain.split(',').sort().join(',')
}
