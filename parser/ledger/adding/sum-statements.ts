/**
 * The statements that add sums to the totals.
 *
 * Many numbers travel as one value of digits of a fixed width, from which the server cuts each with
 * SUBSTR: much faster than a list of numbers, each of which it would parse into an item of its own.
 * They are bytes (were they text, the server would walk along multi-byte characters to find the
 * place), and go to a prepared statement: as a literal they would be looked through character by
 * character, which takes longer than cutting them up.
 *
 * Ids and amounts are written from 64-bit halves, so there is nothing but digits, and nothing rounds.
 * Digits are written in one of two pairs of buffers, in turn: a statement is made while the one before
 * it is on its way.
 */

import assert from 'node:assert/strict'
import { u64 } from '../../sums/index.ts'
import { type ChunkWords, idDigits, type Piece } from './chunk-pieces.ts'
import { U64_DIGITS, writeDigits } from './decimal-bytes.ts'
import { SEQUENCE_TABLE } from './sequence-engine.ts'
import { StatementText } from './statement-text.ts'

/** A statement for the server to keep, and what it is given this time. */
export interface Prepared {
  readonly sql: string
  /** Valid until the second statement after this one is made. */
  readonly values: readonly unknown[]
  /** Of an UPDATE: inserts the rows that it has not found, from the same digits. */
  readonly fill?: Prepared
}

/** Rows that have an id and an amount each; what names them is quoted for SQL. */
export interface SumRows {
  readonly totals: string
  readonly id: string
  readonly amount: string
  /** A column before the id in the primary key, with the same value in all rows that are meant. */
  readonly periodColumn?: string
}

/** What `list` takes of a piece: all its sums, or those that are zero. */
export type Selection = 'all' | 'zeros'

export class SumStatements {
  readonly #names: SumRows
  readonly #digitBytesMax: number
  readonly #text: StatementText
  readonly #digits: readonly [Digits, Digits]
  #turn: 0 | 1 = 0
  /** Where the rows have one: which is meant from now on. */
  period = ''

  /** @param digitBytesMax what the digits of a piece take up; see `PieceLimits`. */
  constructor(names: SumRows, digitBytesMax: number) {
    this.#names = names
    this.#digitBytesMax = digitBytesMax
    this.#text = new StatementText(digitBytesMax + PAIR_TEXT_BYTES + SQL_BYTES_MAX)
    const digits = (): Digits => ({
      ids: Buffer.allocUnsafe(digitBytesMax),
      amounts: Buffer.allocUnsafe(digitBytesMax),
    })
    this.#digits = [digits(), digits()]
  }

