import t, { type Test } from 'tap'
import {
  type OrderRequest,
  orderOf,
  pruneOrder,
  resetOrder,
} from '../../parser/ledger/asking/orders.ts'
import { prune } from '../../parser/ledger/closing/prune.ts'
import type { Session } from '../../parser/ledger/connection.ts'
import type { LedgerFile } from '../../parser/ledger/file-rows.ts'
import { fromSqlTime } from '../../parser/ledger/schema/tables.ts'
import { U64_MAX } from '../../shared/limits.ts'
import {
  type ClosingScene,
  closingScene,
  firstPairs,
  foreignTotals,
  SECOND,
} from '../parser/ledger/closing-scene.ts'
import { countOptionsOf } from '../parser/ledger/count-options.ts'
import { openLedgerScene, startServer } from '../parser/ledger/helpers.ts'

// What was counted before a time becomes part of the opening balance: no total changes, each still adds up.

const server = await startServer(t)

const FIRST = firstPairs(2n ** 62n)

/** By the clock of the server. */
async function nowMs(session: Session): Promise<number> {
  const [row] = await session.query<{ now: string }>(
    'SELECT UTC_TIMESTAMP(3) + INTERVAL 1000 MICROSECOND AS now',
  )
  await session.query('DO SLEEP(0.002)')
  return fromSqlTime(String(row!.now).slice(0, 23))
}

async function closed(s: ClosingScene): Promise<OrderRequest> {
  const request = pruneOrder(await nowMs(s.session), 'a year')
  await s.ask(request)
  return request
}

async function rowOf(s: ClosingScene, file: { sha256: Uint8Array }): Promise<LedgerFile> {
  return (await s.ledger.find(file.sha256))!
}

async function undone(s: ClosingScene, t: Test, row: LedgerFile): Promise<void> {
  await s.ask(orderOf('undo', s.uuid, row, 'wrong'))
  t.same(await s.carryOut(), ['applied'])
}

t.test('counted, taken back, emptied, given back: all of it is closed', async t => {
  const address = await server.database()
  await foreignTotals(t, address, {
    ...{ idType: 'BIGINT UNSIGNED', rows: `(2, 100), (4, -7), (5, ${2n ** 70n}), (6, 8)` },
  })
  const s = await closingScene(t, address)
  const files = [await s.counted(FIRST), await s.counted(SECOND), await s.counted(SECOND)]
  await undone(s, t, await rowOf(s, files[1]!))
  await s.ask(resetOrder(s.uuid, 'november'))
  t.same(await s.carryOut(), ['applied'])
  await s.counted(SECOND)
  const before = await s.totals()
  const first = await closed(s)
  const open = await s.counted(FIRST)
  await s.ask(orderOf('undo', s.uuid, await rowOf(s, open), 'wrong'))
  t.same(await s.carryOut(), ['done', 'applied'])
  t.match(await s.standing(first), {
    state: 'done',
    answer: /^the books are closed up to .* 5 files/,
  })
  t.match(await s.totals(), before)
  await s.proven(t)
  t.match(await s.account(2n), { opening: 1n, postings: [{ amount: 2n ** 62n }, {}] })
  t.match(await s.account(4n), { opening: -7n, postings: [] })
  t.match(await s.account(5n), { opening: 2n ** 70n, postings: [] })
  t.equal(await s.rows('sums'), (await blocksOf(s, open)) + (await blocksOf(s, 'opening')))
  t.ok((await blocksOf(s, open)) > 0)

  const undo = orderOf('undo', s.uuid, await rowOf(s, files[2]!), 'wrong')
  await s.ask(undo)
  t.same(await s.carryOut(), ['declined'])
  t.match(await s.standing(undo), { state: 'refused', answer: /^BOOKS_CLOSED/ })
  const redo = orderOf('redo', s.uuid, await rowOf(s, files[1]!), 'wrong')
  await s.ask(redo)
  t.same(await s.carryOut(), ['declined'])
  t.match(await s.standing(redo), { state: 'refused', answer: /^BOOKS_CLOSED/ })

  const again = pruneOrder(await nowMs(s.session), 'a year')
  await s.ask(again)
  t.same(await s.carryOut(), ['done'])
  await s.proven(t)
  t.match(await s.account(2n), { opening: 1n, postings: [] })
  t.equal(await s.rows('sums'), await blocksOf(s, 'opening'))
  await closed(s)
  t.same(await s.carryOut(), ['done'], 'nothing is left to be closed')
  await s.proven(t)
})

t.test(
  'totals that others have raised before they were emptied leave less than nothing',
  async t => {
    const s = await closingScene(t, await server.database())
    await s.counted(FIRST)
    await s.session.execute('UPDATE consumption SET resource_consumption = 55 WHERE id = 9')
    await s.ask(resetOrder(s.uuid, 'november'))
    t.same(await s.carryOut(), ['applied'])
    await s.proven(t, 1)
    await closed(s)
    t.same(await s.carryOut(), ['done'])
    await s.proven(t, 1)
    t.match(await s.account(9n), { opening: -54n, postings: [] })
    await s.session.execute('UPDATE consumption SET resource_consumption = 60 WHERE id = 9')
    await s.counted([[9n, 54n]])
    t.match(await s.account(9n), { opening: -54n, postings: [{ amount: 54n }] })
  },
)

