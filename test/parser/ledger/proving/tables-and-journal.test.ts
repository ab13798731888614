import t, { type Test } from 'tap'
import { prove } from '../../../../parser/ledger/proving/verify.ts'
import { openSession, startServer } from '../helpers.ts'
import { FIRST, proofScene, SECOND } from './proof-scene.ts'

// The ledger's tables are as they were made, and have what a journal knows to be counted.

const server = await startServer(t)
const scene = (t: Test) => proofScene(t, server)

t.test('tables that are not as they were made', async t => {
  const here = await scene(t)
  await here.advance(await here.begin([FIRST]), 0)
  t.match(await here.glanced(), { findings: { length: 0 } })
  const changes: readonly (readonly [change: string, undo: string, text: RegExp])[] = [
    [
      'countersink_sums ENGINE = Aria',
      'countersink_sums ENGINE = InnoDB',
      /`countersink_sums` is aria, not InnoDB/,
    ],
    [
      'countersink_file DROP KEY by_content',
      'countersink_file ADD UNIQUE KEY by_content (sha256)',
      /no unique key \(sha256\)/,
    ],
    [
      'countersink_posting DROP PRIMARY KEY',
      'countersink_posting ADD PRIMARY KEY (file_sequence, n)',
      /no unique key \(file_sequence,n\)/,
    ],
    [
      'countersink_batch MODIFY pairs_planned INT UNSIGNED NOT NULL',
      'countersink_batch MODIFY pairs_planned BIGINT UNSIGNED NOT NULL',
      /`pairs_planned` of the table `countersink_batch` is int unsigned, expected BIGINT UNSIGNED/,
    ],
    [
      'countersink_lease RENAME COLUMN moves TO pulse',
      'countersink_lease RENAME COLUMN pulse TO moves',
      /has no column `moves`/,
    ],
    [
      'countersink_lease RENAME TO lease',
      'lease RENAME TO countersink_lease',
      /its table `countersink_lease` is gone/,
    ],
    [
      'consumption RENAME TO totals',
      'totals RENAME TO consumption',
      /table of totals `consumption` is gone; 1 files were counted/,
    ],
    ['consumption ENGINE = Aria', 'consumption ENGINE = InnoDB', /engine is Aria/],
  ]
  for (const [change, undo, text] of changes) {
    await here.session.execute(`ALTER TABLE ${change}`)
    const proof = await here.glanced()
    t.match(proof, { sums: undefined, findings: [{ check: 'tables', text }] }, change)
    t.equal(proof.findings.length, 1, change)
    await here.session.execute(`ALTER TABLE ${undo}`)
  }
  const more = 'ALTER TABLE countersink_file ADD COLUMN mine INT NULL, ADD KEY mine (mine)'
  await here.session.execute(more)
  t.match(await here.proved(), { files: 1, findings: { length: 0 } }, 'more is no harm')
})

t.test('what a journal knows must stand there', async t => {
  const here = await scene(t)
  await here.advance(await here.begin([FIRST, SECOND]), 0)
  const open = await here.begin([[[1n, 1n]]])
  const row = async (sequence: bigint) => {
    const [file] = await here.session.query<{ sha256: Buffer }>(
      `SELECT sha256 FROM countersink_file WHERE sequence = ${sequence}`,
    )
    return { sha256: file!.sha256, sequence }
  }
  const known = [await row(1n), await row(2n)]
  t.match(await here.compared(known), { findings: { length: 0 } })
  const [first] = known
  const journal = [
    first!,
    { ...known[1]!, sequence: 7n },
    { sha256: Buffer.alloc(32, 1), sequence: 3n },
    await row(open.files[0]!.sequence),
  ]
  const { findings } = await here.compared(journal)
  t.match(findings, [
    { check: 'journal', text: /has the sequence 2 there, not 7$/ },
    { check: 'journal', text: /^the content 0101010101010101, .* is not there$/ },
    { check: 'journal', text: /is applying there$/ },
  ])
  t.equal(findings.length, 3)
})

t.test('a table that is altered after the snapshot was taken', async t => {
  const here = await scene(t)
  await here.advance(await here.begin([FIRST]), 0)
  const reader = await openSession(t, here.address)
  const query = reader.query.bind(reader)
  let alterations = 0
  reader.query = async (sql: string, values?: readonly unknown[]) => {
    if (/opening_amount AS opening/.test(sql) && alterations < 2) {
      alterations += 1
      await here.session.execute('ALTER TABLE consumption FORCE')
    }
    return query(sql, values)
  }
  const proof = await prove(reader, here.config, { journal: [], consumers: { differencesMax: 5 } })
  t.equal(alterations, 2)
  t.match(proof, { findings: { length: 0 }, consumers: { differencesCount: 0 } })
})

t.test('tables that do not agree, though each row does', async t => {
  const here = await scene(t)
  await here.advance(await here.begin([FIRST]), 0)
  const reader = await openSession(t, here.address)
  const query = reader.query.bind(reader)
  reader.query = async <R>(sql: string, values?: readonly unknown[]) => {
    const rows = await query<R>(sql, values)
    return /AS isSound/.test(sql) ? rows.map(row => ({ ...row, isSound: 0n })) : rows
  }
  const { findings } = await prove(reader, here.config, { journal: [], consumers: undefined })
  t.same(findings, [{ check: 'postings', text: 'files, postings and batches do not agree' }])
})

t.test('more than are named', async t => {
  const here = await scene(t)
  await here.advance(await here.begin([FIRST]), 0)
  const absent = (count: number) =>
    here.compared(
      Array.from({ length: count }, (_, i) => ({
        sha256: Buffer.alloc(32, i),
        sequence: undefined,
      })),
    )
  const most = (await absent(100)).findings
  t.equal(most.length, 100)
  t.match(most.at(-1), { text: /is not there$/ })
  const more = (await absent(150)).findings
  t.equal(more.length, 101)
  t.same(more.at(-1), { check: 'journal', text: 'and more like these' })
  const wait = (from: number, to: number) =>
    here.session.execute(
      `INSERT INTO countersink_todo VALUES ${Array.from({ length: to - from }, (_, i) => `('count', ${1_000 + from + i})`).join(', ')}`,
    )
  await wait(0, 100)
  t.equal((await here.glanced()).findings.length, 100)
  await wait(100, 101)
  const { findings } = await here.glanced()
  t.equal(findings.length, 101)
  t.same(findings.at(-1), { check: 'waiting', text: 'and more like these' })
})
