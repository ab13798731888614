import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { askFor, orderOf, orderStanding } from '../../../parser/ledger/asking/orders.ts'
import { type BatchFile, newBatchId } from '../../../parser/ledger/batch.ts'
import { isFileOrder } from '../../../parser/ledger/counting/carry-out.ts'
import { membersOf } from '../../../parser/ledger/counting/signed-chunks.ts'
import type { Ledger } from '../../../parser/ledger/index.ts'
import { prove } from '../../../parser/ledger/proving/verify.ts'
import { ledgerNames } from '../../../parser/ledger/schema/tables.ts'
import { checkWitnesses } from '../../../parser/ledger/schema/witnesses.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import {
  asTotals,
  fileOf,
  openLedgerScene,
  openSession,
  type Pairs,
  startServer,
} from './helpers.ts'

// Corrections are orders in the ledger, and each is carried out as a batch like any other: exactly once.

const server = await startServer(t)

const OLD: Pairs = [
  [0n, 5n],
  [1n, 0n],
  [2n, 2n ** 53n + 1n],
  [3n, 7n],
  [2n ** 63n, 3n],
  [U64_MAX, 2n ** 62n],
]
const NEW: Pairs = [
  [0n, 5n],
  [2n, 2n ** 53n],
  [3n, 9n],
  [4n, 0n],
  [5n, 11n],
  [U64_MAX, 2n ** 62n],
]
const OTHER: Pairs = [
  [0n, 1n],
  [3n, 100n],
  [9n, 9n],
]

let names = 0
const named = (pairs: Pairs, more: Partial<BatchFile> = {}): BatchFile => {
  names += 1
  return fileOf(pairs, { name: `f${names}`, workSequence: names, ...more })
}

async function scene(t: Test, size = 2, onChunk: () => void = () => {}) {
  const address = await server.database()
  const env = { COUNTERSINK_CHUNK_PAIRS_MAX: String(size), COUNTERSINK_TAKEOVER_MS: '400' }
  const base = await openLedgerScene(t, address, { env, onChunk })
  const { uuid } = await base.ledger.open()
  await base.ledger.takeOpening()
  const { session, ledger } = base
  const n = ledgerNames(base.config)
  const countAll = async (by: Ledger = ledger): Promise<void> => {
    await by.counter.takeLease()
    const files = await by.counter.waiting(99)
    if (files.length > 0) {
      t.same(await by.counter.countStaged({ id: newBatchId(), files }), { kind: 'applied' })
    }
  }
  return {
    ...base,
    address,
    countAll,
    async given(...files: readonly BatchFile[]) {
      t.ok(await base.record(files))
      await countAll()
    },
    row: async (file: BatchFile) => (await ledger.find(file.sha256))!,
    async ask(kind: 'undo' | 'redo', file: BatchFile, reason = 'wrong month') {
      const request = orderOf(kind, uuid, (await ledger.find(file.sha256))!, reason)
      await askFor(session, n, request)
      return request.id
    },
    standing: (id: Buffer) => orderStanding(session, n, id),
    /** As whoever counts does: what has begun, then what is asked for. */
    async carryOut(by: Ledger = ledger): Promise<string[]> {
      await by.counter.takeLease()
      const kinds: string[] = []
      for (const { id, kind } of await by.openBatches()) {
        const files = membersOf(await by.filesOf(id))
        kinds.push((await by.counter.goOn({ id, kind, files })).kind)
      }
      for (const order of (await by.counter.waitingOrders(9)).filter(isFileOrder)) {
        kinds.push((await by.counter.carryOut(order)).kind)
      }
      return kinds
    },
    async proven(): Promise<void> {
      const proof = await prove(session, base.config, {
        journal: [],
        consumers: { differencesMax: 5 },
      })
      t.same(proof.findings, [])
      t.match(proof.consumers, { differencesCount: 0, unreadableCount: 0 })
    },
    todo: (kind: string) =>
      session.query('SELECT file_sequence AS sequence FROM countersink_todo WHERE kind = ?', [
        kind,
      ]),
  }
}

