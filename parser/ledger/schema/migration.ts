/**
 * From an older version of the tables to this one. Every statement can be run again after a crash in
 * the middle; the version is raised after the last, by the service.
 *
 * The first statement keeps out an older program that still runs: it knows nothing of a column that
 * has no default, and can claim nothing more.
 */

import { BATCH_STATES, batchWay } from '../counting/batch-states.ts'
import { originSql } from '../file-rows.ts'
import { FILE_STATES } from '../file-states.ts'
import {
  BATCH_KINDS,
  createLedger,
  enumOf,
  GRANULARITIES,
  type LedgerNames,
  listed,
  SIGHTING_OUTCOMES,
  TODO_KINDS,
} from './tables.ts'

export const migrateToVersion3 = (n: LedgerNames): readonly string[] => {
  const { lease, posting, sums, todo, opening_wide } = createLedger(n)
  return [
    `ALTER TABLE ${n.file} ADD COLUMN IF NOT EXISTS origin BINARY(16) NOT NULL COMMENT 'the publication that this content came with'`,
    // What version 2 has added, which a ledger of version 1 lacks.
    `ALTER TABLE ${n.meta}
       ADD COLUMN IF NOT EXISTS totals_table  VARCHAR(64) NOT NULL DEFAULT '' COMMENT 'as named at first contact',
       ADD COLUMN IF NOT EXISTS id_column     VARCHAR(64) NOT NULL DEFAULT '',
       ADD COLUMN IF NOT EXISTS amount_column VARCHAR(64) NOT NULL DEFAULT '',
       ADD COLUMN IF NOT EXISTS table_prefix  VARCHAR(64) NOT NULL DEFAULT '',
       ADD COLUMN IF NOT EXISTS opening_generation BIGINT UNSIGNED NULL COMMENT 'whose blocks are the opening balance; none: not taken yet'`,
    `ALTER TABLE ${n.sighting} MODIFY outcome ENUM(${listed(SIGHTING_OUTCOMES)}) NOT NULL,
       ADD KEY IF NOT EXISTS by_name (name)`,
    ...[lease, posting, sums, todo, opening_wide].map(statement => statement.trim()),
    firstLease(n),
    // What was counted before sums were kept is part of the opening balance.
    ...ifThere(
      `${columnOf(n.file)} AND column_name = 'batch_id'`,
      `INSERT IGNORE INTO ${n.posting} (file_sequence, n, batch_id, folded)
       SELECT sequence, 1, batch_id, state = 'applied' FROM ${n.file}`,
    ),
    `ALTER TABLE ${n.file}
       DROP PRIMARY KEY, ADD PRIMARY KEY (sequence),
       DROP KEY IF EXISTS by_sequence, DROP KEY IF EXISTS by_batch,
       ADD UNIQUE KEY IF NOT EXISTS by_content (sha256), ADD KEY IF NOT EXISTS by_origin (origin),
       ADD KEY IF NOT EXISTS by_work (instance, work_sequence),
       MODIFY state ENUM(${enumOf(FILE_STATES)}) NOT NULL,
       MODIFY recorded_at DATETIME(3) NULL COMMENT 'all of its sums are in blocks',
       ADD COLUMN IF NOT EXISTS pairs BIGINT UNSIGNED NULL COMMENT 'consumers in it; none: counted before sums were kept' AFTER rejected_lines,
       ADD COLUMN IF NOT EXISTS reason VARCHAR(300) NULL COMMENT 'why it is refused' AFTER state,
       ADD COLUMN IF NOT EXISTS attempt INT UNSIGNED NOT NULL COMMENT 'of writing its sums down' AFTER reason,
       ADD COLUMN IF NOT EXISTS recorded_to BIGINT UNSIGNED NULL COMMENT 'last consumer id whose sum is in a block' AFTER attempt,
       ADD COLUMN IF NOT EXISTS pairs_recorded BIGINT UNSIGNED NOT NULL AFTER recorded_to,
       ADD COLUMN IF NOT EXISTS amount_recorded DECIMAL(38,0) NOT NULL AFTER pairs_recorded,
       ADD COLUMN IF NOT EXISTS postings INT UNSIGNED NOT NULL DEFAULT 1 COMMENT 'how often it was counted and taken back' AFTER amount_recorded,
       ADD COLUMN IF NOT EXISTS published_at DATETIME(3) NULL COMMENT 'UTC, as it says itself' AFTER postings,
       ADD COLUMN IF NOT EXISTS counted_at DATETIME(3) NULL COMMENT 'all of them are in the totals'`,
    `UPDATE ${n.file} SET origin = ${originSql}, counted_at = IF(state = 'applied', recorded_at, NULL),
            recorded_at = NULL WHERE origin = REPEAT(CHAR(0), 16)`,
    `ALTER TABLE ${n.file} DROP COLUMN IF EXISTS batch_id, ALTER COLUMN postings DROP DEFAULT`,
    // On tables that are as they must be these would make the table of batches anew, twice.
    ...[
      `ALTER TABLE ${n.batch}
         MODIFY kind ENUM('add', 'revert', 'count') NOT NULL,
         MODIFY state ENUM(${enumOf(BATCH_STATES)}) NOT NULL,
         ADD COLUMN IF NOT EXISTS from_id BIGINT UNSIGNED NULL COMMENT 'last consumer id taken back' AFTER state`,
      `UPDATE ${n.batch} SET kind = 'count', state = IF(state = 'applied', state, '${batchWay('inherit').to}') WHERE kind = 'add'`,
      `UPDATE ${n.posting} p JOIN ${n.file} f ON f.sequence = p.file_sequence
          SET p.folded = 1 WHERE f.pairs IS NULL AND f.state = 'applied'`,
      `ALTER TABLE ${n.batch} MODIFY kind ENUM('count') NOT NULL, DROP KEY IF EXISTS by_state,
         ADD KEY by_state (state, begun_at)`,
    ].flatMap(statement =>
      ifThere(
        `${columnOf(n.batch)} AND column_name = 'kind' AND column_type LIKE '%add%'`,
        statement,
      ),
    ),
  ]
}

