import t, { type Test } from 'tap'
import { findBatch } from '../../../parser/ledger/counting/batch-row.ts'
import { Lease } from '../../../parser/ledger/counting/lease.ts'
import { ledgerNames } from '../../../parser/ledger/schema/tables.ts'
import { eventually, failureOf, within } from '../../shared/helpers.ts'
import {
  asTotals,
  batchFor,
  fileOf,
  type LedgerScene,
  openLedgerScene,
  openSession,
  type Pairs,
  pairSource,
  startServer,
} from './helpers.ts'

// One of all parsers counts; who has lost the lease changes no total any more.

const server = await startServer(t)

async function scene(t: Test, lengthMs = 60_000) {
  const address = await server.database()
  const base = await openLedgerScene(t, address)
  await base.ledger.open()
  const names = ledgerNames(base.config)
  return {
    ...base,
    address,
    async holder(number: number) {
      const session = await openSession(t, address)
      const instance = Buffer.alloc(16, number)
      return { session, lease: new Lease({ names, instance, lengthMs: () => lengthMs }) }
    },
    async row() {
      const [row] = await base.session.query<{ epoch: bigint; holder: Buffer; beat: bigint }>(
        'SELECT epoch, holder, moves AS beat, until > UTC_TIMESTAMP(3) AS held FROM countersink_lease',
      )
      return row
    },
  }
}

t.test('free: taken; held: by nobody else; released: taken at once', async t => {
  const { holder, row } = await scene(t)
  const [a, b] = [await holder(1), await holder(2)]
  t.match(await row(), { epoch: 0n, held: 0 })
  t.same([a.lease.isHeld, await a.lease.take(a.session), a.lease.isHeld], [false, true, true])
  t.match(await row(), { epoch: 1n, holder: Buffer.alloc(16, 1), held: 1 })
  t.same([await b.lease.take(b.session), b.lease.isHeld], [false, false])
  t.match(await failureOf(b.lease.fence(b.session)), { code: 'LEASE_LOST' })
  await a.lease.fence(a.session)
  t.match(await row(), { epoch: 1n, beat: 2n })
  await b.lease.release(b.session)
  t.match(await row(), { held: 1 }, 'another cannot let go of it')
  await a.lease.release(a.session)
  await a.lease.release(a.session)
  t.match(await row(), { epoch: 1n, held: 0 })
  t.equal(await b.lease.take(b.session), true)
  t.match(await row(), { epoch: 2n, holder: Buffer.alloc(16, 2) })
})

t.test('its own former life is not waited for, and counts no longer', async t => {
  const { holder } = await scene(t)
  const [former, next] = [await holder(1), await holder(1)]
  await former.lease.take(former.session)
  t.equal(await next.lease.take(next.session), true)
  t.match(await failureOf(former.lease.fence(former.session)), { code: 'LEASE_LOST' })
  t.equal(former.lease.isHeld, false)
  await next.lease.fence(next.session)
})

t.test('many that want it at once: one has it', async t => {
  const { holder } = await scene(t)
  for (let round = 0; round < 5; round += 1) {
    const all = await Promise.all([1, 2, 3, 4, 5, 6].map(holder))
    const held = await Promise.all(all.map(({ lease, session }) => lease.take(session)))
    t.equal(held.filter(Boolean).length, 1)
    for (const { lease, session } of all) await lease.release(session)
  }
})

t.test('not renewed for its length it is taken, however much its holder believes', async t => {
  const { holder } = await scene(t, 150)
  const [a, b] = [await holder(1), await holder(2)]
  await a.lease.take(a.session)
  await eventually('it is free', () => b.lease.take(b.session))
  t.equal(a.lease.isHeld, true, 'it does not know yet')
  await a.session.execute('START TRANSACTION')
  t.match(await failureOf(a.lease.fence(a.session)), { code: 'LEASE_LOST' })
  await a.session.rollback()
  t.equal(a.lease.isHeld, false)
})

t.test('kept by whoever counts and writes nothing for long, when it is worth it', async t => {
  const { holder, row } = await scene(t, 400)
  const [a, b] = [await holder(1), await holder(2)]
  await a.lease.take(a.session)
  await eventually('it is renewed', async () => {
    await a.lease.keep(a.session)
    return (await row())!.beat > 2n
  })
  const { beat } = (await row())!
  for (let times = 0; times < 3; times += 1) await a.lease.fence(a.session)
  await a.lease.keep(a.session)
  t.match(await row(), { beat: beat + 3n }, 'not right after it was')
  await eventually('it runs out', () => b.lease.take(b.session))
  t.match(await failureOf(a.lease.keep(a.session)), { code: 'LEASE_LOST' })
  t.equal(a.lease.isHeld, false)
})

t.test('a stop between two chunks lets go of it', async t => {
  const { ledger, session, abort, count } = await openLedgerScene(t, await server.database(), {
    env: { COUNTERSINK_CHUNK_PAIRS_MAX: '1' },
    onChunk: () => abort.abort(new Error('stop')),
  })
  await ledger.open()
  const batch = batchFor([1n, 2n].map(id => [id, id]))
  t.match(await failureOf(count(batch)), { message: 'stop' })
  t.equal(ledger.counter.isCounter, true)
  await ledger.close()
  const held = 'SELECT until > UTC_TIMESTAMP(3) AS held FROM countersink_lease'
  t.match(await session.query(held), [{ held: 0 }])
  t.match(await session.query('SELECT state, cursor_id AS at FROM countersink_batch'), [
    { state: 'applying', at: 1n },
  ])
})

