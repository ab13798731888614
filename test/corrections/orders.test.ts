import t, { type Test } from 'tap'
import { askFor, orderOf } from '../../parser/ledger/asking/orders.ts'
import { isFileOrder } from '../../parser/ledger/counting/carry-out.ts'
import { prove } from '../../parser/ledger/proving/verify.ts'
import { ledgerNames } from '../../parser/ledger/schema/tables.ts'
import { checkWitnesses } from '../../parser/ledger/schema/witnesses.ts'
import { openLedgerScene, openSession, startServer } from '../parser/ledger/helpers.ts'
import { NEW, named, OLD, OTHER, ordersScene, sums, zeros } from '../parser/ledger/orders-scene.ts'

// Corrections are orders in the ledger, and each is carried out as a batch like any other: exactly once.

const server = await startServer(t)
const scene = (t: Test, size?: number, onChunk?: () => void) =>
  ordersScene(t, server, size, onChunk)

for (const size of [1, 2, 100]) {
  t.test(`taken back, counted again, taken back, by ${size}`, async t => {
    const s = await scene(t, size)
    const [old, other] = [named(OLD), named(OTHER)]
    await s.given(old, other)
    const id = await s.ask('undo', old)
    t.match(await s.standing(id), { state: 'waiting', answer: null })
    t.same(await s.carryOut(), ['applied'])
    t.same(await s.totals(), sums(OTHER, zeros(OLD)))
    t.match(await s.row(old), { state: 'reverted', postings: 2, reason: 'wrong month' })
    t.ok((await s.row(old)).revertedAt)
    t.match(await s.standing(id), { state: 'done' })
    t.same(await s.todo('move'), [{ sequence: (await s.row(old)).sequence }])
    await s.proven()

    t.same(
      await s.ask('undo', old),
      await s.ask('undo', old),
      'asked again it is one more, for a file that is counted',
    )
    t.same(await s.carryOut(), ['declined'], 'and needless')
    t.same(await s.totals(), sums(OTHER, zeros(OLD)))

    await s.ask('redo', old)
    t.same(await s.carryOut(), ['done'])
    t.match(await s.row(old), { state: 'staged', postings: 2, reason: null })
    await s.countAll()
    t.same(await s.totals(), sums(OTHER, OLD))
    t.match(await s.row(old), { state: 'applied', postings: 3, revertedAt: null })
    await s.proven()

    await s.ask('undo', old)
    t.same(await s.carryOut(), ['applied'])
    t.same(await s.totals(), sums(OTHER, zeros(OLD)))
    t.match(await s.row(old), { state: 'reverted', postings: 4 })
    await s.proven()
  })

  for (const kind of ['undo', 'supersede'] as const) {
    t.test(`${kind}: stopped at every place, and gone on with by another, by ${size}`, async t => {
      for (let dieAfter = 1; ; dieAfter += 1) {
        let chunks = Number.NEGATIVE_INFINITY
        const s = await scene(t, size, () => {
          chunks += 1
          if (chunks === dieAfter) throw new Error('the process ends')
        })
        const old = named(OLD)
        await s.given(old, named(OTHER))
        if (kind === 'undo') await s.ask('undo', old)
        else {
          const supersedes = Buffer.from(old.sha256).toString('hex')
          t.ok(await s.record([named(NEW, { terms: { supersedes } })]))
        }
        chunks = 0
        const isOver = await s.carryOut().then(
          () => true,
          () => false,
        )
        await s.proven()
        const another = await openLedgerScene(t, s.address, {
          env: { COUNTERSINK_CHUNK_PAIRS_MAX: '3' },
          instance: Buffer.alloc(16, 8),
        })
        await another.ledger.open()
        await s.session.execute("UPDATE countersink_lease SET until = '2001-01-01'")
        const open = (await s.ledger.openBatches()).map(() => 'applied')
        t.same(await s.carryOut(another.ledger), open)
        t.same(
          await s.totals(),
          kind === 'undo' ? sums(OTHER, zeros(OLD)) : sums(OTHER, NEW, zeros(OLD)),
        )
        t.match(await s.session.query('SELECT state FROM countersink_order'), [{ state: 'done' }])
        await s.proven()
        if (isOver) break
      }
    })
  }
}

t.test('a total that has too little: nothing is changed, and consumers are named', async t => {
  const s = await scene(t, 2)
  const old = named(OLD)
  await s.given(old)
  await s.session.execute('UPDATE consumption SET resource_consumption = 6 WHERE id = 3')
  await s.session.execute('DELETE FROM consumption WHERE id = 0')
  const before = await s.totals()
  const id = await s.ask('undo', old)
  t.same(await s.carryOut(), ['declined'])
  t.same(await s.totals(), before)
  t.match(await s.standing(id), {
    state: 'refused',
    answer:
      /^TOTAL_TOO_SMALL: consumer 0 has no total, and 5 would be taken; consumer 3 stands at 6, and 7 would be taken/,
  })
  t.match(await s.row(old), { state: 'applied', postings: 1 })
  await s.session.execute('INSERT INTO consumption VALUES (0, 5)')
  await s.session.execute('UPDATE consumption SET resource_consumption = 7 WHERE id = 3')
  t.same(await s.ask('undo', old), id, 'asked again it is the same')
  t.same(await s.carryOut(), ['applied'])
  t.same(await s.totals(), sums(zeros(OLD)))
})