/**
 * From version 3: corrections. The first statement keeps an older program that still runs from counting:
 * it would go on with a batch that takes something back as if that added it. The second keeps it from
 * claiming; what it has claimed and counted until then is right as it is.
 */
export const migrateToVersion4 = (n: LedgerNames): readonly string[] => [
  `ALTER TABLE ${n.lease} CHANGE COLUMN IF EXISTS beat beats BIGINT UNSIGNED NOT NULL COMMENT 'moved by every transaction that counts'`,
  `ALTER TABLE ${n.file}
     ADD COLUMN IF NOT EXISTS sign TINYINT NOT NULL DEFAULT 1 COMMENT '1: counting it adds; -1: it takes away, as what empties the totals' AFTER rejected_lines`,
  `ALTER TABLE ${n.file} ALTER COLUMN sign DROP DEFAULT`,
  `ALTER TABLE ${n.file}
     MODIFY state ENUM(${enumOf(FILE_STATES)}) NOT NULL,
     ADD COLUMN IF NOT EXISTS supersedes BINARY(32) NULL COMMENT 'the content that it is counted in place of' AFTER state,
     ADD COLUMN IF NOT EXISTS parent BINARY(32) NULL COMMENT 'the content that could not be counted, and that this one mends' AFTER supersedes,
     ADD COLUMN IF NOT EXISTS reverted_at DATETIME(3) NULL COMMENT 'all of them were taken back',
     ADD KEY IF NOT EXISTS by_parent (parent)`,
  `ALTER TABLE ${n.batch} MODIFY kind ENUM(${listed(BATCH_KINDS)}) NOT NULL`,
  `ALTER TABLE ${n.todo} MODIFY kind ENUM(${listed(TODO_KINDS)}) NOT NULL`,
  `ALTER TABLE ${n.sighting} MODIFY outcome ENUM(${listed(SIGHTING_OUTCOMES)}) NOT NULL`,
  `ALTER TABLE ${n.meta} ADD COLUMN IF NOT EXISTS books_closed_to DATETIME(3) NULL COMMENT 'UTC; what was counted before is part of the opening balance, for ever' AFTER total_upper_bound`,
  createLedger(n).order.trim(),
]

