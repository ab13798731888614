import t, { type Test } from 'tap'
import {
  findOverflow,
  provenWithinBound,
  tightenBound,
} from '../../../parser/ledger/counting/overflow.ts'
import { ledgerNames } from '../../../parser/ledger/schema/tables.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { failureOf } from '../../shared/helpers.ts'
import {
  batchFor,
  batchOfAll,
  fileOf,
  openLedgerScene,
  type Pairs,
  startServer,
} from './helpers.ts'

const server = await startServer(t)
const DECIMAL_MAX = 10n ** 10n - 1n
const INT_MAX = 2n ** 32n - 1n

async function scene(t: Test, columns?: string, chunkPairsMax = 10) {
  const base = await openLedgerScene(t, await server.database(), {
    env: { COUNTERSINK_CHUNK_PAIRS_MAX: String(chunkPairsMax) },
  })
  if (columns !== undefined) await base.session.execute(`CREATE TABLE consumption ${columns}`)
  const { range, uuid } = await base.ledger.open()
  const limits = { names: ledgerNames(base.config), range, uuid, between: async () => {} }
  return {
    ...{ ...base, limits },
    async bound(set?: bigint): Promise<bigint> {
      if (set !== undefined) {
        await base.session.execute('UPDATE countersink_meta SET total_upper_bound = ?', [`${set}`])
      }
      const [row] = await base.session.query<{ bound: string }>(
        'SELECT total_upper_bound AS bound FROM countersink_meta',
      )
      return BigInt(row?.bound ?? -1)
    },
  }
}

const SMALL_AMOUNT = '(id BIGINT UNSIGNED PRIMARY KEY, resource_consumption DECIMAL(10,0) NOT NULL)'
const GIVEN_BACK = { kind: 'given back' }
const SMALL_ID = '(id INT UNSIGNED PRIMARY KEY, resource_consumption BIGINT UNSIGNED NOT NULL)'

t.test('the bound proves what is below the maximum, and nothing beyond', async t => {
  const { session, limits, bound } = await scene(t)
  const prove = (largest: bigint, checked = false): Promise<boolean> =>
    provenWithinBound(session, largest, { ...limits, checked })
  t.equal(await prove(U64_MAX - 5n), true)
  t.equal(await prove(5n), true, 'up to the maximum itself')
  t.equal(await bound(), U64_MAX)
  t.equal(await prove(1n), false)
  t.equal(await bound(), U64_MAX, 'nothing is changed')
  t.equal(await prove(0n), true)
  t.equal(await prove(U64_MAX, true), true, 'the totals were looked at')
  t.equal(await bound(), U64_MAX, 'it ends at the maximum')
})

t.test('the bound is lowered to what totals and open batches allow', async t => {
  const { session, limits, bound, count } = await scene(t)
  await count(batchFor([[1n, 100n]]))
  await bound(U64_MAX)
  t.equal(await tightenBound(session, 7n, limits), true)
  t.equal(await bound(), 100n)
  const { sha256 } = batchFor([]).files[0]!
  await count(batchFor([[2n, 30n]], { sha256 }))
  await session.execute(
    `UPDATE countersink_batch SET state = 'applying' WHERE id =
       (SELECT batch_id FROM countersink_posting p JOIN countersink_file f ON f.sequence = p.file_sequence
         WHERE sha256 = ?)`,
    [Buffer.from(sha256)],
  )
  t.equal(await tightenBound(session, U64_MAX - 130n, limits), true)
  t.equal(await bound(), 130n, 'an open batch may still add its largest sum')
  t.equal(await tightenBound(session, U64_MAX - 129n, limits), false)
  await session.execute('UPDATE consumption SET resource_consumption = ? WHERE id = 1', [U64_MAX])
  t.equal(await tightenBound(session, 0n, limits), true)
  t.equal(await bound(), U64_MAX, 'never beyond the column')
})

t.test('a stale bound costs a look, and no file', async t => {
  const { totals, bound, count } = await scene(t)
  await count(batchFor([[1n, 5n]]))
  await bound(U64_MAX)
  t.match(await count(batchFor([[2n, U64_MAX - 5n]])), { kind: 'applied' })
  t.same(await totals(), { 1: '5', 2: String(U64_MAX - 5n) })
  t.equal(await bound(), U64_MAX)
  t.match(await count(batchFor([[1n, U64_MAX - 5n]])), { kind: 'applied' }, 'looked at')
  t.match(await count(batchFor([[1n, 1n]])), { kind: 'overflow' })
})

t.test('the guilty one of several files is named, and the others can go without it', async t => {
  const files: readonly Pairs[] = [
    [
      [1n, 1n],
      [2n, 1n],
    ],
    [[1n, 3n]],
    [
      [0n, U64_MAX],
      [1n, 2n],
    ],
    [[5n, 5n]],
  ]
  for (const [total, guilty, stands] of [
    [U64_MAX - 6n, undefined, 0n],
    [U64_MAX - 5n, 2, U64_MAX - 1n],
    [U64_MAX - 3n, 1, U64_MAX - 2n],
    [U64_MAX, 0, U64_MAX],
  ] as const) {
    const { session, limits, rows, totals, count } = await scene(t)
    await count(batchFor([[1n, total]]))
    const batch = batchOfAll(files)
    const found = await findOverflow(session, batch.files, limits)
    t.equal(found?.fileIndex, guilty, `from ${total}`)
    const result = await count(batch)
    if (guilty === undefined) {
      t.match(result, { kind: 'applied' })
      t.match(await totals(), { 1: String(U64_MAX), 2: '1', 5: '5' })
      continue
    }
    const text = new RegExp(`^consumer 1 stands at ${stands}; .*${U64_MAX}$`)
    const reason = { code: 'TOTAL_OVERFLOW', text }
    t.match(result, { kind: 'overflow', fileIndex: guilty, reason })
    t.same([await rows('batch'), await rows('file')], [1, 1], 'nothing is written')
    const others = batchOfAll(files.filter((_file, i) => i !== guilty))
    const rest = await count(others)
    t.equal(rest.kind, guilty === 0 ? 'overflow' : 'applied')
  }
})

