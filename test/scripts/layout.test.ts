import t from 'tap'
import {
  columnsOf,
  fitFields,
  fitTable,
  isLively,
  labelled,
  shorten,
  wrapFields,
  wrapText,
} from '../../scripts/terminal/layout.ts'

t.test('who looks', async t => {
  t.equal(columnsOf({ isTTY: true, columns: 50 }), 50)
  t.equal(columnsOf({ isTTY: true }), 80)
  t.equal(columnsOf({ columns: 50 }), Number.POSITIVE_INFINITY)
  t.equal(isLively({ isTTY: true }, {}), true)
  t.equal(isLively({}, {}), false)
  t.equal(isLively({ isTTY: true }, { TERM: 'dumb' }), false)
  t.equal(isLively({ isTTY: true }, { NO_COLOR: '1' }), false)
})

t.test('lines end between words and fields, never in a number', async t => {
  const text = '12 345 678 lines and 1 234 567 890 others, 5 MiB in all'
  for (let columns = 1; columns < 60; columns += 1) {
    const lines = wrapText(text, columns)
    t.equal(lines.join(' '), text)
    t.notOk(
      lines.some(line => /\d$/.test(line)),
      `${columns}`,
    )
  }
  t.same(wrapFields(['a', '1 234', '5 678'], 10), ['a  1 234', '5 678'])
  t.same(labelled('so: ', ['a', 'b']), ['so: a', '    b'])
  t.equal(fitFields(['aaa', 'bbbbbb', 'cc'], 8), 'aaa, cc')
  t.equal(shorten('usage-000001.txt', 9), 'usag….txt')
  t.equal(shorten('abc', 0), '')
})

t.test('a table is as wide as it may be', async t => {
  const head = ['file', 'lines', 'amount']
  const rows = [['usage-e14ae8d3-000001.txt', '2 166 155', '18 446 744 073 709 551 615']]
  const right = new Set([1, 2])
  t.equal(fitTable(head, rows, right, Number.POSITIVE_INFINITY).length, 2)
  const narrower = fitTable(head, rows, right, 58)
  t.match(narrower[1], /^usage-e14….*\.txt {2}2 166 155 {2}18 446 744 073 709 551 615$/)
  t.same(fitTable(head, rows, right, 34), [
    'usage-e14ae8d3-000001.txt',
    '  lines 2 166 155',
    '  amount 18 446 744 073 709 551 615',
  ])
})
