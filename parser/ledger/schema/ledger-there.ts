/**
 * What stands in the database of the ledger, and whether it is what it must be. Everything here only
 * looks: opening a ledger (`opening.ts`) acts by it, an examination (`../examining/`) tells of it.
 */

import { type Config, LEDGER_TABLES } from '../../../shared/config.ts'
import { CountersinkError } from '../../../shared/errors.ts'
import type { Session } from '../connection.ts'
import { SQL_NO_SUCH_COLUMN, SQL_NO_SUCH_TABLE, sqlNumber } from '../sql-errors.ts'
import { migrateToVersion3, migrateToVersion4, migrateToVersion5 } from './migration.ts'
import {
  type LedgerNames,
  type LedgerTable,
  ledgerNames,
  quotedIdentifier,
  SCHEMA_VERSION,
} from './tables.ts'
import { ledgerBehind } from './witnesses.ts'

/**
 * The UUID of the ledger in this database; undefined when there is none. Makes nothing.
 *
 * @throws CountersinkError LEDGER_UNFIT when it is of a version that is not known here.
 */
export async function findLedger(session: Session, config: Config): Promise<string | undefined> {
  const names = ledgerNames(config)
  const [meta] = await ifThere(readMeta(session, names).then(found => (found ? [found] : [])))
  if (meta !== undefined) assertVersion(meta, names)
  return meta?.uuid
}

/**
 * The ledger in these tables; undefined: none was begun.
 *
 * @param known the one that was worked with before.
 * @throws CountersinkError LEDGER_BEHIND when there must be one.
 */
export async function findMeta(
  session: Session,
  config: Config,
  there: ReadonlySet<LedgerTable | 'totals'>,
  known: string | undefined,
): Promise<Meta | undefined> {
  const found = there.has('meta') ? await readMeta(session, ledgerNames(config)) : undefined
  if (found === undefined && known !== undefined) throw noLedger(config, known)
  return found
}

/**
 * It is of a version that is known here, the one that was worked with, and of these names.
 *
 * @throws CountersinkError LEDGER_UNFIT, LEDGER_BEHIND
 */
export function assertThisLedger(meta: Meta, config: Config, known: string | undefined): void {
  assertVersion(meta, ledgerNames(config))
  if (known !== undefined && meta.uuid !== known) {
    throw ledgerBehind(`it is another ledger (${meta.uuid}) than the one worked with (${known})`)
  }
  assertSameNames(config, meta)
}

/**
 * None stands here yet, and one may be begun on these totals.
 *
 * @throws CountersinkError LEDGER_UNFIT
 */
export async function assertMayBegin(
  session: Session,
  config: Config,
  there: ReadonlySet<LedgerTable | 'totals'>,
): Promise<void> {
  await assertTotalsFree(session, config)
  const names = ledgerNames(config)
  for (const table of ['file', 'posting', 'sums', 'todo'] as const) {
    if (!there.has(table)) continue
    const rows = await session.query(`SELECT 1 FROM ${names[table]} LIMIT 1`)
    if (rows.length === 0) continue
    throw unfit(
      `${names[table]} has rows, but the one of ${names.meta} is gone`,
      "Restore that row; or, for a new ledger, rename all of this one's tables away.",
    )
  }
}

