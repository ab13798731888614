/**
 * The reject file of a counted file: the lines of it that were not, because they are bad, and why. Text
 * in ASCII, for people and for programs; a row for each line, ascending, its fields set apart by tabs:
 *
 *     # countersink rejects 1
 *     # parent <TAB> SHA-256 of the file, in hex
 *     # name   <TAB> as it came
 *     # line <TAB> offset <TAB> code <TAB> size <TAB> bytes
 *     3 <TAB> 17 <TAB> AMOUNT_MISSING <TAB> 3 <TAB> 12\r
 *     # end <TAB> lines <TAB> bytes, line ends with them
 *
 * Of a line's bytes, without its line feed, at most `REJECT_BYTES_MAX` are there; `size` tells how many
 * it has. What is no printable ASCII stands as `\xHH`, or as `\t` `\r` `\\`. One without its last row is
 * not whole. It is made of the file's content and name alone: made once more, it is the same.
 */

import { CountersinkError } from './errors.ts'

/** How much of a line is kept. */
export const REJECT_BYTES_MAX = 65_536

export interface RejectedLine {
  /** Counted from 1, good lines and bad. */
  readonly line: number
  /** Bytes of the file before it. */
  readonly offset: number
  readonly code: string
  /** Without its line feed. */
  readonly sizeBytes: number
  /** The first of these bytes, a character each. */
  readonly text: string
}

const FIRST_ROW = '# countersink rejects 1\n'
const PARENT = '# parent\t'
/** Where the hash stands, which is known when everything else is written. */
export const PARENT_AT_BYTES = FIRST_ROW.length + PARENT.length
const UNKNOWN = '0'.repeat(64)

/** All rows before the first line's. */
export function rejectHead(name: string, parent = UNKNOWN): string {
  const named = escaped(Buffer.from(name).toString('latin1'))
  return `${FIRST_ROW}${PARENT}${parent}\n# name\t${named}\n# line\toffset\tcode\tsize\tbytes\n`
}

export function rejectRow({ line, offset, code, sizeBytes, text }: RejectedLine): string {
  return `${line}\t${offset}\t${code}\t${sizeBytes}\t${escaped(text)}\n`
}

export function rejectTail(lines: number, bytes: number): string {
  return `# end\t${lines}\t${bytes}\n`
}

/** What a row says, without its line feed. */
export type RejectFact =
  | { readonly kind: 'parent'; readonly sha256: string }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'line'; readonly line: RejectedLine }
  | { readonly kind: 'end'; readonly lines: number; readonly bytes: number }

/** @returns undefined: a comment. @throws CountersinkError FILE_UNFIT: it is no row of a reject file. */
export function parseRejectRow(row: string): RejectFact | undefined {
  const [first = '', second = '', third = '', ...more] = row.split('\t')
  if (first === '# parent') return { kind: 'parent', sha256: second }
  if (first === '# name')
    return { kind: 'name', name: Buffer.from(unescaped(second), 'latin1').toString() }
  if (first === '# end') return { kind: 'end', lines: whole(second, row), bytes: whole(third, row) }
  if (first.startsWith('#')) return undefined
  const line = { line: whole(first, row), offset: whole(second, row), code: third }
  const sizeBytes = whole(more[0], row)
  return { kind: 'line', line: { ...line, sizeBytes, text: unescaped(more[1] ?? '') } }
}

function whole(digits: string | undefined, row: string): number {
  if (digits !== undefined && /^\d{1,16}$/.test(digits)) return Number(digits)
  throw new CountersinkError('FILE_UNFIT', `no row of a reject file: ${JSON.stringify(row)}`)
}

/** Printable ASCII but for the backslash stands for itself. */
const SPECIAL = /[^ -[\]-~]/g
const NAMED: Readonly<Record<string, string>> = { '\t': '\\t', '\r': '\\r', '\\': '\\\\' }

function escaped(text: string): string {
  return text.replace(
    SPECIAL,
    one => NAMED[one] ?? `\\x${one.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
}

function unescaped(text: string): string {
  return text.replace(/\\(?:x([0-9a-f]{2})|([tr\\]))/g, (_, hex?: string, name?: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16))
    return name === 't' ? '\t' : name === 'r' ? '\r' : '\\'
  })
}
