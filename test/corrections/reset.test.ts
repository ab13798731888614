import t from 'tap'
import { orderOf, resetOrder } from '../../parser/ledger/asking/orders.ts'
import { U64_MAX } from '../../shared/limits.ts'
import { closingScene, firstPairs, foreignTotals, SECOND } from '../parser/ledger/closing-scene.ts'
import { asTotals, openLedgerScene, type Pairs, startServer } from '../parser/ledger/helpers.ts'

// Emptied by a batch like any other: exactly what is in the totals is taken, once, and can be given back.

const server = await startServer(t)

const FIRST = firstPairs(2n ** 63n)
const zeros = (...all: readonly Pairs[]): Record<string, string> =>
  asTotals(all.flat().map(([id]) => [id, 0n]))

for (const chunkPairs of [1, 3, 100]) {
  t.test(`emptied, counted into, and given back, by ${chunkPairs}`, async t => {
    const s = await closingScene(t, await server.database(), { chunkPairs })
    const request = resetOrder(s.uuid, 'november')
    await s.counted(FIRST)
    await s.ask(request)
    t.same(await s.carryOut(), ['applied'])
    t.same(await s.totals(), zeros(FIRST))
    const amount = FIRST.reduce((sum, [, one]) => sum + one, 0n)
    t.same(await s.standing(request), {
      ...(await s.standing(request)),
      state: 'done',
      answer: `6 totals were emptied, of ${amount} together`,
    })
    await s.proven(t)
    t.equal((await s.proof()).files, 1, 'it is no file')
    const { postings } = await s.account(7n)
    t.match(postings, [
      { name: 'f1', amount: 2n ** 53n + 1n },
      {
        ...{ name: /^reset \d{4}-\d\d-\d\d$/, order: { kind: 'reset', reason: 'november' } },
        ...{ amount: -(2n ** 53n + 1n), isBatchOpen: false },
      },
    ])

    await s.ask(request)
    t.same(await s.carryOut(), [], 'the same is done, for ever')
    await s.counted(SECOND)
    const row = (await s.ledger.ask(postings[1]!.sha256.toString('hex')))[0]!
    if (!('row' in row)) throw new Error('it has no row')
    const undo = orderOf('undo', s.uuid, row.row, 'too early')
    await s.ask(undo)
    t.same(await s.carryOut(), ['applied'])
    t.same(await s.totals(), {
      ...asTotals(FIRST),
      ...{ 2: `${2n ** 63n + 1n}`, 3: '4', [`${U64_MAX}`]: `${2n ** 63n + 6n}` },
    })
    t.match(await s.standing(undo), { state: 'done' })
    await s.proven(t)
    t.match((await s.account(7n)).postings, [
      { amount: 2n ** 53n + 1n },
      { amount: -(2n ** 53n + 1n) },
      { order: { kind: 'undo', reason: 'too early' }, amount: 2n ** 53n + 1n },
    ])
  })
}

t.test('a total that would become too large is not given back, and none is', async t => {
  const s = await closingScene(t, await server.database())
  await s.counted([
    [1n, 5n],
    [2n, U64_MAX - 1n],
  ])
  await s.ask(resetOrder(s.uuid, 'november'))
  t.same(await s.carryOut(), ['applied'])
  await s.counted([[2n, 2n]])
  const [reset] = await rowsOfResets(s.ledger, s.session)
  const undo = orderOf('undo', s.uuid, reset!, 'too early')
  await s.ask(undo)
  t.same(await s.carryOut(), ['declined'])
  t.match(await s.standing(undo), { state: 'refused', answer: /^TOTAL_OVERFLOW: consumer 2/ })
  t.same(await s.totals(), { 1: '0', 2: '2' })
  await s.proven(t)
})