/** Which of the configured tables this database has, as far as the account may see them. */
export async function tablesThere(
  session: Session,
  { tablePrefix, totalsTable }: Config,
): Promise<ReadonlySet<LedgerTable | 'totals'>> {
  const called = new Map<string, LedgerTable | 'totals'>([
    ...LEDGER_TABLES.map(table => [`${tablePrefix}${table}`.toLowerCase(), table] as const),
    [totalsTable.toLowerCase(), 'totals'],
  ])
  const rows = await session.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables
      WHERE table_schema = DATABASE() AND table_name IN (${[...called].map(() => '?').join(', ')})`,
    [...LEDGER_TABLES.map(table => `${tablePrefix}${table}`), totalsTable],
  )
  return new Set(rows.flatMap(({ name }) => called.get(name.toLowerCase()) ?? []))
}

/** The one row of the ledger that says which it is. */
export interface Meta {
  readonly version: number | bigint
  readonly uuid: string
  readonly totals_table?: string
  readonly id_column?: string
  readonly amount_column?: string
  readonly table_prefix?: string
}

export async function readMeta(session: Session, names: LedgerNames): Promise<Meta | undefined> {
  const [meta] = await session.query<Meta>(
    `SELECT schema_version AS version, ledger_uuid AS uuid, m.* FROM ${names.meta} m`,
  )
  return meta
}

function assertVersion(meta: Meta, names: LedgerNames): void {
  if (Number(meta.version) <= SCHEMA_VERSION) return
  throw unfit(
    `${names.meta} has version ${meta.version}, this program knows ${SCHEMA_VERSION}`,
    'Run the version of countersink that made it, or a newer one.',
  )
}

/** The totals are what they were at first contact, whatever the settings say now. */
function assertSameNames(config: Config, meta: Meta): void {
  const compared = [
    ['totals_table', meta.totals_table, config.totalsTable, 'COUNTERSINK_TOTALS_TABLE'],
    ['id_column', meta.id_column, config.totalsIdColumn, 'COUNTERSINK_TOTALS_ID'],
    ['amount_column', meta.amount_column, config.totalsAmountColumn, 'COUNTERSINK_TOTALS_AMOUNT'],
    ['table_prefix', meta.table_prefix, config.tablePrefix, 'COUNTERSINK_TABLE_PREFIX'],
  ] as const
  for (const [column, recorded = '', set, variable] of compared) {
    // Empty: from a version that did not know.
    if (recorded === '' || recorded === set) continue
    throw unfit(
      `it has counted into ${recorded}, and ${variable} says ${set} now`,
      `Set ${variable}=${recorded}. If it was renamed for good: UPDATE ${ledgerNames(config).meta} SET ${column} = '${set}'.`,
      `export ${variable}=${recorded}`,
    )
  }
}

/** Of a ledger with a past. @throws CountersinkError LEDGER_UNFIT */
export async function assertTablesThere(
  session: Session,
  config: Config,
  there: ReadonlySet<LedgerTable | 'totals'>,
  version: number,
): Promise<void> {
  const names = ledgerNames(config)
  const isOld = version < SCHEMA_VERSION
  const lost = LEDGER_TABLES.find(
    table => !there.has(table) && !(isOld && NEW_TABLES.includes(table)),
  )
  if (lost !== undefined) {
    throw unfit(`its table ${names[lost]} is gone`, 'Rename it back, or restore it.')
  }
  if (there.has('totals')) return
  const [files] = await session.query<{ n: bigint }>(`SELECT COUNT(*) AS n FROM ${names.file}`)
  throw unfit(
    `the table of totals ${names.totals} is gone; ${files?.n ?? 0} files were counted into it`,
    'Rename it back, or restore it: a new one is never made in its place.',
  )
}

/**
 * A table of totals without a row, although the ledger has counted into it: it was emptied, or made
 * anew. One row tells that it was not; whether the sums are right is another question.
 *
 * @throws CountersinkError LEDGER_UNFIT
 */
export async function assertNotEmptied(session: Session, names: LedgerNames): Promise<void> {
  const [row] = await session.query<{ empty: bigint }>(
    `SELECT NOT EXISTS (SELECT 1 FROM ${names.totals})
        AND (EXISTS (SELECT 1 FROM ${names.meta} WHERE opening_rows > 0)
          OR EXISTS (SELECT 1 FROM ${names.batch} WHERE pairs_applied > 0)) AS empty`,
  )
  if (Number(row?.empty ?? 0) === 0) return
  throw unfit(
    `the table of totals ${names.totals} is empty, although the ledger has counted into it`,
    "Restore it. If it was emptied on purpose, rename the ledger's tables away too: a new one then begins with what stands there.",
  )
}

/** Another prefix on the same totals would begin a second ledger, and neither would add up. */
async function assertTotalsFree(session: Session, config: Config): Promise<void> {
  const others = await session.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.columns
      WHERE table_schema = DATABASE() AND column_name = 'totals_table' AND table_name <> ?`,
    [`${config.tablePrefix}meta`],
  )
  for (const { name } of others) {
    const [meta] = await ifThere(
      session.query<{ prefix: string }>(
        `SELECT table_prefix AS prefix FROM ${quotedIdentifier(name)} WHERE totals_table = ?`,
        [config.totalsTable],
      ),
    )
    if (meta === undefined) continue
    throw unfit(
      `the totals \`${config.totalsTable}\` have one already, under the prefix ${meta.prefix}`,
      `Set COUNTERSINK_TABLE_PREFIX=${meta.prefix}; to begin another one for good, rename that ledger's tables away.`,
      `export COUNTERSINK_TABLE_PREFIX=${meta.prefix}`,
    )
  }
}

