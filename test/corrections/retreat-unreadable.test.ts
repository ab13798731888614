import t from 'tap'
import { TotalsWriter } from '../../parser/ledger/adding/totals-writer.ts'
import type { BatchFile } from '../../parser/ledger/batch.ts'
import { findBatch } from '../../parser/ledger/counting/batch-row.ts'
import { beginRetreat, takeBackApplied } from '../../parser/ledger/counting/retreat.ts'
import { asStaged } from '../../parser/ledger/counting/signed-chunks.ts'
import { U64_MAX } from '../../shared/limits.ts'
import { countOptionsOf } from '../parser/ledger/count-options.ts'
import { fileOf, type Pairs, startServer } from '../parser/ledger/helpers.ts'
import { failureOf } from '../shared/helpers.ts'
import { CHECK, files, REST, retreatScene } from './retreat-scene.ts'

// Blocks are harmed or gone when a batch is looked at, added or taken back: nothing is done by halves.

const server = await startServer(t)

/** More blocks than are fetched at once, in chunks of one pair. */
const LONG: Pairs = Array.from({ length: 40 }, (_, i) => [BigInt(i + 1), 3n])
const HARM = 'UPDATE countersink_sums SET crc = crc ^ 1 WHERE first_id = 40'
const some = (): BatchFile[] => [...files(), fileOf(LONG, { workSequence: 4, name: 'long' })]
for (const behind of [0, 2]) {
  t.test(`a block that cannot be read, harmed behind chunk ${behind}`, async t => {
    const given = some()
    const s = await retreatScene(t, server, given, [{ behind, done: [HARM] }])
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
    const s = await retreatScene(t, server, some(), [{ behind: 2, done: deleted('long') }])
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
    const s = await retreatScene(t, server, files(), [{ behind: 3, done: [CHECK, lower] }])
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
  const s = await retreatScene(t, server, [long], [{ behind: 30, done: [take] }])
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

t.test('a block that cannot be read where totals are looked at before anything begins', async t => {
  const s = await retreatScene(t, server, some(), [])
  await s.session.execute(`INSERT INTO consumption VALUES (77, ${U64_MAX})`)
  await s.session.execute(`UPDATE countersink_meta SET total_upper_bound = ${U64_MAX}`)
  await s.session.execute(HARM)
  t.match(await s.count(s.id), { kind: 'given back', unreadable: [{ name: 'long' }] })
  t.same(await s.states(), ['staged', 'staged', 'staged', 'staging'])
  t.match(await s.countOthers(), { kind: 'applied' })
})
