import t from 'tap'
import { type UsagePace, UsageUpkeep, usagePace } from '../../../parser/counting/usage-upkeep.ts'
import type { Unrolled } from '../../../parser/ledger/index.ts'
import { createLog } from '../../../shared/log.ts'

// When what was counted is brought into its periods: a little while behind, and under load once it is much.

type Kind = 'done' | 'goes on' | 'later' | 'failed' | 'recorder'

/** Whoever counts, as far as the pace asks it. */
function upkeepScene({ pace = {}, pauseMs = 0 }: { pace?: Partial<UsagePace>; pauseMs?: number }) {
  const counter = {
    isCounter: true,
    waiting: undefined as Unrolled | undefined,
    looks: 0,
    results: [] as Kind[],
    asked: [] as string[],
    async unrolled() {
      counter.looks += 1
      return counter.waiting
    },
    async keepUsage(rollUps: string) {
      counter.asked.push(rollUps)
      const kind = counter.results.shift() ?? 'done'
      return kind === 'failed' ? { kind, why: 'it is broken' } : { kind }
    },
  }
  const lines: string[] = []
  const upkeep = new UsageUpkeep({
    ledger: { counter } as never,
    log: createLog('test', line => void lines.push(line)),
    pauseMs: () => pauseMs,
    pace: { ...usagePace(30_000), lookMs: 0, ...pace },
  })
  return { counter, upkeep, lines }
}

const waiting = (postings: number, pairs: number, ageMs: number): Unrolled => ({
  ...{ postings, pairs, ageMs, leftOut: [] },
})

t.test('a pace is told by one setting', async t => {
  t.match(usagePace(30_000), {
    lookMs: 2_000,
    due: { ageMs: { atLeisure: 30_000, underLoad: 300_000 } },
  })
  t.match(usagePace(100), { lookMs: 100, due: { ageMs: { atLeisure: 100, underLoad: 1_000 } } })
})

t.test(
  'old enough, many enough or large enough; later under load, and where another one counts',
  async t => {
    const MUCH = 128_000_000
    const cases: readonly (readonly [Unrolled, leisure: boolean, load: boolean])[] = [
      [waiting(1, 1, 29_999), false, false],
      [waiting(1, 1, 30_000), true, false],
      [waiting(1, 1, 299_999), true, false],
      [waiting(1, 1, 300_000), true, true],
      [waiting(2_047, 1, 0), false, false],
      [waiting(2_048, 1, 0), true, true],
      [waiting(1, MUCH - 1, 0), false, false],
      [waiting(1, MUCH, 0), true, true],
      [waiting(0, 0, 0), false, false],
    ]
    for (const [unrolled, leisure, load] of cases) {
      const what = JSON.stringify(unrolled)
      const { counter, upkeep } = upkeepScene({})
      counter.waiting = unrolled
      // What is old is looked for at first.
      upkeep.leaveToOthers()
      t.equal(await upkeep.isDue(true), leisure, `${what}, at leisure`)
      t.equal(await upkeep.isDue(false), load, `${what}, under load`)
      counter.isCounter = false
      t.equal(await upkeep.isDue(true), load, `${what}, of a parser that does not count`)
      counter.isCounter = true
      await upkeep.isDue(true)
      await upkeep.goOn()
      t.same(counter.asked, [leisure ? 'one' : 'none'], `${what}, is what is begun`)
    }
  },
)

t.test('nothing is done where usage is not kept by time', async t => {
  const { counter, upkeep } = upkeepScene({})
  t.equal(await upkeep.isDue(true), false)
  t.equal(upkeep.report, undefined)
  counter.waiting = waiting(2, 5, 1_499)
  t.equal(await upkeep.isDue(true), true, 'at first what is old is looked for')
  t.same(upkeep.report, { postings: 2, ageSeconds: 1 })
})

t.test('what is under way goes on while nothing else waits, without a look', async t => {
  const { counter, upkeep } = upkeepScene({ pace: { lookMs: 1e9 } })
  counter.waiting = waiting(2_048, 1, 0)
  counter.results = ['goes on', 'goes on', 'done']
  t.equal(await upkeep.isDue(true), true)
  t.equal(await upkeep.goOn(), true)
  counter.waiting = waiting(0, 0, 0)
  t.equal(await upkeep.isDue(true), true)
  t.equal(await upkeep.goOn(), true)
  t.equal(counter.looks, 1, 'it was not looked again')
  t.equal(await upkeep.isDue(true), true)
  t.equal(await upkeep.goOn(), false)
  t.equal(await upkeep.isDue(true), false, 'nothing is left')
  t.equal(counter.looks, 2, 'and it was looked at once')
})

t.test('what fails is said once, and tried again after growing pauses', async t => {
  const { counter, upkeep, lines } = upkeepScene({})
  counter.waiting = waiting(2_048, 1, 0)
  counter.results = ['failed', 'failed', 'failed', 'done']
  for (let i = 0; i < 3; i += 1) {
    t.equal(await upkeep.isDue(true), true)
    t.equal(await upkeep.goOn(), false)
    t.match(upkeep.report, { postings: 2_048, why: 'it is broken' })
  }
  t.equal(lines.filter(line => line.includes('USAGE_BLOCKED')).length, 1)
  t.equal(await upkeep.isDue(true), true)
  await upkeep.goOn()
  t.equal(upkeep.report?.why, undefined)
  for (const kind of ['failed', 'later'] as const) {
    const slow = upkeepScene({ pauseMs: 1e9 })
    slow.counter.waiting = waiting(2_048, 1, 0)
    slow.counter.results = [kind]
    t.equal(await slow.upkeep.isDue(true), true)
    await slow.upkeep.goOn()
    t.equal(await slow.upkeep.isDue(true), false, `${kind}: not before its pause is over`)
  }
})

t.test('what is left out, and another time zone, are said once and stand in status', async t => {
  const { counter, upkeep, lines } = upkeepScene({})
  const zones = { ledger: 'UTC', setting: 'Asia/Kolkata' }
  counter.waiting = { ...waiting(0, 0, 0), zones }
  for (let look = 0; look < 3; look += 1) await upkeep.isDue(false)
  t.match(upkeep.report, { postings: 0, why: /^TIME_ZONE_DIFFERS: .* UTC, .* Asia\/Kolkata here/ })
  counter.waiting = { ...waiting(1, 1, 0), leftOut: ['a', 'b', 'c', 'd', 'e', 'f'], zones }
  for (let look = 0; look < 3; look += 1) await upkeep.isDue(false)
  t.match(upkeep.report, { postings: 7, why: /^BLOCK_UNREADABLE: .*: a, b, c, d, e, and others$/ })
  t.equal(lines.length, 1 + 6)
  counter.waiting = waiting(0, 0, 0)
  await upkeep.isDue(false)
  t.equal(upkeep.report, undefined)
})

t.test('whoever only records looks again soon', async t => {
  const { counter, upkeep } = upkeepScene({})
  counter.waiting = waiting(2_048, 1, 0)
  counter.results = ['recorder', 'done']
  t.equal(await upkeep.isDue(true), true)
  t.equal(await upkeep.goOn(), false)
  t.equal(await upkeep.isDue(true), true)
})
