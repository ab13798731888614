import type { Config, LEDGER_TABLES } from '../../../shared/config.ts'

/** The names of all tables and columns, quoted for SQL. They are configuration. */
export interface LedgerNames {
  readonly totals: string
  readonly id: string
  readonly amount: string
  readonly meta: string
  readonly batch: string
  readonly file: string
  readonly sighting: string
}

export type LedgerTable = (typeof LEDGER_TABLES)[number]

/** A name of anybody's, as SQL has it. */
export function quotedIdentifier(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``
}

export function ledgerNames(
  config: Pick<Config, 'totalsTable' | 'totalsIdColumn' | 'totalsAmountColumn' | 'tablePrefix'>,
): LedgerNames {
  return {
    totals: quotedIdentifier(config.totalsTable),
    id: quotedIdentifier(config.totalsIdColumn),
    amount: quotedIdentifier(config.totalsAmountColumn),
    meta: quotedIdentifier(`${config.tablePrefix}meta`),
    batch: quotedIdentifier(`${config.tablePrefix}batch`),
    file: quotedIdentifier(`${config.tablePrefix}file`),
    sighting: quotedIdentifier(`${config.tablePrefix}sighting`),
  }
}

/** The largest numbers that the columns of the totals take. */
export interface TotalsRange {
  readonly idMax: bigint
  readonly amountMax: bigint
}

/** Raised by each migration; a program refuses a ledger that is newer than itself. */
export const SCHEMA_VERSION = 2

/** A server's default may be a format in which these keys do not fit. */
const STORAGE = 'ENGINE = InnoDB ROW_FORMAT = DYNAMIC'
const LEDGER_STORAGE = `${STORAGE} DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin`
const SIGHTED = "ENUM('duplicate', 'quarantined', 'refused', 'grew') NOT NULL"

/**
 * From version 1. Every statement can be run again after a crash in the middle; the version is
 * raised after the last.
 */
export const migrateToVersion2 = (n: LedgerNames): readonly string[] => [
  `ALTER TABLE ${n.meta}
     ADD COLUMN IF NOT EXISTS totals_table  VARCHAR(64) NOT NULL DEFAULT '' COMMENT 'as named at first contact',
     ADD COLUMN IF NOT EXISTS id_column     VARCHAR(64) NOT NULL DEFAULT '',
     ADD COLUMN IF NOT EXISTS amount_column VARCHAR(64) NOT NULL DEFAULT '',
     ADD COLUMN IF NOT EXISTS table_prefix  VARCHAR(64) NOT NULL DEFAULT ''`,
  `ALTER TABLE ${n.file} ADD KEY IF NOT EXISTS by_work (instance, work_sequence)`,
  `ALTER TABLE ${n.sighting} MODIFY outcome ${SIGHTED}`,
]

/** What the totals look like when there is no such table yet. */
export const createTotals = (n: LedgerNames): string => `
CREATE TABLE ${n.totals} (
  ${n.id} BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  ${n.amount} BIGINT UNSIGNED NOT NULL
) ${STORAGE}`

/** Version 2, by table; whoever creates does so for those that are missing. */
export const createLedger = (n: LedgerNames): Readonly<Record<LedgerTable, string>> => ({
  meta: `
CREATE TABLE IF NOT EXISTS ${n.meta} (
  only_row          TINYINT UNSIGNED NOT NULL PRIMARY KEY CHECK (only_row = 1),
  schema_version    INT UNSIGNED     NOT NULL,
  ledger_uuid       CHAR(36)         NOT NULL,
  opening_rows      BIGINT UNSIGNED  NOT NULL COMMENT 'rows of totals at first contact',
  opening_amount    DECIMAL(38,0)    NOT NULL COMMENT 'their sum',
  total_upper_bound DECIMAL(38,0)    NOT NULL COMMENT 'no total is larger than this',
  opened_at         DATETIME(3)      NOT NULL COMMENT 'UTC',
  totals_table      VARCHAR(64)      NOT NULL DEFAULT '' COMMENT 'as named at first contact',
  id_column         VARCHAR(64)      NOT NULL DEFAULT '',
  amount_column     VARCHAR(64)      NOT NULL DEFAULT '',
  table_prefix      VARCHAR(64)      NOT NULL DEFAULT ''
) ${LEDGER_STORAGE}`,
  batch: `
CREATE TABLE IF NOT EXISTS ${n.batch} (
  id             BINARY(16)      NOT NULL PRIMARY KEY COMMENT 'made by the parser',
  instance       BINARY(16)      NOT NULL COMMENT 'the parser that began it',
  kind           ENUM('add', 'revert') NOT NULL,
  state          ENUM('applying', 'applied', 'blocked') NOT NULL,
  cursor_id      BIGINT UNSIGNED NULL COMMENT 'last consumer id applied',
  pairs_planned  BIGINT UNSIGNED NOT NULL,
  pairs_applied  BIGINT UNSIGNED NOT NULL,
  amount_planned DECIMAL(38,0)   NOT NULL,
  amount_applied DECIMAL(38,0)   NOT NULL,
  begun_at       DATETIME(3)     NOT NULL COMMENT 'UTC',
  ended_at       DATETIME(3)     NULL,
  KEY by_state (state)
) ${LEDGER_STORAGE}`,
  file: `
CREATE TABLE IF NOT EXISTS ${n.file} (
  sha256         BINARY(32)      NOT NULL PRIMARY KEY COMMENT 'of the whole content: the claim',
  sequence       BIGINT UNSIGNED NOT NULL AUTO_INCREMENT COMMENT 'order of claims',
  batch_id       BINARY(16)      NOT NULL,
  instance       BINARY(16)      NOT NULL COMMENT 'with work_sequence: which work file it was',
  work_sequence  BIGINT UNSIGNED NOT NULL,
  name           VARCHAR(255)    NOT NULL,
  size_bytes     BIGINT UNSIGNED NOT NULL,
  \`lines\`        BIGINT UNSIGNED NOT NULL,
  rejected_lines BIGINT UNSIGNED NOT NULL,
  amount         DECIMAL(38,0)   NOT NULL,
  largest_sum    BIGINT UNSIGNED NOT NULL,
  state          ENUM('applying', 'applied', 'reverted') NOT NULL,
  claimed_at     DATETIME(3)     NOT NULL COMMENT 'UTC',
  digested_at    DATETIME(3)     NOT NULL,
  recorded_at    DATETIME(3)     NOT NULL,
  UNIQUE KEY by_sequence (sequence),
  KEY by_batch (batch_id),
  KEY by_name (name),
  KEY by_work (instance, work_sequence)
) ${LEDGER_STORAGE}`,
  sighting: `
CREATE TABLE IF NOT EXISTS ${n.sighting} (
  instance      BINARY(16)      NOT NULL,
  work_sequence BIGINT UNSIGNED NOT NULL,
  sha256        BINARY(32)      NULL,
  name          VARCHAR(255)    NOT NULL,
  outcome       ${SIGHTED},
  reason        VARCHAR(300)    NOT NULL,
  seen_at       DATETIME(3)     NOT NULL COMMENT 'UTC',
  PRIMARY KEY (instance, work_sequence),
  KEY by_content (sha256)
) ${LEDGER_STORAGE}`,
})

/** A point in time for a DATETIME(3) in UTC, whatever the server's or this machine's time zone. */
export function sqlTime(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').replace('Z', '')
}

/** The reverse of `sqlTime`: milliseconds since 1970. */
export function fromSqlTime(text: string): number {
  return Date.parse(`${text.replace(' ', 'T')}Z`)
}
