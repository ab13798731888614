import t, { type Test } from 'tap'
import type { BatchFile } from '../../../parser/ledger/batch.ts'
import { BlockSums } from '../../../parser/ledger/recording/block-sums.ts'
import { type RecordOptions, recordOne } from '../../../parser/ledger/recording/record.ts'
import { ledgerNames } from '../../../parser/ledger/schema/tables.ts'
import { startPacking } from '../../../parser/sums/block-encoder.ts'
import type { Sums } from '../../../parser/sums/sums.ts'
import { deferred } from '../../../shared/handoff.ts'
import { TIME_MS_MAX, U64_MAX } from '../../../shared/limits.ts'
import { failureOf, within } from '../../shared/helpers.ts'
import {
  asTotals,
  fileOf,
  type LedgerScene,
  openLedgerScene,
  openSession,
  type Pairs,
  pairSource,
  startServer,
} from './helpers.ts'

// Sums are written down whole, once, and by one at a time, whoever is slow, dies or comes back.

const server = await startServer(t)
/** About four blocks. */
const WIDE: Pairs = Array.from({ length: 6_000 }, (_, i) => [
  U64_MAX - BigInt(5_999 - i) * 2n ** 40n,
  2n ** 50n + BigInt((i * 7_919) % 6_000),
])
const AMOUNT = WIDE.reduce((sum, [, amount]) => sum + amount, 0n)

interface Recorder {
  record(file: BatchFile, how?: { mayTakeOver?: boolean; portion?: number }): Promise<unknown>
}

/** By the test's own hands, each on a connection and with an instance of its own. */
async function scene(t: Test) {
  const address = await server.database()
  const base = await openLedgerScene(t, address)
  await base.ledger.open()
  const names = ledgerNames(base.config)
  const recorder = async (instance: number): Promise<Recorder> => {
    const session = await openSession(t, address)
    const kernel = startPacking()
    return {
      async record(file, { mayTakeOver = false, portion = 500 } = {}) {
        const options: RecordOptions = {
          ...{ names, kernel, between: async () => {}, chunkPairsMax: portion },
          instance: Buffer.alloc(16, instance),
        }
        try {
          return await recordOne(session, file, () => mayTakeOver, options)
        } finally {
          if (session.isUsable) await session.rollback()
        }
      },
    }
  }
  return { ...base, names, a: await recorder(1), b: await recorder(2) }
}

/** Waits before this portion of pairs until it is let go on, or ends there. */
function heldAt(portion: number, then: 'goes on' | 'dies' = 'goes on') {
  const reached = deferred()
  const goesOn = deferred()
  let isFirst = true
  const sums: Sums = pairSource(WIDE, async number => {
    if (number !== portion || !isFirst) return
    isFirst = false
    reached.resolve()
    if (then === 'dies') throw new Error('the process ends')
    await goesOn.promise
  })
  return { sums, reached: reached.promise, goOn: () => goesOn.resolve() }
}

async function assertRecorded(t: Test, s: LedgerScene, file: BatchFile): Promise<void> {
  const row = await s.ledger.find(file.sha256)
  t.match(row, { state: 'staged', pairs: 6_000n, recordedTo: U64_MAX, recordedAt: String })
  const [found] = await s.session.query(
    `SELECT SUM(pairs) AS pairs, SUM(amount) AS amount, MAX(LENGTH(block)) <= 16000 AS small
       FROM countersink_sums WHERE file_sequence = ?`,
    [row?.sequence],
  )
  t.match(found, { pairs: '6000', amount: String(AMOUNT), small: 1 })
  const n = (await s.session.query('SELECT * FROM countersink_todo WHERE file_sequence = ?', [
    row?.sequence,
  ])) as unknown[]
  t.equal(n.length, 1, 'it is on the list once')
}