t.test('an order for a file that is not counted yet waits', async t => {
  const s = await scene(t)
  const old = named(OLD)
  t.ok(await s.record([old]))
  const id = await s.ask('undo', old)
  t.same(await s.carryOut(), ['waits'])
  t.match(await s.standing(id), {
    state: 'waiting',
    answer: /waits until f\d+ is counted: it is staged/,
  })
  await s.countAll()
  t.same(await s.ask('undo', old), id, 'it is the same order then')
  t.same(await s.carryOut(), ['applied'])
  t.same(await s.totals(), sums(zeros(OLD)))
})

t.test('one that is not begun, as something has changed, was not taken back', async t => {
  const s = await scene(t)
  const old = named(OLD)
  await s.given(old)
  const id = await s.ask('undo', old)
  const [order] = await s.ledger.counter.waitingOrders(1)
  await s.session.execute("UPDATE countersink_order SET state = 'refused'")
  t.match(await s.ledger.counter.carryOut(order!), { kind: 'waits', why: /has changed meanwhile/ })
  t.same(await s.totals(), sums(OLD))
  t.same(await s.ask('undo', old), id)
  t.match(await s.ledger.counter.carryOut(order!), { kind: 'applied' })
  t.same(await s.totals(), sums(zeros(OLD)))
})

t.test('asked again it is the same as long as it would bring about the same', async t => {
  const s = await scene(t)
  const old = named(OLD)
  await s.given(old)
  const first = await s.ask('undo', old)
  await s.session.execute("UPDATE countersink_file SET state = 'reverting', postings = 2")
  t.same(await s.ask('undo', old), first, 'while it is taken back')
  await s.session.execute("UPDATE countersink_file SET state = 'applied', postings = 3")
  t.same(await s.carryOut(), ['declined'], 'of a file that has moved on since')
  t.match(await s.standing(first), { state: 'refused', answer: /ask again/ })
})

t.test('counted again and refused, it is no sign of an older database', async t => {
  const s = await scene(t)
  const old = named(OLD)
  await s.given(old)
  for (const kind of ['undo', 'redo'] as const) {
    await s.ask(kind, old)
    await s.carryOut()
  }
  await s.session.execute('DELETE FROM countersink_todo')
  await s.session.execute(
    "UPDATE countersink_file SET state = 'refused', reason = 'TOTAL_REFUSED: x'",
  )
  const row = await s.row(old)
  await checkWitnesses(s.session, ledgerNames(s.config), [
    { sha256: row.sha256, sequence: row.sequence },
  ])
  const proof = await prove(s.session, s.config, {
    journal: [{ sha256: row.sha256, sequence: row.sequence }],
    consumers: undefined,
  })
  t.same(proof.findings, [])
})

t.test('blocks that are gone: nothing is moved', async t => {
  const s = await scene(t, 1)
  const old = named(OLD)
  await s.given(old)
  const before = await s.totals()
  await s.session.execute('DELETE FROM countersink_sums WHERE file_sequence > 0')
  await s.ask('undo', old)
  t.same(await s.carryOut(), ['declined'])
  t.same(await s.totals(), before)
})

t.test('signed and decimal columns', async t => {
  for (const type of ['DECIMAL(30,0)', 'DECIMAL(20,0) UNSIGNED']) {
    const address = await server.database()
    const session = await openSession(t, address)
    await session.execute(
      `CREATE TABLE consumption (id BIGINT UNSIGNED PRIMARY KEY, resource_consumption ${type} NOT NULL)`,
    )
    const s = await openLedgerScene(t, address, { env: { COUNTERSINK_CHUNK_PAIRS_MAX: '2' } })
    const { uuid } = await s.ledger.open()
    await s.ledger.takeOpening()
    await s.ledger.counter.takeLease()
    const file = named([
      [1n, 5n],
      [2n, 2n ** 62n],
      [3n, 8n],
    ])
    t.ok(await s.record([file]))
    t.same(
      await s.ledger.counter.countStaged({
        id: Buffer.alloc(16, 1),
        files: await s.ledger.counter.waiting(9),
      }),
      { kind: 'applied' },
    )
    await session.execute('UPDATE consumption SET resource_consumption = 4 WHERE id = 1')
    const n = ledgerNames(s.config)
    const row = (await s.ledger.find(file.sha256))!
    await askFor(session, n, orderOf('undo', uuid, row, ''))
    const [order] = (await s.ledger.counter.waitingOrders(1)).filter(isFileOrder)
    t.match(
      await s.ledger.counter.carryOut(order!),
      { kind: 'declined', why: /consumer 1 stands at 4/ },
      type,
    )
    await session.execute('UPDATE consumption SET resource_consumption = 5 WHERE id = 1')
    await askFor(session, n, orderOf('undo', uuid, row, ''))
    t.match(await s.ledger.counter.carryOut(order!), { kind: 'applied' })
    t.same(await s.totals(), { 1: '0', 2: '0', 3: '0' })
  }
})
