import type { Config, LEDGER_TABLES } from '../../../shared/config.ts'
import { BATCH_STATES } from '../counting/batch-states.ts'
import { ORDER_KINDS, ORDER_STATES } from '../counting/order-states.ts'
import { FILE_STATES } from '../file-states.ts'

/** The names of all tables and columns, quoted for SQL. They are configuration. */
export interface LedgerNames {
  readonly totals: string
  readonly id: string
  readonly amount: string
  readonly meta: string
  readonly lease: string
  readonly batch: string
  readonly file: string
  readonly posting: string
  readonly sums: string
  readonly todo: string
  readonly opening_wide: string
  readonly order: string
  readonly sighting: string
  readonly rollup: string
  readonly period: string
  readonly usage: string
  readonly usage_block: string
  readonly usage_wide: string
  readonly usage_day: string
  readonly usage_month: string
  /** Views. */
  readonly usage_by_day: string
  readonly usage_by_month: string
  readonly usage_by_period: string
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
    lease: quotedIdentifier(`${config.tablePrefix}lease`),
    batch: quotedIdentifier(`${config.tablePrefix}batch`),
    file: quotedIdentifier(`${config.tablePrefix}file`),
    posting: quotedIdentifier(`${config.tablePrefix}posting`),
    sums: quotedIdentifier(`${config.tablePrefix}sums`),
    todo: quotedIdentifier(`${config.tablePrefix}todo`),
    opening_wide: quotedIdentifier(`${config.tablePrefix}opening_wide`),
    order: quotedIdentifier(`${config.tablePrefix}order`),
    sighting: quotedIdentifier(`${config.tablePrefix}sighting`),
    rollup: quotedIdentifier(`${config.tablePrefix}rollup`),
    period: quotedIdentifier(`${config.tablePrefix}period`),
    usage: quotedIdentifier(`${config.tablePrefix}usage`),
    usage_block: quotedIdentifier(`${config.tablePrefix}usage_block`),
    usage_wide: quotedIdentifier(`${config.tablePrefix}usage_wide`),
    usage_day: quotedIdentifier(`${config.tablePrefix}usage_day`),
    usage_month: quotedIdentifier(`${config.tablePrefix}usage_month`),
    usage_by_day: quotedIdentifier(`${config.tablePrefix}usage_by_day`),
    usage_by_month: quotedIdentifier(`${config.tablePrefix}usage_by_month`),
    usage_by_period: quotedIdentifier(`${config.tablePrefix}usage_by_period`),
  }
}

/** The largest numbers that the columns of the totals take. */
export interface TotalsRange {
  readonly idMax: bigint
  readonly amountMax: bigint
}

/** Raised by each migration; a program refuses a ledger that is newer than itself. */
export const SCHEMA_VERSION = 5

/** A server's default may be a format in which these keys do not fit. */
const STORAGE = 'ENGINE = InnoDB ROW_FORMAT = DYNAMIC'
const LEDGER_STORAGE = `${STORAGE} DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin`

/** What is dropped together stands in a partition of its own, which is made before its first row. */
const PARTITIONED =
  'PARTITION BY RANGE COLUMNS (period_start) (PARTITION others VALUES LESS THAN (MAXVALUE))'

/** The states that a row can have, as SQL has them in an ENUM. */
export function enumOf(states: Readonly<Record<string, unknown>>): string {
  return listed(Object.keys(states).filter(state => state !== 'absent'))
}

/** What a batch does: adds files; moves what an order says; takes from the totals what is in them. */
export const BATCH_KINDS = ['count', 'correct', 'reset'] as const
export type BatchKind = (typeof BATCH_KINDS)[number]
export const TODO_KINDS = ['count', 'move', 'decide'] as const
export const SIGHTING_OUTCOMES = [
  ...(['duplicate', 'quarantined', 'refused', 'grew', 'reverted', 'held'] as const),
]

