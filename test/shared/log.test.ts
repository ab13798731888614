import { closeSync, fstatSync, openSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  CountersinkError,
  describeError,
  EXIT_CONFIG,
  EXIT_FAILED,
  hasCode,
  toError,
} from '../../shared/errors.ts'
import { isJournal, withPriority } from '../../shared/journald.ts'
import { createLog, type Log, type LogSettings, silentLog } from '../../shared/log.ts'
import { LEVELS, type Level, readLine, writeLine } from '../../shared/log-line.ts'
import { runModule, tempDir } from './helpers.ts'

const FIELDS = {
  ...{ name: 'a b"c\n', size: 5, sum: 2n ** 64n, ok: true, none: undefined },
  sha256: 'ab'.repeat(32),
}

function linesOf(settings: LogSettings, tell: (log: Log) => void): string[] {
  const lines: string[] = []
  const log = createLog(
    'parser',
    line => lines.push(line),
    () => settings,
  )
  tell(log)
  return lines
}

t.test('one line of text an event', async t => {
  const lines = linesOf({ logFormat: 'text', logLevel: 'info' }, log => {
    log.info('claimed', FIELDS)
    log.warn('odd')
    log.error('bad', { path: '/a/b:1' })
  })
  t.equal(lines.length, 3)
  for (const line of lines) t.match(line, /^\d{4}-\d\d-\d\dT[\d:.]+Z [A-Z]+ parser [^\n]+\n$/)
  const rest =
    ' name="a b\\"c\\n" size=5 sum=18446744073709551616 ok=true sha256=abababababababab\n'
  t.ok(lines[0]?.endsWith(rest))
  t.ok(lines[2]?.endsWith(' bad path=/a/b:1\n'))
  t.same(
    lines.map(line => readLine(line.trimEnd())?.level),
    ['info', 'warn', 'error'],
  )
  for (const foreign of ['from elsewhere', 'x toString y', '', '{', '{"level":"info"}', '[]']) {
    t.equal(readLine(foreign), undefined)
  }
  silentLog.error('nothing is heard of this')
})

t.test('one object an event', async t => {
  const evil = '\u009b31m\u2028\ud800"\n'
  const lines = linesOf({ logFormat: 'json', logLevel: 'debug' }, log => {
    log.info('claimed', { ...FIELDS, evil })
    log.error('LEDGER_BEHIND: it lacks some')
    log.warn('odd', { because: 'IO_FAILED: a write failed (because: ENOSPC: no room)' })
    log.warn('odd', { code: 'GIVEN', reason: 'FOUND: it' })
    log.debug('it cannot be looked at (EACCES: denied)')
    log.notice('nothing: to see')
  })
  t.ok(lines.every(line => /^\{[ -~]+\}\n$/.test(line)))
  const objects = lines.map(line => JSON.parse(line))
  t.match(objects[0].time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  t.same(Object.keys(objects[0]).slice(0, 4), ['time', 'level', 'process', 'message'])
  t.match(objects[0], { level: 'info', process: 'parser', message: 'claimed', size: 5, ok: true })
  t.match(objects[0], { sum: '18446744073709551616', sha256: 'ab'.repeat(32), evil })
  t.notOk('none' in objects[0] || 'code' in objects[0])
  t.same(
    objects.map(({ code }) => code),
    [undefined, 'LEDGER_BEHIND', 'IO_FAILED', 'GIVEN', 'EACCES', undefined],
  )
  const [line = ''] = lines
  t.match(readLine(line.trimEnd()), { level: 'info', fields: { sha256: 'ab'.repeat(32) } })
  t.match(
    writeLine('text', readLine(line.trimEnd())!),
    /INFO parser claimed .* sha256=abababababababab/,
  )
})

t.test('a stack is below a line of text, and in one of JSON', async t => {
  const tell = (log: Log): void => log.error('ours', { stack: 'Error: x\n  at y\u009b' })
  const [text = ''] = linesOf({ logFormat: 'text', logLevel: 'info' }, tell)
  t.match(text, / ERROR parser ours\nError: x\n {2}at y\\u009b\n$/)
  const [json = ''] = linesOf({ logFormat: 'json', logLevel: 'info' }, tell)
  t.match(JSON.parse(json), { stack: 'Error: x\n  at y\u009b' })
})

t.test('only what is urgent enough, as it is now', async t => {
  for (const [i, logLevel] of LEVELS.entries()) {
    const lines = linesOf({ logFormat: 'text', logLevel }, log => {
      for (const level of LEVELS) log[level]('told')
    })
    t.equal(lines.length, LEVELS.length - i)
  }
  let logLevel: Level = 'error'
  const lines: string[] = []
  const log = createLog(
    'x',
    line => lines.push(line),
    () => ({ logFormat: 'text', logLevel }),
  )
  log.warn('not yet')
  logLevel = 'warn'
  log.warn('now')
  t.equal(lines.length, 1)
})

t.test('priorities are for the stream that the journal reads', async t => {
  const file = join(tempDir(t), 'stream')
  const fd = openSync(file, 'w')
  const { dev, ino } = fstatSync(fd)
  t.ok(isJournal(fd, `${dev}:${ino}`))
  t.notOk(isJournal(fd, `${dev}:${ino + 1}`), 'a variable that was inherited')
  t.notOk(isJournal(fd, undefined))
  t.notOk(isJournal(fd, ''))
  closeSync(fd)
  t.notOk(isJournal(fd, `${dev}:${ino}`), 'a closed one')
  t.equal(withPriority('a\nb\n', 'error'), '<3>a\n<3>b\n')
  t.same(
    LEVELS.map(level => withPriority('x', level)),
    ['<7>x', '<6>x', '<5>x', '<4>x', '<3>x'],
  )
})

t.test('a reader that has stopped is neither waited for nor remembered all for', async t => {
  const child = runModule(
    t,
    `
    import { createLog } from '@/shared/log.ts'
    process.stdin.once('data', () => {
      const log = createLog('x')
      for (let i = 0; i < 10_000; i += 1) log.info('a line of some length', { i })
      console.log('written', process.stderr.writableLength)
      setTimeout(() => process.exit(0), 60_000)
    })
    console.log('ready')`,
  )
  await child.says('ready')
  child.process.stderr?.pause()
  child.process.stdin?.write('go')
  await child.says('written')
  const [, waiting = ''] = /written (\d+)/.exec(child.out()) ?? []
  t.ok(Number(waiting) > 0 && Number(waiting) < 2 ** 19, `${waiting} bytes wait`)
  child.process.stderr?.resume()
  child.process.kill('SIGKILL')
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
