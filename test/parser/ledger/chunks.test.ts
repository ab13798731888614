import t, { type Test } from 'tap'
import { type ApplyOptions, applyBatch } from '../../../parser/ledger/apply.ts'
import type { Batch } from '../../../parser/ledger/batch.ts'
import { findBatch } from '../../../parser/ledger/batch-row.ts'
import { type LedgerNames, ledgerNames } from '../../../parser/ledger/schema/tables.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { failureOf, within } from '../../shared/helpers.ts'
import {
  asTotals,
  batchFor,
  batchOfAll,
  type LedgerScene,
  openLedgerScene,
  openSession,
  type Pairs,
  pairSource,
  startServer,
} from './helpers.ts'

const server = await startServer(t)
const PAIRS: Pairs = [
  [0n, 5n],
  [1n, 0n],
  [7n, 2n ** 53n + 1n],
  [2n ** 63n, 3n],
  [U64_MAX, 2n ** 63n],
]
const IDS = PAIRS.map(([id]) => id)

interface Scene extends LedgerScene {
  readonly names: LedgerNames
  readonly options: ApplyOptions
  readonly chunks: { count: number }
}

async function scene(t: Test, chunkPairsMax: number): Promise<Scene> {
  const base = await openLedgerScene(t, await server.database())
  const { range, uuid } = await base.ledger.open()
  const names = ledgerNames(base.config)
  const chunks = { count: 0 }
  const onChunk = (): void => {
    chunks.count += 1
  }
  const instance = Buffer.alloc(16, 7)
  return {
    ...{ ...base, names, chunks },
    options: {
      names,
      uuid,
      instance,
      chunkPairsMax,
      range,
      checked: false,
      onBegun: () => {},
      onChunk,
    },
  }
}

/** The batch, ending before a chunk as if its process had: nothing more is said to the server. */
function endingBefore(batch: Batch, chunk: number): Batch {
  const dies = (number: number): void => {
    if (number === chunk) throw new Error('the process ends')
  }
  return { ...batch, sums: pairSource(PAIRS, dies) }
}

t.test('the cursor after each chunk is the last id that is in the totals', async t => {
  for (const size of [1, 2, 3, 4]) {
    const { session, options, names, totals, chunks } = await scene(t, size)
    const batch = batchFor(PAIRS)
    const other = await openSession(t, await addressOf(session))
    const looked: number[] = []
    const look = async (number: number): Promise<void> => {
      const done = PAIRS.slice(0, number * size)
      t.same(await totals(), asTotals(done), `before chunk ${number} of ${size}`)
      t.match(await findBatch(session, batch.id, names), {
        ...{ state: 'applying', cursorId: done.at(-1)?.[0] ?? null },
        pairsApplied: BigInt(done.length),
      })
      looked.push(number)
    }
    const watched = { ...batch, sums: pairSource(PAIRS, look) }
    t.match(await applyBatch(other, watched, undefined, options), { kind: 'applied' })
    t.equal(looked.length, Math.ceil(PAIRS.length / size))
    t.equal(chunks.count, looked.length, 'each is told')
    t.match(await findBatch(session, batch.id, names), { state: 'applied', cursorId: U64_MAX })
    t.same(await totals(), asTotals(PAIRS))
  }
})

async function addressOf(session: LedgerScene['session']) {
  const [row] = await session.query<{ name: string }>('SELECT DATABASE() AS name')
  const path = encodeURIComponent(server.socketPath)
  return { url: `mariadb://root@localhost/${row?.name}?socketPath=${path}` }
}

t.test('from every position a batch goes on to exactly its end, and only once', async t => {
  for (const size of [1, 2, 4]) {
    for (let chunk = 0; chunk * size < PAIRS.length; chunk += 1) {
      const { session, options, names, totals, rows } = await scene(t, size)
      const batch = batchFor(PAIRS)
      const failing = endingBefore(batch, chunk)
      await failureOf(applyBatch(session, failing, undefined, options))
      const position = await findBatch(session, batch.id, names)
      t.match(position, { state: 'applying', pairsApplied: BigInt(chunk * size) })
      t.equal(position?.cursorId, chunk === 0 ? null : IDS[chunk * size - 1])
      // Another size from here on.
      const result = await applyBatch(session, batch, position, { ...options, chunkPairsMax: 3 })
      t.match(result, { kind: 'applied', sequences: Map })
      t.same(await totals(), asTotals(PAIRS), `from chunk ${chunk} of ${size}`)
      const again = await findBatch(session, batch.id, names)
      t.same(await applyBatch(session, batch, again, options), result, 'it was applied')
      t.same(await totals(), asTotals(PAIRS))
      t.same([await rows('batch'), await rows('file')], [1, 1])
    }
  }
})

