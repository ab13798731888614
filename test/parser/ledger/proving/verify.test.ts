import t, { type Test } from 'tap'
import { TotalsWriter } from '../../../../parser/ledger/adding/totals-writer.ts'
import type { Session } from '../../../../parser/ledger/connection.ts'
import { findBatch } from '../../../../parser/ledger/counting/batch-row.ts'
import { beginRetreat, takeBackApplied } from '../../../../parser/ledger/counting/retreat.ts'
import { readConsumer } from '../../../../parser/ledger/proving/consumer-account.ts'
import type { WindowLimits } from '../../../../parser/ledger/proving/totals-window.ts'
import { insertBlocks } from '../../../../parser/ledger/recording/blocks.ts'
import { UNKNOWN_GENERATION } from '../../../../parser/ledger/schema/opening-balance.ts'
import { openingSeed, openingSequence } from '../../../../parser/ledger/schema/opening-blocks.ts'
import { BlockEncoder, startPacking } from '../../../../parser/sums/block-encoder.ts'
import { U64_MAX } from '../../../../shared/limits.ts'
import { failureOf } from '../../../shared/helpers.ts'
import { openSession, type Pairs, startServer } from '../helpers.ts'
import { FIRST, type ProofScene, proofScene, SECOND } from './proof-scene.ts'

// The totals are proved, consumer by consumer, from the sums of every file; and whatever is changed by
// somebody else is named.

const server = await startServer(t)
const scene = (t: Test): Promise<ProofScene> => proofScene(t, server)

const FAR: Pairs = Array.from({ length: 20_000 }, (_, i) => [BigInt(i) ** 3n, BigInt(i)])
const DENSE: Pairs = Array.from({ length: 30_000 }, (_, i) => [BigInt(i), BigInt(i % 7)])

/** Different sizes of windows must say the same. */
const WINDOWS: readonly Partial<WindowLimits>[] = [
  {},
  { rowsMax: 1 },
  { rowsMax: 3 },
  { rowsMax: 1_000 },
  { straysMax: 1 },
  { rowsMax: 4, straysMax: 2 },
]

async function assertAddsUp(t: Test, { proved, glanced }: ProofScene, what: string): Promise<void> {
  t.match(await glanced(), { findings: { length: 0 } }, what)
  for (const limits of WINDOWS) {
    const proof = await proved(limits)
    t.match(proof, { findings: { length: 0 } }, what)
    t.match(proof.consumers, { differencesCount: 0, unreadableCount: 0 }, what)
  }
}

t.test('nothing was counted, then files of several kinds', async t => {
  const here = await scene(t)
  await assertAddsUp(t, here, 'nothing')
  await here.advance(await here.begin([FIRST, SECOND, []]), 0)
  await assertAddsUp(t, here, 'one batch')
  await here.begin([SECOND.slice(1)])
  await assertAddsUp(t, here, 'one that has begun')
})

t.test('open batches wherever they stand, and retreating ones', async t => {
  const here = await scene(t)
  await here.advance(await here.begin([DENSE.slice(0, 20)]), 0, 100_000)
  const open = await here.begin([FIRST, SECOND])
  for (let chunk = 0; chunk < 3; chunk += 1) {
    await failureOf(here.advance(open, 1))
    await assertAddsUp(t, here, `behind chunk ${chunk}`)
  }
  const { session, options } = here
  await beginRetreat(session, open.id, options)
  for (let chunk = 0; chunk < 2; chunk += 1) {
    const position = (await findBatch(session, open.id, options.names))!
    const abort = new AbortController()
    const writer = new (class extends TotalsWriter {
      override async take(...args: Parameters<TotalsWriter['take']>): Promise<boolean> {
        abort.abort(new Error('stop'))
        return super.take(...args)
      }
    })(options.names)
    const how = {
      ...options,
      writer,
      chunkPairsMax: 2,
      between: async () => abort.signal.throwIfAborted(),
    }
    await failureOf(takeBackApplied(session, open, position, how))
    t.not((await findBatch(session, open.id, options.names))?.fromId, position.fromId)
    await assertAddsUp(t, here, `taken back ${chunk + 1} chunks`)
  }
})

t.test('many blocks, beside a batch that runs and a reader that stays', async t => {
  const here = await scene(t)
  await here.advance(await here.begin([DENSE, FAR]), 0, 100_000)
  const reader = await openSession(t, here.address)
  await reader.execute('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')
  await reader.execute('START TRANSACTION WITH CONSISTENT SNAPSHOT')
  await reader.query('SELECT COUNT(*) FROM countersink_file')
  const running = await here.begin([FAR.slice(0, 9_000), DENSE.slice(5_000, 15_000)])
  const end = here.advance(running, 0, 400)
  let proofs = 0
  let isRunning = true
  void end.finally(() => {
    isRunning = false
  })
  while (isRunning || proofs === 0) {
    const proof = await here.proved({ rowsMax: 10_000 })
    t.match(proof, { findings: { length: 0 }, consumers: { differencesCount: 0 } })
    proofs += 1
  }
  t.match(await end, { kind: 'applied' })
  t.match(await here.proved(), { files: 4, sums: { batchesOpen: 0 } })
})