/** From fine to coarse. */
export const GRANULARITIES = ['hour', 'day', 'month'] as const
export type Granularity = (typeof GRANULARITIES)[number]
export const ROLLUP_STATES = ['applying', 'applied'] as const

/** Words of an ENUM; new ones are added behind. */
export function listed(words: readonly string[]): string {
  return words.map(word => `'${word}'`).join(', ')
}

/** What the totals look like when there is no such table yet. */
export const createTotals = (n: LedgerNames): string => `
CREATE TABLE ${n.totals} (
  ${n.id} BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  ${n.amount} BIGINT UNSIGNED NOT NULL
) ${STORAGE}`

/**
 * Version 5, by table; whoever creates does so for those that are missing. There is no key by state:
 * while somebody reads a long snapshot, looking through one gets slower with every file that has moved
 * on. What waits stands in `todo`.
 */
export const createLedger = (n: LedgerNames): Readonly<Record<LedgerTable, string>> => ({
  meta: `
CREATE TABLE IF NOT EXISTS ${n.meta} (
  only_row           TINYINT UNSIGNED NOT NULL PRIMARY KEY CHECK (only_row = 1),
  schema_version     INT UNSIGNED     NOT NULL,
  ledger_uuid        CHAR(36)         NOT NULL,
  opening_rows       BIGINT UNSIGNED  NOT NULL COMMENT 'rows of totals at first contact',
  opening_amount     DECIMAL(38,0)    NOT NULL COMMENT 'their sum',
  opening_generation BIGINT UNSIGNED  NULL COMMENT 'whose blocks are the opening balance; none: not taken yet',
  total_upper_bound  DECIMAL(38,0)    NOT NULL COMMENT 'no total is larger than this',
  books_closed_to    DATETIME(3)      NULL COMMENT 'UTC; what was counted before is part of the opening balance, for ever',
  time_zone          VARCHAR(64)      NULL COMMENT 'of days and months; none: usage is not kept by time',
  zone_changes       INT UNSIGNED     NOT NULL DEFAULT 0 COMMENT 'how often that became another',
  rezoned_to         BIGINT UNSIGNED  NULL COMMENT 'the last file whose days were made anew since; none: all are',
  opened_at          DATETIME(3)      NOT NULL COMMENT 'UTC',
  totals_table       VARCHAR(64)      NOT NULL DEFAULT '' COMMENT 'as named at first contact',
  id_column          VARCHAR(64)      NOT NULL DEFAULT '',
  amount_column      VARCHAR(64)      NOT NULL DEFAULT '',
  table_prefix       VARCHAR(64)      NOT NULL DEFAULT ''
) ${LEDGER_STORAGE}`,
  lease: `
CREATE TABLE IF NOT EXISTS ${n.lease} (
  only_row TINYINT UNSIGNED NOT NULL PRIMARY KEY CHECK (only_row = 1),
  epoch    BIGINT UNSIGNED  NOT NULL COMMENT 'of whoever counts now: one more with each change',
  holder   BINARY(16)       NOT NULL COMMENT 'that parser',
  until    DATETIME(3)      NOT NULL COMMENT 'UTC, by the clock of this server',
  moves    BIGINT UNSIGNED  NOT NULL COMMENT 'moved by every transaction that counts'
) ${LEDGER_STORAGE}`,
  batch: `
CREATE TABLE IF NOT EXISTS ${n.batch} (
  id             BINARY(16)      NOT NULL PRIMARY KEY COMMENT 'made by the parser',
  instance       BINARY(16)      NOT NULL COMMENT 'the parser that began it',
  kind           ENUM(${listed(BATCH_KINDS)}) NOT NULL,
  state          ENUM(${enumOf(BATCH_STATES)}) NOT NULL,
  from_id        BIGINT UNSIGNED NULL COMMENT 'last consumer id taken back',
  cursor_id      BIGINT UNSIGNED NULL COMMENT 'last consumer id applied',
  pairs_planned  BIGINT UNSIGNED NOT NULL COMMENT 'of its files together, before they are merged',
  pairs_applied  BIGINT UNSIGNED NOT NULL,
  amount_planned DECIMAL(38,0)   NOT NULL,
  amount_applied DECIMAL(38,0)   NOT NULL,
  begun_at       DATETIME(3)     NOT NULL COMMENT 'UTC',
  ended_at       DATETIME(3)     NULL,
  KEY by_state (state, begun_at)
) ${LEDGER_STORAGE}`,
  file: `
CREATE TABLE IF NOT EXISTS ${n.file} (
  sequence        BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT 'order of claims, not of commits',
  sha256          BINARY(32)      NOT NULL COMMENT 'of the whole content: the claim',
  origin          BINARY(16)      NOT NULL COMMENT 'the publication that this content came with',
  instance        BINARY(16)      NOT NULL COMMENT 'with work_sequence: which work file it was',
  work_sequence   BIGINT UNSIGNED NOT NULL,
  name            VARCHAR(255)    NOT NULL,
  size_bytes      BIGINT UNSIGNED NOT NULL,
  \`lines\`         BIGINT UNSIGNED NOT NULL COMMENT 'good ones',
  rejected_lines  BIGINT UNSIGNED NOT NULL COMMENT 'bad ones, put aside',
  sign            TINYINT         NOT NULL COMMENT '1: counting it adds; -1: it takes away, as what empties the totals',
  pairs           BIGINT UNSIGNED NULL COMMENT 'consumers in it; none: counted before sums were kept',
  amount          DECIMAL(38,0)   NOT NULL,
  largest_sum     BIGINT UNSIGNED NOT NULL,
  state           ENUM(${enumOf(FILE_STATES)}) NOT NULL,
  supersedes      BINARY(32)      NULL COMMENT 'the content that it is counted in place of',
  parent          BINARY(32)      NULL COMMENT 'the content that could not be counted, and that this one mends',
  reason          VARCHAR(300)    NULL COMMENT 'why it is refused or held, or was taken back',
  attempt         INT UNSIGNED    NOT NULL COMMENT 'of writing its sums down',
  recorded_to     BIGINT UNSIGNED NULL COMMENT 'last consumer id whose sum is in a block',
  pairs_recorded  BIGINT UNSIGNED NOT NULL,
  amount_recorded DECIMAL(38,0)   NOT NULL,
  postings        INT UNSIGNED    NOT NULL COMMENT 'how often it was counted and taken back',
  used_at         DATETIME(3)     NOT NULL COMMENT 'UTC; when what it tells of was used: its hour, day and month',
  published_at    DATETIME(3)     NULL COMMENT 'UTC, as it says itself',
  claimed_at      DATETIME(3)     NOT NULL,
  digested_at     DATETIME(3)     NOT NULL,
  recorded_at     DATETIME(3)     NULL COMMENT 'all of its sums are in blocks',
  counted_at      DATETIME(3)     NULL COMMENT 'all of them are in the totals',
  reverted_at     DATETIME(3)     NULL COMMENT 'all of them were taken back',
  UNIQUE KEY by_content (sha256),
  KEY by_origin (origin),
  KEY by_name (name),
  KEY by_work (instance, work_sequence),
  KEY by_parent (parent)
) ${LEDGER_STORAGE}`,
  posting: `
CREATE TABLE IF NOT EXISTS ${n.posting} (
  file_sequence BIGINT UNSIGNED  NOT NULL,
  n             INT UNSIGNED     NOT NULL COMMENT 'odd: counted; even: taken back',
  batch_id      BINARY(16)       NOT NULL COMMENT 'the batch that moves its sums',
  folded        TINYINT UNSIGNED NOT NULL COMMENT '1: it is part of the opening balance',
  rolled        BIGINT UNSIGNED  NULL COMMENT 'the roll-up that brings it into its periods; none: it is not there yet',
  day           DATE             NULL COMMENT 'where: by the time zone of then',
  day_before    DATE             NULL COMMENT 'while the time zone changes: the day that it leaves',
  PRIMARY KEY (file_sequence, n),
  KEY by_batch (batch_id),
  KEY by_rollup (folded, rolled)
) ${LEDGER_STORAGE}`,
  sums: `
CREATE TABLE IF NOT EXISTS ${n.sums} (
  file_sequence BIGINT UNSIGNED NOT NULL,
  first_id      BIGINT UNSIGNED NOT NULL COMMENT 'of the consumers whose sums are in the block',
  last_id       BIGINT UNSIGNED NOT NULL,
  pairs         INT UNSIGNED    NOT NULL,
  amount        DECIMAL(38,0)   NOT NULL,
  crc           INT UNSIGNED    NOT NULL COMMENT 'CRC-32, seeded with the content and the first id',
  block         MEDIUMBLOB      NOT NULL,
  PRIMARY KEY (file_sequence, first_id)
) ${LEDGER_STORAGE}`,
  todo: `
CREATE TABLE IF NOT EXISTS ${n.todo} (
  kind          ENUM(${listed(TODO_KINDS)}) NOT NULL,
  file_sequence BIGINT UNSIGNED NOT NULL COMMENT 'count: staged, and not in a batch yet; move: to where it belongs now; decide: held',
  PRIMARY KEY (kind, file_sequence)
) ${LEDGER_STORAGE}`,
  opening_wide: `
CREATE TABLE IF NOT EXISTS ${n.opening_wide} (
  generation BIGINT UNSIGNED NOT NULL,
  id         DECIMAL(20,0)   NOT NULL,
  amount     DECIMAL(38,0)   NOT NULL COMMENT 'no unsigned number of 64 bits',
  PRIMARY KEY (generation, id)
) ${LEDGER_STORAGE}`,
  order: `
CREATE TABLE IF NOT EXISTS ${n.order} (
  id        BINARY(16)      NOT NULL PRIMARY KEY COMMENT 'told by what is asked for: asked twice it is the same',
  kind      ENUM(${listed(ORDER_KINDS)}) NOT NULL,
  old       BIGINT UNSIGNED NULL COMMENT 'the file that it is about',
  new       BIGINT UNSIGNED NULL COMMENT 'the file that is counted in its place',
  before_at DATETIME(3)     NULL COMMENT 'UTC; up to when the books are closed',
  reason    VARCHAR(300)    NOT NULL COMMENT 'in the words of who asked',
  state     ENUM(${enumOf(ORDER_STATES)}) NOT NULL,
  batch_id  BINARY(16)      NULL COMMENT 'the batch that carries it out',
  answer    VARCHAR(1000)   NULL COMMENT 'why it waits or is refused, or what came of it',
  asked_at  DATETIME(3)     NOT NULL COMMENT 'UTC',
  ended_at  DATETIME(3)     NULL,
  KEY by_state (state, asked_at),
  KEY by_batch (batch_id),
  KEY by_file (old)
) ${LEDGER_STORAGE}`,
  sighting: `
CREATE TABLE IF NOT EXISTS ${n.sighting} (
  instance      BINARY(16)      NOT NULL,
  work_sequence BIGINT UNSIGNED NOT NULL,
  sha256        BINARY(32)      NULL,
  name          VARCHAR(255)    NOT NULL,
  outcome       ENUM(${listed(SIGHTING_OUTCOMES)}) NOT NULL,
  reason        VARCHAR(300)    NOT NULL,
  seen_at       DATETIME(3)     NOT NULL COMMENT 'UTC',
  PRIMARY KEY (instance, work_sequence),
  KEY by_content (sha256),
  KEY by_name (name)
) ${LEDGER_STORAGE}`,
  rollup: `
CREATE TABLE IF NOT EXISTS ${n.rollup} (
  n              BIGINT UNSIGNED NOT NULL PRIMARY KEY COMMENT 'in their order; at most the last is under way',
  instance       BINARY(16)      NOT NULL COMMENT 'the parser that began it',
  state          ENUM(${listed(ROLLUP_STATES)}) NOT NULL,
  cursor_id      BIGINT UNSIGNED NULL COMMENT 'last consumer id whose periods have it',
  pairs_planned  BIGINT UNSIGNED NOT NULL COMMENT 'of its files together',
  pairs_applied  BIGINT UNSIGNED NOT NULL,
  amount_planned DECIMAL(38,0)   NOT NULL COMMENT 'added less taken',
  amount_applied DECIMAL(38,0)   NOT NULL,
  begun_at       DATETIME(3)     NOT NULL COMMENT 'UTC',
  ended_at       DATETIME(3)     NULL,
  KEY by_state (state)
) ${LEDGER_STORAGE}`,
  period: `
CREATE TABLE IF NOT EXISTS ${n.period} (
  granularity ENUM(${listed(GRANULARITIES)}) NOT NULL PRIMARY KEY,
  kept_from   DATETIME      NULL COMMENT 'what is older is told by coarser periods only; none: nothing was dropped',
  dropped     DECIMAL(38,0) NOT NULL COMMENT 'the amount of what is older'
) ${LEDGER_STORAGE}`,
  usage: `
CREATE TABLE IF NOT EXISTS ${n.usage} (
  granularity  ENUM(${listed(GRANULARITIES)}) NOT NULL,
  period_start DATETIME      NOT NULL COMMENT 'hours by UTC, days and months by the time zone of the ledger',
  amount       DECIMAL(38,0) NOT NULL COMMENT 'of all consumers',
  PRIMARY KEY (granularity, period_start)
) ${LEDGER_STORAGE}`,
  usage_block: `
CREATE TABLE IF NOT EXISTS ${n.usage_block} (
  period_start DATETIME        NOT NULL COMMENT 'UTC; an hour',
  first_id     BIGINT UNSIGNED NOT NULL COMMENT 'of the consumers whose usage is in the block',
  last_id      BIGINT UNSIGNED NOT NULL,
  pairs        INT UNSIGNED    NOT NULL,
  amount       DECIMAL(38,0)   NOT NULL,
  crc          INT UNSIGNED    NOT NULL COMMENT 'CRC-32, seeded with the hour and the first id',
  block        MEDIUMBLOB      NOT NULL,
  PRIMARY KEY (period_start, first_id)
) ${LEDGER_STORAGE} ${PARTITIONED}`,
  usage_wide: `
CREATE TABLE IF NOT EXISTS ${n.usage_wide} (
  period_start DATETIME        NOT NULL COMMENT 'UTC; an hour',
  id           BIGINT UNSIGNED NOT NULL,
  amount       DECIMAL(38,0)   NOT NULL COMMENT 'what a block has no place for, beyond 64 bits',
  PRIMARY KEY (period_start, id)
) ${LEDGER_STORAGE}`,
  usage_day: `
CREATE TABLE IF NOT EXISTS ${n.usage_day} (
  period_start DATE            NOT NULL COMMENT 'by the time zone of the ledger',
  id           BIGINT UNSIGNED NOT NULL,
  amount       DECIMAL(38,0)   NOT NULL,
  PRIMARY KEY (period_start, id)
) ${LEDGER_STORAGE} ${PARTITIONED}`,
  usage_month: `
CREATE TABLE IF NOT EXISTS ${n.usage_month} (
  period_start DATE            NOT NULL COMMENT 'its first day, by the time zone of the ledger',
  id           BIGINT UNSIGNED NOT NULL,
  amount       DECIMAL(38,0)   NOT NULL,
  PRIMARY KEY (period_start, id)
) ${LEDGER_STORAGE} ${PARTITIONED}`,
})

/** A point in time for a DATETIME(3) in UTC, whatever the server's or this machine's time zone. */
export function sqlTime(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').replace('Z', '')
}

/** The reverse of `sqlTime`: milliseconds since 1970. */
export function fromSqlTime(text: string): number {
  return Date.parse(`${text.replace(' ', 'T')}Z`)
}
