import t, { type Test } from 'tap'
import { knownContents } from '../../../parser/ledger/asking/at-rest.ts'
import type { Batch } from '../../../parser/ledger/batch.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { failureOf } from '../../shared/helpers.ts'
import {
  asTotals,
  batchFor,
  openLedgerScene,
  type Pairs,
  pairSource,
  startServer,
} from './helpers.ts'

const server = await startServer(t)
const OURS = Buffer.alloc(16, 7)
const THEIRS = Buffer.alloc(16, 8)
const PAIRS: Pairs = [
  [1n, 5n],
  [2n, 6n],
  [U64_MAX, 7n],
]

/** Two parsers on one ledger; the other's batch is left behind its first chunk. */
async function scene(t: Test) {
  const address = await server.database()
  const env = { COUNTERSINK_CHUNK_PAIRS_MAX: '1' }
  const theirs = await openLedgerScene(t, address, { env, instance: THEIRS })
  const ours = await openLedgerScene(t, address, { env, instance: OURS })
  await theirs.ledger.open()
  await ours.ledger.open()
  const batch = batchFor(PAIRS, { workSequence: 55, name: 'theirs' })
  const dies = (chunk: number): void => {
    if (chunk === 1) throw new Error('the process ends')
  }
  await failureOf(theirs.ledger.apply({ ...batch, sums: pairSource(PAIRS, dies) }))
  return { ...ours, theirs: theirs.ledger, batch, sha256: batch.files[0]!.sha256 }
}

t.test('what has begun and not ended is found, whoever began it', async t => {
  const { ledger, theirs, batch, totals } = await scene(t)
  await ledger.apply(batchFor([[9n, 1n]]))
  const [open, ...more] = await ledger.openBatches()
  t.same(more, [])
  t.match(open, { state: 'applying', cursorId: 1n, pairsPlanned: 3n, amountPlanned: '18' })
  t.ok(open?.id.equals(batch.id))
  t.same([ledger.isFromThisParser(open!), theirs.isFromThisParser(open!)], [false, true])
  t.match(await ledger.filesOf(batch.id), [
    { name: 'theirs', workSequence: 55n, state: 'applying', amount: '18', largestSum: 7n },
  ])
  t.same(await ledger.filesOf(Buffer.alloc(16, 1)), [])
  t.match(await ledger.find(batch.files[0]!.sha256), { state: 'applying' })
  t.same(await ledger.appliedAfter(0n, 9).then(rows => rows.map(row => row.name)), ['a.txt'])
  t.match(await ledger.apply(batch, true), { kind: 'applied' })
  t.same(await ledger.openBatches(), [])
  t.same(await totals(), { ...asTotals(PAIRS), 9: '1' })
})

t.test('the content of an open batch is claimed', async t => {
  const { ledger, batch, sha256, totals } = await scene(t)
  t.same(await ledger.apply(batchFor(PAIRS, { sha256 })), { kind: 'claimed' })
  t.same(await totals(), { 1: '5' })
  t.equal((await ledger.openBatches()).length, 1)
  t.match(await ledger.apply(batch, true), { kind: 'applied' })
})

t.test('taken over: from then on it is ours, under our sequences', async t => {
  const { ledger, theirs, batch, sha256 } = await scene(t)
  const files = [{ sha256, workSequence: 777 }]
  for (let times = 0; times < 2; times += 1) {
    await ledger.takeOver(batch.id, files)
    const [row] = await ledger.filesOf(batch.id)
    t.ok(row && ledger.isThisWorkFile(row, 777))
    t.notOk(row && theirs.isThisWorkFile(row, 55))
    const [open] = await ledger.openBatches()
    t.ok(open && ledger.isFromThisParser(open))
  }
  const other = batchFor([[1n, 1n]], { workSequence: 56 })
  await theirs.apply(other)
  await ledger.takeOver(batch.id, [{ sha256: other.files[0]!.sha256, workSequence: 778 }])
  const row = await ledger.find(other.files[0]!.sha256)
  t.ok(row && theirs.isThisWorkFile(row, 56), 'a file of another batch stays as it is')
  t.match(await ledger.apply(batch, true), { kind: 'applied' })
})

t.test('blocked: it stands still, and goes on when it can', async t => {
  const { ledger, batch, totals } = await scene(t)
  await ledger.block(batch.id)
  await ledger.block(batch.id)
  t.match(await ledger.openBatches(), [{ state: 'blocked', cursorId: 1n }])
  t.match(await ledger.apply(batch, true), { kind: 'applied' })
  t.same(await totals(), asTotals(PAIRS))
  await ledger.block(batch.id)
  t.same(await ledger.openBatches(), [], 'what is applied is not blocked')
})

t.test('a batch that another has finished meanwhile is not added again', async t => {
  const { ledger, theirs, batch, totals } = await scene(t)
  const result = await theirs.apply(batch, true)
  t.same(await ledger.apply(batch, true), result)
  t.same(await totals(), asTotals(PAIRS))
})

t.test('asked for a batch that the ledger has never heard of, it begins it', async t => {
  const { ledger, rows } = await scene(t)
  const batch: Batch = batchFor([[4n, 4n]])
  t.match(await ledger.apply(batch, true), { kind: 'applied' })
  t.equal(await rows('batch'), 2)
})

t.test('contents by the beginning of their hash', async t => {
  const { ledger, session, config } = await scene(t)
  const hex = `01${'23456789abcdef'.repeat(4)}0000000000ff00`.slice(0, 64)
  for (const sha256 of [hex, '00'.repeat(32), 'ff'.repeat(32)]) {
    const ask = async (prefix: string): Promise<boolean> =>
      (await knownContents(session, config, [prefix])).has(prefix)
    const asked = [sha256, sha256.slice(0, 16), sha256.slice(0, 8)]
    t.same(await Promise.all(asked.map(ask)), [false, false, false], sha256)
    await ledger.apply(batchFor([[1n, 1n]], { sha256: Buffer.from(sha256, 'hex') }))
    t.same(await Promise.all(asked.map(ask)), [true, true, true], sha256)
  }
  const near = [hex.slice(0, 14), hex.slice(0, 62)].flatMap(prefix => [
    `${prefix}fe`,
    `${prefix}01`,
  ])
  for (const prefix of near) {
    t.same([...(await knownContents(session, config, [prefix]))], [], prefix)
  }
  const many = Array.from({ length: 250 }, (_, i) => i.toString(16).padStart(16, '0'))
  const asked = [...many, hex.slice(0, 16), 'f'.repeat(16)]
  t.same(
    [...(await knownContents(session, config, asked))].sort(),
    ['0'.repeat(16), hex.slice(0, 16), 'f'.repeat(16)].sort(),
    'more than fit into one statement',
  )
  t.same([...(await knownContents(session, config, []))], [])
})