async function ifThere<T>(rows: Promise<T[]>): Promise<T[]> {
  try {
    return await rows
  } catch (error) {
    // Gone since it was listed, or of a shape of its own.
    if ([SQL_NO_SUCH_TABLE, SQL_NO_SUCH_COLUMN].includes(sqlNumber(error))) return []
    throw error
  }
}

/**
 * What makes this version of these tables. None where they have everything that it has added: then nothing
 * has to be altered, which the account may not be allowed to, and an administrator has done it or the
 * tables are new.
 */
export async function missingChanges(session: Session, config: Config): Promise<readonly string[]> {
  const names = ledgerNames(config)
  const { tablePrefix } = config
  const inVersion3 = IN_VERSION_3.map(table => `${tablePrefix}${table}`)
  const inVersion5 = IN_VERSION_5.map(table => `${tablePrefix}${table}`)
  const [row] = await session.query<
    Record<'tables' | 'kinds' | 'orders' | 'columns' | 'tables5' | 'columns5', bigint>
  >(
    `SELECT (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()
              AND table_name IN (${inVersion3.map(() => '?').join(', ')})) AS tables,
            (SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
              AND table_name = ? AND column_name = 'kind' AND column_type LIKE 'enum(_count_%') AS kinds,
            (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()
              AND table_name = ?) AS orders,
            (SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
              AND ((table_name, column_name) IN ((?, 'sign'), (?, 'books_closed_to'))
                 OR (table_name = ? AND column_name IN ('beats', 'moves')))) AS columns,
            (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()
              AND table_name IN (${inVersion5.map(() => '?').join(', ')})) AS tables5,
            (SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
              AND (table_name, column_name) IN ((?, 'used_at'), (?, 'rezoned_to'), (?, 'moves'),
                                                (?, 'day_before'))) AS columns5`,
    [
      ...[...inVersion3, `${tablePrefix}batch`, `${tablePrefix}order`],
      ...[`${tablePrefix}file`, `${tablePrefix}meta`, `${tablePrefix}lease`],
      ...inVersion5,
      ...['file', 'meta', 'lease', 'posting'].map(table => `${tablePrefix}${table}`),
    ],
  )
  const isVersion3 = Number(row?.tables) === inVersion3.length && Number(row?.kinds) === 1
  const isVersion4 = Number(row?.orders) === 1 && Number(row?.columns) === 3
  const isVersion5 = Number(row?.tables5) === inVersion5.length && Number(row?.columns5) === 4
  return [
    ...(isVersion3 ? [] : migrateToVersion3(names)),
    ...(isVersion4 ? [] : migrateToVersion4(names)),
    ...(isVersion5 ? [] : migrateToVersion5(names)),
  ]
}

const IN_VERSION_3: readonly LedgerTable[] = ['lease', 'posting', 'sums', 'todo', 'opening_wide']

const IN_VERSION_5: readonly LedgerTable[] = [
  ...(['rollup', 'period', 'usage'] as const),
  ...(['usage_block', 'usage_wide', 'usage_day', 'usage_month'] as const),
]

/** A ledger of an older version lacks these. */
const NEW_TABLES: readonly LedgerTable[] = [...IN_VERSION_3, 'order', ...IN_VERSION_5]

function noLedger(config: Config, uuid: string): CountersinkError {
  return ledgerBehind(
    `there is no ledger ${ledgerNames(config).meta} in this database (COUNTERSINK_TABLE_PREFIX is ${config.tablePrefix}), and ${uuid} was worked with`,
  )
}

export function unfit(why: string, advice: string, ...mend: readonly string[]): CountersinkError {
  return new CountersinkError('LEDGER_UNFIT', `the ledger in MariaDB cannot be used: ${why}`, {
    advice,
    mend,
  })
}
