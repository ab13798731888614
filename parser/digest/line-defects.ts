/**
 * What can be wrong with a line, and the search for what is wrong with one.
 *
 * The parser only finds out *that* a line is bad; this file says why. It runs at most once a file,
 * so it is written to be read, not to be fast.
 *
 *     line   = number SP number [ CR ]
 *     number = 1*20 DIGIT            ; value ≤ 18446744073709551615, leading zeros allowed
 */

import { U64_MAX } from '../../shared/limits.ts'

export const LINE_DEFECTS = [
  /** Nothing between two line ends, or only a CR. */
  'EMPTY_LINE',
  /** The line begins with a space. */
  'ID_MISSING',
  'ID_NOT_DIGITS',
  /** More than 20 digits, leading zeros counted. */
  'ID_TOO_LONG',
  /** More than 18446744073709551615. */
  'ID_TOO_LARGE',
  /** The line ends after the id. */
  'SEPARATOR_MISSING',
  'SEPARATOR_REPEATED',
  /** The line ends after the separator. */
  'AMOUNT_MISSING',
  'AMOUNT_NOT_DIGITS',
  'AMOUNT_TOO_LONG',
  'AMOUNT_TOO_LARGE',
  /** A space, and perhaps more, after the amount. */
  'TRAILING_BYTES',
  /** A carriage return that stands elsewhere than directly before the line end. */
  'CR_MISPLACED',
  /** The line is well formed, but its consumer's sum within this file passes 2^64 − 1 with it. */
  'CONSUMER_SUM_OVERFLOW',
] as const

export type LineDefect = (typeof LINE_DEFECTS)[number]

/** The first line that made its file unfit. */
export interface BadLine {
  readonly reason: LineDefect
  /** Counted from 1. */
  readonly line: number
  /** Bytes of the file before the line. */
  readonly offset: number
  /** Bytes of the line before the place where it went wrong. */
  readonly column: number
  /** The line's first bytes, at most `FIRST_BYTES_MAX`, without its line feed. */
  readonly firstBytes: Uint8Array
  /** The consumer, for the reasons that are about a well-formed line. */
  readonly consumer: bigint | undefined
}

/** How much of a bad line is kept. More than the longest legal line, so the defect is inside. */
export const FIRST_BYTES_MAX = 64
/** Digits a number may have. */
export const DIGITS_MAX = 20

export const LF = 0x0a
export const CR = 0x0d
export const SPACE = 0x20
/** ASCII '0'. `byte ^ ZERO` is the digit's value, and more than 9 for every byte that is no digit. */
export const ZERO = 0x30

/** One line for people: the reason, the place, and the consumer if there is one. */
export function placeOfBadLine(bad: BadLine): string {
  const consumer = bad.consumer === undefined ? '' : `, consumer ${bad.consumer}`
  const place = `line ${bad.line}, byte ${bad.column + 1} of it (it starts at offset ${bad.offset})`
  return `${place}${consumer}`
}

interface Found {
  readonly reason: LineDefect
  readonly column: number
}

/**
 * Why `line` (without its line feed, cut after `FIRST_BYTES_MAX` bytes) is no line.
 * The leftmost defect wins; undefined if there is none.
 */
export function findDefect(line: Uint8Array): Found | undefined {
  const crAt = (at: number) => line[at] === CR
  const endsAt = (at: number) => at === line.length || (crAt(at) && at === line.length - 1)
  const found = (reason: LineDefect, column: number): Found => ({ reason, column })

  if (endsAt(0)) return found('EMPTY_LINE', 0)
  const idEnd = digitsEnd(line, 0)
  if (idEnd === 0) {
    if (crAt(0)) return found('CR_MISPLACED', 0)
    return found(line[0] === SPACE ? 'ID_MISSING' : 'ID_NOT_DIGITS', 0)
  }
  if (idEnd > DIGITS_MAX) return found('ID_TOO_LONG', DIGITS_MAX)
  if (numberIn(line, 0, idEnd) > U64_MAX) return found('ID_TOO_LARGE', 0)
  if (endsAt(idEnd)) return found('SEPARATOR_MISSING', idEnd)
  if (crAt(idEnd)) return found('CR_MISPLACED', idEnd)
  if (line[idEnd] !== SPACE) return found('ID_NOT_DIGITS', idEnd)

  const amountStart = idEnd + 1
  const amountEnd = digitsEnd(line, amountStart)
  if (amountEnd === amountStart) {
    if (endsAt(amountStart)) return found('AMOUNT_MISSING', amountStart)
    if (crAt(amountStart)) return found('CR_MISPLACED', amountStart)
    const repeated = line[amountStart] === SPACE
    return found(repeated ? 'SEPARATOR_REPEATED' : 'AMOUNT_NOT_DIGITS', amountStart)
  }
  if (amountEnd - amountStart > DIGITS_MAX) {
    return found('AMOUNT_TOO_LONG', amountStart + DIGITS_MAX)
  }
  if (numberIn(line, amountStart, amountEnd) > U64_MAX)
    return found('AMOUNT_TOO_LARGE', amountStart)
  if (endsAt(amountEnd)) return undefined
  if (crAt(amountEnd)) return found('CR_MISPLACED', amountEnd)
  return found(line[amountEnd] === SPACE ? 'TRAILING_BYTES' : 'AMOUNT_NOT_DIGITS', amountEnd)
}

function digitsEnd(line: Uint8Array, start: number): number {
  let at = start
  while (at < line.length && (line[at]! ^ ZERO) <= 9) at++
  return at
}

function numberIn(line: Uint8Array, start: number, end: number): bigint {
  return BigInt(String.fromCharCode(...line.subarray(start, end)))
}
