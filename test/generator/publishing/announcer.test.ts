import t from 'tap'
import {
  Announcer,
  LATER_MS,
  RECONNECT_MAX_MS,
  RECONNECT_MIN_MS,
  type Timing,
  WINDOW,
} from '../../../generator/publishing/announcer.ts'
import type { GeneratedFile } from '../../../generator/state-shape.ts'
import { createLog } from '../../../shared/log.ts'
import { eventually, fakeParser, stateDirectory, type Teardown } from '../helpers.ts'

function generated(number: number): GeneratedFile {
  const name = `usage-0123abcd-${String(number).padStart(6, '0')}.txt`
  return { name, sizeBytes: 10, sha256: 'ab'.repeat(32), lines: 3, amount: 2n ** 64n }
}

function startAnnouncer(t: Teardown, path: string) {
  const delays: number[] = []
  const lines: string[] = []
  let changes = 0
  // Waits are noted and cut short.
  const timing: Timing = {
    random: () => 0.5,
    after(ms, run) {
      delays.push(ms)
      const timer = setTimeout(run, 1)
      return () => clearTimeout(timer)
    },
  }
  const announcer = new Announcer({
    path,
    timing,
    log: createLog('test', line => void lines.push(line)),
    onChange: () => {
      changes += 1
    },
  })
  announcer.start()
  t.teardown(() => announcer.stop())
  return { announcer, delays, lines, changes: () => changes }
}

t.test('a file is announced, acknowledged and settled', async t => {
  const paths = stateDirectory(t)
  const parser = await fakeParser(t, paths, () => {})
  const { announcer, changes } = startAnnouncer(t, paths.parserSocket)
  const file = generated(1)
  announcer.announce(file)
  announcer.announce(file)
  const announce = await eventually('announced', () => parser.announced[0])
  t.match(parser.hellos, [{ role: 'generator' }])
  t.match(announce, { ...file, amount: '18446744073709551616' })
  parser.ack(announce, 'accepted')
  const before = changes()
  t.match([announcer.files, announcer.bytes, announcer.connected], [1, 10, true])
  parser.settle('somebody-elses.txt')
  parser.settle(file.name)
  await eventually('settled', () => announcer.files === 0)
  t.equal(announcer.bytes, 0)
  t.ok(changes() > before)
  t.equal(parser.announced.length, 1)
})

t.test('what is unsettled is announced again on each connection', async t => {
  const paths = stateDirectory(t)
  const parser = await fakeParser(t, paths, (announce, parser) => {
    // The second is never answered.
    if (announce.name === generated(1).name) parser.ack(announce, 'accepted')
  })
  const { announcer, lines } = startAnnouncer(t, paths.parserSocket)
  announcer.announce(generated(1))
  announcer.announce(generated(2))
  await eventually('announced', () => parser.announced.length === 2)
  parser.hangUp()
  await eventually('announced again', () => parser.announced.length === 4)
  parser.settle(generated(1).name)
  await eventually('settled', () => announcer.files === 1)
  await parser.close()
  await eventually('gone', () => !announcer.connected)
  const next = await fakeParser(t, paths, (announce, parser) => {
    parser.ack(announce, 'known')
    parser.settle(announce.name, 'duplicate')
  })
  await eventually('settled', () => announcer.files === 0)
  t.match(next.announced, [{ name: generated(2).name }])
  t.match(lines.join(''), /WARN test a generated file was settled as duplicate/)
})

t.test('a parser that is absent is looked for at growing intervals', async t => {
  const paths = stateDirectory(t)
  const { announcer, delays, lines } = startAnnouncer(t, paths.parserSocket)
  announcer.announce(generated(1))
  await eventually('tried often', () => delays.length >= 9)
  // With a random 0.5, three quarters of the longest.
  t.same(
    delays.slice(0, 7).map(ms => ms / 0.75),
    [50, 100, 200, 400, 800, 1_600, 2_000],
  )
  t.equal(RECONNECT_MIN_MS, 50)
  t.equal(RECONNECT_MAX_MS, 2_000)
  t.equal(lines.length, 1, 'and it is logged once')
  const parser = await fakeParser(t, paths)
  await eventually('settled', () => announcer.files === 0)
  t.equal(parser.announced.length, 1)
})

t.test('later: again after a pause', async t => {
  const paths = stateDirectory(t)
  let asked = 0
  await fakeParser(t, paths, (announce, parser) => {
    asked += 1
    parser.ack(announce, asked <= 3 ? 'later' : 'accepted', 'too much to do')
    if (asked > 3) parser.settle(announce.name)
  })
  const { announcer, delays } = startAnnouncer(t, paths.parserSocket)
  announcer.announce(generated(1))
  await eventually('settled', () => announcer.files === 0)
  t.same(delays, Array(3).fill(LATER_MS * 0.75))
  t.equal(asked, 4)
})

t.test('refused: a warning, and no more waited for', async t => {
  const paths = stateDirectory(t)
  const parser = await fakeParser(t, paths, (announce, parser) => {
    parser.ack(announce, 'refused', 'no such file')
  })
  const { announcer, lines } = startAnnouncer(t, paths.parserSocket)
  announcer.announce(generated(1))
  await eventually('refused', () => announcer.files === 0)
  t.match(lines.join(''), /WARN .*refused.*reason="no such file"/)
  t.equal(parser.announced.length, 1)
})

t.test('no more than a window is unanswered', async t => {
  const paths = stateDirectory(t)
  const parser = await fakeParser(t, paths, () => {})
  const { announcer } = startAnnouncer(t, paths.parserSocket)
  for (let i = 0; i < 3 * WINDOW; i += 1) announcer.announce(generated(i))
  await eventually('a window is asked', () => parser.announced.length === WINDOW)
  // Each answer lets one more through: at 2 windows answered, all have come, and never more waited.
  for (let answered = 0; answered < 3 * WINDOW; answered += 1) {
    const announce = await eventually('one more', () => parser.announced[answered])
    t.ok(parser.unanswered() <= WINDOW)
    parser.ack(announce, 'accepted')
    parser.settle(announce.name)
  }
  await eventually('all settled', () => announcer.files === 0)
  t.equal(parser.announced.length, 3 * WINDOW)
})

t.test('stop ends the connection and all attempts', async t => {
  const paths = stateDirectory(t)
  await fakeParser(t, paths, () => {})
  const { announcer, delays } = startAnnouncer(t, paths.parserSocket)
  await eventually('connected', () => announcer.connected)
  announcer.stop()
  await eventually('closed', () => !announcer.connected)
  t.same(delays, [])
})