t.test('files whose sums only pass together: the later one is named', async t => {
  const { totals, count } = await scene(t)
  await count(batchFor([[1n, U64_MAX - 10n]]))
  const pairs: readonly Pairs[] = [[[1n, 6n]], [[2n, 9n]], [[1n, 5n]]]
  t.match(await count(batchOfAll(pairs)), { kind: 'overflow', fileIndex: 2 })
  t.match(await count(batchOfAll(pairs.slice(0, 2))), { kind: 'applied' })
  t.same(await totals(), { 1: String(U64_MAX - 4n), 2: '9' })
})

t.test('a DECIMAL(10,0) column of totals', async t => {
  for (const size of [1, 10]) {
    const { ledger, totals, bound, limits, count } = await scene(t, SMALL_AMOUNT, size)
    t.equal(limits.range.amountMax, DECIMAL_MAX)
    const pairs: Pairs = [
      [1n, DECIMAL_MAX],
      [U64_MAX, 4n],
    ]
    t.match(await count(batchFor(pairs)), { kind: 'applied' })
    t.match(await count(batchFor([[U64_MAX, 1n]])), { kind: 'applied' })
    const first = [3n, 1n] as const
    const large = batchFor([first, [U64_MAX, DECIMAL_MAX - 4n]])
    const result = await count(large)
    const text = /stands at 5;.* 9999999999$/
    if (size > 1) t.match(result, { kind: 'overflow', fileIndex: 0, reason: { text } })
    else
      t.match([result, await ledger.find(large.files[0]!.sha256)], [GIVEN_BACK, { reason: text }])
    t.match(await count(batchFor([[4n, U64_MAX]])), { kind: 'overflow' }, 'by itself')
    t.same(await totals(), { 1: String(DECIMAL_MAX), [String(U64_MAX)]: '5' })
    t.equal(await bound(), DECIMAL_MAX)
  }
})

t.test('a consumer whose id the column does not take', async t => {
  // In one transaction, and in several: nothing may be begun that cannot be ended.
  for (const size of [10, 1]) {
    const { ledger, totals, rows, limits, count } = await scene(t, SMALL_ID, size)
    t.equal(limits.range.idMax, INT_MAX)
    t.match(await count(batchFor([[INT_MAX, 4n]])), { kind: 'applied' })
    const bad: Pairs = [
      [1n, 1n],
      [INT_MAX, 1n],
      [INT_MAX + 1n, 1n],
    ]
    const batch = batchOfAll([[[2n, 2n]], bad])
    const result = await count(batch)
    const text = /consumer 4294967296 .*4294967295/
    const reason = { code: 'ID_OUT_OF_RANGE', text }
    t.same(await totals(), { [String(INT_MAX)]: '4' })
    t.equal(await rows('batch'), 1)
    if (size > 1) {
      t.match(result, { kind: 'overflow', fileIndex: 1, reason }, `chunks of ${size}`)
      t.equal(await rows('file'), 1, 'nothing is written')
      continue
    }
    t.match(result, GIVEN_BACK)
    const [good, guilty] = await Promise.all(batch.files.map(file => ledger.find(file.sha256)))
    t.match(guilty, { state: 'refused', reason: text })
    t.match(good, { state: 'staged', reason: null }, 'its neighbour waits on')
    t.match(await ledger.counter.waiting(9), [{ sequence: good?.sequence }])
    const files = [good!]
    t.match(await ledger.counter.countStaged({ id: batch.id, files }), { kind: 'applied' })
    t.same(await totals(), { [String(INT_MAX)]: '4', 2: '2' })
  }
})

t.test('a total that somebody else raised, seen by one transaction', async t => {
  const { session, rows, count } = await scene(t)
  await count(batchFor([[1n, 1n]]))
  await session.execute('UPDATE consumption SET resource_consumption = ?', [U64_MAX])
  const result = await count(batchFor([[1n, 1n]]))
  t.match(result, { kind: 'overflow', fileIndex: 0 })
  t.equal(await rows('batch'), 1)
})

t.test('a stop ends it between two queries', async t => {
  const { session, limits } = await scene(t)
  const reason = new Error('stop')
  const one = batchFor([[1n, U64_MAX]]).files
  for (const [calls, files] of [
    [1, one],
    [3, [...one, ...one]],
  ] as const) {
    let left = calls
    const between = async (): Promise<void> => {
      left -= 1
      if (left === 0) throw reason
    }
    t.equal(await failureOf(findOverflow(session, files, { ...limits, between })), reason)
  }
})

t.test('nothing to look at', async t => {
  const { session, limits } = await scene(t)
  t.equal(await findOverflow(session, [], limits), undefined)
  t.equal(await findOverflow(session, [fileOf([]), fileOf([])], limits), undefined)
})