t.test('beside others who write, and with totals that no file has made', async t => {
  const address = await server.database()
  const foreign = await foreignTotals(t, address, {
    ...{ idType: 'BIGINT', isNullable: true },
    rows: `(-3, 8), (-2, 0), (1, 10), (2, NULL), (3, -4), (4, ${2n ** 64n}), (5, 6)`,
  })
  let chunks = 0
  const s = await closingScene(t, address, {
    chunkPairs: 2,
    onChunk() {
      chunks += 1
      // Before and behind the cursor.
      if (chunks === 2) void write()
    },
  })
  let written: Promise<unknown> | undefined
  const write = (): void => {
    written = foreign.execute('UPDATE consumption SET resource_consumption = 3 WHERE id IN (1, 5)')
  }
  await s.counted([
    [1n, 1n],
    [9n, 2n],
  ])
  chunks = 0
  const request = resetOrder(s.uuid, 'november')
  await s.ask(request)
  t.same(await s.carryOut(), ['applied'])
  await written
  const { answer } = await s.standing(request)
  t.match(
    answer,
    /4 were left, as no files can have made them: consumer -3 has 8; consumer 2 has NULL; consumer 3 has -4; consumer 4 has 18446744073709551616$/,
  )
  const rows = await foreign.query('SELECT id, resource_consumption AS amount FROM consumption')
  const totals = new Map(rows.map(row => [`${(row as Row).id}`, (row as Row).amount]))
  t.equal(totals.get('1'), '3', 'what is written behind it stays')
  t.same(
    ['-3', '-2', '2', '3', '4', '9'].map(id => totals.get(id)),
    ['8', '0', null, '-4', `${2n ** 64n}`, '0'],
  )
  const proof = await s.proof()
  t.same(
    proof.findings.filter(({ check }) => check !== 'totals'),
    [],
  )
  t.match(proof.consumers, { unreadableCount: 0 })
  t.ok([1, 2].includes((proof.consumers as { differencesCount: number }).differencesCount))
})

interface Row {
  readonly id: bigint
  readonly amount: string | null
}

t.test('nothing to empty, and a file that cannot be taken back any more', async t => {
  const s = await closingScene(t, await server.database())
  const first = resetOrder(s.uuid, 'nothing')
  await s.ask(first)
  t.same(await s.carryOut(), ['applied'])
  t.match(await s.standing(first), { state: 'done', answer: /^0 totals were emptied/ })
  const file = await s.counted(FIRST)
  await s.ask(resetOrder(s.uuid, 'november'))
  t.same(await s.carryOut(), ['applied'])
  await s.proven(t)
  const undo = orderOf('undo', s.uuid, (await s.ledger.find(file.sha256))!, 'wrong')
  await s.ask(undo)
  t.same(await s.carryOut(), ['declined'])
  t.match(await s.standing(undo), { state: 'refused', answer: /^TOTAL_TOO_SMALL/ })
  t.same(await s.totals(), zeros(FIRST))
})

t.test('stopped in its middle, and gone on with by another parser', async t => {
  const address = await server.database()
  let stop = (): void => {}
  let chunks = 0
  const s = await closingScene(t, address, {
    chunkPairs: 2,
    onChunk() {
      chunks += 1
      if (chunks === 2) stop()
    },
  })
  await s.counted(FIRST)
  const request = resetOrder(s.uuid, 'november')
  await s.ask(request)
  chunks = 0
  stop = () => s.abort.abort(new Error('stopped'))
  await t.rejects(s.carryOut(), /stopped/)
  await s.ledger.close()
  t.match(await s.standing(request), { state: 'working' })
  t.equal((await s.totals())[9], '1')
  t.same((await s.totals())[2], '0')
  await s.proven(t)
  t.match((await s.account(0n)).postings, [{ amount: 5n }, { amount: -5n, isBatchOpen: true }])
  t.equal((await s.account(9n)).postings.length, 1)

  const other = await openLedgerScene(t, address, { instance: Buffer.alloc(16, 8) })
  await other.ledger.open()
  t.same(await s.carryOut(other.ledger), ['applied'])
  t.same(await s.totals(), zeros(FIRST))
  t.match(await s.standing(request), { state: 'done', answer: /^6 totals/ })
  await s.proven(t)
})

t.test('a server that does not let a total be changed', async t => {
  const s = await closingScene(t, await server.database(), { chunkPairs: 2 })
  await s.counted(FIRST)
  const request = resetOrder(s.uuid, 'november')
  await s.session.execute(
    `ALTER TABLE consumption ADD CONSTRAINT never_empty CHECK (id <> 9 OR resource_consumption > 0)`,
  )
  await s.ask(request)
  t.same(await s.carryOut(), ['declined'])
  t.match(await s.standing(request), { state: 'refused', answer: /^TOTAL_REFUSED/ })
  t.same(await s.totals(), asTotals(FIRST))
  await s.session.execute('ALTER TABLE consumption DROP CONSTRAINT never_empty')
  await s.proven(t)
  await s.ask(request)
  t.same(await s.carryOut(), ['applied'], 'asked for again it is tried again')
  t.same(await s.totals(), zeros(FIRST))
  await s.proven(t)
})

async function rowsOfResets(
  ledger: { ask(prefix: string): Promise<unknown[]> },
  session: { query<R>(sql: string): Promise<R[]> },
) {
  const rows = await session.query<{ sha256: Buffer }>(
    'SELECT sha256 FROM countersink_file WHERE sign = -1',
  )
  const found = await Promise.all(rows.map(({ sha256 }) => ledger.ask(sha256.toString('hex'))))
  return found.flat().map(one => (one as { row: Parameters<typeof orderOf>[2] }).row)
}
