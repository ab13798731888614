import { execFileSync } from 'node:child_process'
import t, { type Test } from 'tap'
import { TotalsWriter } from '../../../parser/ledger/adding/totals-writer.ts'
import type { BatchFile } from '../../../parser/ledger/batch.ts'
import { newBatchId } from '../../../parser/ledger/batch.ts'
import { findBatch } from '../../../parser/ledger/counting/batch-row.ts'
import { beginRetreat, takeBackApplied } from '../../../parser/ledger/counting/retreat.ts'
import { asStaged } from '../../../parser/ledger/counting/signed-chunks.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { eventually, failureOf } from '../../shared/helpers.ts'
import { countOptionsOf } from './count-options.ts'
import {
  asTotals,
  databaseOf,
  fileOf,
  openLedgerScene,
  type Pairs,
  startServer,
} from './helpers.ts'

// Somebody else makes a row impossible in the middle of a batch: it is taken back, the guilty file is
// refused, and the others are counted.

const server = await startServer(t)

const CLIENT = `
  import { createConnection } from 'mariadb'
  const [socketPath, database, ...statements] = process.argv.slice(1)
  const connection = await createConnection({ socketPath, database, user: 'root' })
  for (const statement of statements) await connection.query(statement)
  await connection.end()`

interface Meanwhile {
  /** After so many chunks of the batch. */
  readonly behind: number
  /** Somebody else does this, before anything else happens here. */
  readonly done: readonly string[]
}

async function scene(
  t: Test,
  files: readonly BatchFile[],
  meanwhile: Meanwhile[],
  size = 1,
  leaseMs = 60_000,
) {
  const address = await server.database()
  const database = databaseOf(address)
  let chunks = 0
  const run = (statements: readonly string[]): void => {
    const program = ['--input-type=module', '-e', CLIENT]
    execFileSync(process.execPath, [...program, server.socketPath, database, ...statements])
  }
  const base = await openLedgerScene(t, address, {
    env: { COUNTERSINK_CHUNK_PAIRS_MAX: String(size), COUNTERSINK_TAKEOVER_MS: String(leaseMs) },
    onChunk() {
      chunks += 1
      for (const { behind, done } of meanwhile) if (behind === chunks) run(done)
    },
  })
  await base.ledger.open()
  await base.session.execute('INSERT INTO consumption VALUES (0, 1)')
  await base.ledger.counter.takeLease()
  const recorded = (await base.record(files))!
  const { counter } = base.ledger
  return {
    ...base,
    id: newBatchId(),
    recorded,
    count: (id: Buffer) => counter.countStaged({ id, files: recorded }),
    /** Those that wait, as one batch. */
    async countOthers() {
      const files = await counter.waiting(99)
      return counter.countStaged({ id: newBatchId(), files })
    },
    async states() {
      const found = await base.ledger.findAll(files.map(({ sha256 }) => sha256))
      return files.map(({ sha256 }) => {
        const row = found.get(Buffer.from(sha256).toString('hex'))
        return row?.reason == null ? row?.state : `${row.state}: ${row.reason}`
      })
    },
    /** Totals above zero: rows that were made for nothing stay. */
    async sums() {
      return Object.fromEntries(
        Object.entries(await base.totals()).filter(([id, sum]) => id !== '0' && sum !== '0'),
      )
    },
  }
}

const GOOD: Pairs = [1n, 2n, 3n, 4n, 5n].map(id => [id, id])
const GUILTY: Pairs = [
  [2n, 100n],
  [4n, 2_000n],
]
const ALSO_GOOD: Pairs = [
  [4n, 7n],
  [6n, 7n],
]
const files = (): BatchFile[] =>
  [GOOD, GUILTY, ALSO_GOOD].map((pairs, i) =>
    fileOf(pairs, { workSequence: i + 1, name: `f${i}`, sha256: Buffer.alloc(32, i + 1) }),
  )
const REST = { 1: '1', 2: '2', 3: '3', 4: '11', 5: '5', 6: '7' }

const CHECK =
  'ALTER TABLE consumption ADD CONSTRAINT quota CHECK (resource_consumption < 1000 OR id <> 4)'