for (const limits of [
  { rowsMax: 1, straysMax: 2 },
  { rowsMax: 4, straysMax: 3 },
]) {
  t.test(`in windows of ${limits.rowsMax}, of consumers without a total too`, async t => {
    const s = await closingScene(t, await server.database())
    for (let n = 0n; n < 6n; n += 1n) {
      await s.counted(Array.from({ length: 9 }, (_, i) => [BigInt(i) * 3n + n, n + 1n] as const))
    }
    const { totals } = s
    const before = await totals()
    await s.session.execute('DELETE FROM consumption WHERE id BETWEEN 4 AND 15')
    const request = pruneOrder(await nowMs(s.session), '')
    await s.ask(request)
    const [order] = await s.ledger.counter.waitingOrders(1)
    await s.ledger.close()
    const parts = prune(s.session, order!, { ...(await optionsOf(s)), limits })
    let step = await parts.next()
    for (; step.done !== true; step = await parts.next()) await s.proven(t, 12)
    t.same(step.value, { kind: 'done' })
    await s.proven(t, 12)
    for (const [id, total] of Object.entries(before)) {
      t.equal((await s.account(BigInt(id))).opening, BigInt(total))
    }
  })
}

t.test('a file that is taken back meanwhile, and one that cannot be read', async t => {
  const s = await closingScene(t, await server.database())
  const [one, other] = [await s.counted(FIRST), await s.counted(SECOND)]
  const request = await closed(s)
  const [order] = await s.ledger.counter.waitingOrders(1)
  const row = await rowOf(s, one)
  const address = s.address
  await s.ledger.close()
  const parts = prune(s.session, order!, await optionsOf(s))
  await parts.next()
  await s.session.execute(
    "UPDATE countersink_lease SET until = UTC_TIMESTAMP(3) - INTERVAL 1 SECOND, holder = ''",
  )
  const second = await openLedgerScene(t, address, { instance: Buffer.alloc(16, 8) })
  await second.ledger.open()
  await second.ledger.takeOpening()
  await s.ask(orderOf('undo', s.uuid, row, 'wrong'))
  await second.ledger.counter.takeLease()
  for (const each of await second.ledger.counter.waitingOrders(9)) {
    if (each.kind === 'undo')
      t.match(await second.ledger.counter.carryOut(each), { kind: 'applied' })
  }
  await t.rejects(async () => {
    for (let step = await parts.next(); step.done !== true; ) step = await parts.next()
  }, /another parser counts now/)
  await s.proven(t)

  const [block] = await s.session.query<{ block: Buffer }>(
    `SELECT block FROM countersink_sums WHERE file_sequence = ${await sequenceOf(s, other)}`,
  )
  await s.session.execute(
    `UPDATE countersink_sums SET block = CONCAT(block, 'x') WHERE file_sequence = ${await sequenceOf(s, other)}`,
  )
  t.same(await s.carryOut(second.ledger), ['declined'])
  t.match(await s.standing(request), { state: 'refused', answer: /^BLOCK_UNREADABLE: f2: / })
  await s.session.execute(
    `DELETE FROM countersink_sums WHERE file_sequence = ${await sequenceOf(s, other)}`,
  )
  await s.ask(request)
  t.same(await s.carryOut(second.ledger), ['declined'])
  t.match(await s.standing(request), { state: 'refused', answer: /^BLOCK_UNREADABLE: f2: / })
  t.ok(block)
  t.equal(await blocksOf(s, 'opening'), 0, 'nothing is left of it')
})

t.test('files that are not what they were when it began', async t => {
  const s = await closingScene(t, await server.database())
  await s.counted(FIRST)
  await s.counted(SECOND)
  const request = await closed(s)
  const [order] = await s.ledger.counter.waitingOrders(1)
  await s.ledger.close()
  const move = (days: number): Promise<number> =>
    s.session.execute('UPDATE countersink_batch SET ended_at = ended_at + INTERVAL ? DAY LIMIT 1', [
      days,
    ])
  const options = await optionsOf(s)
  const parts = prune(s.session, order!, options)
  await parts.next()
  await move(1)
  let step = await parts.next()
  while (step.done !== true) step = await parts.next()
  t.match(step.value, { kind: 'waits' })
  t.match(await s.standing(request), { state: 'waiting' })
  await s.proven(t)
  await move(-1)
  const again = prune(s.session, order!, options)
  step = await again.next()
  while (step.done !== true) step = await again.next()
  t.same(step.value, { kind: 'done' })
  await s.proven(t)
  t.equal(await s.rows('sums'), await blocksOf(s, 'opening'))
})

t.test('a time that has not come', async t => {
  const s = await closingScene(t, await server.database())
  await s.counted(FIRST)
  const request = pruneOrder(Date.now() + 1e9, '')
  await s.ask(request)
  t.same(await s.carryOut(), ['declined'])
  t.match(await s.standing(request), { answer: /has not come yet/ })
})

async function optionsOf(s: ClosingScene) {
  return countOptionsOf({
    ...s,
    ledger: { open: async () => ({ ...IDENTITY, uuid: s.uuid }) } as never,
  })
}
const IDENTITY = { range: { idMax: U64_MAX, amountMax: U64_MAX }, seesTriggers: true, warnings: [] }

async function sequenceOf(s: ClosingScene, file: { sha256: Uint8Array }): Promise<bigint> {
  const [row] = await s.session.query<{ sequence: bigint }>(
    'SELECT sequence FROM countersink_file WHERE sha256 = ?',
    [Buffer.from(file.sha256)],
  )
  return row!.sequence
}

async function blocksOf(s: ClosingScene, of: { sha256: Uint8Array } | 'opening'): Promise<number> {
  const where =
    of === 'opening' ? `file_sequence > ${2n ** 63n}` : `file_sequence = ${await sequenceOf(s, of)}`
  const [row] = await s.session.query<{ n: bigint }>(
    `SELECT COUNT(*) AS n FROM countersink_sums WHERE ${where}`,
  )
  return Number(row!.n)
}
