import t from 'tap'
import { fromSqlTime } from '../../../parser/ledger/schema/tables.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { failureOf } from '../../shared/helpers.ts'
import {
  asTotals,
  batchFor,
  batchOf,
  fileOf,
  openLedgerScene,
  pairSource,
  startServer,
} from './helpers.ts'

const server = await startServer(t)
const PAIRS = [
  [0n, 5n],
  [1n, 0n],
  [7n, 2n ** 53n + 1n],
  [2n ** 63n, 3n],
  [U64_MAX - 1n, 1n],
  [U64_MAX, 2n ** 63n],
] as const

t.test('sums are exact to 64 bits, whatever the size of a chunk', async t => {
  for (const chunkPairsMax of ['1', '2', '3', '5', '6', '7', '10000']) {
    const { ledger, session, totals, rows, count } = await openLedgerScene(
      t,
      await server.database(),
      {
        env: { COUNTERSINK_CHUNK_PAIRS_MAX: chunkPairsMax },
      },
    )
    await ledger.open()
    const first = await count(batchFor(PAIRS))
    t.match(first, { kind: 'applied' })
    t.same(await totals(), asTotals(PAIRS), `chunks of ${chunkPairsMax}`)
    t.match(
      await count(
        batchFor([
          [3n, 9n],
          [7n, 1n],
          [U64_MAX, 1n],
        ]),
      ),
      { kind: 'applied' },
    )
    t.same(await totals(), {
      ...asTotals(PAIRS),
      3: '9',
      7: String(2n ** 53n + 2n),
      [String(U64_MAX)]: String(2n ** 63n + 1n),
    })
    t.equal(await rows('batch'), 2)
    const batches = await session.query<Record<string, unknown>>(
      `SELECT state, pairs_planned = pairs_applied AND amount_planned = amount_applied AS whole
         FROM countersink_batch`,
    )
    for (const batch of batches) t.match(batch, { state: 'applied', whole: 1 })
    t.equal(await rows('posting'), 2)
    t.equal(await rows('todo'), 0)
    const [recorded] = await session.query(
      `SELECT SUM(s.pairs) AS pairs, SUM(s.amount) AS amount,
              SUM(f.pairs_recorded = f.pairs AND f.amount_recorded = f.amount) AS whole
         FROM countersink_file f JOIN (SELECT file_sequence, SUM(pairs) AS pairs, SUM(amount) AS amount
           FROM countersink_sums GROUP BY file_sequence) s ON s.file_sequence = f.sequence`,
    )
    const amount = PAIRS.reduce((sum, [, one]) => sum + one, 0n)
    t.match(recorded, { pairs: '9', amount: String(amount + 11n), whole: '2' }, 'in blocks too')
  }
})

t.test(
  'the largest amount fits, one more does not: nothing is written, the consumer is named',
  async t => {
    for (const chunkPairsMax of ['1', '10000']) {
      const isWhole = chunkPairsMax !== '1'
      const { ledger, totals, rows, session, count } = await openLedgerScene(
        t,
        await server.database(),
        {
          env: { COUNTERSINK_CHUNK_PAIRS_MAX: chunkPairsMax },
        },
      )
      await ledger.open()
      await count(
        batchFor([
          [4n, U64_MAX],
          [5n, 1n],
        ]),
      )
      const before = await totals()
      const overflow = batchFor([
        [1n, 8n],
        [4n, 1n],
        [5n, 1n],
      ])
      const result = await count(overflow)
      const reason = { code: 'TOTAL_OVERFLOW', text: /.*\b4\b/ }
      t.match(result, isWhole ? { kind: 'overflow', reason } : { kind: 'given back' })
      t.same(await totals(), before)
      t.equal(await rows('batch'), 1)
      const row = await ledger.find(overflow.files[0]!.sha256)
      if (isWhole) t.equal(row, undefined)
      else t.match(row, { state: 'refused', reason: /^TOTAL_OVERFLOW: consumer 4 / })
      t.match(await count(batchFor([[4n, 0n]])), { kind: 'applied' }, 'zero still fits')
      t.match(await count(batchFor([[5n, 1n]])), { kind: 'applied' }, 'the session goes on')
      const [meta] = await session.query<{ bound: string }>(
        'SELECT total_upper_bound AS bound FROM countersink_meta',
      )
      t.equal(meta?.bound, String(U64_MAX), 'the bound ends where the column does')
    }
  },
)

