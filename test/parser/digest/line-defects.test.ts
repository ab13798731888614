import t from 'tap'
import { findDefect, LINE_DEFECTS, placeOfBadLine } from '../../../parser/digest/line-defects.ts'
import { DEFECTS } from './fixtures/defect-cases.ts'

t.test('every defect of a line, and where it is', async t => {
  for (const [text, reason, column] of DEFECTS) {
    const found = findDefect(Buffer.from(text, 'latin1').subarray(0, 64))
    t.strictSame(found, { reason, column }, JSON.stringify(text.slice(0, 70)))
  }
})

t.test('the cases are complete', async t => {
  const covered = new Set<string>(DEFECTS.map(([, reason]) => reason))
  const notOfOneLine = ['CONSUMER_SUM_OVERFLOW']
  const missing = LINE_DEFECTS.filter(r => !covered.has(r) && !notOfOneLine.includes(r))
  t.strictSame(missing, [])
})

t.test('good lines have no defect', async t => {
  const max = '18446744073709551615'
  for (const text of ['0 0', `${max} ${max}`, '1 2\r', `${'0'.repeat(20)} ${'0'.repeat(19)}7\r`]) {
    t.equal(findDefect(Buffer.from(text)), undefined, JSON.stringify(text))
  }
})

t.test('a bad line is described with its place', async t => {
  const bad = {
    line: 3,
    offset: 20,
    column: 4,
    firstBytes: Buffer.from('1 2 3'),
    consumer: undefined,
  }
  const text = placeOfBadLine({ ...bad, reason: 'TRAILING_BYTES' })
  t.equal(text, 'line 3, byte 5 of it (it starts at offset 20)')
  const overflow = { reason: 'CONSUMER_SUM_OVERFLOW', consumer: 7n } as const
  t.match(placeOfBadLine({ ...bad, ...overflow }), /^line 3.*consumer 7$/)
})
