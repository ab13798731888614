/**
 * One chunk of a roll-up: all that its files have of a window of consumers, into hours, days and months, with
 * the sums of all consumers of each period and the roll-up's cursor, in one transaction.
 *
 * Day by day, of each hour what its files bring is added up and written; the hours of a day together are
 * what is written of the day, the days of a month that of the month. What is older than is kept is not
 * written, but added to what was dropped.
 */

import { monthOf } from '../../../shared/time-zone.ts'
import type { KernelExports } from '../../kernel/index.ts'
import { Accumulators, type IdRange, type PairChunk, PairTally } from '../../sums/index.ts'
import { TotalsWriter } from '../adding/totals-writer.ts'
import type { Session } from '../connection.ts'
import type { Granularity, LedgerNames } from '../schema/tables.ts'
import { type FileBlocks, opening } from './file-blocks.ts'
import { CHUNK_ROWS_MAX, type Change, HourWriter } from './hours.ts'
import type { Move } from './moves.ts'
import { keptFrom, PeriodSums } from './period-sums.ts'
import { type Step, unlike } from './rollup-row.ts'

/** What writes chunks, one after the other. */
export interface ChunkTools {
  /** What is written of a cell, a day and a month. */
  readonly window: Accumulators
  readonly hours: HourWriter
  readonly days: TotalsWriter
  readonly months: TotalsWriter
}

export function chunkTools(names: LedgerNames, kernel: KernelExports): ChunkTools {
  const rows = (totals: string): TotalsWriter =>
    new TotalsWriter({ totals, id: 'id', amount: 'amount', periodColumn: 'period_start' })
  return {
    window: new Accumulators(CHUNK_ROWS_MAX, 3),
    hours: new HourWriter(names, kernel),
    days: rows(names.usage_day),
    months: rows(names.usage_month),
  }
}

const [CELL, DAY, MONTH] = [0, 1, 2]

/** How many consumers a chunk takes, so that it does not write too much at once. */
export function rowsOfChunk(moves: readonly Move[]): number {
  const cells = new Set(moves.map(({ day, hour }) => `${day} ${hour}`)).size
  const days = new Set(moves.map(({ day }) => day)).size
  const months = new Set(moves.map(({ day }) => monthOf(day))).size
  const rows = Math.floor(ROWS_WRITTEN_MAX / (days + months + cells / CELLS_PER_ROW))
  return Math.max(ROWS_MIN, Math.min(CHUNK_ROWS_MAX, rows))
}

/** Rows of days and months: a second's work. */
const ROWS_WRITTEN_MAX = 2 ** 18
/** So many consumers of an hour, packed, cost less than a row. */
const CELLS_PER_ROW = 8
const ROWS_MIN = 1_024

/** The caller's transaction moves the cursor. @throws CountersinkError USAGE_UNLIKE, BLOCK_UNREADABLE */
export async function rollChunk(
  session: Session,
  names: LedgerNames,
  { window, hours, days, months }: ChunkTools,
  { moves, blocks, range }: { moves: readonly Move[]; blocks: FileBlocks; range: IdRange },
): Promise<Step> {
  const kept = await keptFrom(session, names)
  const sums = new PeriodSums()
  let [pairs, amount] = [0, 0n]
  const rows = async (
    writer: TotalsWriter,
    granularity: Granularity,
    period: string,
    sum: number,
  ): Promise<void> => {
    const change = changeOf(window, sum)
    const isKept = kept.has(granularity, period)
    sums.add(granularity, period, isKept, amountOf(change))
    if (!isKept) return
    writer.turnTo(period)
    if (!(await writer.take(session, change.minus))) {
      throw unlike(0n, `${period} has less of a consumer than is to be taken from it`)
    }
    await writer.add(session, change.plus)
  }
  for (const [month, ofMonth] of grouped(moves, ({ day }) => monthOf(day))) {
    for (const [day, ofDay] of grouped(ofMonth, move => move.day)) {
      for (const [hour, ofHour] of grouped(ofDay, move => move.hour ?? '')) {
        pairs += await putAll(session, names, { window, moves: ofHour, blocks, range })
        const change = changeOf(window, CELL)
        const cellAmount = amountOf(change)
        amount += cellAmount
        if (hour !== '') {
          const isKept = kept.has('hour', hour)
          sums.add('hour', hour, isKept, cellAmount)
          if (isKept) await hours.change(session, hour, change)
        }
        window.addTo(CELL, DAY)
        window.clear(CELL)
      }
      await rows(days, 'day', day, DAY)
      window.addTo(DAY, MONTH)
      window.clear(DAY)
    }
    await rows(months, 'month', month, MONTH)
    window.clear(MONTH)
  }
  await sums.write(session, names)
  return { pairs, amount }
}

async function putAll(
  session: Session,
  names: LedgerNames,
  {
    window,
    moves,
    blocks,
    range,
  }: { window: Accumulators; moves: readonly Move[]; blocks: FileBlocks; range: IdRange },
): Promise<number> {
  const bySequence = new Map(moves.map(move => [move.sequence, move]))
  let pairs = 0
  for await (const portion of blocks.portions(session, names, [...bySequence.keys()], range)) {
    for (const { sequence, block } of portion) {
      const move = bySequence.get(sequence)!
      const { sha256, isTaken } = move
      pairs += opening(move, () => window.putBlock(CELL, sha256, block, range, isTaken))
    }
  }
  return pairs
}

function changeOf(window: Accumulators, sum: number): Change {
  return { plus: window.pairs(sum, 'above'), minus: window.pairs(sum, 'below') }
}

/** Added less taken. */
function amountOf({ plus, minus }: Change): bigint {
  return sumOf(plus) - sumOf(minus)
}

function sumOf(chunk: PairChunk): bigint {
  const tally = new PairTally()
  if (!tally.add(chunk)) throw new Error('the ids of a window do not ascend')
  return tally.amount
}

/** By their keys, ascending. */
function grouped<T>(all: readonly T[], keyOf: (one: T) => string): (readonly [string, T[]])[] {
  const groups = new Map<string, T[]>()
  for (const one of all) {
    const key = keyOf(one)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [one])
    else group.push(one)
  }
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1))
}
