import { randomUUID } from 'node:crypto'
import type { Config } from '../../../shared/config.ts'
import { CountersinkError } from '../../../shared/errors.ts'
import { type Session, sqlNumber } from '../connection.ts'
import { checkServer, checkTotals } from './checks.ts'
import {
  createLedger,
  createTotals,
  type LedgerNames,
  ledgerNames,
  SCHEMA_VERSION,
  type TotalsRange,
} from './tables.ts'

/** The ledger as it is found at the start of a parser. */
export interface LedgerIdentity {
  readonly uuid: string
  /** The newest sequence in it; 0 when it has none. */
  readonly lastSequence: bigint
  readonly range: TotalsRange
  readonly warnings: readonly string[]
}

/**
 * First contact, and every later one: checks the server, makes the tables that are missing, records
 * the opening balance once, and checks the totals. Safe to run again at any time, by several
 * parsers at once: the first row in meta wins.
 *
 * @param mayCreate whether a database without a ledger gets one. Where one was worked with before, it
 *   must not: everything would be counted again.
 * @throws CountersinkError DATABASE_UNFIT, LEDGER_UNFIT; LEDGER_BEHIND_JOURNAL when there is none and
 *   none may be made.
 */
export async function openLedger(
  session: Session,
  config: Config,
  mayCreate = true,
): Promise<LedgerIdentity> {
  const names = ledgerNames(config)
  const warnings = await checkServer(session)
  if (!mayCreate && (await findLedger(session, config)) === undefined) {
    throw new CountersinkError(
      'LEDGER_BEHIND_JOURNAL',
      `there is no ledger ${names.meta} in this database, and this state directory has worked with one`,
      { advice: ADVICE_ON_ANOTHER_LEDGER },
    )
  }
  await session.execute(createTotals(names))
  const range = await checkTotals(session, {
    table: config.totalsTable,
    id: config.totalsIdColumn,
    amount: config.totalsAmountColumn,
  })
  for (const statement of createLedger(names)) await session.execute(statement)
  const meta = (await readMeta(session, names)) ?? (await recordOpening(session, names))
  assertVersion(meta, names)
  const [last] = await session.query<{ sequence: bigint | null }>(
    `SELECT MAX(sequence) AS sequence FROM ${names.file}`,
  )
  return { uuid: meta.uuid, lastSequence: last?.sequence ?? 0n, range, warnings }
}

export const ADVICE_ON_ANOTHER_LEDGER =
  'Connect the right database. If it is right as it is, run "countersink recover": what the ledger lacks is then counted again from the archive.'

const SQL_NO_SUCH_TABLE = 1146

/**
 * The UUID of the ledger in this database; undefined when there is none. Makes nothing.
 *
 * @throws CountersinkError LEDGER_UNFIT when it is of a version that is not known here.
 */
export async function findLedger(session: Session, config: Config): Promise<string | undefined> {
  const names = ledgerNames(config)
  try {
    const meta = await readMeta(session, names)
    if (meta !== undefined) assertVersion(meta, names)
    return meta?.uuid
  } catch (error) {
    if (sqlNumber(error) === SQL_NO_SUCH_TABLE) return undefined
    throw error
  }
}

function assertVersion(meta: Meta | undefined, names: LedgerNames): asserts meta is Meta {
  if (meta !== undefined && Number(meta.version) === SCHEMA_VERSION) return
  throw new CountersinkError(
    'LEDGER_UNFIT',
    `the ledger ${names.meta} has version ${meta?.version ?? 'none'}, this program knows ${SCHEMA_VERSION}`,
    { advice: 'Run the version of countersink that made it, or a newer one.' },
  )
}

interface Meta {
  readonly version: number | bigint
  readonly uuid: string
}

async function readMeta(session: Session, names: LedgerNames): Promise<Meta | undefined> {
  const [meta] = await session.query<Meta>(
    `SELECT schema_version AS version, ledger_uuid AS uuid FROM ${names.meta}`,
  )
  return meta
}

async function recordOpening(session: Session, names: LedgerNames): Promise<Meta | undefined> {
  // One statement, so that the balance is that of one instant; the first of several parsers wins.
  await session.execute(
    `INSERT INTO ${names.meta}
     SELECT 1, ?, ?, COUNT(*), COALESCE(SUM(${names.amount}), 0), COALESCE(MAX(${names.amount}), 0),
            UTC_TIMESTAMP(3)
       FROM ${names.totals}
     ON DUPLICATE KEY UPDATE only_row = only_row`,
    [SCHEMA_VERSION, randomUUID()],
  )
  return readMeta(session, names)
}