/**
 * From version 4: usage by time, which is not kept until somebody asks for it. The first two statements
 * keep out an older program that still runs: it would close the books over what no period has yet.
 */
export const migrateToVersion5 = (n: LedgerNames): readonly string[] => {
  const { rollup, period, usage, usage_block, usage_wide, usage_day, usage_month } = createLedger(n)
  return [
    `ALTER TABLE ${n.lease} CHANGE COLUMN IF EXISTS beats moves BIGINT UNSIGNED NOT NULL COMMENT 'moved by every transaction that counts'`,
    `ALTER TABLE ${n.file} ADD COLUMN IF NOT EXISTS used_at DATETIME(3) NOT NULL DEFAULT '${UNKNOWN}' COMMENT 'UTC; when what it tells of was used: its hour, day and month' AFTER postings`,
    `ALTER TABLE ${n.file} ALTER COLUMN used_at DROP DEFAULT`,
    `UPDATE ${n.file} SET used_at = claimed_at WHERE used_at = '${UNKNOWN}'`,
    `ALTER TABLE ${n.posting}
       ADD COLUMN IF NOT EXISTS rolled     BIGINT UNSIGNED NULL COMMENT 'the roll-up that brings it into its periods; none: it is not there yet',
       ADD COLUMN IF NOT EXISTS day        DATE NULL COMMENT 'where: by the time zone of then',
       ADD COLUMN IF NOT EXISTS day_before DATE NULL COMMENT 'while the time zone changes: the day that it leaves',
       ADD KEY IF NOT EXISTS by_rollup (folded, rolled)`,
    `ALTER TABLE ${n.meta}
       ADD COLUMN IF NOT EXISTS time_zone    VARCHAR(64) NULL COMMENT 'of days and months; none: usage is not kept by time' AFTER books_closed_to,
       ADD COLUMN IF NOT EXISTS zone_changes INT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'how often that became another' AFTER time_zone,
       ADD COLUMN IF NOT EXISTS rezoned_to   BIGINT UNSIGNED NULL COMMENT 'the last file whose days were made anew since; none: all are' AFTER zone_changes`,
    ...[rollup, period, usage, usage_block, usage_wide, usage_day, usage_month].map(statement =>
      statement.trim(),
    ),
    firstPeriods(n),
  ]
}

/** Before all times of usage that are taken. */
const UNKNOWN = '1970-01-01 00:00:00'

/** Nothing is dropped yet. */
export const firstPeriods = (n: LedgerNames): string =>
  `INSERT IGNORE INTO ${n.period} (granularity, kept_from, dropped)
     VALUES ${GRANULARITIES.map(granularity => `('${granularity}', NULL, 0)`).join(', ')}`

/** Nobody's, and free. */
export const firstLease = (n: LedgerNames): string =>
  `INSERT IGNORE INTO ${n.lease} (only_row, epoch, holder, until, moves)
     VALUES (1, 0, REPEAT(CHAR(0), 16), UTC_TIMESTAMP(3) - INTERVAL 1 SECOND, 0)`

/** A statement for tables that still have such a column. (What is executed so must not be told by a subquery.) */
function ifThere(column: string, statement: string): readonly string[] {
  return [
    `SET @statement = (SELECT IF(COUNT(*) > 0, '${statement.replaceAll("'", "''")}', 'DO 0')
       FROM information_schema.columns WHERE ${column})`,
    'EXECUTE IMMEDIATE @statement',
  ]
}

function columnOf(table: string): string {
  return `table_schema = DATABASE() AND table_name = '${table.slice(1, -1)}'`
}
