import { gzipSync } from 'node:zlib'
import t from 'tap'
import { FIRST_BYTES_MAX, findDefect, LF } from '../../../parser/digest/line-defects.ts'
import { hintOn } from '../../../parser/reading/format-hints.ts'

/** What is told of a file, from its first bad line, found as the parser finds it. */
function hintOf(content: Buffer | string): string | undefined {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'latin1') : content
  let line = 1
  for (let offset = 0; offset < bytes.length; line += 1) {
    const lineEnd = bytes.indexOf(LF, offset)
    const end = lineEnd === -1 ? bytes.length : lineEnd
    const firstBytes = bytes.subarray(offset, Math.min(end, offset + FIRST_BYTES_MAX))
    const defect = findDefect(firstBytes)
    if (defect !== undefined) {
      return hintOn({ ...defect, line, offset, firstBytes, consumer: undefined }, bytes.length)
    }
    offset = end + 1
  }
  return undefined
}

const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le')
const big = (text: string): Buffer => utf16(text).swap16()

t.test('real files that are refused are told what they look like', async t => {
  const cases: [what: string, content: Buffer | string, hint: RegExp][] = [
    ['gzip', gzipSync('1 5\n'), /^looks like gzip: decompress it before publishing$/],
    ['zip', 'PK\x03\x04\x14\0abc', /a zip archive: unpack/],
    ['zstd', '\x28\xb5\x2f\xfd\x04\x00', /zstd: decompress/],
    ['bzip2', 'BZh91AY&SY', /bzip2: decompress/],
    ['xz', '\xfd7zXZ\0\0\x04', /xz: decompress/],
    ['7z', '7z\xbc\xaf\x27\x1c', /a 7z archive/],
    ['UTF-8 BOM', '\xef\xbb\xbf1 5\n', /byte order mark \(BOM\)/],
    ['UTF-8 BOM and header', '\xef\xbb\xbfconsumer amount\n1 5\n', /BOM/],
    ['UTF-16, little end first, marked', utf16('\ufeff1 5\n'), /UTF-16/],
    ['UTF-16, big end first, marked', big('\ufeff1 5\n'), /UTF-16/],
    ['UTF-16, little end first', utf16('12 5\r\n'), /UTF-16/],
    ['UTF-16, big end first', big('12 5\r\n'), /UTF-16/],
    ['zeros', Buffer.alloc(4_096), /never written/],
    [
      'zeros behind lines',
      Buffer.concat([Buffer.from('1 5\n'), Buffer.alloc(99)]),
      /never written/,
    ],
    ['JSON', '{"id":1,"amount":5}\n', /JSON/],
    ['XML', '<?xml version="1.0"?>\n', /XML/],
    ['header', 'consumer amount\n1 5\n', /a header line/],
    ['header with commas', 'id,amount\n1,5\n', /a header line/],
    ['header in quotes', '"id";"amount"\n1;5\n', /a header line/],
    ['comment', '# made by x\n1 5\n', /a comment/],
    ['comment of SQL', '1 5\n-- end\n', /a comment/],
    ['trailer', '1 5\n2 6\nTOTAL 2 11\n', /a trailer \(a total/],
    ['trailer without a line end', '1 5\nEOF', /a trailer/],
    ['tab', '1\t5\n', /a tab as separator/],
    ['comma', '1,5\n2,6\n', /a comma as separator/],
    ['semicolon', '1;5\n', /a semicolon as separator/],
    ['bar', '1|5\n', /another separator/],
    ['two spaces', '1  5\n', /several spaces as separator/],
    ['quotes', '"1" "5"\n', /quoted fields/],
    ['no-break space', '1\xc2\xa05\n', /a no-break or other special space/],
    ['no-break space of Latin-1', '1\xa05\n', /a no-break/],
    ['space before', ' 1 5\n', /space before the consumer/],
    ['space behind', '1 5 \n', /space behind the amount/],
    ['no amount', '1 \n', /without an amount/],
    ['one field', '15\n', /without an amount/],
    ['null', '1 NULL\n', /a missing amount/],
    ['decimal', '1 5.50\n', /a decimal amount/],
    ['decimal comma', '1 5,50\n', /a decimal amount/],
    ['CSV of decimals', '1,5.50\n', /a decimal amount/],
    ['thousands', '1 1,000\n', /thousands separators/],
    ['thousands with dots', '1 1.000.000\r\n', /thousands separators/],
    ['thousands with spaces', '1 1 000\n', /thousands separators/],
    ['negative', '1 -5\n', /a negative amount/],
    ['plus', '1 +5\n', /a plus sign/],
    ['exponent', '1 1e3\n', /scientific notation/],
    ['exponent of a decimal', '1 1.5E+3\n', /scientific notation/],
    ['currency', '1 $5\n', /a currency/],
    ['three fields', '1 5 2026-11-25\n', /a third field/],
    ['hexadecimal', '1 0x1f\n', /a hexadecimal number/],
    ['UUID', '3f2c-11 5\n', /a consumer that is not a number/],
    ['name', 'acme 5\n', /a consumer that is not a number/],
    ['Ctrl-Z', '1 5\n\x1a', /a Ctrl-Z \(the end-of-file mark/],
    ['empty line at the end', '1 5\r\n\r\n', /an empty line at the end/],
    ['empty line', '1 5\n\n1 5\n', /an empty line: /],
    ['CR alone', '1 5\r2 6\r', /carriage returns \(CR\) alone/],
    ['CR CR LF', '1 5\r\r\n', /two carriage returns/],
  ]
  for (const [what, content, hint] of cases) t.match(hintOf(content), hint, what)
})

t.test('what is like nothing is told as it is', async t => {
  t.equal(hintOf('1 5\n\x07\x08 5\n'), undefined)
  t.equal(hintOf('99999999999999999999 5\n'), undefined)
})