  /**
   * Adds a dense piece to rows that are there. Rows of its range that are not in it get a delta of
   * zero: they stay as they are and are not counted as changed, nor are those of the piece whose sum
   * is zero. A row whose amount is NULL stays NULL. So as many rows are changed as the piece has sums
   * above zero if, and only if, each of these has a row with an amount.
   *
   * `fill` makes the rows that are missing for sums above zero, and touches no other: as it is no
   * upsert, each change that it tells of is a row of its own making, and a row that somebody else
   * makes meanwhile is error 1062. So after both, changed and inserted are together as many as the
   * piece has sums above zero if, and only if, each of these was added once.
   */
  update(words: ChunkWords, piece: Piece): Prepared {
    const { totals, id, amount } = this.#names
    const { from, to, span, amountDigits } = piece
    const first = unsigned(idAt(words, from))
    const last = unsigned(idAt(words, to - 1))
    const spread = this.#spread(words, piece)
    return {
      sql:
        `UPDATE ${totals} SET ${amount} = ${amount} + ` +
        `CAST(SUBSTR(?, (${id} - CAST(? AS UNSIGNED)) * ? + 1, ?) AS UNSIGNED) ` +
        `WHERE ${this.#isPeriod()}${id} BETWEEN CAST(? AS UNSIGNED) AND CAST(? AS UNSIGNED)`,
      values: [spread, first, amountDigits, amountDigits, ...this.#periods, first, last],
      fill: {
        // Zeros are told by their digits: behind the last, where the server may look before it has
        // counted, are none, which is no number. The totals are asked for each id, by their key,
        // whatever the server believes of their size.
        sql:
          `INSERT INTO ${totals} (${this.#columns}) ` +
          `SELECT ${this.#given}${ROWS}.id, CAST(${ROWS}.digits AS UNSIGNED) FROM (` +
          'SELECT CAST(? AS UNSIGNED) + seq AS id, SUBSTR(?, seq * ? + 1, ?) AS digits ' +
          `FROM ${SEQUENCE_TABLE} WHERE seq < ?) AS ${ROWS} ` +
          `LEFT JOIN ${totals} FORCE INDEX FOR JOIN (PRIMARY) ON ${this.#isPeriod(`${totals}.`)}${totals}.${id} = ${ROWS}.id ` +
          `WHERE ${ROWS}.digits > ? AND ${totals}.${id} IS NULL`,
        values: [
          ...[...this.#periods, first, spread, amountDigits, amountDigits, span, ...this.#periods],
          ZEROS.subarray(0, amountDigits),
        ],
      },
    }
  }

  /**
   * Adds a piece to rows that are there or not. As many rows as it has pairs come from the server's
   * SEQUENCE engine.
   */
  upsert(words: ChunkWords, piece: Piece): Prepared {
    const { totals } = this.#names
    const { from, to, span, amountDigits } = piece
    const isGapless = span === to - from
    const { ids, amounts } = this.#nextDigits()
    const idWidth = idDigits(words, piece)
    const idValues = isGapless
      ? [unsigned(idAt(words, from))]
      : [writeAll(ids, words.ids, from, to, idWidth), idWidth, idWidth]
    return {
      sql:
        `INSERT INTO ${totals} (${this.#columns}) SELECT ${this.#given}` +
        (isGapless
          ? `CAST(? AS UNSIGNED) + ${ROWS}.seq`
          : `CAST(SUBSTR(?, ${ROWS}.seq * ? + 1, ?) AS UNSIGNED)`) +
        `, CAST(SUBSTR(?, ${ROWS}.seq * ? + 1, ?) AS UNSIGNED)` +
        ` FROM ${SEQUENCE_TABLE} AS ${ROWS} WHERE ${ROWS}.seq < ?${this.#onDuplicate}`,
      values: [
        ...[...this.#periods, ...idValues],
        ...[writeAll(amounts, words.amounts, from, to, amountDigits), amountDigits, amountDigits],
        to - from,
      ],
    }
  }

  /**
   * Adds pairs to rows that are there or not, by a list of as many as fit a statement: for few rows,
   * and for a server without the SEQUENCE engine.
   *
   * @param from index of the first pair, at most `to`, the index behind the last one.
   * @returns the statement, undefined if there is nothing to add; and the index to go on from.
   */
  list(
    words: ChunkWords,
    from: number,
    to: number,
    selection: Selection,
  ): { text: string | undefined; next: number } {
    const { totals } = this.#names
    const text = this.#text
    text.begin(`INSERT INTO ${totals} (${this.#columns}) VALUES `)
    const row = this.#names.periodColumn === undefined ? '(' : `('${this.period}',`
    const end = text.lengthBytes + this.#digitBytesMax
    let isFirst = true
    let next = from
    for (; next < to && (isFirst || text.lengthBytes + PAIR_TEXT_BYTES <= end); next += 1) {
      if (selection === 'zeros' && !isZero(words, next)) continue
      if (!isFirst) text.write(',')
      text.write(row)
      text.writeNumber(words.ids, next)
      text.write(',')
      text.writeNumber(words.amounts, next)
      text.write(')')
      isFirst = false
    }
    if (isFirst) return { text: undefined, next }
    text.write(this.#onDuplicate)
    return { text: text.take(), next }
  }

  /**
   * Takes a piece from the rows of its range. As many rows are changed as the piece has sums above zero
   * if, and only if, each of these had a row with at least as much.
   */
  takeFromRange(words: ChunkWords, piece: Piece): Prepared {
    const { totals, id, amount } = this.#names
    const { from, to, amountDigits } = piece
    const first = unsigned(idAt(words, from))
    const last = unsigned(idAt(words, to - 1))
    const spread = this.#spread(words, piece)
    const share = `CAST(SUBSTR(?, (${id} - CAST(? AS UNSIGNED)) * ? + 1, ?) AS UNSIGNED)`
    const cut = [spread, first, amountDigits, amountDigits]
    return {
      sql:
        `UPDATE ${totals} SET ${amount} = ${amount} - ${share} ` +
        `WHERE ${this.#isPeriod()}${id} BETWEEN CAST(? AS UNSIGNED) AND CAST(? AS UNSIGNED) ` +
        `AND ${amount} >= ${share}`,
      values: [...cut, ...this.#periods, first, last, ...cut],
    }
  }

  /**
   * The same of rows with gaps between them: as many rows as the piece has pairs come from the server's
   * SEQUENCE engine, in their order, and each is looked for by its key.
   */
  takeFromRows(words: ChunkWords, piece: Piece): Prepared {
    const { totals, id, amount } = this.#names
    const { from, to, amountDigits } = piece
    const { ids, amounts } = this.#nextDigits()
    const idWidth = idDigits(words, piece)
    return {
      sql:
        'UPDATE (SELECT CAST(SUBSTR(?, seq * ? + 1, ?) AS UNSIGNED) AS id, ' +
        `CAST(SUBSTR(?, seq * ? + 1, ?) AS UNSIGNED) AS share FROM ${SEQUENCE_TABLE} ` +
        `WHERE seq < ?) AS ${ROWS} STRAIGHT_JOIN ${totals} FORCE INDEX FOR JOIN (PRIMARY) ` +
        `ON ${this.#isPeriod(`${totals}.`)}${totals}.${id} = ${ROWS}.id SET ${totals}.${amount} = ${totals}.${amount} - ${ROWS}.share ` +
        `WHERE ${totals}.${amount} >= ${ROWS}.share`,
      values: [
        ...[writeAll(ids, words.ids, from, to, idWidth), idWidth, idWidth],
        ...[writeAll(amounts, words.amounts, from, to, amountDigits), amountDigits, amountDigits],
        ...[to - from, ...this.#periods],
      ],
    }
  }

  /** The same of single rows, by a list of as many as fit a statement. */
  takeFromList(words: ChunkWords, from: number, to: number): { text: string; next: number } {
    const { totals, id, amount } = this.#names
    let cases = ''
    const ids: string[] = []
    let next = from
    for (; next < to && (next === from || cases.length < this.#digitBytesMax); next += 1) {
      const one = String(idAt(words, next))
      ids.push(one)
      cases += ` WHEN ${one} THEN ${u64(words.amounts[next * 2 + 1]!, words.amounts[next * 2]!)}`
    }
    const share = `CAST(CASE ${id}${cases} END AS UNSIGNED)`
    const { periodColumn: period } = this.#names
    const isPeriod = period === undefined ? '' : `${period} = '${this.period}' AND `
    return {
      text:
        `UPDATE ${totals} SET ${amount} = ${amount} - ${share} ` +
        `WHERE ${isPeriod}${id} IN (${ids.join(',')}) AND ${amount} >= ${share}`,
      next,
    }
  }

  get #columns(): string {
    const { id, amount, periodColumn: period } = this.#names
    return period === undefined ? `${id}, ${amount}` : `${period}, ${id}, ${amount}`
  }

  /** The period as the first of what is selected, if there is one; and as a condition. */
  get #given(): string {
    return this.#names.periodColumn === undefined ? '' : 'CAST(? AS DATE), '
  }

  #isPeriod(table = ''): string {
    const { periodColumn: period } = this.#names
    return period === undefined ? '' : `${table}${period} = CAST(? AS DATE) AND `
  }

  get #periods(): readonly string[] {
    return this.#names.periodColumn === undefined ? [] : [this.period]
  }

  get #onDuplicate(): string {
    const { totals, amount } = this.#names
    const column = `${totals}.${amount}`
    return ` ON DUPLICATE KEY UPDATE ${column} = COALESCE(${column}, 0) + VALUES(${column})`
  }

  #nextDigits(): Digits {
    this.#turn = this.#turn === 0 ? 1 : 0
    return this.#digits[this.#turn]
  }

  /** An amount for each id of the piece's range: zero for those that are not in it. */
  #spread({ ids, amounts }: ChunkWords, { from, to, span, amountDigits }: Piece): Buffer {
    const { amounts: all } = this.#nextDigits()
    assert(span * amountDigits <= all.length, 'the digits are longer than their buffer')
    const digits = all.subarray(0, span * amountDigits).fill(ASCII_0)
    const lowLow = ids[from * 2]!
    const lowHigh = ids[from * 2 + 1]!
    for (let at = from * 2; at < to * 2; at += 2) {
      const offset = (ids[at + 1]! - lowHigh) * 2 ** 32 + (ids[at]! - lowLow)
      const low = amounts[at]!
      const high = amounts[at + 1]!
      writeDigits(digits, offset * amountDigits, amountDigits, high, low)
    }
    return digits
  }
}