t.test(
  'a holder that is stopped in mid-transaction is not waited for longer than that',
  async t => {
    const { address, totals } = await scene(t)
    const env = { COUNTERSINK_TAKEOVER_MS: '1000' }
    const first = await openLedgerScene(t, address, { env, instance: Buffer.alloc(16, 3) })
    const pairs: Pairs = [[1n, 5n]]
    let isStopped = false
    let goOn = (): void => {}
    const stopped = batchFor(pairs)
    // What is between two statements of it takes very long, once.
    const sums = pairSource(pairs, async () => {
      if (isStopped) return
      isStopped = true
      await new Promise<void>(resolve => {
        goOn = resolve
      })
    })
    const counting = first.count({ ...stopped, sums })
    await eventually('it is in the middle', () => isStopped)
    const second = await openLedgerScene(t, address, { env, instance: Buffer.alloc(16, 4) })
    await eventually('another counts', () => second.ledger.counter.takeLease())
    t.match(await second.count(batchFor([[2n, 7n]])), { kind: 'applied' })
    t.same(await totals(), { 2: '7' })
    goOn()
    t.match(await within('it notices', counting), { kind: 'recorder' })
    t.same(await totals(), { 2: '7' }, 'and has changed nothing')
  },
)

t.test('a holder that was replaced between two chunks stops there', async t => {
  const { address, session } = await scene(t)
  const env = { COUNTERSINK_CHUNK_PAIRS_MAX: '1', COUNTERSINK_TAKEOVER_MS: '100' }
  const pairs: Pairs = [1n, 2n, 3n].map(id => [id, id])
  const first = await openLedgerScene(t, address, {
    ...{ env, instance: Buffer.alloc(16, 3) },
    onChunk() {
      throw new Error('it sleeps')
    },
  })
  const batch = batchFor(pairs)
  await failureOf(first.count(batch))
  const second = await openLedgerScene(t, address, { env, instance: Buffer.alloc(16, 4) })
  await eventually('another counts', () => second.ledger.counter.takeLease())
  const files = await first.ledger.filesOf(batch.id)
  t.equal(first.ledger.counter.isCounter, true, 'it does not know yet')
  const late = await first.ledger.counter.countStaged({ id: batch.id, files })
  t.same(late, { kind: 'recorder' })
  t.same(await first.totals(), { 1: '1' })
  t.equal(first.ledger.counter.isCounter, false)
  const counted = await second.ledger.counter.countStaged({ id: batch.id, files })
  t.same(counted, { kind: 'applied' })
  t.same(await first.totals(), asTotals(pairs))
  t.match(await findBatch(session, batch.id, ledgerNames(first.config)), { state: 'applied' })
})

/** What each of several parsers does with its files: counts what it may, and records the rest. */
async function bringIn(one: LedgerScene, batches: readonly ReturnType<typeof batchFor>[]) {
  for (const batch of batches) {
    const result = await one.count(batch)
    if (result.kind === 'recorder') await one.record(batch.files)
  }
}

/** Counts what waits, whoever has recorded it, until nothing does. */
async function countAll(all: readonly LedgerScene[]): Promise<void> {
  for (let i = 1; ; i += 1) {
    const one = all[i % all.length]!
    const files = await one.ledger.counter.waiting(5)
    if (files.length === 0) return
    await one.ledger.counter.takeLease()
    await one.ledger.counter.countStaged({ id: batchFor([]).id, files })
  }
}

for (const parsers of [2, 4]) {
  t.test(`${parsers} parsers, the same files and others: each content counts once`, async t => {
    const address = await server.database()
    const env = { COUNTERSINK_CHUNK_PAIRS_MAX: '3', COUNTERSINK_TAKEOVER_MS: '300' }
    const all = await Promise.all(
      Array.from({ length: parsers }, (_, i) =>
        openLedgerScene(t, address, { env, instance: Buffer.alloc(16, i + 1) }),
      ),
    )
    await Promise.all(all.map(({ ledger }) => ledger.open()))
    const contents: Pairs[] = Array.from({ length: 12 }, (_, i) =>
      Array.from({ length: 1 + (i % 6) }, (_, k) => [BigInt(k * 5 + (i % 3)), BigInt(i + k)]),
    )
    const work = all.map((one, p) => {
      // The first half is brought in by all of them, and the other by one each.
      const mine = contents.flatMap((pairs, i) =>
        i < 6 || i % parsers === p
          ? [batchFor(pairs, { sha256: Buffer.alloc(32, i + 1), workSequence: i + 1 })]
          : [],
      )
      return bringIn(one, mine)
    })
    await within('all is brought in', Promise.all(work))
    await within('all is counted', countAll(all), 60_000)
    const expected = new Map<bigint, bigint>()
    for (const [id, amount] of contents.flat()) {
      expected.set(id, (expected.get(id) ?? 0n) + amount)
    }
    t.same(await all[0]!.totals(), asTotals([...expected]))
    t.same([await all[0]!.rows('file'), await all[0]!.rows('posting')], [12, 12])
    t.same(await all[0]!.ledger.openBatches(), [])
  })
}

t.test('a file recorded by one that ends is counted by another', async t => {
  const { address } = await scene(t)
  const first = await openLedgerScene(t, address, { instance: Buffer.alloc(16, 3) })
  await first.record([fileOf([[1n, 5n]])])
  await first.ledger.close()
  const second = await openLedgerScene(t, address, { instance: Buffer.alloc(16, 4) })
  await countAll([second])
  t.same(await second.totals(), { 1: '5' })
  const [row] = await second.ledger.appliedAfter(0n, 9)
  t.match(row, { instance: Buffer.alloc(16, 3), state: 'applied' })
})
