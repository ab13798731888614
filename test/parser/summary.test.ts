import t from 'tap'
import { Summary } from '../../parser/summary.ts'
import { ParserEvents } from '../../shared/events.ts'
import { eventually } from '../helpers/eventually.ts'
import { recordingLog } from './helpers.ts'

function scene() {
  const [events, log] = [new ParserEvents(), recordingLog()]
  const queue = { files: 3, bytes: 70 }
  return { events, log, summary: new Summary({ events, log, queue }) }
}

const FILE = {
  ...{ number: 1, name: 'a', sha256: 'ab'.repeat(32), sizeBytes: 100, lines: 10 },
  ...{ claimedAtMs: 0, digestStartedAtMs: 0, digestedAtMs: 0, settledAtMs: 0 },
  amount: String(2n ** 64n),
}

t.test('tells what was done since the last time, and nothing when that is nothing', async t => {
  const { events, log, summary } = scene()
  summary.tell()
  t.same(log.lines, [], 'nothing has happened yet')
  events.emit('claimed', { name: 'a', sequence: 1, sizeBytes: 100, hasManifest: true })
  events.emit('reading', { name: 'a', positionBytes: 40, sizeBytes: 100 })
  summary.tell()
  t.match(log.lines, [
    { level: 'notice', message: 'summary', fields: { claimed: 1, readBytes: 40 } },
  ])
  t.match(log.lines[0]?.fields, { applied: 0, queueFiles: 3, queueBytes: 70 })
  const read = { ...{ name: 'a', sequence: 1, sizeBytes: 100, queuedMs: 0, readMs: 0 } }
  events.emit('digested', { ...read, verdict: 'count' })
  events.emit('chunk', { batch: 'ab', pairs: 7 })
  events.emit('applied', { batch: 'ab', files: 2, pairs: 7, countMs: 5 })
  for (const outcome of ['applied', 'applied', 'duplicate', 'quarantined'] as const) {
    events.emit('settled', { file: { ...FILE, outcome }, sequence: 1, stages: {} })
  }
  summary.tell()
  summary.tell()
  t.equal(log.lines.length, 2)
  t.match(log.lines[1]?.fields, {
    ...{ claimed: 0, applied: 2, duplicate: 1, quarantined: 1, readBytes: 60 },
    ...{ bytes: 400, lines: 40, amount: 2n ** 65n, batches: 1, pairs: 7, countMs: 5 },
  })
})

t.test('a database that is away is no news of its own, and in the next line', async t => {
  const { events, log, summary } = scene()
  events.emit('database', { awayBecause: 'gone', isUnfit: false })
  events.emit('statement', { ageSeconds: 10, waitsFor: 'a lock' })
  events.emit('statement', { ageSeconds: 20, waitsFor: 'a lock' })
  events.emit('statement', undefined)
  await eventually('time goes by', () => {
    summary.tell()
    events.emit('claimed', { name: 'a', sequence: 1, sizeBytes: 1, hasManifest: true })
    return Number(log.lines.at(-1)?.fields.databaseAwayMs) > 0
  })
  t.equal(log.lines[0]?.fields.longStatements, 1)
  events.emit('database', { awayBecause: undefined, isUnfit: false })
  summary.tell()
  events.emit('claimed', { name: 'a', sequence: 1, sizeBytes: 1, hasManifest: true })
  summary.tell()
  t.equal(log.lines.at(-1)?.fields.databaseAwayMs, 0)
})

t.test('the loop tells now and then, and ends with the signal', async t => {
  const { events, log, summary } = scene()
  const abort = new AbortController()
  const running = summary.run(abort.signal, 10)
  events.emit('claimed', { name: 'a', sequence: 1, sizeBytes: 1, hasManifest: true })
  await eventually('it is told', () => log.lines.length === 1)
  abort.abort()
  await running
  t.equal(log.lines.length, 1)
})