t.test('what is recorded is read back, whole and from anywhere', async t => {
  const s = await scene(t)
  const file = fileOf(WIDE)
  t.same(await s.a.record(file), { kind: 'staged' })
  await assertRecorded(t, s, file)
  const row = (await s.ledger.find(file.sha256))!
  const content = { sequence: row.sequence, sha256: row.sha256, pairs: Number(row.pairs) }
  const sums = new BlockSums(s.session, s.names, content)
  const ids = WIDE.map(([id]) => id)
  const afters = [null, 0n, ids[0]!, ids[0]! - 1n, ids[1_234]!, ids[1_234]! + 1n, ids[5_998]!]
  for (const after of [...afters, U64_MAX]) {
    for (const pairsMax of [1_000, 10_000]) {
      const found = []
      for await (const chunk of sums.chunks(pairsMax, after)) {
        t.ok(chunk.ids.length > 0 && chunk.ids.length <= pairsMax)
        for (const [i, id] of chunk.ids.entries()) found.push([id, chunk.amounts[i]])
      }
      const expected = WIDE.filter(([id]) => after === null || id > after)
      t.strictSame(found, expected, `behind ${after}, by ${pairsMax}`)
    }
  }
  for (const i of [0, 1, 3_000, 5_999]) t.equal(await sums.find(ids[i]!), WIDE[i]![1])
  for (const id of [0n, ids[0]! - 1n, ids[7]! + 1n]) t.equal(await sums.find(id), undefined)
})

t.test('an abandoned claim is taken over, and recorded anew in other cuts', async t => {
  for (const portion of [0, 3, 9]) {
    const s = await scene(t)
    const file = fileOf(WIDE)
    await failureOf(s.a.record({ ...file, sums: heldAt(portion, 'dies').sums }))
    t.match(await s.ledger.find(file.sha256), { state: 'staging', attempt: 0 })
    t.same(await s.b.record(file), { kind: 'claimed' }, 'not before one may')
    t.same(await s.b.record(file, { mayTakeOver: true, portion: 333 }), { kind: 'staged' })
    await assertRecorded(t, s, file)
    t.match(await s.ledger.find(file.sha256), { attempt: 1, instance: Buffer.alloc(16, 2) })
    t.same(await s.a.record(file), { kind: 'claimed' }, 'who comes back finds it done')
  }
})

t.test('its own claim is begun anew without asking', async t => {
  const s = await scene(t)
  const file = fileOf(WIDE)
  await failureOf(s.a.record({ ...file, sums: heldAt(5, 'dies').sums }))
  t.same(await s.a.record(file, { portion: 700 }), { kind: 'staged' })
  await assertRecorded(t, s, file)
  t.same(await s.a.record(file), { kind: 'staged' }, 'asked again, it is done')
  t.equal(await s.rows('todo'), 1)
})

t.test('a slow owner adds nothing once it was taken over, wherever it was', async t => {
  for (const portion of [0, 1, 4, 11]) {
    for (const isDone of [true, false]) {
      const s = await scene(t)
      const file = fileOf(WIDE)
      const slow = heldAt(portion)
      const late = s.a.record({ ...file, sums: slow.sums })
      await slow.reached
      const half = heldAt(6)
      const other = s.b.record(isDone ? file : { ...file, sums: half.sums }, {
        ...{ mayTakeOver: true, portion: 450 },
      })
      await within('it is taken over', isDone ? other : half.reached)
      slow.goOn()
      t.same(await within('the late one ends', late), { kind: 'claimed' }, `portion ${portion}`)
      half.goOn()
      t.same(await within('the other ends', other), { kind: 'staged' })
      await assertRecorded(t, s, file)
    }
  }
})

t.test('two that take over at once: one records, the other lets be', async t => {
  for (let round = 0; round < 5; round += 1) {
    const s = await scene(t)
    const file = fileOf(WIDE)
    await failureOf(s.a.record({ ...file, sums: heldAt(2, 'dies').sums, workSequence: 9 }))
    // In the end it is whoever was last to take it over.
    const both = [s.a, s.b].map(one => one.record(file, { mayTakeOver: true, portion: 900 }))
    const results = await within('both', Promise.all(both))
    t.ok(
      results.some(result => (result as { kind: string }).kind === 'staged'),
      JSON.stringify(results),
    )
    await assertRecorded(t, s, file)
  }
})