t.test('whatever somebody else changes is named', async t => {
  const here = await scene(t)
  await here.advance(await here.begin([DENSE, FIRST, FAR]), 0, 100_000)
  await here.advance(await here.begin([SECOND]), 0, 100_000)
  const { session } = here
  const NOTHING = { findings: [], differences: [], unreadableCount: 0 }
  const [block] = await session.query<Record<'sequence' | 'id', bigint>>(
    `SELECT file_sequence AS sequence, first_id AS id FROM countersink_sums
      WHERE first_id > 0 AND first_id < 30000 AND pairs > 1000 LIMIT 1`,
  )
  const changes: readonly (readonly [what: string, sql: string, found: object])[] = [
    [
      'a total raised',
      'UPDATE consumption SET resource_consumption = resource_consumption + 2 WHERE id = 7',
      { findings: [{ check: 'totals', text: /: 2 too much/ }], differences: [{ id: 7n }] },
    ],
    [
      'two totals changed by as much',
      'UPDATE consumption SET resource_consumption = resource_consumption + 1 - 2 * (id = 2) WHERE id IN (2, 3)',
      {
        findings: [],
        differences: [{ id: 2n, total: 2n ** 63n + 2n, expected: 2n ** 63n + 3n }, { id: 3n }],
      },
    ],
    [
      'a row deleted',
      `DELETE FROM consumption WHERE id = ${U64_MAX - 1n}`,
      {
        findings: [{ check: 'totals', text: /: 9 too little/ }],
        differences: [{ id: U64_MAX - 1n, total: undefined, expected: 9n }],
      },
    ],
    [
      'a row added',
      `INSERT INTO consumption VALUES (${2n ** 62n}, 1)`,
      {
        findings: [{ check: 'totals' }],
        differences: [{ id: 2n ** 62n, total: 1n, expected: 0n }],
      },
    ],
    [
      'a row without anything added, and one deleted',
      `INSERT INTO consumption VALUES (${2n ** 62n}, 0)`,
      NOTHING,
    ],
    [
      'a posting deleted',
      `DELETE FROM countersink_posting WHERE file_sequence = 4`,
      {
        findings: [
          { check: 'batches', text: /^batch 0202.* has 20, and no file$/ },
          { check: 'postings', text: /says it has 1 postings, which are 0/ },
        ],
        differences: [
          { id: 2n },
          { id: 3n },
          { id: U64_MAX - 1n },
          { id: U64_MAX, expected: 2n ** 63n },
        ],
      },
    ],
    [
      'a file deleted',
      'DELETE FROM countersink_file WHERE sequence = 4',
      {
        findings: [
          { check: 'batches' },
          { check: 'postings', text: /of a file/ },
          { check: 'blocks' },
        ],
      },
    ],
    [
      'a block changed',
      `UPDATE countersink_sums SET block = INSERT(block, 20, 1, CHAR(ASCII(SUBSTR(block, 20)) ^ 1))
        WHERE file_sequence = ${block?.sequence} AND first_id = ${block?.id}`,
      {
        findings: [],
        unreadableCount: 1,
        unreadable: [/^a\.txt \([0-9a-f]{16}\): .*its CRC is wrong/],
      },
    ],
    [
      'a block deleted',
      `DELETE FROM countersink_sums WHERE file_sequence = 4`,
      {
        findings: [
          { check: 'blocks', text: /has blocks of 0 consumers with 0, recorded are 4 with 20/ },
        ],
      },
    ],
    [
      'a batch said to be open',
      `UPDATE countersink_batch SET state = 'applying' WHERE id = REPEAT(CHAR(2), 16)`,
      { findings: [{ check: 'postings', text: /is applied, and its batch 0202\w+ is applying/ }] },
    ],
    [
      'less applied than planned',
      `UPDATE countersink_batch SET amount_applied = amount_applied - 1 WHERE id = REPEAT(CHAR(2), 16)`,
      { findings: [{ check: 'totals' }, { check: 'batches', text: /is applied, 4 pairs and 19/ }] },
    ],
    [
      'a batch added, of no file',
      `INSERT INTO countersink_batch
         SELECT REPEAT(CHAR(9), 16), instance, kind, state, NULL, NULL, 0, 0, 0, 0, begun_at, ended_at
           FROM countersink_batch WHERE id = REPEAT(CHAR(2), 16)`,
      { findings: [{ check: 'batches', text: /^batch 0909.* has 0, and no file$/ }] },
    ],
    [
      'a file that waits and is applied',
      `INSERT INTO countersink_todo VALUES ('count', 4)`,
      { findings: [{ check: 'waiting', text: 'file 4 is to be counted, and is applied' }] },
    ],
    [
      'less recorded than there is',
      'UPDATE countersink_file SET pairs_recorded = 3 WHERE sequence = 4',
      { findings: [{ check: 'files', text: /3 consumers/ }, { check: 'blocks' }] },
    ],
  ]
  for (const [what, sql, expected] of changes) {
    const undo = await copyOf(session, sql)
    t.ok((await session.execute(sql)) > 0, what)
    let isSeen = false
    for (const limits of [{}, { rowsMax: 5_000, straysMax: 3 }]) {
      const { findings, consumers } = await here.proved(limits)
      // At a glance; what that cannot see: blocks, and how a file came to its sums.
      isSeen = findings.some(({ check }) => check !== 'blocks' && check !== 'files')
      t.match({ findings, ...consumers }, expected, `${what}, ${JSON.stringify(limits)}`)
      const { length } = (expected as { findings: readonly unknown[] }).findings
      t.equal(findings.length, length, JSON.stringify(findings))
    }
    t.equal((await here.glanced()).findings.length > 0, isSeen, `${what}, at a glance`)
    await undo()
  }
  t.match(await here.proved(), { findings: { length: 0 }, consumers: { differencesCount: 0 } })
})

