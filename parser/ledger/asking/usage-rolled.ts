/**
 * What is rolled up: the sum of each period, one consumer's periods, all consumers of one. Periods are
 * taken from the small table of their sums and looked up one by one: with the key (period_start, id) a range
 * of periods would be read as a whole.
 */

import { BlockDecoder, type IdRange, type PackedBlock, type PairChunk } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import { hourSeed } from '../periods/hour-seed.ts'
import { BLOCK_COLUMNS, type BlockRow, blockOf } from '../recording/blocks.ts'
import type { Granularity, LedgerNames } from '../schema/tables.ts'

/** Starts of periods: from the first on, and before the second. */
export interface StartRange {
  readonly from: string
  readonly to: string
}

export interface StartedAmount {
  readonly start: string
  readonly amount: bigint
}

/** Of all consumers together, in order. */
export async function* rolledSums(
  session: Session,
  { usage }: LedgerNames,
  by: Granularity,
  { from, to }: StartRange,
): AsyncGenerator<StartedAmount> {
  const rows = session.stream<AmountRow>(
    `SELECT period_start AS start, amount FROM ${usage}
      WHERE granularity = ? AND period_start >= ? AND period_start < ? ORDER BY period_start`,
    [by, from, to],
  )
  for await (const { start, amount } of rows) {
    yield { start: startText(by, start), amount: BigInt(amount) }
  }
}

/** Of one consumer, in order; an hour may come more than once. */
export async function* rolledOf(
  session: Session,
  names: LedgerNames,
  by: Granularity,
  range: StartRange,
  id: bigint,
): AsyncGenerator<StartedAmount> {
  if (by === 'hour') return yield* rolledHoursOf(session, names, range, id)
  const rows = session.stream<AmountRow>(
    `SELECT STRAIGHT_JOIN p.period_start AS start, d.amount
       FROM ${names.usage} p
       JOIN ${tableOf(names, by)} d ON d.period_start = CAST(p.period_start AS DATE) AND d.id = ?
      WHERE p.granularity = ? AND p.period_start >= ? AND p.period_start < ?
      ORDER BY p.period_start`,
    [id, by, range.from, range.to],
  )
  for await (const { start, amount } of rows) {
    yield { start: startText(by, start), amount: BigInt(amount) }
  }
}

async function* rolledHoursOf(
  session: Session,
  { usage, usage_block, usage_wide }: LedgerNames,
  { from, to }: StartRange,
  id: bigint,
): AsyncGenerator<StartedAmount> {
  const decoder = BlockDecoder.alone()
  for (let [begin, last] = ['>=', from]; ; begin = '>') {
    // Some together: row by row each would cost more than to look into its block.
    const rows = await session.query<BlockRow & { readonly start: string }>(
      `SELECT STRAIGHT_JOIN p.period_start AS start, ${BLOCK_COLUMNS}
         FROM ${usage} p
         JOIN ${usage_block} s ON s.period_start = p.period_start
          AND s.first_id = (SELECT d.first_id FROM ${usage_block} d
                             WHERE d.period_start = p.period_start AND d.first_id <= ?
                             ORDER BY d.first_id DESC LIMIT 1)
        WHERE p.granularity = 'hour' AND p.period_start ${begin} ? AND p.period_start < ?
          AND s.last_id >= ?
        ORDER BY p.period_start LIMIT ${BLOCKS_AT_ONCE}`,
      [id, last, to, id],
    )
    for (const row of rows) {
      last = startText('hour', row.start)
      const amount = decoder.find(hourSeed(last), blockOf(row), id)
      if (amount !== undefined) yield { start: last, amount }
    }
    if (rows.length < BLOCKS_AT_ONCE) break
  }
  const wide = session.stream<AmountRow>(
    `SELECT STRAIGHT_JOIN p.period_start AS start, w.amount FROM ${usage} p
       JOIN ${usage_wide} w ON w.period_start = p.period_start AND w.id = ?
      WHERE p.granularity = 'hour' AND p.period_start >= ? AND p.period_start < ?`,
    [id, from, to],
  )
  for await (const { start, amount } of wide) {
    yield { start: startText('hour', start), amount: BigInt(amount) }
  }
}

