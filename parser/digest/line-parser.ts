/**
 * Lines out of a file's bytes, in any pieces, into a table of sums. Pure: no files, no threads.
 *
 * Whole lines are parsed where they stand. A line that is cut by the end of a piece is gathered in
 * a small buffer of fixed size and parsed there by the same loop. That buffer takes a little more
 * than the longest legal line, so a line that fills it is bad, however long it goes on: memory
 * does not grow with the length of a line, and no result depends on where the pieces are cut.
 */

import assert from 'node:assert/strict'
import {
  type BadLine,
  CR,
  DIGITS_MAX,
  FIRST_BYTES_MAX,
  findDefect,
  LF,
  SPACE,
  ZERO,
} from './line-defects.ts'
import { u64 } from './pair-words.ts'
import type { SumTable } from './sum-table.ts'

/**
 * The largest piece that may be given at once. It holds at most 2^20 lines (of 4 bytes), whose
 * 32-bit halves add up to at most 2^52: exact in a double.
 */
export const PIECE_BYTES_MAX = 4 * 1024 * 1024

/** Any number of so many digits is exact in a double (10^15 < 2^53). */
const EXACT_DIGITS = 15
const TWO_32 = 2 ** 32

export interface ParsedSoFar {
  readonly resumeBytes: number
  /** Good lines before `resumeBytes`, and the sum of their amounts. */
  readonly lines: number
  readonly amount: bigint
}

const NOTHING_PARSED: ParsedSoFar = { resumeBytes: 0, lines: 0, amount: 0n }

export class LineParser {
  readonly #table: SumTable
  readonly #whenFull: () => void
  /** The start of a line whose end has not been seen, and one byte of room for a line feed. */
  readonly #cut = new Uint8Array(FIRST_BYTES_MAX + 1)
  #cutBytes = 0
  /** Where the cut line begins in the file. */
  #cutOffset = 0
  /** Where the next piece begins in the file. */
  #positionBytes = 0
  #lines = 0
  #amount = 0n
  #bad: BadLine | undefined
  /** Where `readWide` leaves the halves of a number: high, low. */
  readonly #wide = new Int32Array(2)

  /**
   * `whenFull` must empty the table, which has no room for one more consumer; what it throws ends
   * the parse. `from`: where the first piece begins, at a line, and what is known of before.
   */
  constructor(table: SumTable, whenFull: () => void, from: ParsedSoFar = NOTHING_PARSED) {
    this.#table = table
    this.#whenFull = whenFull
    this.#positionBytes = from.resumeBytes
    this.#lines = from.lines
    this.#amount = from.amount
  }

  /** Where the line begins that is not finished, or the next one. */
  get resumeBytes(): number {
    return this.#cutBytes > 0 ? this.#cutOffset : this.#positionBytes
  }

  /** Good lines so far. */
  get lines(): number {
    return this.#lines
  }

  /** The sum of all amounts of the good lines so far. */
  get amount(): bigint {
    return this.#amount
  }

  /** The line that ended the parse. */
  get bad(): BadLine | undefined {
    return this.#bad
  }

