import t from 'tap'
import {
  CountersinkError,
  describeError,
  EXIT_CONFIG,
  EXIT_FAILED,
  hasCode,
  toError,
} from '../../shared/errors.ts'
import { createLog, levelOf, silentLog } from '../../shared/log.ts'

t.test('one line an event', async t => {
  const lines: string[] = []
  const log = createLog('parser', line => lines.push(line))
  log.info('claimed', { name: 'a b"c\n', size: 5, sum: 2n ** 64n, ok: true, none: undefined })
  log.warn('odd')
  log.error('bad', { path: '/a/b:1' })
  t.equal(lines.length, 3)
  for (const line of lines) t.match(line, /^\d{4}-\d\d-\d\dT[\d:.]+Z [A-Z]+ parser [^\n]+\n$/)
  t.ok(lines[0]?.endsWith(' name="a b\\"c\\n" size=5 sum=18446744073709551616 ok=true\n'))
  t.ok(lines[2]?.endsWith(' bad path=/a/b:1\n'))
  t.same(lines.map(levelOf), ['INFO', 'WARN', 'ERROR'])
  t.equal(levelOf('from elsewhere'), undefined)
  t.equal(levelOf('x toString y'), undefined)
  t.equal(levelOf(''), undefined)
  silentLog.error('nothing is heard of this')
})

t.test('errors', async t => {
  const error = new CountersinkError('IO_FAILED', 'write\n of x', {
    cause: new Error('disk'),
    advice: 'Buy one.',
  })
  t.match(describeError(error), /^IO_FAILED: write of x \(because: disk\)\.? Buy one\.$/)
  t.equal(error.exitCode, EXIT_FAILED)
  t.equal(new CountersinkError('LEDGER_UNFIT', 'x').exitCode, EXIT_CONFIG)
  t.equal(new CountersinkError('OWNERSHIP_LOST', 'x').exitCode, EXIT_CONFIG)
  t.ok(hasCode(error, 'X', 'IO_FAILED'))
  t.notOk(hasCode(error, 'X'))
  t.notOk(hasCode({ code: 'X' }, 'X'), 'not an Error')
  t.notOk(hasCode(Object.assign(new Error('x'), { code: 5 }), '5'))
  t.match(toError('text'), { message: 'text', cause: 'text' })
  t.equal(toError(error), error)
  t.equal(describeError('text'), 'text', 'nothing is said twice')
})