const RAISE = `INSERT INTO consumption VALUES (4, ${U64_MAX - 500n})`

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
      const s = await scene(t, files(), [{ behind, done }], size)
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
  const s = await scene(t, both, [{ behind: 1, done: [CHECK] }])
  t.match(await s.count(s.id), { kind: 'given back' })
  t.same(await s.states(), ['staged', 'staged', 'staged'])
  t.same(await s.sums(), {})
  t.equal(await s.rows('todo'), 3)
})

/** More blocks than are fetched at once, in chunks of one pair. */
const LONG: Pairs = Array.from({ length: 40 }, (_, i) => [BigInt(i + 1), 3n])
const HARM = 'UPDATE countersink_sums SET crc = crc ^ 1 WHERE first_id = 40'
const some = (): BatchFile[] => [...files(), fileOf(LONG, { workSequence: 4, name: 'long' })]
for (const behind of [0, 2]) {
  t.test(`a block that cannot be read, harmed behind chunk ${behind}`, async t => {
    const given = some()
    const s = await scene(t, given, [{ behind, done: [HARM] }])
    if (behind === 0) await s.session.execute(HARM)
    t.match(await s.count(s.id), { kind: 'given back', unreadable: [{ name: 'long' }] })
    t.same(await s.states(), ['staged', 'staged', 'staged', 'staging'])
    t.same(await s.sums(), {}, 'all of it is taken back')
    t.same([await s.rows('batch'), await s.rows('posting'), await s.rows('todo')], [0, 0, 3])
    t.match(await s.countOthers(), { kind: 'applied' })
    t.same(await s.sums(), { ...REST, 2: '102', 4: '2011' })
    t.ok(await s.record([given[3]!]), 'whoever has the file records it anew')
    t.match(await s.countOthers(), { kind: 'applied' })
    t.match(await s.sums(), { 1: '4', 4: '2014', 40: '3' })
    t.same(await s.states(), ['applied', 'applied', 'applied', 'applied'])
  })
}

/** The blocks of a file, put aside by whoever deletes them. */
const deleted = (name: string, where = 'TRUE'): string[] => [
  `CREATE TABLE aside SELECT s.* FROM countersink_sums s JOIN countersink_file f
       ON f.sequence = s.file_sequence WHERE f.name = '${name}' AND ${where}`,
  'DELETE s FROM countersink_sums s JOIN aside USING (file_sequence, first_id)',
]
const PUT_BACK = 'INSERT INTO countersink_sums SELECT * FROM aside'

t.test(
  'blocks of what is applied are gone: nothing is taken back before they are there',
  async t => {
    const s = await scene(t, some(), [{ behind: 2, done: deleted('long') }])
    const gone = { code: 'BLOCK_UNREADABLE', message: /the blocks of \d+ pairs are not there/ }
    t.match(await failureOf(s.count(s.id)), gone)
    const [open] = await s.ledger.openBatches()
    t.match(open, { state: 'retreating' })
    const before = await s.totals()
    t.match(before, { 1: '4', 2: '105' })
    t.match(await failureOf(s.count(s.id)), gone, 'tried again')
    t.same(await s.totals(), before)
    t.same(await s.ledger.openBatches(), [open])

    await s.session.execute(PUT_BACK)
    t.match(await s.count(s.id), { kind: 'given back', unreadable: { length: 0 } })
    t.same(await s.sums(), {})
    t.match(await s.countOthers(), { kind: 'applied' })
    t.match(await s.sums(), { 1: '4', 2: '105', 4: '2014', 40: '3' })
  },
)

for (const [what, where] of [
  ['taken back', 's.first_id = 1'],
  ['still applied', 's.first_id = 2'],
] as const) {
  t.test(`a block of what is ${what} is gone when it goes on in the middle`, async t => {
    const lower = 'UPDATE consumption SET resource_consumption = 0 WHERE id = 2'
    const s = await scene(t, files(), [{ behind: 3, done: [CHECK, lower] }])
    t.match(await s.count(s.id), { kind: 'blocked' })
    await s.session.execute('UPDATE consumption SET resource_consumption = 102 WHERE id = 2')
    // A new connection would not accept it.
    await s.session.execute('ALTER TABLE consumption DROP CONSTRAINT quota')
    for (const statement of deleted('f0', where)) await s.session.execute(statement)
    if (what === 'still applied') {
      t.match(await failureOf(s.count(s.id)), { code: 'BLOCK_UNREADABLE' })
      t.match(await s.totals(), { 1: '0', 2: '102', 3: '3' }, 'nothing more is taken back')
      await s.session.execute(PUT_BACK)
      t.match(await s.count(s.id), { kind: 'given back', unreadable: { length: 0 } })
    } else t.match(await s.count(s.id), { kind: 'given back', unreadable: [{ name: 'f0' }] })
    t.same(await s.sums(), {})
  })
}

