import { randomBytes, randomUUID } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadInstance } from '../../parser/instance.ts'
import type { Session } from '../../parser/ledger/connection.ts'
import { settledName, workName } from '../../shared/paths.ts'
import { withSession } from '../helpers/database.ts'
import { amountOf, type DataFile, linesOf, sha256Of, totalsOf } from '../helpers/files.ts'
import type { Site } from '../helpers/state-dir.ts'

// A ledger as version 2 of the tables has kept it, in SQL of its own.

/** Its tables, by their names. */
export const VERSION_2: Readonly<Record<string, string>> = {
  consumption:
    'id BIGINT UNSIGNED NOT NULL PRIMARY KEY, resource_consumption BIGINT UNSIGNED NOT NULL',
  countersink_meta: `only_row TINYINT UNSIGNED NOT NULL PRIMARY KEY CHECK (only_row = 1),
    schema_version INT UNSIGNED NOT NULL, ledger_uuid CHAR(36) NOT NULL,
    opening_rows BIGINT UNSIGNED NOT NULL, opening_amount DECIMAL(38,0) NOT NULL,
    total_upper_bound DECIMAL(38,0) NOT NULL, opened_at DATETIME(3) NOT NULL,
    totals_table VARCHAR(64) NOT NULL DEFAULT '', id_column VARCHAR(64) NOT NULL DEFAULT '',
    amount_column VARCHAR(64) NOT NULL DEFAULT '', table_prefix VARCHAR(64) NOT NULL DEFAULT ''`,
  countersink_batch: `id BINARY(16) NOT NULL PRIMARY KEY, instance BINARY(16) NOT NULL,
    kind ENUM('add', 'revert') NOT NULL, state ENUM('applying', 'applied', 'blocked') NOT NULL,
    cursor_id BIGINT UNSIGNED NULL, pairs_planned BIGINT UNSIGNED NOT NULL,
    pairs_applied BIGINT UNSIGNED NOT NULL, amount_planned DECIMAL(38,0) NOT NULL,
    amount_applied DECIMAL(38,0) NOT NULL, begun_at DATETIME(3) NOT NULL, ended_at DATETIME(3) NULL,
    KEY by_state (state)`,
  countersink_file: `sha256 BINARY(32) NOT NULL PRIMARY KEY,
    sequence BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, batch_id BINARY(16) NOT NULL,
    instance BINARY(16) NOT NULL, work_sequence BIGINT UNSIGNED NOT NULL, name VARCHAR(255) NOT NULL,
    size_bytes BIGINT UNSIGNED NOT NULL, \`lines\` BIGINT UNSIGNED NOT NULL,
    rejected_lines BIGINT UNSIGNED NOT NULL, amount DECIMAL(38,0) NOT NULL,
    largest_sum BIGINT UNSIGNED NOT NULL, state ENUM('applying', 'applied', 'reverted') NOT NULL,
    claimed_at DATETIME(3) NOT NULL, digested_at DATETIME(3) NOT NULL,
    recorded_at DATETIME(3) NOT NULL, UNIQUE KEY by_sequence (sequence), KEY by_batch (batch_id),
    KEY by_name (name), KEY by_work (instance, work_sequence)`,
  countersink_sighting: `instance BINARY(16) NOT NULL, work_sequence BIGINT UNSIGNED NOT NULL,
    sha256 BINARY(32) NULL, name VARCHAR(255) NOT NULL,
    outcome ENUM('duplicate', 'quarantined', 'refused', 'grew') NOT NULL,
    reason VARCHAR(300) NOT NULL, seen_at DATETIME(3) NOT NULL,
    PRIMARY KEY (instance, work_sequence), KEY by_content (sha256)`,
}

/**
 * The tables as version 1 had them, which did not know what the totals are called; one file is
 * counted: 100 of consumer 1.
 */
export async function layVersion1(
  session: Session,
  { prefix = 'countersink_', totals = 'consumption' } = {},
): Promise<void> {
  for (const [table, columns] of Object.entries(VERSION_2)) {
    const name = table === 'consumption' ? totals : table.replace('countersink_', prefix)
    await session.execute(`CREATE TABLE ${name} (${columns})`)
  }
  for (const statement of [
    `ALTER TABLE ${prefix}meta DROP totals_table, DROP id_column, DROP amount_column, DROP table_prefix`,
    `ALTER TABLE ${prefix}file DROP KEY by_work`,
    `ALTER TABLE ${prefix}sighting MODIFY outcome ENUM('duplicate', 'quarantined', 'refused') NOT NULL`,
    `INSERT INTO ${prefix}meta VALUES (1, 1, UUID(), 0, 0, 100, UTC_TIMESTAMP(3))`,
    `INSERT INTO ${totals} VALUES (1, 100)`,
    `INSERT INTO ${prefix}batch VALUES ('0123456789abcdef', '0123456789abcdef', 'add', 'applied', 1, 1, 1,
       100, 100, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))`,
    `INSERT INTO ${prefix}file VALUES (REPEAT('h', 32), 1, '0123456789abcdef', '0123456789abcdef', 5, 'a',
       6, 1, 0, 100, 100, 'applied', UTC_TIMESTAMP(3), UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))`,
  ]) {
    await session.execute(statement)
  }
}

