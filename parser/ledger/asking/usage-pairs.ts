/**
 * The consumers of one period with what each has used, ascending. Where all of it is rolled up its rows or
 * blocks are read as they stand; what is not yet is put on them in windows of ids, as where every total is
 * proved (`../proving/totals-window.ts`), so that what it takes in memory depends on neither.
 */

import { U64_MAX } from '../../../shared/limits.ts'
import type { IdRange } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import { opening } from '../periods/file-blocks.ts'
import { hourSeed } from '../periods/hour-seed.ts'
import { type PostedBlocks, postedBlocks } from '../proving/posted-blocks.ts'
import { type TotalRow, TotalsWindow, type WindowLimits } from '../proving/totals-window.ts'
import type { LedgerNames } from '../schema/tables.ts'
import type { UsagePeriod } from './usage-periods.ts'
import { isRest, type RestQuestion } from './usage-rest.ts'
import {
  hourBlocks,
  type IdAmount,
  rolledPairs,
  rolledRows,
  rolledTop,
  tableOf,
  wideOf,
} from './usage-rolled.ts'

export class PeriodPairs {
  readonly #session: Session
  readonly #question: RestQuestion
  readonly #limits: WindowLimits
  #window: TotalsWindow | undefined

  constructor(session: Session, question: RestQuestion, limits: WindowLimits) {
    this.#session = session
    this.#question = question
    this.#limits = limits
  }

  /** @param hasRest something of it is not rolled up. */
  async *all(period: UsagePeriod, hasRest: boolean): AsyncGenerator<IdAmount> {
    const { names, by } = this.#question
    const { start } = period
    if (hasRest || (by === 'hour' && (await this.#isWide(start)))) yield* this.#added(period)
    else if (by !== 'hour') {
      for await (const one of rolledRows(this.#session, names, by, start)) {
        if (one.amount !== 0n) yield one
      }
    } else {
      for await (const { ids, amounts } of rolledPairs(this.#session, names, start)) {
        for (let i = 0; i < ids.length; i += 1) {
          if (amounts[i] !== 0n) yield { id: ids[i]!, amount: amounts[i]! }
        }
      }
    }
  }

  /** The largest first, equal ones by id. */
  async largest(period: UsagePeriod, hasRest: boolean, top: number): Promise<IdAmount[]> {
    const { names, by } = this.#question
    if (!hasRest && by !== 'hour') {
      return rolledTop(this.#session, names, by, period.start, top)
    }
    let kept: IdAmount[] = []
    for await (const one of this.all(period, hasRest)) {
      kept.push(one)
      if (kept.length >= 2 * top + SORTED_AT_ONCE) kept = kept.sort(largestFirst).slice(0, top)
    }
    return kept.sort(largestFirst).slice(0, top)
  }

  async #isWide(start: string): Promise<boolean> {
    const { names } = this.#question
    return (await wideOf(this.#session, names, start, undefined, 1)).length > 0
  }

  async *#added(period: UsagePeriod): AsyncGenerator<IdAmount> {
    this.#window ??= new TotalsWindow(this.#limits)
    const window = this.#window
    let wanted: IdRange = { after: undefined, to: U64_MAX }
    for (;;) {
      await this.#fill(window, period, wanted)
      if (window.isCrowded) {
        wanted = window.shorter
        continue
      }
      for (const { id, left } of window.sums()) yield { id, amount: left }
      if (window.range.to === U64_MAX) return
      wanted = { after: window.range.to, to: U64_MAX }
    }
  }

  /** Until it is crowded. */
  async #fill(window: TotalsWindow, period: UsagePeriod, wanted: IdRange): Promise<void> {
    const { names, by } = this.#question
    const { start } = period
    const session = this.#session
    if (by === 'hour') await window.fill(session, names, wanted, true)
    else {
      await window.fillWith(wanted, (range, limit) =>
        session.query<TotalRow>(rowsSql(names, by, range, limit), [start]),
      )
    }
    // What was counted is put on, not taken away.
    const take = ({ posted, blocks }: PostedBlocks): void => {
      window.take({ posted: { ...posted, isBack: !posted.isBack }, blocks }, error => {
        return opening({ name: posted.name ?? `the hour of ${start}` }, () => {
          throw error
        })
      })
    }
    if (by === 'hour') {
      const posted = {
        ...{ sequence: 0n, name: undefined, sha256: hourSeed(start) },
        ...{ isBack: false, range: window.range },
      }
      for await (const blocks of hourBlocks(session, names, start, window.range)) {
        take({ posted, blocks })
        if (window.isCrowded) return
      }
      for (const { id, amount } of await wideOf(session, names, start, window.range)) {
        window.takeOne(id, -amount)
      }
    }
    for await (const one of this.#restIn(period, window.range)) {
      take(one)
      if (window.isCrowded) return
    }
  }

  async *#restIn({ fromMs, toMs }: UsagePeriod, range: IdRange): AsyncGenerator<PostedBlocks> {
    const { names, open } = this.#question
    const time = { open, fromMs, toMs }
    const portions = postedBlocks(this.#session, names, range, () => {}, isRest(time, 'none'))
    for await (const portion of portions) yield* portion
    if (open === undefined) return
    const after = max(range.after, open.cursorId ?? undefined)
    if (after !== undefined && after >= range.to) return
    const beyond = { after, to: range.to }
    const rest = postedBlocks(this.#session, names, beyond, () => {}, isRest(time, 'open'))
    for await (const portion of rest) yield* portion
  }
}

/** Of a day or a month, and those that have nothing there: what is not rolled up may be theirs. */
function rowsSql(
  names: LedgerNames,
  by: 'day' | 'month',
  { after = -1n, to }: IdRange,
  limit: number,
): string {
  const part = (columns: string, from: string, id: string): string =>
    `(SELECT ${columns} FROM ${from} ${id} > ${after} AND ${id} <= ${to} ORDER BY ${id} LIMIT ${limit})`
  const rolled = part('id, amount', `${tableOf(names, by)} WHERE period_start = ? AND`, 'id')
  const others = part(`${names.id} AS id, 0 AS amount`, `${names.totals} WHERE`, names.id)
  return `SELECT id, SUM(amount) AS amount FROM (${rolled} UNION ALL ${others}) r
           GROUP BY id ORDER BY id LIMIT ${limit}`
}

function largestFirst(a: IdAmount, b: IdAmount): number {
  if (a.amount !== b.amount) return a.amount > b.amount ? -1 : 1
  return a.id < b.id ? -1 : 1
}

function max(a: bigint | undefined, b: bigint | undefined): bigint | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return a > b ? a : b
}

const SORTED_AT_ONCE = 10_000