t.test('blocks that are deleted while they are taken back', async t => {
  const take = "UPDATE countersink_lease SET epoch = epoch + 1, until = '2001-01-01'"
  const long = fileOf(LONG, { name: 'long' })
  const s = await scene(t, [long], [{ behind: 30, done: [take] }])
  t.same(await s.count(s.id), { kind: 'recorder' })
  const options = await countOptionsOf(s)
  await beginRetreat(s.session, s.id, options)
  const position = (await findBatch(s.session, s.id, options.names))!
  const writer = new (class extends TotalsWriter {
    override async take(...args: Parameters<TotalsWriter['take']>): Promise<boolean> {
      await s.session.execute(`DELETE FROM ${options.names.sums}`)
      return super.take(...args)
    }
  })(options.names)
  const batch = asStaged({ id: s.id, files: s.recorded })
  const taking = takeBackApplied(s.session, batch, position, { ...options, writer })
  t.match(await failureOf(taking), {
    code: 'BLOCK_UNREADABLE',
    message: /of \d+ pairs are not there/,
  })
})

t.test(
  'while it is looked for who is to blame, others have their turn, and the lease is kept',
  async t => {
    const many: Pairs = Array.from({ length: 1_000 }, (_, i) => [BigInt(i + 1), 1n])
    const given = [many, [[4n, 2_000n] as const]].map((pairs, i) =>
      fileOf(pairs, { workSequence: i + 1 }),
    )
    const s = await scene(t, given, [{ behind: 2, done: [CHECK] }], 1, 400)
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

t.test('a block that cannot be read where totals are looked at before anything begins', async t => {
  const s = await scene(t, some(), [])
  await s.session.execute(`INSERT INTO consumption VALUES (77, ${U64_MAX})`)
  await s.session.execute(`UPDATE countersink_meta SET total_upper_bound = ${U64_MAX}`)
  await s.session.execute(HARM)
  t.match(await s.count(s.id), { kind: 'given back', unreadable: [{ name: 'long' }] })
  t.same(await s.states(), ['staged', 'staged', 'staged', 'staging'])
  t.match(await s.countOthers(), { kind: 'applied' })
})

t.test(
  'a total lowered meanwhile: blocked as it stands, and finished once it is mended',
  async t => {
    const lower = 'UPDATE consumption SET resource_consumption = 0 WHERE id = 1'
    const s = await scene(t, files(), [{ behind: 3, done: [CHECK, lower] }])
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
  const s = await scene(t, files(), [{ behind: 3, done: [CHECK, lower] }])
  t.match(await s.count(s.id), { kind: 'blocked' })
  // Of 1 it was taken back before 2 was met.
  t.match(await s.totals(), { 1: '0', 2: '0', 3: '3' })
  await s.session.execute('UPDATE consumption SET resource_consumption = 102 WHERE id = 2')
  t.match(await s.count(s.id), { kind: 'given back' })
  t.same(await s.sums(), {})
})

t.test('refused ones that are published again are counted once it is mended', async t => {
  const s = await scene(t, files(), [{ behind: 3, done: [CHECK] }])
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
  const s = await scene(t, files(), [])
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
  const s = await scene(t, files(), [{ behind: 2, done: [CHECK, take] }])
  t.same(await s.count(s.id), { kind: 'recorder' })
  t.match(await s.ledger.openBatches(), [{ state: 'applying', cursorId: 2n }])
  t.same(await s.sums(), asTotals(GOOD.slice(0, 1).concat([[2n, 102n]])))
  t.equal(s.ledger.counter.isCounter, false)
})
