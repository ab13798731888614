import t from 'tap'
import { LocalClock } from '../../shared/local-clock.ts'
import { parseTerms, parseUsedAt, termsFields } from '../../shared/terms.ts'

// Times of usage: what is one, and what clocks show then.

t.test('a time has its zone, and is there', async t => {
  for (const [text, iso] of [
    ['2026-03-29T02:30:00Z', '2026-03-29T02:30:00.000Z'],
    ['2026-03-29T02:30:00.5+01:00', '2026-03-29T01:30:00.500Z'],
    ['2024-02-29T23:59:59.999999999-03:30', '2024-03-01T03:29:59.999Z'],
    ['2000-01-01T00:00:00Z', '2000-01-01T00:00:00.000Z'],
    ['2099-12-31T23:59:59Z', '2099-12-31T23:59:59.000Z'],
  ] as const) {
    t.equal(new Date(parseUsedAt(text) ?? Number.NaN).toISOString(), iso, text)
  }
  for (const text of [
    ...['', 'now', '2026-03-29', '2026-03-29T02:30:00', '2026-03-29T02:30Z', '1774751400000'],
    ...['2026-02-29T00:00:00Z', '2026-04-31T00:00:00Z', '2026-13-01T00:00:00Z'],
    ...['2026-01-01T24:00:00Z', '2026-01-01T00:60:00Z', '2026-01-01 00:00:00Z'],
    ...['1999-12-31T23:59:59Z', '2100-01-01T00:00:00Z', '2000-01-01T00:00:00+01:00'],
  ]) {
    t.equal(parseUsedAt(text), undefined, text)
  }
})

t.test('in a manifest it comes out as it went in', async t => {
  const usedAtMs = Date.UTC(2026, 2, 29, 1, 2, 3, 4)
  const invalid = (why: string): Error => new Error(why)
  t.same(parseTerms(termsFields({ usedAtMs }), invalid), { usedAtMs })
  for (const usedAt of ['2026-03-29', usedAtMs, null, {}]) {
    t.throws(() => parseTerms({ usedAt }, invalid), /usedAt must be a time with its zone/)
  }
})

t.test('what clocks show, and when', async t => {
  const berlin = new LocalClock('Europe/Berlin')
  const at = (clock: LocalClock, local: string) => new Date(clock.msAt(local)).toISOString()
  t.equal(at(berlin, '2026-03-29T01:59'), '2026-03-29T00:59:00.000Z')
  t.equal(at(berlin, '2026-03-29T02:30'), '2026-03-29T01:30:00.000Z', 'skipped: as if it went on')
  t.equal(at(berlin, '2026-10-25T02:30'), '2026-10-25T00:30:00.000Z', 'twice: the first')
  const hours = [0, 1].map(hour => berlin.exactMinuteAt(Date.UTC(2026, 9, 25, hour)))
  t.same(hours, ['2026-10-25T02:00+02:00', '2026-10-25T02:00+01:00'])
  const cairo = new LocalClock('Africa/Cairo')
  t.equal(at(cairo, '2026-04-24T00:00'), '2026-04-23T22:00:00.000Z', 'a midnight that is skipped')
  t.equal(cairo.minuteAt(cairo.msAt('2026-04-24T00:00')), '2026-04-24T01:00')
  for (const [zone, shown] of [
    ['Asia/Kolkata', '2026-01-01T05:30+05:30'],
    ['America/St_Johns', '2025-12-31T20:30-03:30'],
    ['Pacific/Kiritimati', '2026-01-01T14:00+14:00'],
    ['UTC', '2026-01-01T00:00+00:00'],
  ] as const) {
    const clock = new LocalClock(zone)
    t.equal(clock.exactMinuteAt(Date.UTC(2026, 0, 1)), shown)
    t.equal(clock.msAt(shown.slice(0, 16)), Date.UTC(2026, 0, 1))
  }
})