t.test('a content is claimed once', async t => {
  const { ledger, totals, rows, count } = await openLedgerScene(t, await server.database())
  await ledger.open()
  const sha256 = Buffer.alloc(32, 3)
  t.match(await count(batchFor([[1n, 2n]], { sha256 })), { kind: 'applied' })
  for (const pairs of [[[1n, 2n]], [[9n, 9n]]] as const) {
    t.same(await count(batchFor(pairs, { sha256, name: 'other' })), { kind: 'claimed' })
  }
  const twice = [fileOf([[5n, 1n]]), fileOf([], { sha256 })]
  t.same(await count(batchOf(twice, pairSource([[5n, 1n]]))), { kind: 'claimed' })
  const equal = fileOf([[6n, 1n]])
  t.same(await count(batchOf([equal, equal], pairSource([[6n, 2n]]))), { kind: 'claimed' })
  t.same(await totals(), { 1: '2' })
  t.same([await rows('batch'), await rows('file')], [1, 1], 'nothing of the others is left')
})

t.test('two at once with one content: it is counted once', async t => {
  const address = await server.database()
  const a = await openLedgerScene(t, address)
  const b = await openLedgerScene(t, address, { instance: Buffer.alloc(16, 8) })
  await Promise.all([a.ledger.open(), b.ledger.open()])
  await a.ledger.counter.takeLease()
  const pairs = [
    [1n, 1n],
    [2n, 1n],
  ] as const
  for (let i = 0; i < 10; i += 1) {
    const facts = { sha256: Buffer.alloc(32, i) }
    const batch = batchFor(pairs, facts)
    t.same(await b.count(batchFor(pairs, facts)), { kind: 'recorder' }, 'one of them counts')
    const [counted, recorded] = await Promise.all([a.count(batch), b.record(batch.files)])
    t.equal(counted.kind === 'applied', recorded === undefined, 'one of them has claimed it')
    if (recorded === undefined) continue
    t.same(counted, { kind: 'claimed' })
    t.match(await a.ledger.counter.countStaged({ id: batch.id, files: recorded }), {
      kind: 'applied',
    })
  }
  t.same(await a.totals(), { 1: '10', 2: '10' })
})

t.test('a batch without pairs, and one of several files', async t => {
  const { ledger, totals, rows, count } = await openLedgerScene(t, await server.database())
  await ledger.open()
  const empty = await count(batchFor([]))
  t.match(empty, { kind: 'applied' })
  const files = [
    fileOf([[1n, 1n]]),
    fileOf([
      [1n, 2n],
      [2n, U64_MAX],
    ]),
    fileOf([]),
  ]
  const several = await count(
    batchOf(
      files,
      pairSource([
        [1n, 3n],
        [2n, U64_MAX],
      ]),
    ),
  )
  t.match(several, { kind: 'applied' })
  t.same(await totals(), { 1: '3', 2: String(U64_MAX) })
  t.equal(await rows('file'), 4)
  if ('sequences' in empty && 'sequences' in several) {
    const [before = 0n] = [...empty.sequences.values()]
    const after = [...several.sequences.values()]
    t.equal(new Set(after).size, files.length, 'each file has its own sequence')
    t.ok(
      after.every(sequence => sequence > before),
      'sequences grow',
    )
  }
})

t.test('sums that are not those planned are not committed', async t => {
  const { ledger, totals, rows, count } = await openLedgerScene(t, await server.database())
  await ledger.open()
  const file = fileOf([[1n, 2n]])
  for (const [what, cheat] of Object.entries({
    'another sum': batchOf([file], pairSource([[1n, 3n]])),
    'of a file': batchFor([[1n, 2n]], { amount: 3n }),
    'of one of two': batchOf(
      [fileOf([[1n, 2n]], { amount: 1n }), fileOf([[2n, 2n]], { amount: 3n })],
      pairSource([
        [1n, 2n],
        [2n, 2n],
      ]),
    ),
  })) {
    t.match(await failureOf(count(cheat)), { code: 'CURSOR_MOVED' }, what)
  }
  t.same(await totals(), {})
  t.same([await rows('batch'), await rows('file'), await rows('sums')], [0, 0, 0])
})

