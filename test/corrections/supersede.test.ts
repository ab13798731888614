import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { U64_MAX } from '../../shared/limits.ts'
import { openSession, type Pairs, startServer } from '../parser/ledger/helpers.ts'
import { NEW, named, OLD, OTHER, ordersScene, sums, zeros } from '../parser/ledger/orders-scene.ts'

// A content is counted in place of another one: of each consumer the difference is moved, or nothing is.

const server = await startServer(t)
const scene = (t: Test, size?: number, onChunk?: () => void) =>
  ordersScene(t, server, size, onChunk)

for (const size of [1, 2, 100]) {
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
}

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
  t.same(kinds, ['declined'])
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

t.test('one that is to be counted in its own place is not, and holds up nobody', async t => {
  const s = await scene(t)
  const sha256 = createHash('sha256').update('itself').digest()
  const terms = { supersedes: sha256.toString('hex') }
  const itself = named(NEW, { sha256, terms })
  t.ok(await s.record([itself]))
  t.same(await s.carryOut(), ['declined'])
  t.match(await s.row(itself), { state: 'refused', reason: /waits for it/ })
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

t.test(
  'taken back for one total: no other is blamed that only the whole file would pass',
  async t => {
    let lower: (() => Promise<void>) | undefined
    const s = await scene(t, 1, () => void lower?.())
    const large: Pairs = [[1n, U64_MAX - 5n]]
    const old = named([...large, [2n, 7n], [3n, 3n]])
    await s.given(old)
    const supersedes = Buffer.from(old.sha256).toString('hex')
    const other = named([...large, [2n, 8n]], { terms: { supersedes } })
    t.ok(await s.record([other]))
    const beside = await openSession(t, s.address)
    lower = async () => {
      lower = undefined
      await beside.execute('UPDATE consumption SET resource_consumption = 2 WHERE id = 3')
    }
    t.same(await s.carryOut(), ['declined'])
    t.match(await s.row(other), {
      state: 'refused',
      reason: /^TOTAL_TOO_SMALL: consumer 3 stands at 2, and 3 would be taken/,
    })
    t.same(await s.totals(), { 1: `${U64_MAX - 5n}`, 2: '7', 3: '2' })
  },
)

t.test('a row that the server refuses: of what is moved, in its words', async t => {
  const s = await scene(t, 1)
  const old = named([
    [1n, 900n],
    [2n, 1n],
  ])
  await s.given(old)
  const supersedes = Buffer.from(old.sha256).toString('hex')
  const other = named(
    [
      [1n, 899n],
      [2n, 600n],
    ],
    { terms: { supersedes } },
  )
  t.ok(await s.record([other]))
  await s.session.execute(
    'ALTER TABLE consumption ADD CONSTRAINT quota CHECK (resource_consumption < 500 OR id = 1 AND resource_consumption <= 900)',
  )
  t.same(await s.carryOut(), ['declined'])
  t.match(await s.row(other), { reason: /^TOTAL_REFUSED: .* the row of consumer 2: .*quota/ })
  t.same(await s.totals(), { 1: '900', 2: '1' })
})
