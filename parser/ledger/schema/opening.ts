import { randomUUID } from 'node:crypto'
import { type Config, LEDGER_TABLES } from '../../../shared/config.ts'
import { CountersinkError } from '../../../shared/errors.ts'
import type { Session } from '../connection.ts'
import { judgeSqlError, SQL_NO_SUCH_COLUMN, SQL_NO_SUCH_TABLE, sqlNumber } from '../sql-errors.ts'
import { checkServer } from './server.ts'
import {
  createLedger,
  createTotals,
  type LedgerNames,
  type LedgerTable,
  ledgerNames,
  migrateToVersion2,
  SCHEMA_VERSION,
  type TotalsRange,
} from './tables.ts'
import { checkTotals } from './totals-table.ts'
import { checkWitnesses, ledgerBehind, type Witness } from './witnesses.ts'

/** What is known of the ledger from before: from the journal, and from the sessions until now. */
export interface Known {
  /** undefined: none was ever worked with, so one may be made. */
  readonly uuid: string | undefined
  /** Contents that were certainly counted, at most `WITNESSES_MAX`. */
  readonly applied: readonly Witness[]
  /** Begun batches are still to be finished: of these contents some may be found in one. */
  readonly isResuming: boolean
  /** Asked before one is made; throws why none may be. */
  readonly mayBegin?: () => Promise<void>
}

/** The ledger as it is found on a new connection. */
export interface LedgerIdentity {
  readonly uuid: string
  readonly range: TotalsRange
  /** false: what is written has to be read back. */
  readonly seesTriggers: boolean
  readonly warnings: readonly string[]
}

export const NOTHING_KNOWN: Known = { uuid: undefined, applied: [], isResuming: true }

/**
 * On every new connection, before anything is written: whether this is the server, the ledger and the
 * table of totals that there must be. A restored backup, a failover to a replica that lacks the last
 * commits, a renamed table or a mistyped setting are noticed here.
 *
 * At first contact it makes the tables that are missing and records the opening balance; safe to run
 * again after a crash at any statement, and by several parsers at once: the first row in meta wins.
 * Later it makes nothing: a ledger with a past never gets a new table.
 *
 * @throws CountersinkError DATABASE_UNFIT, LEDGER_UNFIT, LEDGER_BEHIND, DATABASE_UNAVAILABLE
 */
export async function openLedger(
  session: Session,
  config: Config,
  known: Known = NOTHING_KNOWN,
): Promise<LedgerIdentity> {
  const names = ledgerNames(config)
  const warnings = await checkServer(session)
  const there = await tablesThere(session, config)
  const found = there.has('meta') ? await readMeta(session, names) : undefined
  if (found === undefined && known.uuid !== undefined) throw noLedger(config, known.uuid)
  if (found === undefined) await known.mayBegin?.()
  const meta = found ?? (await makeLedger(session, config, there))
  assertVersion(meta, names)
  if (known.uuid !== undefined && meta.uuid !== known.uuid) {
    throw ledgerBehind(
      `it is another ledger (${meta.uuid}) than the one worked with (${known.uuid})`,
    )
  }
  assertSameNames(config, meta)
  if (found !== undefined) await assertTablesThere(session, config, there)
  const totals = await checkTotals(session, {
    table: config.totalsTable,
    id: config.totalsIdColumn,
    amount: config.totalsAmountColumn,
  })
  await assertNotEmptied(session, names)
  await checkWitnesses(session, names, known)
  // Last: what the ledger then remembers of the settings was looked at before.
  if (Number(meta.version) < SCHEMA_VERSION) await migrate(session, config)
  return {
    uuid: meta.uuid,
    range: totals.range,
    seesTriggers: totals.seesTriggers,
    warnings: totals.seesTriggers ? warnings : [...warnings, NO_TRIGGER_PRIVILEGE],
  }
}

const NO_TRIGGER_PRIVILEGE =
  'this account lacks the TRIGGER privilege, without which triggers of the totals cannot be seen: some totals of each transaction are read back instead'

