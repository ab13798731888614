import t from 'tap'
import { pruneOrder } from '../../../../parser/ledger/asking/orders.ts'
import type { Session } from '../../../../parser/ledger/connection.ts'
import { Lease } from '../../../../parser/ledger/counting/lease.ts'
import type { Ledger } from '../../../../parser/ledger/ledger.ts'
import { UsageKeeper } from '../../../../parser/ledger/periods/usage-keeper.ts'
import { prove } from '../../../../parser/ledger/proving/verify.ts'
import { ledgerNames } from '../../../../parser/ledger/schema/tables.ts'
import type { Sums } from '../../../../parser/sums/sums.ts'
import { Calendar } from '../../../../shared/time-zone.ts'
import { eventually } from '../../../shared/helpers.ts'
import {
  asTotals,
  batchFor,
  batchOf,
  fileOf,
  openLedgerScene,
  openSession,
  type Pairs,
  pairSource,
  startServer,
} from '../helpers.ts'
import { type UsageScene, usageScene } from './usage-scene.ts'

// Usage is brought into its periods beside counting, on a connection of its own: neither waits while the
// other works, and each finds what the other has done.

const server = await startServer(t)

const PAIRS: Pairs = [
  [1n, 5n],
  [2n, 7n],
  [9n, 2n ** 53n + 1n],
]
// Not so old that it would be dropped.
const DAY = '2040-02-29T23:30:00Z'

/** Goes on with roll-ups until there is no more to do. */
async function rolled({ roller }: Ledger): ReturnType<Ledger['roller']['goOn']> {
  for (;;) {
    const result = await roller.goOn('all')
    if (result.kind !== 'goes on') return result
  }
}

/** Somebody reads a day for long: a roll-up that has begun its chunk waits for him. */
async function withDayLocked(s: UsageScene, action: () => Promise<void>): Promise<void> {
  const reader = await openSession(t, s.address)
  await reader.execute('START TRANSACTION')
  await reader.query('SELECT * FROM countersink_usage_day FOR UPDATE')
  try {
    await action()
  } finally {
    await reader.execute('COMMIT')
  }
}

const rollUpWaits = (session: Session): Promise<boolean> =>
  eventually('the chunk has begun, and waits', async () => {
    const waiting = await session.query(
      `SELECT 1 FROM information_schema.processlist
        WHERE db = DATABASE() AND command = 'Query' AND info LIKE 'INSERT INTO%usage_day%'`,
    )
    return waiting.length === 1
  })

t.test('counting goes on while the chunk of a roll-up takes long', async t => {
  const s = await usageScene(t, await server.database())
  await s.used(PAIRS, DAY)
  await s.roll()
  await s.used(PAIRS, DAY)
  let rolling: Promise<unknown> = Promise.resolve()
  await withDayLocked(s, async () => {
    rolling = rolled(s.ledger)
    await rollUpWaits(s.session)
    const another: Pairs = [[3n, 4n]]
    t.match(await s.ledger.counter.countWhole(batchFor(another)), { kind: 'applied' })
    t.same(await s.totals(), { ...asTotals(PAIRS, 2n), ...asTotals(another) })
  })
  t.same(await rolling, { kind: 'done' })
  t.match(await s.ledger.roller.unrolled(), { postings: 0 })
  t.same((await s.proof()).findings, [])
})

t.test('what is counted and what is rolled up are packed apart', async t => {
  const s = await usageScene(t, await server.database())
  await s.used(PAIRS, DAY)
  const another: Pairs = [
    [3n, 4n],
    [4n, 2n ** 60n],
  ]
  const source = pairSource(another)
  let beside: object | undefined
  const sums: Sums = {
    ...source,
    async *chunks(pairsMax, after) {
      yield* source.chunks(pairsMax, after)
      // Its last block is not packed yet.
      beside = await rolled(s.ledger)
    },
  }
  const batch = batchOf([fileOf(another, { sums })], pairSource(another))
  t.match(await s.ledger.counter.countWhole(batch), { kind: 'applied' })
  t.match(beside, { kind: 'done' })
  t.same((await s.proof()).findings, [])
  t.match((await s.proof()).consumers, { differencesCount: 0, unreadableCount: 0 })
})

t.test('who loses the lease in the middle of a chunk has moved nothing', async t => {
  for (const isTakenBack of [false, true]) {
    const s = await usageScene(t, await server.database())
    await s.used(PAIRS, DAY)
    await s.roll()
    await s.used(PAIRS, DAY)
    const before = await s.usage()
    const other = await openLedgerScene(t, s.address, { instance: Buffer.alloc(16, 8) })
    await other.ledger.open()
    let rolling: Promise<unknown> = Promise.resolve()
    await withDayLocked(s, async () => {
      rolling = rolled(s.ledger)
      await rollUpWaits(s.session)
      await eventually('the lease has run out', () => other.ledger.counter.takeLease())
      if (isTakenBack) {
        await other.ledger.counter.releaseLease(other.session)
        // It finds out that it has lost it, and takes it once more.
        t.same(await s.ledger.counter.countWhole(batchFor([[3n, 4n]])), { kind: 'recorder' })
        t.equal(await s.ledger.counter.takeLease(), true)
      }
    })
    t.same(await rolling, { kind: 'recorder' }, `taken back: ${isTakenBack}`)
    t.same(await s.usage(), before)
    const next = isTakenBack ? s.ledger : other.ledger
    t.same(await rolled(next), { kind: 'done' })
    await s.agrees(t)
  }
})