/** What that version has left. */
export interface Left {
  /** Counted to the end. */
  readonly applied: readonly DataFile[]
  /** In one batch, whose first pairs, merged, are in the totals. */
  readonly begun: readonly DataFile[]
  readonly pairsApplied: number
  readonly state: 'applying' | 'blocked'
  /** Where the files of the batch are. */
  readonly where: 'work' | 'archive'
}

export async function layVersion2(site: Site, left: Left): Promise<void> {
  const { paths } = site
  for (const path of [paths.work, paths.archive, paths.parser]) mkdirSync(path, { recursive: true })
  const instance = await loadInstance(paths.instance)
  await withSession(site, async session => {
    await layTables(session)
    const from = Date.now() - 1_000_000
    for (const [i, file] of left.applied.entries()) {
      const pairs = pairsOf([file])
      const batch = { ...left, state: 'applied', pairsApplied: pairs.length } as const
      await layBatch(session, instance, [file], { ...batch, workSequence: from + i })
      writeFileSync(join(paths.archive, settledName(file.name, hashOf(file))), file.content)
    }
    const first = from + left.applied.length
    await layBatch(session, instance, left.begun, { ...left, workSequence: first })
    for (const [i, file] of left.begun.entries()) {
      const [directory, name] =
        left.where === 'work'
          ? [paths.work, workName(first + i, file.name)]
          : [paths.archive, settledName(file.name, hashOf(file))]
      writeFileSync(join(directory, name), file.content)
    }
  })
}

async function layTables(session: Session): Promise<void> {
  for (const [name, columns] of Object.entries(VERSION_2)) {
    await session.execute(`CREATE TABLE ${name} (${columns}) ENGINE = InnoDB
      ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin`)
  }
  await session.execute(
    `INSERT INTO countersink_meta VALUES (1, 2, ?, 0, 0, 18446744073709551615, UTC_TIMESTAMP(3),
       'consumption', 'id', 'resource_consumption', 'countersink_')`,
    [randomUUID()],
  )
}

/** A batch, its files, and what it has added to the totals. */
async function layBatch(
  session: Session,
  instance: Buffer,
  files: readonly DataFile[],
  batch: { state: string; pairsApplied: number; workSequence: number },
): Promise<void> {
  const id = randomBytes(16)
  const pairs = pairsOf(files)
  const applied = pairs.slice(0, batch.pairsApplied)
  for (const [id, sum] of applied) {
    await session.execute(
      `INSERT INTO consumption VALUES (?, ?)
         ON DUPLICATE KEY UPDATE resource_consumption = resource_consumption + VALUES(resource_consumption)`,
      [id, sum],
    )
  }
  const sumOf = (some: readonly Pair[]): string =>
    some.reduce((all, [, sum]) => all + sum, 0n).toString()
  await session.execute(
    `INSERT INTO countersink_batch
     VALUES (?, ?, 'add', ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(3), IF(? = 'applied', UTC_TIMESTAMP(3), NULL))`,
    [
      ...[id, instance, batch.state, applied.at(-1)?.[0] ?? null, pairs.length, applied.length],
      ...[sumOf(pairs), sumOf(applied), batch.state],
    ],
  )
  for (const [i, file] of files.entries()) {
    const largest = pairsOf([file]).reduce((max, [, sum]) => (sum > max ? sum : max), 0n)
    await session.execute(
      `INSERT INTO countersink_file
         (sha256, batch_id, instance, work_sequence, name, size_bytes, \`lines\`, rejected_lines,
          amount, largest_sum, state, claimed_at, digested_at, recorded_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))`,
      [
        ...[hashOf(file), id, instance, batch.workSequence + i, file.name, file.content.length],
        ...[linesOf(file.content), amountOf(file.content).toString(), largest],
        batch.state === 'applied' ? 'applied' : 'applying',
      ],
    )
  }
}

type Pair = readonly [id: bigint, sum: bigint]

function pairsOf(files: readonly DataFile[]): Pair[] {
  return [...totalsOf(files)].sort(([a], [b]) => (a < b ? -1 : 1))
}

function hashOf({ content }: DataFile): Buffer {
  return Buffer.from(sha256Of(content), 'hex')
}