t.test('an opening balance, also of totals that are no 64 bits', async t => {
  const here = await scene(t)
  const { session, options } = here
  const generation = 5n
  const seed = openingSeed(options.uuid, generation)
  const ids = BigUint64Array.from(DENSE, ([id]) => id * 2n)
  const amounts = BigUint64Array.from(DENSE, ([, amount]) => amount)
  const encoder = new BlockEncoder(startPacking(), seed)
  const blocks = [...encoder.add({ ids, amounts }), ...encoder.end()]
  await insertBlocks(
    session,
    options.names,
    blocks.map(block => ({ fileSequence: openingSequence(generation), block })),
  )
  await session.execute(
    'ALTER TABLE consumption MODIFY id BIGINT, MODIFY resource_consumption DECIMAL(38,0)',
  )
  const rows = [...ids].map((id, i) => `(${id}, ${amounts[i]})`)
  const wide = ['(-3, 7)', '(5, -4)', `(9, ${2n ** 70n})`, `(${2n ** 62n}, -1)`]
  await session.execute(`INSERT INTO consumption VALUES ${[...rows, ...wide].join(', ')}`)
  await session.execute(
    `CREATE TABLE IF NOT EXISTS countersink_opening_wide (generation BIGINT UNSIGNED, id DECIMAL(20,0),
       amount DECIMAL(38,0), PRIMARY KEY (generation, id))`,
  )
  await session.execute(
    `INSERT INTO countersink_opening_wide VALUES ${wide.map(row => row.replace('(', '(5, ')).join(', ')}`,
  )
  await session.execute(
    `UPDATE countersink_meta SET opening_generation = 5, opening_rows = ?, opening_amount =
       (SELECT SUM(resource_consumption) FROM consumption)`,
    [rows.length + wide.length],
  )
  await here.advance(
    await here.begin([
      [
        [4n, 1n],
        [5n, 10n],
        [9n, 1n],
      ],
    ]),
    0,
  )
  for (const limits of [{}, { rowsMax: 7_000 }, { straysMax: 1 }]) {
    const proof = await here.proved(limits)
    t.match(proof, { findings: { length: 0 }, consumers: { differencesCount: 0 } })
  }
  const plus = 'UPDATE consumption SET resource_consumption = resource_consumption + 1'
  await session.execute(`${plus} WHERE id IN (-3, 5, 9, 10, ${2n ** 62n})`)
  const { consumers } = await here.proved({ rowsMax: 7_000, straysMax: 1 })
  t.match(consumers, {
    differencesCount: 5,
    differences: [
      { id: -3n, total: 8n, expected: 7n },
      { id: 5n, total: 7n, expected: 6n },
      { id: 9n, total: 2n ** 70n + 2n, expected: 2n ** 70n + 1n },
      { id: 10n },
      { id: 2n ** 62n, total: 0n, expected: -1n },
    ],
  })
  await session.execute('UPDATE countersink_meta SET opening_generation = NULL')
  t.match((await here.proved()).consumers, { unknownBecause: /is not known of single consumers/ })
})

t.test('an opening balance that is not known, and of nothing', async t => {
  const here = await scene(t)
  await here.advance(await here.begin([SECOND]), 0)
  const { session, config } = here
  const opening = () => readConsumer(session, config, 2n, async ({ opening }) => opening)
  await session.execute(`UPDATE countersink_meta SET opening_generation = ${UNKNOWN_GENERATION}`)
  t.match(await here.proved(), { consumers: { differencesCount: 0 } })
  t.equal(await opening(), 0n, 'as the proof has it')
  await session.execute('UPDATE countersink_meta SET opening_rows = 1')
  t.match(await here.proved(), { consumers: { unknownBecause: String } })
  t.equal(await opening(), undefined)
})

/** Puts the changed table back. */
async function copyOf(session: Session, sql: string): Promise<() => Promise<unknown>> {
  const table = /(?:consumption|countersink_\w+)/.exec(sql)![0]
  await session.execute(`CREATE OR REPLACE TABLE kept AS SELECT * FROM ${table}`)
  return async () => {
    await session.execute(`DELETE FROM ${table}`)
    await session.execute(`INSERT INTO ${table} SELECT * FROM kept`)
  }
}
