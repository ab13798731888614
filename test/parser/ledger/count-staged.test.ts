import t, { type Test } from 'tap'
import type { BatchFile } from '../../../parser/ledger/batch.ts'
import type { Session } from '../../../parser/ledger/connection.ts'
import { findBatch } from '../../../parser/ledger/counting/batch-row.ts'
import { advanceStaged, beginStaged } from '../../../parser/ledger/counting/count-staged.ts'
import type { LongCountOptions } from '../../../parser/ledger/counting/count-whole.ts'
import { asStaged, type StagedBatch } from '../../../parser/ledger/counting/signed-chunks.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { failureOf, within } from '../../shared/helpers.ts'
import { countOptionsOf } from './count-options.ts'
import {
  asTotals,
  fileOf,
  type LedgerScene,
  openLedgerScene,
  openSession,
  type Pairs,
  startServer,
} from './helpers.ts'

// What is recorded is counted in as many transactions as it takes, from wherever it stands.

const server = await startServer(t)
const PAIRS: Pairs = [
  [0n, 5n],
  [1n, 0n],
  [7n, 2n ** 53n + 1n],
  [2n ** 63n, 3n],
  [U64_MAX, 2n ** 63n],
]
const IDS = PAIRS.map(([id]) => id)
const ONE = [fileOf(PAIRS)]

interface Scene extends LedgerScene {
  readonly options: LongCountOptions
  readonly batch: StagedBatch
  another(): Promise<Session>
  /** From where it stands; `dieAfter`: it ends behind that chunk as if its process had. */
  advance(
    how?: Partial<LongCountOptions & { dieAfter: number; session: Session }>,
  ): Promise<unknown>
  stand(): ReturnType<typeof findBatch>
}

/** A batch of these files, begun. */
async function scene(t: Test, size: number, files: readonly BatchFile[] = ONE): Promise<Scene> {
  const address = await server.database()
  const base = await openLedgerScene(t, address)
  const options = await countOptionsOf(base, { chunkPairsMax: size })
  const rows = (await base.record(files))!
  const batch = asStaged({ id: Buffer.alloc(16, 1), files: rows })
  const { session } = base
  t.equal(await beginStaged(session, batch, false, options), 'begun')
  const stand = () => findBatch(session, batch.id, options.names)
  return {
    ...{ ...base, options, batch, stand },
    another: () => openSession(t, address),
    async advance({ dieAfter, ...how } = {}) {
      const position = (await stand())!
      let chunks = 0
      const onChunk = (): void => {
        chunks += 1
        if (chunks === dieAfter) throw new Error('the process ends')
      }
      if (dieAfter === 0) return undefined
      const all = { ...options, ...how, onChunk }
      return advanceStaged(how.session ?? session, batch, position, all)
    },
  }
}

t.test('begun: nothing is in the totals, and it waits no longer', async t => {
  const { totals, rows, stand, ledger, batch } = await scene(t, 2)
  t.match(await stand(), { state: 'applying', cursorId: null, fromId: null, pairsApplied: 0n })
  t.same([await totals(), await rows('todo'), await rows('posting')], [{}, 0, 1])
  const [row] = await ledger.filesOf(batch.id)
  t.match(row, { state: 'applying', batchId: batch.id, countedAt: null })
  t.match(await ledger.openBatches(), [{ state: 'applying', pairsPlanned: 5n }])
})

t.test('a file that is not staged any more is in no second batch', async t => {
  const { session, options, batch, rows } = await scene(t, 2)
  const again = { ...batch, id: Buffer.alloc(16, 2) }
  t.equal(await beginStaged(session, again, false, options), 'changed')
  t.same([await rows('batch'), await rows('posting')], [1, 1])
})

t.test('the cursor after each chunk is the last id that is in the totals', async t => {
  for (const size of [1, 2, 3, 4, 9]) {
    const { advance, totals, stand } = await scene(t, size)
    for (let chunk = 1; chunk * size < PAIRS.length; chunk += 1) {
      await failureOf(advance({ dieAfter: 1 }))
      const done = PAIRS.slice(0, chunk * size)
      t.same(await totals(), asTotals(done), `behind chunk ${chunk} of ${size}`)
      t.match(await stand(), {
        ...{ state: 'applying', cursorId: done.at(-1)![0], pairsApplied: BigInt(done.length) },
      })
    }
    t.match(await advance(), { kind: 'applied' })
    t.match(await stand(), { state: 'applied', cursorId: U64_MAX })
    t.same(await totals(), asTotals(PAIRS))
  }
})

t.test('from every position it goes on to exactly its end, also in other chunks', async t => {
  for (const size of [1, 2, 4]) {
    for (let chunk = 0; chunk * size < PAIRS.length; chunk += 1) {
      const { advance, stand, totals, rows } = await scene(t, size)
      if (chunk > 0) await failureOf(advance({ dieAfter: chunk }))
      t.equal((await stand())?.cursorId, chunk === 0 ? null : IDS[chunk * size - 1])
      t.match(await advance({ chunkPairsMax: 3 }), { kind: 'applied' })
      t.same(await totals(), asTotals(PAIRS), `from chunk ${chunk} of ${size}`)
      t.same([await rows('batch'), await rows('file'), await rows('posting')], [1, 1, 1])
    }
  }
})

t.test('a signal ends it between two chunks', async t => {
  const { advance, totals, options, session, batch, stand } = await scene(t, 2)
  const abort = new AbortController()
  const reason = new Error('stop')
  const between = async (): Promise<void> => abort.signal.throwIfAborted()
  const stopping = advanceStaged(session, batch, (await stand())!, {
    ...{ ...options, between },
    onChunk: () => abort.abort(reason),
  })
  t.equal(await failureOf(stopping), reason)
  t.same(await totals(), asTotals(PAIRS.slice(0, 2)))
  t.equal(await failureOf(advance({ between })), reason)
  t.match(await advance(), { kind: 'applied' })
  t.same(await totals(), asTotals(PAIRS))
})

