import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Sums } from '../../../parser/sums/sums.ts'
import { deferred } from '../../../shared/handoff.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { workName } from '../../../shared/paths.ts'
import { eventually } from '../../shared/helpers.ts'
import { digestOf } from '../journal/helpers.ts'
import {
  asTotals,
  batchFor,
  openLedgerScene,
  type Pairs,
  pairSource,
  startServer,
} from '../ledger/helpers.ts'
import { stagesScene } from '../recording/stages-scene.ts'

// Where this parser counts: what was read here, and what waits in the ledger.

const server = await startServer(t)
const scene = async (t: Test) => stagesScene(t, await server.database())

const A: Pairs = [
  [1n, 5n],
  [2n, 6n],
]
const LARGE: Pairs = [1n, 2n, 3n, 4n, 5n].map(id => [id, id])

t.test('what waits together is counted in one batch, and settled', async t => {
  const { read, hand, settled, totals, rows, outcomes, stages, closed } = await scene(t)
  await hand(read('a', A), read('b', [[2n, 1n]]), read('c', [[1n, 9n]]))
  await settled(3)
  t.same(outcomes, { a: 'applied', b: 'applied', c: 'applied' })
  t.same(await totals(), { 1: '14', 2: '7' })
  t.equal(await rows('file'), 3)
  t.ok((await rows('batch')) <= 2, 'whatever waits while a batch is applied goes into the next')
  t.same(new Set(closed), new Set(['a', 'b', 'c']), 'their sums are let go of')
  for (const took of Object.values(stages)) {
    t.match(took, { queuedMs: Number, readMs: Number, waitedMs: Number, countMs: Number })
  }
})

t.test('what does not fit one transaction, alone or together, is recorded first', async t => {
  const { read, hand, settled, totals, rows, outcomes } = await scene(t)
  await hand(read('large', LARGE), read('a', A), read('b', [[9n, 9n]]))
  await settled(3)
  t.same(outcomes, { large: 'applied', a: 'applied', b: 'applied' })
  t.same(await totals(), { 1: '6', 2: '8', 3: '3', 4: '4', 5: '5', 9: '9' })
  t.same([await rows('file'), await rows('posting'), await rows('todo')], [3, 3, 0])
})

t.test('what somebody else has recorded is counted too', async t => {
  const { read, hand, settled, totals, record, outcomes, rows } = await scene(t)
  await record([...batchFor(LARGE).files, ...batchFor([[7n, 7n]], { workSequence: 2 }).files])
  await hand(read('a', A))
  await settled(1)
  await eventually('all is counted', async () => (await rows('todo')) === 0)
  await eventually('all is in the totals', async () => (await totals())[7] === '7')
  t.same(outcomes, { a: 'applied' })
  t.equal((await totals())[5], '5')
})

t.test('the file that makes a total too large is quarantined, the others are counted', async t => {
  for (const large of [[[3n, 1n]] as Pairs, LARGE]) {
    const s = await scene(t)
    await s.count(batchFor([[3n, U64_MAX]]))
    await s.hand(s.read('a', A), s.read('guilty', large), s.read('c', [[9n, 9n]]))
    await s.settled(3)
    t.same(s.outcomes, { a: 'applied', guilty: 'quarantined', c: 'applied' })
    const processed = [1, 2, 3].map(number => s.journal.processed(number))
    t.match(
      processed.find(file => file?.name === 'guilty'),
      { reason: /^TOTAL_OVERFLOW: consumer 3 stands at/ },
    )
    t.same(await s.totals(), { ...asTotals(A), 3: String(U64_MAX), 9: '9' })
  }
})

t.test('the file whose row is refused is quarantined, the others are counted', async t => {
  for (const bad of [[[77n, 5_000n]] as Pairs, [...LARGE, [77n, 5_000n] as const]]) {
    const s = await scene(t)
    await s.count(batchFor([[3n, 1n]]))
    await s.session.execute(
      'ALTER TABLE consumption ADD CONSTRAINT quota CHECK (resource_consumption < 1000)',
    )
    await s.hand(s.read('a', A), s.read('guilty', bad), s.read('c', [[9n, 9n]]))
    await s.settled(3)
    t.same(s.outcomes, { a: 'applied', guilty: 'quarantined', c: 'applied' })
    const totals = await s.totals()
    t.same(Object.fromEntries(Object.entries(totals).filter(([, sum]) => sum !== '0')), {
      ...asTotals(A),
      3: '1',
      9: '9',
    })
    t.same(await s.ledger.openBatches(), [])
  }
})