  /** Takes the file's next bytes. False: there is a bad line, and more bytes are not wanted. */
  feed(piece: Uint8Array): boolean {
    assert(piece.length <= PIECE_BYTES_MAX, `a piece of ${piece.length} bytes is too large`)
    assert(this.#bad === undefined, 'fed after a bad line')
    const start = this.#finishCutLine(piece)
    if (this.#bad === undefined) {
      const end = Math.max(start, piece.lastIndexOf(LF) + 1)
      this.#parse(piece, start, end, this.#positionBytes)
      if (this.#bad === undefined) this.#keepCutLine(piece, end)
    }
    this.#positionBytes += piece.length
    return this.#bad === undefined
  }

  /** The file ends here: its last line needs no line feed. */
  finish(): void {
    if (this.#cutBytes > 0 && this.#bad === undefined) this.#parseCutLine()
  }

  /** Completes a line begun in an earlier piece; returns where the next line begins. */
  #finishCutLine(piece: Uint8Array): number {
    if (this.#cutBytes === 0) return 0
    const lineFeed = piece.indexOf(LF)
    const end = lineFeed === -1 ? piece.length : lineFeed
    this.#keepCutLine(piece.subarray(0, end), 0)
    if (this.#bad !== undefined || lineFeed === -1) return end
    this.#parseCutLine()
    return lineFeed + 1
  }

  /** Appends what stands from `start` to the cut line, or refuses the line as too long. */
  #keepCutLine(piece: Uint8Array, start: number): void {
    const room = FIRST_BYTES_MAX - this.#cutBytes
    const kept = piece.subarray(start, start + room)
    if (this.#cutBytes === 0) this.#cutOffset = this.#positionBytes + start
    this.#cut.set(kept, this.#cutBytes)
    this.#cutBytes += kept.length
    if (this.#cutBytes === FIRST_BYTES_MAX) this.#refuse(this.#cut, 0, this.#cutOffset)
  }

  #parseCutLine(): void {
    const bytes = this.#cutBytes
    this.#cutBytes = 0
    this.#cut[bytes] = LF
    this.#parse(this.#cut, 0, bytes + 1, this.#cutOffset)
  }

  /**
   * Parses the whole lines in `bytes[start..end)`; the last byte is a line feed, so no loop here
   * needs to look for the end. `origin` is the position of `bytes[0]` in the file.
   * One long function on purpose: it runs for every byte of every file.
   */
  #parse(bytes: Uint8Array, start: number, end: number, origin: number): void {
    const table = this.#table
    const wide = this.#wide
    let lines = 0
    let totalHigh = 0
    let totalLow = 0
    let outcome: ReturnType<SumTable['add']> = 'added'
    let lineStart = start
    let amountStart = start
    while (lineStart < end) {
      let at = lineStart
      let digit = 0

      // Past 15 digits the value may round; it is not used then, but read again.
      let id = 0
      for (digit = bytes[at]! ^ ZERO; digit <= 9; digit = bytes[at]! ^ ZERO) {
        id = id * 10 + digit
        at++
      }
      const idDigits = at - lineStart
      if (idDigits === 0 || bytes[at] !== SPACE) break
      amountStart = ++at

      let amount = 0
      for (digit = bytes[at]! ^ ZERO; digit <= 9; digit = bytes[at]! ^ ZERO) {
        amount = amount * 10 + digit
        at++
      }
      const amountDigits = at - amountStart
      if (amountDigits === 0) break
      if (bytes[at] === CR) at++
      if (bytes[at] !== LF) break

      // Both to 32-bit halves, as signed patterns. `| 0` cuts off the fraction and, of what is
      // left, all but the low 32 bits.
      let idHigh = (id / TWO_32) | 0
      let idLow = id | 0
      if (idDigits > EXACT_DIGITS) {
        if (!readWide(bytes, lineStart, idDigits, wide)) break
        idHigh = wide[0]!
        idLow = wide[1]!
      }
      let amountHigh = (amount / TWO_32) | 0
      let amountLow = amount | 0
      if (amountDigits > EXACT_DIGITS) {
        if (!readWide(bytes, amountStart, amountDigits, wide)) break
        amountHigh = wide[0]!
        amountLow = wide[1]!
      }

      outcome = table.add(idHigh, idLow, amountHigh, amountLow)
      if (outcome === 'full') {
        // With all before it counted, in case this is where the parse ends; then the line again.
        this.#count(lines, totalHigh, totalLow)
        lines = 0
        totalHigh = 0
        totalLow = 0
        this.#whenFull()
        continue
      }
      if (outcome !== 'added') {
        wide[0] = idHigh
        wide[1] = idLow
        break
      }
      totalHigh += amountHigh >>> 0
      totalLow += amountLow >>> 0
      lines++
      lineStart = at + 1
    }

    this.#count(lines, totalHigh, totalLow)
    if (lineStart === end) return
    if (outcome === 'added') this.#refuse(bytes, lineStart, origin)
    else {
      this.#refuse(bytes, lineStart, origin, {
        reason: 'CONSUMER_SUM_OVERFLOW',
        column: amountStart - lineStart,
        consumer: u64(wide[0]!, wide[1]!),
      })
    }
  }

  #count(lines: number, totalHigh: number, totalLow: number): void {
    this.#lines += lines
    this.#amount += (BigInt(totalHigh) << 32n) + BigInt(totalLow)
  }

  /** Ends the parse at the line that begins at `bytes[lineStart]`. */
  #refuse(
    bytes: Uint8Array,
    lineStart: number,
    origin: number,
    known?: Pick<BadLine, 'reason' | 'column' | 'consumer'>,
  ): void {
    const start = bytes.subarray(lineStart, lineStart + FIRST_BYTES_MAX)
    const lineFeed = start.indexOf(LF)
    const line = new Uint8Array(lineFeed === -1 ? start : start.subarray(0, lineFeed)) // a copy
    const defect = known ?? findDefect(line)
    assert(
      defect !== undefined,
      `line ${this.#lines + 1} was refused, but nothing is wrong with it`,
    )
    this.#bad = {
      reason: defect.reason,
      line: this.#lines + 1,
      offset: origin + lineStart,
      column: defect.column,
      firstBytes: line,
      consumer: known?.consumer,
    }
  }
}

/**
 * Reads a number of any length, exactly, into the halves `[high, low]`.
 * False: more than 20 digits, or more than 64 bits.
 */
function readWide(bytes: Uint8Array, start: number, digits: number, halves: Int32Array): boolean {
  if (digits > DIGITS_MAX) return false
  let high = 0
  let low = 0
  for (let at = start; at < start + digits; at++) {
    // `low` stays below 10 · 2^32 and `high`, of 20 digits, below 10^20 / 2^32: both exact.
    low = low * 10 + (bytes[at]! ^ ZERO)
    const carry = Math.floor(low / TWO_32)
    low -= carry * TWO_32
    high = high * 10 + carry
  }
  if (high >= TWO_32) return false
  halves[0] = high
  halves[1] = low
  return true
}
