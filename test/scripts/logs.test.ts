import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { eventually } from '../helpers/eventually.ts'
import { tempDir } from '../shared/helpers.ts'
import { LOGGING, logsIn } from './log-scene.ts'

const JSON_LOGGING = { ...LOGGING, logFormat: 'json' } as const
const LINE = JSON.stringify({
  ...{ time: '2030-01-01T00:00:00.000Z', level: 'warn', process: 'parser', message: 'odd' },
  ...{ code: 'ODD', name: 'a b' },
})

t.test('lines of a child are passed on as they are, and what is none becomes one', async t => {
  const directory = tempDir(t)
  const [passedOn, shown]: [string[], string[]] = [[], []]
  const logs = logsIn(directory, {
    config: JSON_LOGGING,
    onLine: (written, level) => passedOn.push(`${level} ${written}`),
    onTrouble: text => shown.push(text),
  })
  const child = logs.ofChild('parser')
  t.match(child.said(LINE), { level: 'warn', message: 'odd' })
  t.equal(child.said('FATAL ERROR: "heap" out of memory\t'), undefined)
  child.note('killed by the supervisor: it hangs')
  child.close()
  child.said('a late line')
  const kept = readFileSync(`${directory}/parser.log`, 'utf8')
  const lines = kept.trimEnd().split('\n')
  t.equal(lines[0], LINE)
  t.match(
    lines.slice(1).map(line => JSON.parse(line)),
    [
      { level: 'warn', process: 'parser', message: 'FATAL ERROR: "heap" out of memory\t' },
      { level: 'warn', process: 'supervisor', message: 'killed by the supervisor: it hangs' },
    ],
  )
  t.same(
    passedOn.slice(0, 3),
    lines.map(line => `warn ${line}`),
    'whoever reads along has the same',
  )
  t.match(shown, [/^2030-01-01T00:00:00.000Z WARN parser odd code=ODD name="a b"$/])
})

t.test('what is missing is said in a line like the others', async t => {
  const directory = `${tempDir(t)}/away/log`
  const logs = logsIn(directory, { config: JSON_LOGGING })
  const child = logs.ofChild('parser')
  t.teardown(() => logs.close())
  child.said(LINE)
  mkdirSync(directory, { recursive: true })
  await eventually('it is written again', () => {
    child.said(LINE)
    return existsSync(`${directory}/parser.log`)
  })
  const [first = '', second] = readFileSync(`${directory}/parser.log`, 'utf8').split('\n')
  t.match(JSON.parse(first), { process: 'supervisor', message: /^\d+ lines are missing here$/ })
  t.equal(second, LINE)
})

t.test('trouble with its own log is told of, and no end of it', async t => {
  const directory = `${tempDir(t)}/away/log`
  const notices: string[] = []
  const logs = logsIn(directory, {
    onNotice: text => {
      notices.push(text)
      logs.supervisor.warn(text)
    },
  })
  t.teardown(() => logs.close())
  logs.open()
  mkdirSync(directory, { recursive: true })
  logs.reopen()
  logs.supervisor.info('again')
  t.match(notices, [/cannot be written/, /is written again/])
  t.match(
    readFileSync(`${directory}/supervisor.log`, 'utf8'),
    /missing here\n.* again\n.*written again\n$/,
  )
})
