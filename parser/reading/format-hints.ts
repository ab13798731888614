// biome-ignore-all lint/suspicious/noControlCharactersInRegex: they are what is looked for
import type { BadLine } from '../digest/index.ts'

/**
 * What a refused file probably is, for the person who made it. It decides nothing: it is asked after a
 * file was refused, with the bytes that are kept of its first bad line.
 *
 * The first entry that fits is told: kinds of files before kinds of lines, kinds of lines before kinds
 * of numbers.
 *
 * @returns one line, `looks like WHAT: WHAT TO DO`; undefined when nothing is like it.
 */
export function hintOn(bad: BadLine, fileBytes: number): string | undefined {
  const text = Buffer.from(bad.firstBytes).toString('latin1')
  const line: Line = {
    text,
    isFirst: bad.offset === 0,
    isLast: bad.offset + text.length + 1 >= fileBytes,
  }
  const hint = HINTS.find(({ fits }) => (fits instanceof RegExp ? fits.test(text) : fits(line)))
  return hint && `looks like ${hint.what}: ${hint.todo}`
}

interface Line {
  /** A character a byte, at most `FIRST_BYTES_MAX`, without the line feed. */
  readonly text: string
  readonly isFirst: boolean
  readonly isLast: boolean
}

interface Hint {
  readonly fits: RegExp | ((line: Line) => boolean)
  readonly what: string
  readonly todo: string
}

/** A file that begins so. */
function magic(bytes: string, what: string, todo: string): Hint {
  return { fits: ({ isFirst, text }) => isFirst && text.startsWith(bytes), what, todo }
}

const DECOMPRESS = 'decompress it before publishing'
const UNPACK = 'unpack it and publish the files in it'
const AS_UTF8 = 'save it as UTF-8 or ASCII (iconv)'
const AS_TEXT = 'export it as lines "consumer amount"'
const ONE_SPACE = 'put exactly one space between consumer and amount'
const WHOLE = 'amounts are whole numbers in the smallest unit, without any sign or mark'
const NO_TITLE = 'take it out, only lines "consumer amount" are read'