t.test('files that make a refused row only together are tried alone', async t => {
  const s = await scene(t)
  await s.count(batchFor([[3n, 1n]]))
  await s.session.execute(
    'ALTER TABLE consumption ADD CONSTRAINT quota CHECK (resource_consumption < 1000)',
  )
  const each: Pairs = [...LARGE.slice(0, 2), [8n, 600n]]
  await s.hand(s.read('one', each), s.read('two', each))
  await s.settled(2)
  t.same(Object.values(s.outcomes).sort(), ['applied', 'quarantined'])
  t.match(await s.totals(), { 8: '600' })
})

t.test('one that is not any more what was read is quarantined', async t => {
  const { read, hand, settled, outcomes, paths, totals, journal } = await scene(t)
  const changed = read('changed', A)
  const { sequence, name } = changed.entry
  writeFileSync(join(paths.work, workName(sequence, name)), 'longer than it was')
  await hand(changed)
  await settled(1)
  t.same(outcomes, { changed: 'quarantined' })
  t.match(journal.processed(1), {
    reason: /^CHANGED_AFTER_CLAIM: 10 bytes were read, now it has 18/,
  })
  t.same(await totals(), {})
})

t.test('names that were counted with other contents are told', async t => {
  const { read, hand, settled, count, namesakes } = await scene(t)
  await count(batchFor([[5n, 5n]], { name: 'a', sha256: Buffer.alloc(32, 4) }))
  await hand(read('a', A))
  await settled(1)
  await eventually('it is told', () => namesakes.length > 0)
  t.same(namesakes, ['a'])
})

t.test('and of those that were recorded first; one that was refused is none', async t => {
  const { read, hand, settled, count, namesakes, outcomes } = await scene(t)
  await count(batchFor([[5n, U64_MAX]], { name: 'a', sha256: Buffer.alloc(32, 4) }))
  await hand(read('a', LARGE.slice(0, 4)))
  await settled(1)
  await eventually('it is told', () => namesakes.length > 0)
  t.same(namesakes, ['a'])
  await hand(read('b', LARGE))
  await settled(2)
  t.same(outcomes, { a: 'applied', b: 'quarantined' })
  await hand(read('b', [[9n, 9n]], { digest: digestOf('another', { amount: 9n }) }))
  await eventually('it is settled', () => outcomes.b === 'applied')
  t.same(namesakes, ['a'])
})

t.test('a batch that stands still is said, and gone on with', async t => {
  const s = await scene(t)
  const { sequence } = (await s.record(batchFor(LARGE).files))![0]!
  await eventually('it is counted', async () => (await s.rows('todo')) === 0)
  await eventually('to its end', async () => (await s.ledger.openBatches()).length === 0)
  await s.session.execute('UPDATE consumption SET resource_consumption = 0 WHERE id = 2')
  await s.session.execute("UPDATE countersink_file SET state = 'applying'")
  // Last: it is gone on with at once.
  await s.session.execute(
    `UPDATE countersink_batch SET state = 'retreating' WHERE id =
       (SELECT batch_id FROM countersink_posting WHERE file_sequence = ?)`,
    [sequence],
  )
  await eventually('it is said', () =>
    /^batch .* is blocked: .*lowered/.test(s.staged.reason ?? ''),
  )
  const said = s.log.lines.filter(({ fields }) => fields.code === 'BATCH_BLOCKED')
  t.equal(said.length, 1, 'once')
  await s.hand(s.read('a', [[9n, 9n]]))
  await s.settled(1)
  t.same(s.outcomes, { a: 'applied' }, 'nothing else waits for it')
  await s.session.execute('UPDATE consumption SET resource_consumption = 2 WHERE id = 2')
  await eventually('it goes on', async () => (await s.ledger.openBatches()).length === 0)
  await eventually('and is counted again', async () => (await s.totals())[5] === '5')
  t.equal(s.staged.reason, undefined)
})