/** No table or column that is configured can have this name. */
const ROWS = '`rows of a piece`'

/** `('period',id,amount),` at its longest. */
const PAIR_TEXT_BYTES = 2 * U64_DIGITS + 17

/** Everything but digits, with the longest names and bounds. */
const SQL_BYTES_MAX = 2_048

const ASCII_0 = 48
const ZEROS = Buffer.alloc(U64_DIGITS, ASCII_0)

function idAt({ ids }: ChunkWords, pair: number): bigint {
  return u64(ids[pair * 2 + 1]!, ids[pair * 2]!)
}

function isZero({ amounts }: ChunkWords, pair: number): boolean {
  return amounts[pair * 2] === 0 && amounts[pair * 2 + 1] === 0
}

/** Of one statement. */
interface Digits {
  readonly ids: Buffer
  readonly amounts: Buffer
}

/** Numbers one after the other, each of `width` digits. */
function writeAll(
  into: Buffer,
  numbers: Uint32Array,
  from: number,
  to: number,
  width: number,
): Buffer {
  let end = 0
  for (let at = from * 2; at < to * 2; at += 2) {
    writeDigits(into, end, width, numbers[at + 1]!, numbers[at]!)
    end += width
  }
  // What is written behind the end of a buffer is lost without an error.
  assert(end <= into.length, 'the digits are longer than their buffer')
  return into.subarray(0, end)
}

/** As the connector sends it exactly: a larger bigint it would send as a DECIMAL. */
function unsigned(value: bigint): bigint | string {
  return value < 2n ** 63n ? value : String(value)
}