async function tablesThere(
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

function assertVersion(meta: Meta, names: LedgerNames): void {
  if (Number(meta.version) <= SCHEMA_VERSION) return
  throw unfit(
    `${names.meta} has version ${meta.version}, this program knows ${SCHEMA_VERSION}`,
    'Run the version of countersink that made it, or a newer one.',
  )
}

interface Meta {
  readonly version: number | bigint
  readonly uuid: string
  readonly totals_table?: string
  readonly id_column?: string
  readonly amount_column?: string
  readonly table_prefix?: string
}

async function readMeta(session: Session, names: LedgerNames): Promise<Meta | undefined> {
  const [meta] = await session.query<Meta>(
    `SELECT schema_version AS version, ledger_uuid AS uuid, m.* FROM ${names.meta} m`,
  )
  return meta
}

/** First contact. */
async function makeLedger(
  session: Session,
  config: Config,
  there: ReadonlySet<LedgerTable | 'totals'>,
): Promise<Meta> {
  const names = ledgerNames(config)
  await assertTotalsFree(session, config)
  if (there.has('file')) {
    const files = await session.query(`SELECT 1 FROM ${names.file} LIMIT 1`)
    if (files.length > 0) {
      throw unfit(`it has files, but its row in ${names.meta} is gone`, 'Restore that row.')
    }
  }
  if (!there.has('totals')) await session.execute(createTotals(names))
  // Before anything else is made: beside a table that will not do there must be nothing of ours.
  await checkTotals(session, {
    table: config.totalsTable,
    id: config.totalsIdColumn,
    amount: config.totalsAmountColumn,
  })
  const statements = createLedger(names)
  for (const table of LEDGER_TABLES) {
    if (!there.has(table)) await session.execute(statements[table])
  }
  // An earlier version may have come so far and no further.
  if (!(await isVersion2(session, config))) {
    for (const statement of migrateToVersion2(names)) await session.execute(statement)
  }
  // One statement, so that the balance is that of one instant; the first of several parsers wins.
  await session.execute(
    `INSERT INTO ${names.meta}
       (only_row, schema_version, ledger_uuid, opening_rows, opening_amount, total_upper_bound,
        opened_at, totals_table, id_column, amount_column, table_prefix)
     SELECT 1, ?, ?, COUNT(*), COALESCE(SUM(${names.amount}), 0), COALESCE(MAX(${names.amount}), 0),
            UTC_TIMESTAMP(3), ?, ?, ?, ?
       FROM ${names.totals}
     ON DUPLICATE KEY UPDATE only_row = only_row`,
    [SCHEMA_VERSION, randomUUID(), ...settingsOf(config)],
  )
  const meta = await readMeta(session, names)
  if (meta === undefined) throw unfit(`${names.meta} has no row after one was written`, '')
  return meta
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
        `SELECT table_prefix AS prefix FROM \`${name.replaceAll('`', '``')}\` WHERE totals_table = ?`,
        [config.totalsTable],
      ),
    )
    if (meta === undefined) continue
    throw unfit(
      `the totals \`${config.totalsTable}\` have one already, under the prefix ${meta.prefix}`,
      `Set COUNTERSINK_TABLE_PREFIX=${meta.prefix}; to begin another one for good, rename that ledger's tables away.`,
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
 * Whether the tables have everything that version 2 has added: then nothing has to be altered, which
 * the account may not be allowed to, and an administrator has done it or the tables are new.
 */
async function isVersion2(session: Session, { tablePrefix }: Config): Promise<boolean> {
  const [row] = await session.query<{ changes: bigint }>(
    `SELECT (SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
              AND (table_name = ? AND column_name = 'table_prefix'
                OR table_name = ? AND column_name = 'outcome' AND column_type LIKE '%grew%'))
          + (SELECT COUNT(DISTINCT index_name) FROM information_schema.statistics
              WHERE table_schema = DATABASE() AND table_name = ? AND index_name = 'by_work') AS changes`,
    [`${tablePrefix}meta`, `${tablePrefix}sighting`, `${tablePrefix}file`],
  )
  return Number(row?.changes ?? 0) === 3
}

/** From version 1, which did not know how the totals were called. */
async function migrate(session: Session, config: Config): Promise<void> {
  const names = ledgerNames(config)
  const statements = (await isVersion2(session, config)) ? [] : migrateToVersion2(names)
  try {
    for (const statement of statements) await session.execute(statement)
  } catch (error) {
    if (judgeSqlError(error)?.meaning !== 'refused') throw error
    throw unfit(
      'it is of an older version, and this account may not change it',
      `Have these run by one that may: ${statements.join('; ').replace(/\s+/g, ' ')}`,
    )
  }
  await session.execute(
    `UPDATE ${names.meta} SET totals_table = ?, id_column = ?, amount_column = ?, table_prefix = ?,
            schema_version = ? WHERE schema_version < ?`,
    [...settingsOf(config), SCHEMA_VERSION, SCHEMA_VERSION],
  )
}

function settingsOf(config: Config): string[] {
  const { totalsTable, totalsIdColumn, totalsAmountColumn, tablePrefix } = config
  return [totalsTable, totalsIdColumn, totalsAmountColumn, tablePrefix]
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
    )
  }
}

async function assertTablesThere(
  session: Session,
  config: Config,
  there: ReadonlySet<LedgerTable | 'totals'>,
): Promise<void> {
  const names = ledgerNames(config)
  const lost = LEDGER_TABLES.find(table => !there.has(table))
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
async function assertNotEmptied(session: Session, names: LedgerNames): Promise<void> {
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

function noLedger(config: Config, uuid: string): CountersinkError {
  return ledgerBehind(
    `there is no ledger ${ledgerNames(config).meta} in this database (COUNTERSINK_TABLE_PREFIX is ${config.tablePrefix}), and ${uuid} was worked with`,
  )
}

function unfit(why: string, advice: string): CountersinkError {
  return new CountersinkError('LEDGER_UNFIT', `the ledger in MariaDB cannot be used: ${why}`, {
    advice,
  })
}