t.test('sums that are not those planned are never staged', async t => {
  const s = await scene(t)
  for (const facts of [{ amount: AMOUNT + 1n }, { sums: pairSource(WIDE.slice(1)) }]) {
    const file = fileOf(WIDE, facts)
    t.match(await failureOf(s.a.record(file)), { code: 'CURSOR_MOVED' })
    t.match(await s.ledger.find(file.sha256), { state: 'staging' })
  }
  t.equal(await s.rows('todo'), 0)
})

t.test('small ones go together; those that have a row already, one by one', async t => {
  const s = await scene(t)
  const small = (i: number): BatchFile =>
    fileOf([[BigInt(i), 1n]], { workSequence: i, sha256: Buffer.alloc(32, i) })
  const [first, , empty] = (await s.record([small(1), small(2), fileOf([])]))!
  t.match([first, empty], [{ recordedTo: 1n }, { recordedTo: null }], 'up to the last consumer')
  t.match([first, empty], Array(2).fill({ state: 'staged', attempt: 0, recordedAt: String }))
  const all = [small(2), small(3), small(4)]
  t.match(await s.record(all), Array(3).fill({ state: 'staged' }), 'its own is done')
  t.equal(await s.b.record(small(1)).then(r => (r as { kind: string }).kind), 'claimed')
  const wrong = { ...small(6), amount: 2n }
  t.match(await failureOf(s.record([small(5), wrong])), { code: 'CURSOR_MOVED' })
  t.same([await s.rows('file'), await s.rows('todo'), await s.rows('sums')], [5, 5, 4])
})

t.test('ids and amounts up to 2^64 - 1 go through, in blocks and back', async t => {
  const s = await scene(t)
  const ends: Pairs = [
    [0n, U64_MAX],
    [2n ** 63n, 0n],
    [U64_MAX - 1n, U64_MAX],
    [U64_MAX, U64_MAX - 1n],
  ]
  const files = (await s.record([fileOf(ends), fileOf([[U64_MAX, 1n]], { workSequence: 2 })]))!
  const blocks = await s.session.query(
    'SELECT first_id AS f, last_id AS l, amount AS a FROM countersink_sums ORDER BY pairs DESC',
  )
  t.match(blocks, [
    { f: 0n, l: U64_MAX, a: String(3n * U64_MAX - 1n) },
    { f: U64_MAX, l: U64_MAX, a: '1' },
  ])
  await s.ledger.counter.takeLease()
  const counted = await s.ledger.counter.countStaged({ id: Buffer.alloc(16, 1), files })
  t.match(counted, { kind: 'applied' })
  t.same(await s.totals(), { ...asTotals(ends), [String(U64_MAX)]: String(U64_MAX) })
})

t.test('blocks are cut to the packets that the server takes', async t => {
  await server.admin.execute('SET GLOBAL max_allowed_packet = 32768')
  t.teardown(() => server.admin.execute('SET GLOBAL max_allowed_packet = 16777216'))
  const s = await scene(t)
  const file = fileOf(WIDE)
  t.same(await s.a.record(file, { portion: 6_000 }), { kind: 'staged' })
  await assertRecorded(t, s, file)
})

t.test('a time of publication that no row can take is left out', async t => {
  const s = await scene(t)
  const microseconds = fileOf(WIDE, { publishedAtMs: 1_790_000_000_000_000 })
  const last = fileOf(WIDE, { publishedAtMs: TIME_MS_MAX })
  for (const file of [microseconds, last]) t.same(await s.a.record(file), { kind: 'staged' })
  t.match(await s.ledger.find(microseconds.sha256), { state: 'staged', publishedAt: null })
  const publishedAt = '9999-12-31 23:59:59.999'
  t.match(await s.ledger.find(last.sha256), { state: 'staged', publishedAt })
})