t.test('no pairs at all: it ends at once', async t => {
  for (const files of [[fileOf([])], [fileOf([]), fileOf([]), fileOf([])]]) {
    const { advance, stand, totals, ledger, batch } = await scene(t, 1, files)
    t.match(await advance(), { kind: 'applied' })
    t.match(await stand(), { state: 'applied', cursorId: null })
    t.same(await totals(), {})
    const rows = await ledger.filesOf(batch.id)
    t.same(
      rows.map(({ state }) => state),
      files.map(() => 'applied'),
    )
  }
})

t.test('several files are merged, and end together with the last chunk', async t => {
  const files = [PAIRS.slice(0, 2), PAIRS, PAIRS.slice(2, 3), []].map(pairs => fileOf(pairs))
  const { advance, ledger, batch, totals, stand } = await scene(t, 2, files)
  const states = async (): Promise<string[]> =>
    (await ledger.filesOf(batch.id)).map(({ state }) => state)
  for (const [cursorId, inputPairs] of [
    [1n, 4n],
    [2n ** 63n, 7n],
  ] as const) {
    t.same(new Set(await states()), new Set(['applying']))
    await failureOf(advance({ dieAfter: 1 }))
    t.match(await stand(), { cursorId, pairsApplied: inputPairs }, 'what went in is told')
  }
  t.match(await advance(), { kind: 'applied' })
  t.same(new Set(await states()), new Set(['applied']))
  t.same(await totals(), {
    ...asTotals(PAIRS),
    ...{ 0: '10', 1: '0', 7: String(2n * (2n ** 53n + 1n)) },
  })
})

t.test('files of many blocks, each cut elsewhere, at both ends of the 64 bits', async t => {
  const far: Pairs = Array.from({ length: 9_000 }, (_, i) => [
    U64_MAX - BigInt(8_999 - i) * 3n,
    BigInt(i),
  ])
  const near: Pairs = Array.from({ length: 9_000 }, (_, i) => [BigInt(i) ** 3n, BigInt(i)])
  const both: Pairs = [...near.filter(([id]) => id % 2n === 0n), ...far.slice(0, 100)]
  const { advance, totals, rows } = await scene(
    t,
    1_700,
    [far, near, both].map(p => fileOf(p)),
  )
  t.ok((await rows('sums')) > 6, 'several blocks each')
  await failureOf(advance({ dieAfter: 3 }))
  await failureOf(advance({ dieAfter: 2, chunkPairsMax: 999 }))
  t.match(await advance({ chunkPairsMax: 4_000 }), { kind: 'applied' })
  const expected = new Map<bigint, bigint>()
  for (const [id, amount] of [...far, ...near, ...both]) {
    expected.set(id, (expected.get(id) ?? 0n) + amount)
  }
  t.same(await totals(), asTotals([...expected]))
})

t.test('two at work on one batch: one moves the cursor, the other ends', async t => {
  for (let round = 0; round < 6; round += 1) {
    const { advance, another, totals, batch } = await scene(t, 1)
    await failureOf(advance({ dieAfter: 2 }))
    const two = await Promise.all([another(), another()])
    // Both believe that they hold the lease: the cursor alone would do.
    const work = two.map(async session => {
      try {
        return await advance({ session })
      } catch (error) {
        session.destroy()
        return error
      }
    })
    const [a, b] = await within('both', Promise.all(work))
    const [won, lost] = a instanceof Error ? [b, a] : [a, b]
    t.match(won, { kind: 'applied' })
    t.match(lost, { code: 'CURSOR_MOVED', message: batch.id.toString('hex') })
    t.same(await totals(), asTotals(PAIRS), `round ${round}`)
  }
})

t.test('a cursor that is not where it was left stops everything', async t => {
  const { advance, session, options, batch, stand, totals } = await scene(t, 2)
  await failureOf(advance({ dieAfter: 1 }))
  const position = (await stand())!
  const how = { ...options, onChunk: () => {} }
  for (const cursorId of [null, 0n, 7n, 2n ** 63n]) {
    const wrong = { ...position, cursorId }
    const error = await failureOf(advanceStaged(session, batch, wrong, how))
    t.match(error, { code: 'CURSOR_MOVED' }, `${cursorId}`)
  }
  t.same(await totals(), asTotals(PAIRS.slice(0, 2)))
})

t.test(
  'a block that is gone, or another than it was, stops it before anything is wrong',
  async t => {
    const wide: Pairs = Array.from({ length: 3_000 }, (_, i) => [BigInt(i) * 2n ** 40n, 2n ** 60n])
    for (const [what, harm, code] of [
      ['gone', 'DELETE FROM countersink_sums ORDER BY first_id DESC LIMIT 1', 'BLOCK_UNREADABLE'],
      ['cut', 'UPDATE countersink_sums SET block = LEFT(block, 100)', 'BLOCK_UNREADABLE'],
      ['changed', 'UPDATE countersink_sums SET crc = crc ^ 1', 'BLOCK_UNREADABLE'],
      ['renamed', 'UPDATE countersink_sums SET last_id = last_id + 1', 'BLOCK_UNREADABLE'],
    ] as const) {
      const { advance, session, stand, totals } = await scene(t, 500, [fileOf(wide)])
      await session.execute(harm)
      t.match(await failureOf(advance()), { code }, what)
      const position = await stand()
      t.equal(position?.state, 'applying', 'never ended with less than was planned')
      t.equal(Object.keys(await totals()).length, Number(position?.pairsApplied))
    }
  },
)
