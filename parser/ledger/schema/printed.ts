/**
 * The tables and rights as SQL that a database administrator runs, for a service whose account may not
 * make tables. Every statement can be run again, on a database where the tables are there or not; what
 * it makes is what the service would make itself. The first row of the ledger, with the opening
 * balance, stays the service's to write.
 */

import { type Config, LEDGER_TABLES } from '../../../shared/config.ts'
import { SEQUENCE_TABLE } from '../adding/sequence-engine.ts'
import {
  firstLease,
  firstPeriods,
  migrateToVersion3,
  migrateToVersion4,
  migrateToVersion5,
} from './migration.ts'
import { RIGHTS, type Right } from './rights.ts'
import { createLedger, createTotals, ledgerNames, quotedIdentifier } from './tables.ts'
import { createViews } from './views.ts'

/** They run with the rights of whoever asks, who needs those of the tables as well. */
const VIEWS = ['usage_by_day', 'usage_by_month', 'usage_by_period'] as const

export interface Account {
  readonly user: string
  readonly host: string
}

/** Statements without the semicolon behind them, in the order in which they are run. */
export interface SchemaStatements {
  readonly database: readonly string[]
  readonly tables: readonly string[]
  /** Tables of an older version become this one's; nothing changes in those that are. */
  readonly migrations: readonly string[]
  /** Of usage, for dashboards. */
  readonly views: readonly string[]
  /** For the account of the service, and for one of people who only ask. */
  readonly service: readonly string[]
  readonly reader: readonly string[]
}

export function schemaStatements(
  config: Config,
  on: { readonly database: string; readonly service: Account; readonly reader: Account },
): SchemaStatements {
  const names = ledgerNames(config)
  const ledger = createLedger(names)
  const database = quotedIdentifier(on.database)
  const grant = (rights: readonly Right[], table: string, to: Account): string =>
    `GRANT ${rights.join(', ')} ON ${database}.${table} TO ${quotedAccount(to)}`
  const tables = ['totals', ...LEDGER_TABLES] as const
  return {
    database: [`CREATE DATABASE IF NOT EXISTS ${database}`, `USE ${database}`],
    tables: [
      createTotals(names).replace('CREATE TABLE', 'CREATE TABLE IF NOT EXISTS'),
      ...LEDGER_TABLES.map(table => ledger[table]),
      firstLease(names),
      firstPeriods(names),
    ].map(statement => statement.trim()),
    migrations: [
      ...migrateToVersion3(names),
      ...migrateToVersion4(names),
      ...migrateToVersion5(names),
    ],
    views: createViews(names, 'or replace'),
    service: [
      lockedAccount(on.service),
      ...tables.map(table => grant(RIGHTS[table], names[table], on.service)),
      // MariaDB's own table of numbers, with which dense sums are added fastest.
      grant(['SELECT'], `\`${SEQUENCE_TABLE}\``, on.service),
    ],
    reader: [
      lockedAccount(on.reader),
      ...[...tables, ...VIEWS].map(name => grant(['SELECT'], names[name], on.reader)),
    ],
  }
}

/** One that is there stays as it is; a new one lets nobody in until it has a password. */
function lockedAccount(account: Account): string {
  return `CREATE USER IF NOT EXISTS ${quotedAccount(account)} ACCOUNT LOCK`
}

export function quotedAccount({ user, host }: Account): string {
  const quoted = (text: string): string =>
    `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
  return `${quoted(user)}@${quoted(host)}`
}
