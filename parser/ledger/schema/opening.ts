import { randomUUID } from 'node:crypto'
import { type Config, LEDGER_TABLES } from '../../../shared/config.ts'
import type { Session } from '../connection.ts'
import { judgeSqlError } from '../sql-errors.ts'
import {
  assertMayBegin,
  assertNotEmptied,
  assertTablesThere,
  assertThisLedger,
  findMeta,
  type Meta,
  missingChanges,
  readMeta,
  tablesThere,
  unfit,
} from './ledger-there.ts'
import { firstLease, firstPeriods } from './migration.ts'
import { checkServer } from './server.ts'
import {
  createLedger,
  createTotals,
  type LedgerTable,
  ledgerNames,
  SCHEMA_VERSION,
  type TotalsRange,
} from './tables.ts'
import { checkTotals } from './totals-table.ts'
import { makeViews } from './views.ts'
import { checkWitnesses, type Witness } from './witnesses.ts'

/** What is known of the ledger from before: from the journal, and from the sessions until now. */
export interface Known {
  /** undefined: none was ever worked with, so one may be made. */
  readonly uuid: string | undefined
  /** Contents that were certainly counted, at most `WITNESSES_MAX`. */
  readonly applied: readonly Witness[]
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

export const NOTHING_KNOWN: Known = { uuid: undefined, applied: [] }

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
  const found = await findMeta(session, config, there, known.uuid)
  if (found === undefined) await known.mayBegin?.()
  const meta = found ?? (await makeLedger(session, config, there))
  assertThisLedger(meta, config, known.uuid)
  if (found !== undefined) {
    // A first contact writes its row last: what somebody else has just begun is whole by now.
    const all = await tablesThere(session, config)
    await assertTablesThere(session, config, all, Number(meta.version))
  }
  const totals = await checkTotals(session, {
    table: config.totalsTable,
    id: config.totalsIdColumn,
    amount: config.totalsAmountColumn,
  })
  await assertNotEmptied(session, names)
  await checkWitnesses(session, names, known.applied)
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

/** First contact. */
async function makeLedger(
  session: Session,
  config: Config,
  there: ReadonlySet<LedgerTable | 'totals'>,
): Promise<Meta> {
  const names = ledgerNames(config)
  await assertMayBegin(session, config, there)
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
  await session.execute(firstLease(names))
  await session.execute(firstPeriods(names))
  // An earlier version may have come so far and no further.
  for (const statement of await missingChanges(session, config)) await session.execute(statement)
  await makeViews(session, names)
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

/** From an older version; the first did not know how the totals were called. */
async function migrate(session: Session, config: Config): Promise<void> {
  const names = ledgerNames(config)
  try {
    for (const statement of await missingChanges(session, config)) await session.execute(statement)
  } catch (error) {
    if (judgeSqlError(error)?.meaning !== 'refused') throw error
    throw unfit(
      'it is of an older version, and this account may not change it',
      'Have the database administrator run what "countersink schema" prints: it changes the tables.',
    )
  }
  await makeViews(session, names)
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
