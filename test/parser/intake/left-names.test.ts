import t from 'tap'
import { LeftNames } from '../../../parser/intake/left-names.ts'
import { recordingLog } from '../helpers.ts'

function scene() {
  const log = recordingLog()
  const left = new LeftNames(log)
  /** A look that meets these names, and no others. */
  const look = (...names: string[]): void => {
    for (const name of names) left.isToWait(name, 0)
    while (!left.forgetUnmet());
  }
  return { log, left, look }
}

t.test('each name and reason is told of once, however often they alternate', async t => {
  const { log, left, look } = scene()
  for (let i = 0; i < 10; i += 1) {
    left.leave('a', i % 2 === 0 ? 'it is a pipe' : 'it is a link')
    left.reconsider('a')
    look('a')
  }
  for (let i = 0; i < 100; i += 1) left.leave('b', `reason ${i}`)
  t.same(
    log.lines.filter(({ fields }) => fields.name === 'a').map(({ message }) => message),
    ['left in the inbox: it is a pipe', 'left in the inbox: it is a link'],
  )
  t.ok(log.warnedOf().length < 10, 'nor does a reason that is never the same fill the log')
})

t.test('they are counted by reason, with some names, until they are gone', async t => {
  const { left, look } = scene()
  t.equal(left.report, undefined)
  const links = Array.from({ length: 20 }, (_, i) => `link-${i}`)
  for (const name of links) left.leave(name, 'it is a link')
  left.leaveForNow('fixed', 'it cannot be moved', 0)
  t.match(left.report, {
    files: 21,
    reasons: [
      { why: 'it is a link', files: 20, names: ['link-0', 'link-1', 'link-2'] },
      { why: 'it cannot be moved', files: 1, names: ['fixed'] },
    ],
  })
  left.reconsider('fixed')
  t.match(left.report, { files: 21 }, 'what failed is to succeed first')
  left.taken('fixed')
  look(...links)
  look(...links.slice(2))
  t.match(left.report, { files: 18, reasons: [{ files: 18, names: ['link-2'] }] })
  look(...links.slice(2))
  t.match(left.report, { reasons: [{ names: ['link-2', 'link-3', 'link-4'] }] }, 'others are shown')
  for (let i = 0; i < 100; i += 1) left.leave(`odd-${i}`, 'x'.repeat(i))
  t.match(left.report, { files: 118 })
  t.ok((left.report?.reasons.length ?? 0) <= 5)
  look()
  look()
  t.equal(left.report, undefined)
})

t.test('what failed is tried again, more rarely the more of it there is', async t => {
  const { left } = scene()
  const pauseOf = (name: string): number => {
    left.leaveForNow(name, 'it cannot be moved', 1_000)
    let nowMs = 1_000
    while (left.isToWait(name, nowMs)) nowMs += 100
    return nowMs - 1_000
  }
  t.equal(pauseOf('first'), 5_000)
  for (let i = 0; i < 20_000; i += 1) left.leave(`link-${i}`, 'it is a link')
  t.ok(pauseOf('last') >= 20_000)
  t.notOk(left.isToWait('link-1', 0), 'what is seen anyway is looked at each time')
})

t.test('very many are told of together, remembered within bounds, and still counted', async t => {
  const { log, left, look } = scene()
  const names = Array.from({ length: 120_000 }, (_, i) => `link-${i}`)
  for (let looks = 0; looks < 2; looks += 1) {
    for (const name of names) left.leave(name, 'it is a link')
    while (!left.forgetUnmet());
  }
  t.equal(log.lines.length, 10_001)
  t.match(log.lines.at(-1), { message: /more is left/ })
  t.equal(left.report?.files, names.length)
  look()
  look()
  t.equal(left.report, undefined)
})