/** UTF-16 of ASCII: every other byte is zero, the low one before or behind. */
const UTF16 = /^(?:\xff\xfe|\xfe\xff|(?:[\t\r -~]\0){2}|(?:\0[\t\r -~]){2})/
const LETTER = /^["']?[A-Za-z_]/

const HINTS: readonly Hint[] = [
  magic('\x1f\x8b', 'gzip', DECOMPRESS),
  magic('PK\x03\x04', 'a zip archive', UNPACK),
  magic('PK\x05\x06', 'an empty zip archive', UNPACK),
  magic('\x28\xb5\x2f\xfd', 'zstd', DECOMPRESS),
  magic('BZh', 'bzip2', DECOMPRESS),
  magic('\xfd7zXZ', 'xz', DECOMPRESS),
  magic('\x04\x22\x4d\x18', 'lz4', DECOMPRESS),
  magic('\x1f\x9d', 'compress (.Z)', DECOMPRESS),
  magic('7z\xbc\xaf', 'a 7z archive', UNPACK),
  magic('Rar!', 'a rar archive', UNPACK),
  magic('\x89LZO', 'lzop', DECOMPRESS),
  magic('PAR1', 'Parquet', AS_TEXT),
  magic('SQLite format', 'a SQLite database', AS_TEXT),
  magic('%PDF', 'a PDF', AS_TEXT),
  magic('\xd0\xcf\x11\xe0', 'an old Office document', AS_TEXT),
  magic('\xef\xbb\xbf', 'a UTF-8 byte order mark (BOM)', 'save it without the BOM'),
  magic('\xff\xfe\0\0', 'UTF-32', AS_UTF8),
  magic('\0\0\xfe\xff', 'UTF-32', AS_UTF8),
  { fits: UTF16, what: 'UTF-16', todo: AS_UTF8 },
  {
    fits: /\0\0/,
    what: 'a part that was never written (zero bytes)',
    todo: 'copy it again from where it came',
  },
  { fits: /\0/, what: 'a binary file (zero bytes)', todo: AS_TEXT },
  { fits: /^\s*[{[]/, what: 'JSON', todo: AS_TEXT },
  { fits: /^\s*</, what: 'XML or HTML', todo: AS_TEXT },

  { fits: /^\x1a/, what: 'a Ctrl-Z (the end-of-file mark of DOS)', todo: 'take it out' },
  { fits: /\x1a/, what: 'a line that a Ctrl-Z (end-of-file mark) cuts', todo: 'take it out' },
  { fits: /^\s*(?:#|\/\/|--|;|%|\*)/, what: 'a comment', todo: NO_TITLE },
  { fits: /^\s*[-=_+]{3,}\s*$/, what: 'a ruler below a heading', todo: NO_TITLE },
  {
    // A name of a consumer stands beside a number, a heading does not.
    fits: ({ isFirst, text }) => isFirst && LETTER.test(text) && !/(?:^|[^\w.])\d/.test(text),
    what: 'a header line',
    todo: NO_TITLE,
  },
  {
    fits: ({ isFirst, isLast, text }) =>
      !isFirst &&
      (isLast ? LETTER.test(text) : /^["']?(?:total|sum|count|trailer|eof)/i.test(text)),
    what: 'a trailer (a total or an end mark in the last line)',
    todo: NO_TITLE,
  },
  { fits: /["'`]/, what: 'quoted fields', todo: 'take the quotes out' },
  {
    fits: /\r\r+$/,
    what: 'line ends with two carriage returns',
    todo: 'end lines with LF or CR LF (a text transfer has converted them twice)',
  },
  {
    fits: /\r./,
    what: 'carriage returns (CR) alone as line ends',
    todo: "end lines with LF or CR LF (tr '\\r' '\\n')",
  },
  {
    fits: /\xc2\xa0|\xe2\x80[\x80-\x8b\xaf]|\xe2\x81\x9f|\xe3\x80\x80|\xef\xbb\xbf|\xa0/,
    what: 'a no-break or other special space',
    todo: ONE_SPACE,
  },

  {
    fits: /^\d{1,3}(?:[,.'_]\d{3})+ |[ \t;|]\d{1,3}(?:[,.'_]\d{3})+\s*$/,
    what: 'thousands separators (or a decimal amount)',
    todo: WHOLE,
  },
  {
    fits: /^\d+ +\d{1,3}(?: \d{3})+\s*$/,
    what: 'thousands separators (or a third field)',
    todo: WHOLE,
  },
  {
    fits: /^\d+[ \t;,|]+[+-]?\d+(?:\.\d*)?e[+-]?\d+/i,
    what: 'an exponent (scientific notation)',
    todo: WHOLE,
  },
  { fits: /^\d+[ \t;|]+\d*[.,]\d+\s*$|^\d+,\d*\.\d+\s*$/, what: 'a decimal amount', todo: WHOLE },
  { fits: /[ \t;,|](?:-|\xe2\x88\x92)\d/, what: 'a negative amount (minus sign)', todo: WHOLE },
  { fits: /[ \t;,|]\+\d/, what: 'a plus sign', todo: WHOLE },
  {
    fits: /^[+-]\d/,
    what: 'a sign before the consumer',
    todo: 'consumers are plain decimal numbers',
  },
  { fits: /[$\xa3\xa4\xa5]|\xe2\x82\xac/, what: 'an amount with a currency', todo: WHOLE },
  {
    fits: /[ \t;,|](?:null|nan|n\/a|none|nil|inf\w*|\\N)\s*$/i,
    what: 'a missing amount (null)',
    todo: 'leave the line out, or write 0',
  },
  { fits: /^\d+ *$/, what: 'a line without an amount', todo: ONE_SPACE },

  { fits: /^ *\d+ *\t/, what: 'a tab as separator', todo: ONE_SPACE },
  { fits: /^\d+ *,/, what: 'comma-separated values (CSV), a comma as separator', todo: ONE_SPACE },
  { fits: /^\d+ *;/, what: 'a semicolon as separator (CSV)', todo: ONE_SPACE },
  { fits: /^\d+ *[|:=/]/, what: 'another separator than a space', todo: ONE_SPACE },
  { fits: /^[ \t]+/, what: 'space before the consumer', todo: 'begin the line with its digits' },
  { fits: /^\d+ {2,}/, what: 'several spaces as separator (padded columns)', todo: ONE_SPACE },
  {
    fits: /^\d+ \d+[ \t]+$/,
    what: 'space behind the amount',
    todo: 'end the line after its last digit',
  },
  { fits: /^\d+ \d+[ \t]+\S/, what: 'a third field', todo: AS_TEXT },
  {
    fits: ({ isLast, text }) => isLast && text.trim() === '',
    what: 'an empty line at the end',
    todo: 'take it out',
  },
  { fits: ({ text }) => text.trim() === '', what: 'an empty line', todo: 'take it out' },
  { fits: /^0x|[ \t]0x/i, what: 'a hexadecimal number', todo: 'write it in decimal digits' },
  {
    fits: /^[\w.@:+-]*[A-Za-z-][\w.@:+-]*[ \t,;|]/,
    what: 'a consumer that is not a number (a name, a UUID)',
    todo: 'number the consumers, ids are unsigned decimal numbers',
  },
]