t.test('a row says what the file was, in UTC', async t => {
  const { ledger, count } = await openLedgerScene(t, await server.database())
  await ledger.open()
  const file = fileOf([[1n, U64_MAX]], {
    name: `${'ü'.repeat(99)}🚀`,
    workSequence: 2 ** 48 - 1,
    publishedAtMs: Date.UTC(2024, 1, 29, 23, 59, 58, 7),
    sizeBytes: 2 ** 53 - 1,
    lines: 2 ** 53 - 1,
    amount: U64_MAX,
  })
  const result = await count(batchOf([file], pairSource([[1n, U64_MAX]])))
  const row = await ledger.find(file.sha256)
  t.ok(row)
  if (row === undefined) return
  t.same(result, {
    kind: 'applied',
    sequences: new Map([[Buffer.from(file.sha256).toString('hex'), row.sequence]]),
  })
  t.match(row, {
    name: file.name,
    sizeBytes: 2n ** 53n - 1n,
    amount: String(U64_MAX),
    state: 'applied',
  })
  t.equal(fromSqlTime(row.publishedAt ?? ''), file.publishedAtMs)
  t.equal(fromSqlTime(row.claimedAt), file.claimedAtMs)
  t.equal(fromSqlTime(row.digestedAt), file.digestedAtMs)
  for (const at of [row.recordedAt, row.countedAt]) {
    t.ok(at !== null && Math.abs(fromSqlTime(at) - Date.now()) < 60_000)
  }
  t.ok(ledger.isThisWorkFile(row, 2 ** 48 - 1))
  t.notOk(ledger.isThisWorkFile(row, 5))
  t.ok(ledger.isThisWorkFile({ ...row, origin: Buffer.alloc(16, 9) }, 2 ** 48 - 1))
  t.notOk(ledger.isThisWorkFile({ ...row, instance: Buffer.alloc(16, 9) }, 2 ** 48 - 1))
  const published = { workSequence: 2 ** 48 - 1, origin: undefined }
  t.ok(ledger.isThisPublication(row, published))
  t.notOk(ledger.isThisPublication({ ...row, origin: Buffer.alloc(16, 9) }, published))
  t.ok(ledger.isFromThisParser(row))
  t.equal(await ledger.find(Buffer.alloc(32, 1)), undefined)
})

t.test('totals in a DECIMAL column, under other names', async t => {
  const address = await server.database()
  const { ledger, session, totals, count } = await openLedgerScene(t, address, {
    env: {
      COUNTERSINK_TOTALS_TABLE: 'usage',
      COUNTERSINK_TOTALS_ID: 'key',
      COUNTERSINK_TOTALS_AMOUNT: 'sum',
      COUNTERSINK_TABLE_PREFIX: 'cs_',
    },
  })
  await session.execute(
    'CREATE TABLE `usage` (`key` INT UNSIGNED PRIMARY KEY, note TEXT, `sum` DECIMAL(38,0) NOT NULL)',
  )
  await ledger.open()
  await count(batchFor([[1n, U64_MAX]]))
  t.match(await count(batchFor([[1n, U64_MAX]])), { kind: 'applied' })
  t.same(await totals(), { 1: String(2n * U64_MAX) }, 'beyond 64 bits')
  const tooLarge = await count(batchFor([[2n ** 32n, 1n]]))
  t.match(tooLarge, { kind: 'overflow' }, 'an id that the column does not hold')
  const tables = await session.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables
      WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'`,
  )
  t.same(tables.map(table => table.name).sort(), [
    ...['cs_batch', 'cs_file', 'cs_lease', 'cs_meta', 'cs_opening_wide', 'cs_order'],
    ...['cs_period', 'cs_posting', 'cs_rollup', 'cs_sighting', 'cs_sums', 'cs_todo'],
    ...['cs_usage', 'cs_usage_block', 'cs_usage_day', 'cs_usage_month', 'cs_usage_wide', 'usage'],
  ])
})