t.test('a signal ends it between two chunks, never within a single transaction', async t => {
  for (let chunk = 0; chunk < 3; chunk += 1) {
    const { session, options, names, totals } = await scene(t, 2)
    const batch = batchFor(PAIRS)
    const abort = new AbortController()
    const reason = new Error('stop')
    const stopIn = (number: number): void => {
      if (number === chunk) abort.abort(reason)
    }
    const stopped = { ...batch, sums: pairSource(PAIRS, stopIn) }
    const { signal } = abort
    const failure = await failureOf(applyBatch(session, stopped, undefined, { ...options, signal }))
    t.equal(failure, reason)
    const position = await findBatch(session, batch.id, names)
    t.match(position, { state: 'applying', pairsApplied: BigInt(chunk * 2) })
    t.same(await totals(), asTotals(PAIRS.slice(0, chunk * 2)))
    t.match(await applyBatch(session, batch, position, options), { kind: 'applied' })
    t.same(await totals(), asTotals(PAIRS))
  }
  const { session, options, totals } = await scene(t, PAIRS.length)
  const signal = AbortSignal.abort(new Error('stop'))
  const whole = await applyBatch(session, batchFor(PAIRS), undefined, { ...options, signal })
  t.match(whole, { kind: 'applied' })
  t.same(await totals(), asTotals(PAIRS))
})

t.test('a batch that fits one chunk is one transaction: nothing, or all', async t => {
  for (const size of [5, 6]) {
    const { session, options, names, totals, rows } = await scene(t, size)
    const batch = batchFor(PAIRS)
    const other = await openSession(t, await addressOf(session))
    await failureOf(applyBatch(other, endingBefore(batch, 0), undefined, options))
    await other.rollback()
    t.equal(await findBatch(session, batch.id, names), undefined)
    t.same([await rows('batch'), await rows('file')], [0, 0])
    const sums = pairSource(PAIRS, async () => {
      t.equal(await rows('batch'), 0, 'it has begun, and nobody sees it')
    })
    t.match(await applyBatch(other, { ...batch, sums }, undefined, options), { kind: 'applied' })
    t.same(await totals(), asTotals(PAIRS))
  }
})

t.test('no pairs at all: applied at once, also when it is found begun', async t => {
  const { session, options, names, totals, rows } = await scene(t, 1)
  for (const batch of [batchFor([]), batchOfAll([[], [], []])]) {
    t.match(await applyBatch(session, batch, undefined, options), { kind: 'applied' })
    t.match(await findBatch(session, batch.id, names), { state: 'applied', cursorId: null })
  }
  t.same([await totals(), await rows('batch'), await rows('file')], [{}, 2, 4])
  // As after a crash behind P4 of a program that did not know yet that there are none.
  await session.execute("UPDATE countersink_batch SET state = 'applying', ended_at = NULL")
  await session.execute("UPDATE countersink_file SET state = 'applying'")
  const files = await session.query<{ id: Buffer }>('SELECT id FROM countersink_batch')
  for (const { id } of files) {
    const position = await findBatch(session, id, names)
    const count = await session.query('SELECT 1 FROM countersink_file WHERE batch_id = ?', [id])
    const batch = { ...batchOfAll(count.map(() => [])), id }
    t.match(await applyBatch(session, batch, position, options), { kind: 'applied' })
    t.match(await findBatch(session, id, names), { state: 'applied' })
  }
})

t.test('several files in several chunks: their rows end with the last', async t => {
  const { session, options, totals } = await scene(t, 2)
  const thirds = [PAIRS.slice(0, 2), PAIRS, PAIRS.slice(2, 3)]
  const batch = batchOfAll(thirds)
  const states = async (): Promise<unknown> =>
    session.query('SELECT state, COUNT(*) AS n FROM countersink_file GROUP BY state')
  const sums: Batch['sums'] = {
    ...batch.sums,
    async *chunks(most, after) {
      for await (const chunk of batch.sums.chunks(most, after)) {
        t.match(await states(), [{ state: 'applying', n: 3n }])
        yield chunk
      }
    },
  }
  const other = await openSession(t, await addressOf(session))
  const result = await applyBatch(other, { ...batch, sums }, undefined, options)
  t.match(result, { kind: 'applied' })
  t.match(await states(), [{ state: 'applied', n: 3n }])
  t.same(await totals(), {
    ...asTotals(PAIRS),
    ...{ 0: '10', 1: '0', 7: String(2n * (2n ** 53n + 1n)) },
  })
})

t.test('two at work on one batch: one moves the cursor, the other ends', async t => {
  for (let round = 0; round < 10; round += 1) {
    const { session, options, names, totals } = await scene(t, 1)
    const batch = batchFor(PAIRS)
    await failureOf(applyBatch(session, endingBefore(batch, 2), undefined, options))
    const address = await addressOf(session)
    const two = await Promise.all([openSession(t, address), openSession(t, address)])
    const position = await findBatch(session, batch.id, names)
    const work = two.map(async one => {
      try {
        return await applyBatch(one, batch, position, options)
      } catch (error) {
        one.destroy()
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
  const { session, options, names, totals } = await scene(t, 2)
  const batch = batchFor(PAIRS)
  await failureOf(applyBatch(session, endingBefore(batch, 1), undefined, options))
  const position = (await findBatch(session, batch.id, names))!
  for (const cursorId of [null, 0n, 7n, U64_MAX]) {
    const wrong = { ...position, cursorId }
    const error = await failureOf(applyBatch(session, batch, wrong, options))
    t.match(error, { code: 'CURSOR_MOVED' }, `${cursorId}`)
    await session.rollback()
  }
  t.same(await totals(), asTotals(PAIRS.slice(0, 2)))
  const few = { ...batch, sums: pairSource(PAIRS.slice(0, 4)) }
  t.match(await failureOf(applyBatch(session, few, position, options)), { code: 'CURSOR_MOVED' })
  await session.rollback()
  const state = await findBatch(session, batch.id, names)
  t.equal(state?.state, 'applying', 'never ended with less than was planned')
})