t.test(
  'a batch that stands still waits for its time, and is forgotten once it has ended',
  async t => {
    const s = await stagesScene(t, await server.database(), {
      ...{ countsNothing: true, env: { COUNTERSINK_TAKEOVER_MS: '60000' } },
    })
    await s.ledger.counter.takeLease()
    await s.record(batchFor(LARGE).files)
    t.ok(await s.staged.countNext())
    await s.session.execute('UPDATE consumption SET resource_consumption = 0 WHERE id = 2')
    await s.session.execute("UPDATE countersink_file SET state = 'applying'")
    await s.session.execute("UPDATE countersink_batch SET state = 'retreating'")
    t.ok(await s.staged.hasOpen())
    t.ok(await s.staged.finishOpen())
    t.match(s.staged.reason, /is blocked: .*lowered/)
    t.notOk(await s.staged.hasOpen(), 'nobody need take the lease for it now')
    t.match(s.staged.reason, /is blocked/)
    // As another parser does once somebody has mended it.
    await s.session.execute("UPDATE countersink_batch SET state = 'applied'")
    t.notOk(await s.staged.hasOpen())
    t.equal(s.staged.reason, undefined)
  },
)

t.test('a stop lets go of all sums, in hand and not yet taken', async t => {
  const { read, hand, closed, outcomes, stop, running, journal } = await scene(t)
  const asked = deferred()
  const goesOn = deferred()
  const close = async () => void closed.push('held')
  const held = read('held', A, {
    sums: {
      ...{ ...pairSource(A), close },
      async *chunks(...which: Parameters<Sums['chunks']>) {
        asked.resolve()
        await goesOn.promise
        yield* pairSource(A).chunks(...which)
      },
    },
  })
  await hand(held)
  await asked.promise
  const late = read('late', [[9n, 9n]])
  await hand(late)
  stop()
  goesOn.resolve()
  await running
  t.same([...new Set(closed)].sort(), ['held', 'late'])
  for (const { entry } of [held, late]) {
    if (outcomes[entry.name] !== undefined) continue
    t.match(journal.queued(entry.sequence), { stage: 'digested' }, 'the next start goes on')
  }
})

t.test('a file whose recorded sums cannot be read is read again', async t => {
  const s = await stagesScene(t, await server.database(), { countsNothing: true })
  const file = s.read('large', LARGE)
  await s.hand(file)
  await eventually('it is recorded', async () => (await s.row(file))?.state === 'staged')
  await s.session.execute('UPDATE countersink_sums SET block = LEFT(block, 9) LIMIT 1')
  t.ok(await s.ledger.counter.takeLease())
  t.ok(await s.staged.countNext())
  t.notOk(await s.staged.countNext(), 'it waits for whoever has the file')
  t.match(await s.row(file), { state: 'staging', reason: null })
  await eventually('it is read again', () => s.readAgain.includes(file.entry.sequence))
  t.same([await s.totals(), s.outcomes], [{}, {}])
})

t.test('where others record too, a batch is waited for until it is worth it', async t => {
  const address = await server.database()
  const rest = { lengths: Number.MAX_VALUE, msMax: Number.MAX_VALUE }
  const { ledger, staged, record, rows } = await stagesScene(t, address, {
    ...{ countsNothing: true, rest },
  })
  const other = await openLedgerScene(t, address, { instance: Buffer.alloc(16, 9) })
  await other.ledger.open()
  t.ok(await ledger.counter.takeLease())
  for (const by of [record, record, other.record]) {
    await by(batchFor(LARGE).files)
    const counts = await staged.countNext()
    t.equal(counts, by === record, 'what this parser has recorded alone waits for nothing')
  }
  const few = Array.from({ length: 62 }, () => batchFor(LARGE).files[0]!)
  await record(few)
  t.notOk(await staged.countNext())
  await record(batchFor(LARGE).files)
  t.ok(await staged.countNext(), 'more than these are never merged at once')
  t.same([await rows('todo'), await rows('batch')], [0, 3])
})