/** Of several files together, with those consumers whose rows stay at zero. */
function sums(...files: readonly Pairs[]): Record<string, string> {
  const all = new Map<bigint, bigint>()
  for (const [id, amount] of files.flat()) all.set(id, (all.get(id) ?? 0n) + amount)
  return asTotals([...all])
}
const zeros = (pairs: Pairs): Pairs => pairs.map(([id]) => [id, 0n])

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

  t.test(`a content in place of another, by ${size}`, async t => {
    const between: Record<string, string>[] = []
    let look: (() => Promise<void>) | undefined
    const s = await scene(t, size, () => void look?.())
    const old = named(OLD)
    await s.given(old, named(OTHER))
    const supersedes = Buffer.from(old.sha256).toString('hex')
    const other = named(NEW, { terms: { supersedes, reason: 'a line was twice' } })
    t.ok(await s.record([other]))
    t.same(await s.ledger.counter.waiting(9), [], 'it is not counted by itself')
    await s.proven()
    look = async () => void between.push(await s.totals())
    t.same(await s.carryOut(), ['applied'])
    look = undefined
    t.same(await s.totals(), sums(OTHER, NEW, zeros(OLD)))
    t.match(await s.row(old), { state: 'reverted', reason: 'a line was twice', postings: 2 })
    t.match(await s.row(other), {
      state: 'applied',
      postings: 1,
      supersedes: Buffer.from(old.sha256),
    })
    const [before, after] = [sums(OTHER, OLD), sums(OTHER, NEW, zeros(OLD))]
    for (const totals of between) {
      for (const [id, total] of Object.entries(totals)) {
        if (total !== before[id] && total !== after[id]) t.fail(`${id} stood at ${total} meanwhile`)
      }
    }
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

t.test('a total that is lowered meanwhile: all of it is given back', async t => {
  let lower: (() => Promise<void>) | undefined
  const s = await scene(t, 1, () => void lower?.())
  const old = named(OLD)
  await s.given(old)
  const supersedes = Buffer.from(old.sha256).toString('hex')
  const other = named(NEW, { terms: { supersedes } })
  t.ok(await s.record([other]))
  const beside = await openSession(t, s.address)
  lower = async () => {
    lower = undefined
    await beside.execute(
      'UPDATE consumption SET resource_consumption = 0 WHERE id = 9223372036854775808',
    )
  }
  const kinds = await s.carryOut()
  t.same(kinds, ['given back'])
  t.same(await s.totals(), {
    ...sums(OLD, [
      [4n, 0n],
      [5n, 0n],
    ]),
    [String(2n ** 63n)]: '0',
  })
  t.match(await s.row(old), { state: 'applied', postings: 1 })
  t.match(await s.row(other), {
    state: 'refused',
    reason: /^TOTAL_TOO_SMALL: consumer 9223372036854775808/,
  })
  t.match(await s.session.query('SELECT state, batch_id AS batch FROM countersink_order'), [
    { state: 'refused', batch: null },
  ])
})

t.test('what cannot be replaced leaves its successor refused, in words', async t => {
  const s = await scene(t)
  const old = named(OLD)
  const supersedes = Buffer.from(old.sha256).toString('hex')
  const early = named(NEW, { terms: { supersedes } })
  t.ok(await s.record([early]))
  t.same(await s.carryOut(), ['declined'])
  t.match(await s.row(early), { state: 'refused', reason: /^NOT_SUPERSEDED: .*was never counted/ })
  await s.given(old)
  await s.ask('undo', old)
  t.same(await s.carryOut(), ['applied'])
  const late = named(NEW, { terms: { supersedes } })
  t.ok(await s.record([late]))
  t.same(await s.carryOut(), ['declined'])
  t.match(await s.row(late), { state: 'refused', reason: /was taken back before/ })
  t.same(await s.totals(), sums(zeros(OLD)))
  await s.proven()
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

t.test('one that is to be counted in its own place is not, and holds up nobody', async t => {
  const s = await scene(t)
  const sha256 = createHash('sha256').update('itself').digest()
  const terms = { supersedes: sha256.toString('hex') }
  const itself = named(NEW, { sha256, terms })
  t.ok(await s.record([itself]))
  t.same(await s.carryOut(), ['declined'])
  t.match(await s.row(itself), { state: 'refused', reason: /waits for it/ })
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

t.test('replaced, taken back, and replaced once more', async t => {
  const s = await scene(t, 100)
  const old = named(OLD)
  await s.given(old)
  const supersedes = Buffer.from(old.sha256).toString('hex')
  const other = named(NEW, { terms: { supersedes } })
  t.ok(await s.record([other]))
  t.same(await s.carryOut(), ['applied'])
  await s.ask('undo', other)
  await s.ask('redo', old)
  t.same((await s.carryOut()).sort(), ['applied', 'done'])
  await s.countAll()
  await s.ask('redo', other)
  await s.carryOut()
  await s.session.execute('DELETE FROM countersink_todo')
  await s.session.execute(
    `UPDATE countersink_file SET state = 'refused' WHERE sequence = ${(await s.row(other)).sequence}`,
  )
  const row = await s.row(other)
  const offer = { name: 'again', workSequence: 99, claimedAtMs: 1, digestedAtMs: 2 }
  await s.ledger.offerAgain(row, { ...offer, terms: { supersedes } })
  t.same(await s.carryOut(), ['applied'])
  t.same(await s.totals(), sums(NEW, zeros(OLD)))
  await s.proven()
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
