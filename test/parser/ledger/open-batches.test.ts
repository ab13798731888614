import t, { type Test } from 'tap'
import { knownContents } from '../../../parser/ledger/asking/at-rest.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { eventually, failureOf } from '../../shared/helpers.ts'
import { asTotals, batchFor, openLedgerScene, type Pairs, startServer } from './helpers.ts'

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
  const env = { COUNTERSINK_CHUNK_PAIRS_MAX: '1', COUNTERSINK_TAKEOVER_MS: '200' }
  const theirs = await openLedgerScene(t, address, {
    ...{ env, instance: THEIRS },
    onChunk() {
      throw new Error('the process ends')
    },
  })
  const ours = await openLedgerScene(t, address, { env, instance: OURS })
  await theirs.ledger.open()
  await ours.ledger.open()
  const batch = batchFor(PAIRS, { workSequence: 55, name: 'theirs' })
  await failureOf(theirs.count(batch))
  await eventually('their lease runs out', () => ours.ledger.counter.takeLease())
  const files = await ours.ledger.filesOf(batch.id)
  return {
    ...{ ...ours, theirs: theirs.ledger, batch, sha256: batch.files[0]!.sha256 },
    finish: () => ours.ledger.counter.countStaged({ id: batch.id, files }),
  }
}

t.test('what has begun and not ended is found, whoever began it, and finished', async t => {
  const { ledger, theirs, batch, totals, count, finish } = await scene(t)
  await count(batchFor([[9n, 1n]]))
  const [open, ...more] = await ledger.openBatches()
  t.same(more, [])
  t.match(open, { state: 'applying', cursorId: 1n, pairsPlanned: 3n, amountPlanned: '18' })
  t.ok(open?.id.equals(batch.id))
  t.same([ledger.isFromThisParser(open!), theirs.isFromThisParser(open!)], [false, true])
  t.match(await ledger.filesOf(batch.id), [
    { name: 'theirs', workSequence: 55n, state: 'applying', amount: '18', largestSum: 7n },
  ])
  t.same(await ledger.filesOf(Buffer.alloc(16, 1)), [])
  t.match(await ledger.find(batch.files[0]!.sha256), { state: 'applying', batchId: batch.id })
  t.same(await ledger.appliedAfter(0n, 9).then(rows => rows.map(row => row.name)), ['a.txt'])
  t.match(await finish(), { kind: 'applied' })
  t.same(await ledger.openBatches(), [])
  t.same(await totals(), { ...asTotals(PAIRS), 9: '1' })
  const [row] = await ledger.filesOf(batch.id)
  t.ok(row && theirs.isThisWorkFile(row, 55), 'it stays the file that it was')
})

t.test('the content of an open batch is claimed', async t => {
  const { ledger, sha256, totals, count, record, finish } = await scene(t)
  t.same(await count(batchFor([[1n, 2n]], { sha256 })), { kind: 'claimed' })
  t.equal(await record(batchFor(PAIRS, { sha256 }).files), undefined)
  t.same(await totals(), { 1: '5' })
  t.equal((await ledger.openBatches()).length, 1)
  t.match(await finish(), { kind: 'applied' })
})

t.test('a batch that another has finished meanwhile is not added again', async t => {
  const { totals, finish } = await scene(t)
  t.match(await finish(), { kind: 'applied' })
  t.same(await finish(), { kind: 'applied' })
  t.same(await totals(), asTotals(PAIRS))
})

t.test('contents by the beginning of their hash', async t => {
  const { session, config, count } = await scene(t)
  const hex = `01${'23456789abcdef'.repeat(4)}0000000000ff00`.slice(0, 64)
  for (const sha256 of [hex, '00'.repeat(32), 'ff'.repeat(32)]) {
    const ask = async (prefix: string): Promise<boolean> =>
      (await knownContents(session, config, [prefix])).has(prefix)
    const asked = [sha256, sha256.slice(0, 16), sha256.slice(0, 8)]
    t.same(await Promise.all(asked.map(ask)), [false, false, false], sha256)
    await count(batchFor([[1n, 1n]], { sha256: Buffer.from(sha256, 'hex') }))
    t.same(await Promise.all(asked.map(ask)), [true, true, true], sha256)
  }
  const near = [hex.slice(0, 14), hex.slice(0, 62)].flatMap(prefix => [
    `${prefix}fe`,
    `${prefix}01`,
  ])
  for (const prefix of near) {
    t.same([...(await knownContents(session, config, [prefix])).keys()], [], prefix)
  }
  const many = Array.from({ length: 250 }, (_, i) => i.toString(16).padStart(16, '0'))
  const asked = [...many, hex.slice(0, 16), 'f'.repeat(16)]
  t.same(
    [...(await knownContents(session, config, asked)).keys()].sort(),
    ['0'.repeat(16), hex.slice(0, 16), 'f'.repeat(16)].sort(),
    'more than fit into one statement',
  )
  t.same([...(await knownContents(session, config, []))], [])
})
