import assert from 'node:assert/strict'
import { u64 } from '../digest/pair-words.ts'
import { type ChunkWords, idDigits, type Piece } from './chunk-pieces.ts'
import { U64_DIGITS, writeDigits } from './decimal-bytes.ts'
import type { LedgerNames } from './schema/tables.ts'
import { SEQUENCE_TABLE } from './sequences.ts'

/** What `list` takes of a piece: all its sums, or those that are zero. */
export type Selection = 'all' | 'zeros'

/**
 * The statements that add sums to the totals, as text.
 *
 * It is composed in one buffer that is used again and again, and becomes a string at the end, since
 * the connector takes no bytes. Ids and amounts are written from 64-bit halves, so the text can hold
 * nothing but digits, and nothing rounds.
 *
 * Many numbers travel as one literal of digits of a fixed width, from which the server cuts each
 * with SUBSTR: much faster than a list of numbers, each of which it would parse into an item of its
 * own. `_binary` matters: without it the server walks along multi-byte characters to find the place.
 */
export class SumStatements {
  readonly #names: LedgerNames
  readonly #digitBytesMax: number
  readonly #text: Buffer
  #at = 0

  /** @param digitBytesMax what the digits of a piece take up; see `PieceLimits`. */
  constructor(names: LedgerNames, digitBytesMax: number) {
    this.#names = names
    this.#digitBytesMax = digitBytesMax
    this.#text = Buffer.allocUnsafe(digitBytesMax + PAIR_TEXT_BYTES + SQL_BYTES_MAX)
  }

  /**
   * Adds a dense piece to rows that are there. Rows of its range that are not in it get a delta of
   * zero: they stay as they are and are not counted as changed, nor are those of the piece whose sum
   * is zero. A row whose amount is NULL stays NULL. So as many rows are changed as the piece has sums
   * above zero if, and only if, each of these has a row with an amount.
   */
  update(words: ChunkWords, piece: Piece): string {
    const { totals, id, amount } = this.#names
    const { from, to, amountDigits: width } = piece
    const low = idAt(words, from)
    this.#at = 0
    this.#write(`UPDATE ${totals} SET ${amount} = ${amount} + CAST(SUBSTR(_binary'`)
    this.#writeSpread(words, piece)
    this.#write(`', (${id} - ${low}) * ${width} + 1, ${width}) AS UNSIGNED) `)
    this.#write(`WHERE ${id} BETWEEN ${low} AND ${idAt(words, to - 1)}`)
    return this.#take()
  }

  /**
   * Adds a piece to rows that are there or not. As many rows as it has pairs come from the server's
   * SEQUENCE engine; ids travel as distances from the first.
   */
  upsert(words: ChunkWords, piece: Piece): string {
    const { totals, id, amount } = this.#names
    const { from, to, span, amountDigits } = piece
    const low = idAt(words, from)
    const isGapless = span === to - from
    this.#at = 0
    this.#write(`INSERT INTO ${totals} (${id}, ${amount}) SELECT ${low} + `)
    if (isGapless) this.#write(`${ROWS}.seq`)
    else {
      const width = idDigits(words, piece)
      this.#write("CAST(SUBSTR(_binary'")
      this.#writeIds(words, piece, width)
      this.#write(`', ${ROWS}.seq * ${width} + 1, ${width}) AS UNSIGNED)`)
    }
    this.#write(", CAST(SUBSTR(_binary'")
    this.#writeAmounts(words, piece)
    this.#write(`', ${ROWS}.seq * ${amountDigits} + 1, ${amountDigits}) AS UNSIGNED)`)
    this.#write(` FROM ${SEQUENCE_TABLE} AS ${ROWS} WHERE ${ROWS}.seq < ${to - from}`)
    this.#writeOnDuplicate()
    return this.#take()
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
    const { totals, id, amount } = this.#names
    this.#at = 0
    this.#write(`INSERT INTO ${totals} (${id}, ${amount}) VALUES `)
    const end = this.#at + this.#digitBytesMax
    let isFirst = true
    let next = from
    for (; next < to && (isFirst || this.#at + PAIR_TEXT_BYTES <= end); next += 1) {
      if (selection === 'zeros' && !isZero(words, next)) continue
      this.#write(isFirst ? '(' : ',(')
      this.#writeNumber(words.ids, next)
      this.#write(',')
      this.#writeNumber(words.amounts, next)
      this.#write(')')
      isFirst = false
    }
    if (isFirst) return { text: undefined, next }
    this.#writeOnDuplicate()
    return { text: this.#take(), next }
  }

  #writeOnDuplicate(): void {
    const { totals, amount } = this.#names
    const column = `${totals}.${amount}`
    this.#write(` ON DUPLICATE KEY UPDATE ${column} = COALESCE(${column}, 0) + VALUES(${column})`)
  }

  #write(sql: string): void {
    const written = this.#text.write(sql, this.#at, 'latin1')
    assert.equal(written, sql.length, 'the statement is longer than its buffer')
    this.#at += written
  }

