import t from 'tap'
import { newBatchId } from '../../parser/ledger/batch.ts'
import { U64_MAX } from '../../shared/limits.ts'
import { asTotals, fileOf, type Pairs, startServer } from '../parser/ledger/helpers.ts'
import { eventually, failureOf } from '../shared/helpers.ts'
import { CHECK, files, GOOD, RAISE, REST, retreatScene } from './retreat-scene.ts'

// Somebody else makes a row impossible in the middle of a batch: it is taken back, the guilty file is
// refused, and the others are counted.

const server = await startServer(t)

for (const [what, done, reason] of [
  [
    'a CHECK is added',
    [CHECK],
    /^refused: TOTAL_REFUSED: MariaDB refuses the row of consumer 4: a CHECK .*\(4025: .*quota/,
  ],
  ['a total is raised', [RAISE], /^refused: TOTAL_OVERFLOW: consumer 4 stands at/],
] as const) {
  for (const [size, behind] of [
    [1, 3],
    [2, 1],
  ] as const) {
    t.test(`${what} behind chunk ${behind} of ${size}: the guilty file is refused`, async t => {
      const s = await retreatScene(t, server, files(), [{ behind, done }], size)
      t.match(await s.count(s.id), { kind: 'given back', unreadable: { length: 0 } })
      t.match(await s.states(), ['staged', reason, 'staged'])
      const raised = what === 'a total is raised' ? { 4: String(U64_MAX - 500n) } : {}
      t.same(await s.sums(), raised, 'all of it is taken back')
      t.same([await s.rows('batch'), await s.rows('posting'), await s.rows('todo')], [0, 0, 2])
      t.same(await s.countOthers(), { kind: 'applied' })
      const four = raised[4] === undefined ? 11n : U64_MAX - 500n + 11n
      t.same(await s.sums(), { ...REST, 4: String(four) })
      t.match(await s.states(), ['applied', reason, 'applied'])
      t.same(s.outages, [])
    })
  }
}

t.test('none is to blame by itself: all wait again, to be tried one by one', async t => {
  const both = [[[4n, 600n]], [[4n, 600n]], [[9n, 1n]]].map((pairs, i) =>
    fileOf([[1n, 1n], ...(pairs as unknown as Pairs)], { workSequence: i + 1 }),
  )
  const s = await retreatScene(t, server, both, [{ behind: 1, done: [CHECK] }])
  t.match(await s.count(s.id), { kind: 'given back' })
  t.same(await s.states(), ['staged', 'staged', 'staged'])
  t.same(await s.sums(), {})
  t.equal(await s.rows('todo'), 3)
})

t.test(
  'while it is looked for who is to blame, others have their turn, and the lease is kept',
  async t => {
    const many: Pairs = Array.from({ length: 1_000 }, (_, i) => [BigInt(i + 1), 1n])
    const given = [many, [[4n, 2_000n] as const]].map((pairs, i) =>
      fileOf(pairs, { workSequence: i + 1 }),
    )
    const s = await retreatScene(t, server, given, [{ behind: 2, done: [CHECK] }], 1, 400)
    let isOver = false
    const counting = failureOf(s.count(s.id)).finally(() => {
      isOver = true
    })
    const beats = async (): Promise<bigint> => {
      const [row] = await s.session.query<{ beat: bigint }>(
        'SELECT moves AS beat FROM countersink_lease',
      )
      return row!.beat
    }
    await eventually('all of it is taken back', async () => {
      const [row] = await s.session.query<{ pairs: bigint }>(
        "SELECT pairs_applied AS pairs FROM countersink_batch WHERE state = 'retreating'",
      )
      return row?.pairs === 0n
    })
    const before = await beats()
    await eventually('the lease is renewed', async () => (await beats()) > before + 1n)
    t.ok(await s.ledger.find(given[0]!.sha256))
    t.equal(isOver, false, 'and it still looks')
    const reason = new Error('stop')
    s.abort.abort(reason)
    t.equal(await counting, reason)
    t.match(await s.session.query('SELECT state FROM countersink_batch'), [{ state: 'retreating' }])
  },
)

t.test(
  'a total lowered meanwhile: blocked as it stands, and finished once it is mended',
  async t => {
    const lower = 'UPDATE consumption SET resource_consumption = 0 WHERE id = 1'
    const s = await retreatScene(t, server, files(), [{ behind: 3, done: [CHECK, lower] }])
    t.match(await s.count(s.id), { kind: 'blocked', reason: /has lowered it/ })
    t.match(await s.ledger.openBatches(), [{ state: 'blocked', cursorId: 3n }])
    const before = await s.totals()
    t.match(await s.count(s.id), { kind: 'blocked' }, 'tried again, nothing changes')
    t.same(await s.totals(), before)
    t.same(await s.states(), ['applying', 'applying', 'applying'])
    t.match(await s.ledger.openBatches(), [{ state: 'blocked', cursorId: 3n }])

    const other = fileOf([[8n, 8n]], { workSequence: 9 })
    const [row] = (await s.record([other]))!
    const neighbour = { id: newBatchId(), files: [row!] }
    t.same(await s.ledger.counter.countStaged(neighbour), { kind: 'applied' }, 'others go on')

    await s.session.execute('UPDATE consumption SET resource_consumption = 1 WHERE id = 1')
    t.match(await s.count(s.id), { kind: 'given back' })
    t.match(await s.states(), ['staged', /^refused: /, 'staged'])
    t.same(await s.countOthers(), { kind: 'applied' })
    t.same(await s.sums(), { ...REST, 8: '8' })
  },
)

t.test('it stands still in the middle, and goes on there: nothing is taken back twice', async t => {
  const lower = 'UPDATE consumption SET resource_consumption = 0 WHERE id = 2'
  const s = await retreatScene(t, server, files(), [{ behind: 3, done: [CHECK, lower] }])
  t.match(await s.count(s.id), { kind: 'blocked' })
  // Of 1 it was taken back before 2 was met.
  t.match(await s.totals(), { 1: '0', 2: '0', 3: '3' })
  await s.session.execute('UPDATE consumption SET resource_consumption = 102 WHERE id = 2')
  t.match(await s.count(s.id), { kind: 'given back' })
  t.same(await s.sums(), {})
})

t.test('refused ones that are published again are counted once it is mended', async t => {
  const s = await retreatScene(t, server, files(), [{ behind: 3, done: [CHECK] }])
  await s.count(s.id)
  await s.countOthers()
  const row = (await s.ledger.find(files()[1]!.sha256))!
  await s.session.execute('ALTER TABLE consumption DROP CONSTRAINT quota')
  for (let times = 0; times < 2; times += 1) {
    await s.ledger.offerAgain(row, {
      ...{ name: 'again', workSequence: 70, origin: undefined },
      ...{ claimedAtMs: 5_000, digestedAtMs: 6_000 },
    })
    const [offered] = await s.ledger.counter.waiting(99)
    t.match(offered, {
      claimedAt: '1970-01-01 00:00:05.000',
      digestedAt: '1970-01-01 00:00:06.000',
    })
  }
  t.same(await s.states(), ['applied', 'staged', 'applied'])
  t.same(await s.countOthers(), { kind: 'applied' })
  t.same(await s.sums(), { ...REST, 2: '102', 4: '2011' })
  const found = await s.ledger.find(files()[1]!.sha256)
  t.match(found, { name: 'again', workSequence: 70n, state: 'applied', reason: null })
})

t.test('a file that would make a total too large is refused before anything begins', async t => {
  const s = await retreatScene(t, server, files(), [])
  await s.session.execute(RAISE)
  await s.session.execute('UPDATE countersink_meta SET total_upper_bound = ?', [`${U64_MAX}`])
  t.match(await s.count(s.id), { kind: 'given back' })
  t.match(await s.states(), ['staged', /TOTAL_OVERFLOW: consumer 4 stands/, 'staged'])
  t.same([await s.rows('batch'), await s.rows('todo')], [0, 2], 'nothing was begun')
  t.same(await s.countOthers(), { kind: 'applied' })
  t.same(await s.sums(), { ...REST, 4: String(U64_MAX - 500n + 11n) })
})

t.test('the lease is lost in mid-batch: nothing more is taken back either', async t => {
  const take = "UPDATE countersink_lease SET epoch = epoch + 1, holder = REPEAT('x', 16)"
  const s = await retreatScene(t, server, files(), [{ behind: 2, done: [CHECK, take] }])
  t.same(await s.count(s.id), { kind: 'recorder' })
  t.match(await s.ledger.openBatches(), [{ state: 'applying', cursorId: 2n }])
  t.same(await s.sums(), asTotals(GOOD.slice(0, 1).concat([[2n, 102n]])))
  t.equal(s.ledger.counter.isCounter, false)
})