t.test('the books are closed beside a roll-up', async t => {
  const s = await usageScene(t, await server.database(), { chunkPairs: 1_000_000 })
  const many: Pairs = Array.from({ length: 19_000 }, (_, i) => [BigInt(i) * 1_000n, BigInt(i)])
  for (let day = 1; day <= 6; day += 1) {
    await s.used(many, new Date(Date.UTC(2040, 0, day, 23)).toISOString())
  }
  const [now] = await s.session.query<{ ms: bigint | string }>(
    'SELECT UNIX_TIMESTAMP(NOW(3)) * 1000 AS ms',
  )
  await s.ask(pruneOrder(Math.floor(Number(now!.ms)), 'a year'))
  let isClosed = false
  const rolling = async (): Promise<void> => {
    while (!isClosed) {
      t.match(await s.ledger.roller.goOn('one'), { kind: /^(?:done|goes on|later)$/ })
    }
  }
  const closing = async (): Promise<void> => {
    while (!isClosed) isClosed = (await s.carryOut()).includes('done')
  }
  await Promise.all([rolling(), closing()])
  t.same(await s.session.query('SELECT COUNT(*) AS n FROM countersink_posting WHERE folded = 0'), [
    { n: 0n },
  ])
  const { findings } = await prove(s.session, s.config, {
    ...{ journal: [], consumers: { differencesMax: 5 } },
  })
  t.same(findings, [])
})

t.test('who closes the books and who rolls up do not begin anew in turn', async t => {
  const s = await usageScene(t, await server.database(), { chunkPairs: 1_000_000 })
  // So many blocks, days and consumers that it takes several parts to read them, and several to move them.
  const many: Pairs = Array.from({ length: 19_000 }, (_, i) => [
    BigInt(i) * 2n ** 48n + BigInt(i * i),
    BigInt(i) ** 9n % 2n ** 58n,
  ])
  for (let day = 1; day <= 18; day += 1) {
    await s.used(many, new Date(Date.UTC(2040, 0, day, 23)).toISOString())
  }
  t.ok((await s.rows('sums')) > 256)
  const [names, instance] = [ledgerNames(s.config), Buffer.alloc(16, 9)]
  const lease = new Lease({ names, instance, lengthMs: () => 60_000 })
  await eventually('the lease has run out', () => lease.take(s.session))
  const { signal } = s.abort
  const zonePath = undefined
  const keeper = new UsageKeeper({ names, config: s.config, instance, signal, lease, zonePath })
  const other = await openSession(t, s.address)
  // Each has its turn after every part, in which some hundred look at the clock.
  let nowMs = performance.now()
  const clock = t.intercept(performance, 'now', {
    value: () => {
      nowMs += 5
      return nowMs
    },
  })
  const closing = keeper.all(s.session)
  for (let turns = 1; ; turns += 1) {
    const { done } = await closing.next()
    if (done) break
    if (turns === 200) return t.fail('it does not come to its end')
    await keeper.goOn(other, 'one')
  }
  clock.restore()
  t.same(await keeper.goOn(other, 'none'), { kind: 'done' }, 'and then it goes on by itself')
  t.match(await keeper.unrolled(other), { postings: 0 })
})

t.test('what is on its way to its periods stays open where usage is not kept', async t => {
  const s = await usageScene(t, await server.database())
  const file = await s.used(PAIRS, DAY)
  const parts = await s.parts()
  await parts.next()
  t.same(await s.session.query('SELECT state FROM countersink_rollup'), [{ state: 'applying' }])
  await s.session.execute('UPDATE countersink_lease SET until = UTC_TIMESTAMP(3) - INTERVAL 1 DAY')
  const other = await openLedgerScene(t, s.address, {
    instance: Buffer.alloc(16, 8),
    env: { COUNTERSINK_USAGE: 'off' },
  })
  await other.ledger.open()
  await s.ask(pruneOrder(Date.now(), 'a year'))
  t.same(await s.carryOut(other.ledger), ['done'])
  t.match(await s.ledger.find(file.sha256), { state: 'applied' })
  await other.ledger.counter.releaseLease(other.session)
  t.same(await rolled(s.ledger), { kind: 'recorder' })
  t.equal(await s.ledger.counter.takeLease(), true)
  t.same(await rolled(s.ledger), { kind: 'done' })
  await s.agrees(t)
})

t.test('days are made anew of what is still open when it is begun', async t => {
  const s = await usageScene(t, await server.database())
  const first = await s.used(PAIRS, DAY)
  await s.roll()
  await s.used(PAIRS, DAY)
  await s.roll()
  // Where days were chosen to be made anew, and before that was begun, the books were closed over one file.
  const parts = await s.parts({
    timeZone: 'Asia/Kolkata',
    between: async () => {},
    wantedZone: async () => 'Asia/Kolkata',
  })
  const { sequence } = (await s.ledger.find(first.sha256))!
  let isClosed = false
  const query = s.session.query.bind(s.session)
  t.intercept(s.session, 'query', {
    value: async (sql: string, values?: readonly unknown[]) => {
      const rows = await query(sql, values)
      if (!isClosed && sql.includes('p.day, f.name')) {
        isClosed = true
        await s.session.execute(
          'UPDATE countersink_posting SET folded = 1 WHERE file_sequence = ?',
          [sequence],
        )
      }
      return rows
    },
  })
  let step = await parts.next()
  while (step.done !== true) step = await parts.next()
  t.equal(step.value, 'done')
  t.ok(isClosed)
  const days = await query<{ day: string; dayBefore: string | null }>(
    'SELECT day, day_before AS dayBefore FROM countersink_posting ORDER BY file_sequence',
  )
  const dayThere = new Calendar('Asia/Kolkata').dayOf(Date.parse(DAY))
  t.same(days, [
    { day: DAY.slice(0, 10), dayBefore: null },
    { day: dayThere, dayBefore: null },
  ])
})