  #take(): string {
    // What is written behind the end of a buffer is lost without an error.
    assert(this.#at <= this.#text.length, 'the statement is longer than its buffer')
    return this.#text.toString('latin1', 0, this.#at)
  }

  /** An amount for each id of the piece's range: zero for those that are not in it. */
  #writeSpread({ ids, amounts }: ChunkWords, { from, to, span, amountDigits }: Piece): void {
    const text = this.#text
    const start = this.#at
    text.fill(ASCII_0, start, start + span * amountDigits)
    const lowLow = ids[from * 2]!
    const lowHigh = ids[from * 2 + 1]!
    for (let at = from * 2; at < to * 2; at += 2) {
      const offset = (ids[at + 1]! - lowHigh) * 2 ** 32 + (ids[at]! - lowLow)
      const low = amounts[at]!
      const high = amounts[at + 1]!
      writeDigits(text, start + offset * amountDigits, amountDigits, high, low)
    }
    this.#at = start + span * amountDigits
  }

  #writeAmounts({ amounts }: ChunkWords, { from, to, amountDigits }: Piece): void {
    for (let at = from * 2; at < to * 2; at += 2) {
      writeDigits(this.#text, this.#at, amountDigits, amounts[at + 1]!, amounts[at]!)
      this.#at += amountDigits
    }
  }

  /** Distances of the ids from the first. */
  #writeIds({ ids }: ChunkWords, { from, to }: Piece, width: number): void {
    const lowLow = ids[from * 2]!
    const lowHigh = ids[from * 2 + 1]!
    for (let at = from * 2; at < to * 2; at += 2) {
      const low = ids[at]! - lowLow
      const high = ids[at + 1]! - lowHigh - (low < 0 ? 1 : 0)
      writeDigits(this.#text, this.#at, width, high, low >>> 0)
      this.#at += width
    }
  }

  /** Without leading zeros, which only cost room. */
  #writeNumber(numbers: Uint32Array, index: number): void {
    const text = this.#text
    const end = this.#at + U64_DIGITS
    writeDigits(text, this.#at, U64_DIGITS, numbers[index * 2 + 1]!, numbers[index * 2]!)
    let first = this.#at
    while (first < end - 1 && text[first] === ASCII_0) first += 1
    text.copyWithin(this.#at, first, end)
    this.#at += end - first
  }
}

/** No table or column that is configured can have this name. */
const ROWS = '`rows of a piece`'

/** `(id,amount),` at its longest. */
const PAIR_TEXT_BYTES = 2 * U64_DIGITS + 4

/** Everything but digits, with the longest names and bounds. */
const SQL_BYTES_MAX = 2_048

const ASCII_0 = 48

function idAt({ ids }: ChunkWords, pair: number): bigint {
  return u64(ids[pair * 2 + 1]!, ids[pair * 2]!)
}

function isZero({ amounts }: ChunkWords, pair: number): boolean {
  return amounts[pair * 2] === 0 && amounts[pair * 2 + 1] === 0
}