/** The consumers of a day or a month, ascending. */
export async function* rolledRows(
  session: Session,
  names: LedgerNames,
  by: 'day' | 'month',
  start: string,
): AsyncGenerator<IdAmount> {
  const rows = session.stream<IdAmountRow>(
    `SELECT id, amount FROM ${tableOf(names, by)} WHERE period_start = ? ORDER BY id`,
    [start],
  )
  for await (const { id, amount } of rows) yield { id, amount: BigInt(amount) }
}

/** The largest of a day or a month, the largest first, equal ones by id. */
export async function rolledTop(
  session: Session,
  names: LedgerNames,
  by: 'day' | 'month',
  start: string,
  top: number,
): Promise<IdAmount[]> {
  const rows = await session.query<IdAmountRow>(
    `SELECT id, amount FROM ${tableOf(names, by)} WHERE period_start = ? AND amount <> 0
      ORDER BY amount DESC, id LIMIT ?`,
    [start, top],
  )
  return rows.map(({ id, amount }) => ({ id, amount: BigInt(amount) }))
}

/** The consumers of an hour, ascending; those of `wideOf` are to be added. */
export async function* rolledPairs(
  session: Session,
  names: LedgerNames,
  start: string,
): AsyncGenerator<PairChunk> {
  const decoder = BlockDecoder.alone()
  const seed = hourSeed(start)
  for await (const blocks of hourBlocks(session, names, start, { after: undefined, to: ALL })) {
    for (const block of blocks) yield decoder.unpack(seed, block)
  }
}

/** The blocks of an hour that may have one of these ids, ascending, some at a time. */
export async function* hourBlocks(
  session: Session,
  { usage_block }: LedgerNames,
  start: string,
  { after = -1n, to }: IdRange,
): AsyncGenerator<PackedBlock[]> {
  for (let last = -1n; ; ) {
    const rows = await session.query<BlockRow>(
      `SELECT ${BLOCK_COLUMNS} FROM ${usage_block} s
        WHERE period_start = ? AND first_id > ${last} AND first_id <= ${to} AND last_id > ${after}
        ORDER BY first_id LIMIT ${BLOCKS_AT_ONCE}`,
      [start],
    )
    if (rows.length > 0) yield rows.map(blockOf)
    if (rows.length < BLOCKS_AT_ONCE) return
    last = rows.at(-1)!.firstId
  }
}

/** What the blocks of an hour have no place for. */
export async function wideOf(
  session: Session,
  { usage_wide }: LedgerNames,
  start: string,
  { after = -1n, to }: IdRange = { after: undefined, to: ALL },
  atMost = 1_000_000,
): Promise<IdAmount[]> {
  const rows = await session.query<IdAmountRow>(
    `SELECT id, amount FROM ${usage_wide} WHERE period_start = ? AND id > ${after} AND id <= ${to}
      ORDER BY id LIMIT ${atMost}`,
    [start],
  )
  return rows.map(({ id, amount }) => ({ id, amount: BigInt(amount) }))
}

export interface IdAmount {
  readonly id: bigint
  readonly amount: bigint
}

export function tableOf(names: LedgerNames, by: 'day' | 'month'): string {
  return by === 'day' ? names.usage_day : names.usage_month
}

/** As `UsagePeriod` has it. */
function startText(by: Granularity, start: string): string {
  return by === 'hour' ? start.slice(0, 19) : start.slice(0, 10)
}

interface AmountRow {
  readonly start: string
  readonly amount: string
}

interface IdAmountRow {
  readonly id: bigint
  readonly amount: string
}

const ALL = 2n ** 64n - 1n
/** A megabyte. */
const BLOCKS_AT_ONCE = 64
