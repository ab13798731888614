import t from 'tap'
import { type UsagePace, UsageUpkeep, usagePace } from '../../../parser/counting/usage-upkeep.ts'
import type { Unrolled } from '../../../parser/ledger/index.ts'
import { createLog } from '../../../shared/log.ts'
import { eventually } from '../../shared/helpers.ts'

// When what was counted is brought into its periods: a little while behind, and under load once it is much.

type Kind = 'done' | 'goes on' | 'later' | 'failed' | 'recorder'

/** The ledger, as far as the pace asks it. */
function upkeepScene({ pace = {}, pauseMs = 0 }: { pace?: Partial<UsagePace>; pauseMs?: number }) {
  const scene = {
    isIdle: true,
    isCounter: true,
    /** Nobody else counts. */
    isFree: true,
    waiting: undefined as Unrolled | undefined,
    looks: 0,
    results: [] as Kind[],
    /** What was to be begun. */
    asked: [] as string[],
  }
  const counter = {
    get isCounter() {
      return scene.isCounter
    },
    takeLease: async () => scene.isFree,
  }
  const roller = {
    async unrolled() {
      scene.looks += 1
      return scene.waiting
    },
    async goOn(rollUps: string) {
      scene.asked.push(rollUps)
      const kind = scene.results.shift() ?? 'done'
      return kind === 'failed' ? { kind, why: 'it is broken' } : { kind }
    },
  }
  const lines: string[] = []
  const upkeep = new UsageUpkeep({
    ledger: { counter, roller } as never,
    log: createLog('test', line => void lines.push(line)),
    pauseMs: () => pauseMs,
    pace: { ...usagePace(30_000), lookMs: 0, ...pace },
    isIdle: () => scene.isIdle,
  })
  return { scene, upkeep, lines }
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
      const isBegun = async (now: { isIdle: boolean; isCounter: boolean }): Promise<boolean> => {
        const { scene, upkeep } = upkeepScene({})
        Object.assign(scene, now, { waiting: unrolled })
        t.equal(await upkeep.goOn(), false)
        // At leisure what is old is looked for at first.
        if (now.isIdle) t.equal(scene.asked.length, 1)
        return scene.asked.includes('one')
      }
      t.equal(await isBegun({ isIdle: true, isCounter: true }), leisure, `${what}, at leisure`)
      t.equal(await isBegun({ isIdle: false, isCounter: true }), load, `${what}, under load`)
      t.equal(
        await isBegun({ isIdle: true, isCounter: false }),
        load,
        `${what}, of a parser that does not count`,
      )
    }
  },
)

t.test('nothing is done where usage is not kept by time, or somebody else counts', async t => {
  const { scene, upkeep } = upkeepScene({})
  t.equal(await upkeep.goOn(), false)
  t.same([scene.asked, upkeep.report], [[], undefined])
  scene.waiting = waiting(2, 5, 1_499)
  scene.isFree = false
  t.equal(await upkeep.goOn(), false)
  t.same([scene.asked, upkeep.report], [[], { postings: 2, ageSeconds: 1 }])
  scene.isFree = true
  await upkeep.goOn()
  t.same(scene.asked, [], 'what is old is looked for by whoever counts')
  scene.waiting = waiting(2_048, 5, 1_499)
  await upkeep.goOn()
  t.same(scene.asked, ['one'])
})

t.test('what is under way goes on, whatever waits, without a look', async t => {
  const { scene, upkeep } = upkeepScene({ pace: { lookMs: 1e9 } })
  scene.waiting = waiting(2_048, 1, 0)
  scene.results = ['goes on', 'goes on', 'done']
  t.equal(await upkeep.goOn(), true)
  scene.waiting = waiting(0, 0, 0)
  scene.isIdle = false
  t.equal(await upkeep.goOn(), true)
  t.equal(scene.looks, 1, 'it was not looked again')
  t.equal(await upkeep.goOn(), false)
  t.same(scene.asked, ['one', 'one', 'one'])
  t.equal(await upkeep.goOn(), false, 'nothing is left')
  t.same([scene.looks, scene.asked.length], [2, 3], 'and it was looked at once')
})

t.test('what fails is said once, and tried again after growing pauses', async t => {
  const { scene, upkeep, lines } = upkeepScene({})
  scene.waiting = waiting(2_048, 1, 0)
  scene.results = ['failed', 'failed', 'failed', 'done']
  for (let i = 0; i < 3; i += 1) {
    t.equal(await upkeep.goOn(), false)
    t.match(upkeep.report, { postings: 2_048, why: 'it is broken' })
  }
  t.equal(lines.filter(line => line.includes('USAGE_BLOCKED')).length, 1)
  await upkeep.goOn()
  t.equal(upkeep.report?.why, undefined)
  t.equal(scene.asked.length, 4)
  for (const kind of ['failed', 'later'] as const) {
    const slow = upkeepScene({ pauseMs: 1e9 })
    slow.scene.waiting = waiting(2_048, 1, 0)
    slow.scene.results = [kind]
    await slow.upkeep.goOn()
    await slow.upkeep.goOn()
    t.equal(slow.scene.asked.length, 1, `${kind}: not before its pause is over`)
  }
})

t.test('what was left in the middle is gone on with, though nothing new waits', async t => {
  for (const kind of ['later', 'failed'] as const) {
    const { scene, upkeep } = upkeepScene({})
    scene.waiting = waiting(2_048, 1, 0)
    scene.results = ['done', kind, 'done']
    await upkeep.goOn()
    await upkeep.goOn()
    // The roll-up that is under way is as one that waits.
    scene.waiting = waiting(1, 0, 0)
    await upkeep.goOn()
    t.same(scene.asked, ['one', 'one', 'none'], kind)
    await upkeep.goOn()
    t.equal(scene.asked.length, 3, 'and then it is at its end')
  }
})

t.test('what is left out, and another time zone, are said once and stand in status', async t => {
  const { scene, upkeep, lines } = upkeepScene({})
  const zones = { ledger: 'UTC', setting: 'Asia/Kolkata' }
  scene.isIdle = false
  scene.waiting = { ...waiting(0, 0, 0), zones }
  for (let look = 0; look < 3; look += 1) await upkeep.goOn()
  t.match(upkeep.report, { postings: 0, why: /^TIME_ZONE_DIFFERS: .* UTC, .* Asia\/Kolkata here/ })
  scene.waiting = { ...waiting(1, 1, 0), leftOut: ['a', 'b', 'c', 'd', 'e', 'f'], zones }
  for (let look = 0; look < 3; look += 1) await upkeep.goOn()
  t.match(upkeep.report, { postings: 7, why: /^BLOCK_UNREADABLE: .*: a, b, c, d, e, and others$/ })
  t.equal(lines.length, 1 + 6)
  scene.waiting = waiting(0, 0, 0)
  await upkeep.goOn()
  t.equal(upkeep.report, undefined)
})

t.test('whoever only records looks again soon', async t => {
  const { scene, upkeep } = upkeepScene({})
  scene.waiting = waiting(2_048, 1, 0)
  scene.results = ['recorder', 'done']
  t.equal(await upkeep.goOn(), false)
  t.equal(await upkeep.goOn(), false)
  t.same(scene.asked, ['one', 'one'])
})

t.test('it looks again and again until it is stopped', async t => {
  const { scene, upkeep } = upkeepScene({})
  const stop = new AbortController()
  const running = upkeep.run(stop.signal)
  await eventually('it has looked', () => scene.looks >= 2)
  stop.abort()
  await t.resolves(running)
})
