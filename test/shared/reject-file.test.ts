import t from 'tap'
import { parseRejectRow, rejectHead, rejectRow, rejectTail } from '../../shared/reject-file.ts'
import {
  isOverLimit,
  isSurelyOver,
  mayReject,
  parseRejectLimit,
} from '../../shared/reject-limit.ts'
import { failureOf } from './helpers.ts'

t.test('what a row says of any bytes is read from it again', async t => {
  const all = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join('')
  for (const text of ['', all, all + all, '\\t', '\\x41', '# end\t1\t2', '\\', 'a\tb\r', '\\\\x']) {
    const line = { line: 7, offset: 2 ** 53 - 1, code: 'EMPTY_LINE', sizeBytes: 9, text }
    const row = rejectRow(line)
    t.match(row, /^[ -~\t]+\n$/, 'a line of printable ASCII')
    t.same(parseRejectRow(row.slice(0, -1)), { kind: 'line', line })
  }
  const name = 'ü\\\n\tx.txt'
  const rows = rejectHead(name, 'ab'.repeat(32)).split('\n')
  t.same(
    rows.flatMap(row => (row === '' ? [] : (parseRejectRow(row) ?? []))),
    [
      { kind: 'parent', sha256: 'ab'.repeat(32) },
      { kind: 'name', name },
    ],
  )
  t.same(parseRejectRow(rejectTail(3, 40).trimEnd()), { kind: 'end', lines: 3, bytes: 40 })
  for (const row of ['x\t1\tX\t1\ty', '1\t-1\tX\t1\ty', '1\t2\tX\t\ty', '1 2', '# end\tx\t1']) {
    t.match(await failureOf(async () => parseRejectRow(row)), { code: 'FILE_UNFIT' }, row)
  }
})

t.test('a limit is met exactly, and a share is exact however large a file is', async t => {
  const over = (limit: string, rejected: number, all: number): boolean =>
    isOverLimit(parseRejectLimit(limit)!, rejected, all)
  t.notOk(over('3', 3, 3))
  t.ok(over('3', 4, 4_000))
  t.notOk(over('0.5%', 5, 1_000))
  t.ok(over('0.5%', 5, 999))
  const lines = 9_007_199_000_000_000
  t.notOk(over('0.0001%', lines / 1e6, lines))
  t.ok(over('0.0001%', lines / 1e6 + 1, lines))
  t.notOk(over('100%', 9, 9))
  t.notOk(mayReject(parseRejectLimit('0%')!) || mayReject(parseRejectLimit('0')!))
  t.ok(mayReject(parseRejectLimit('0.0001%')!) && mayReject(parseRejectLimit('1')!))
})

t.test('it is surely over only where no rest of the file could help', async t => {
  // Of every beginning the rest may be good lines of four bytes, and a last one of three.
  for (const limit of ['1', '10%', '49.5%', '100%'].map(text => parseRejectLimit(text)!)) {
    for (let bad = 0; bad < 12; bad += 1) {
      for (let rest = 0; rest < 60; rest += 1) {
        const sizeBytes = bad * 2 + rest
        const good = Math.floor((rest + 1) / 4)
        if (!isSurelyOver(limit, { lines: bad, bytes: bad * 2 }, sizeBytes)) continue
        t.ok(isOverLimit(limit, bad, bad + good), `${bad} bad lines, ${rest} bytes`)
      }
    }
  }
  t.ok(isSurelyOver(parseRejectLimit('10%')!, { lines: 12, bytes: 24 }, 60))
})
