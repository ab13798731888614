import t from 'tap'
import { U64_MAX } from '../../../../shared/limits.ts'
import { type Pairs, startServer } from '../helpers.ts'
import { usageScene } from './usage-scene.ts'

// What was counted comes into its hours, days and months.

const server = await startServer(t)

const DENSE: Pairs = Array.from({ length: 300 }, (_, i) => [BigInt(i), BigInt(i * 7)] as const)
const SPARSE: Pairs = [
  [0n, 5n],
  [1n, 0n],
  [2n ** 40n, 2n ** 53n + 1n],
  [2n ** 63n, 3n],
  [U64_MAX, 2n ** 40n],
]

t.test('many hours, days and months at once, with gaps and without', async t => {
  const s = await usageScene(t, await server.database(), { chunkPairs: 1_000 })
  await s.used(DENSE, '2026-10-31T23:59:59.999Z')
  await s.used(DENSE, '2026-11-01T00:00:00.000Z')
  await s.used(SPARSE, '2026-11-01T00:30:00.000Z')
  await s.used([], '2026-11-01T00:30:00.000Z')
  await s.used(SPARSE, '2024-02-29T12:00:00.000Z')
  t.equal(await s.roll(), 'done')
  await s.agrees(t)
  await s.used(SPARSE, '2026-11-01T00:59:00.000Z')
  await s.used(DENSE.slice(100, 200), '2026-11-01T00:59:00.000Z')
  t.equal(await s.roll({ rowsMax: 7 }), 'done')
  await s.agrees(t)
})

t.test('taken back, counted again, before and after it was rolled up', async t => {
  const s = await usageScene(t, await server.database(), { chunkPairs: 1_000 })
  const early = await s.used(SPARSE, '2026-11-01T00:30:00.000Z')
  await s.used(DENSE, '2026-11-01T00:30:00.000Z')
  const late = await s.used(SPARSE, '2026-11-02T00:30:00.000Z')
  await s.correct('undo', late)
  t.equal(await s.roll({ rowsMax: 5 }), 'done')
  await s.agrees(t)
  await s.correct('undo', early)
  t.equal(await s.roll(), 'done')
  await s.agrees(t)
  await s.correct('redo', early)
  await s.correct('undo', early)
  t.equal(await s.roll(), 'done')
  await s.agrees(t)
  await s.correct('redo', early)
  t.equal(await s.roll({ rowsMax: 3 }), 'done')
  await s.agrees(t)
  await s.correct('undo', early)
  await s.correct('redo', early)
  await s.correct('redo', late)
  t.equal(await s.roll({ rowsMax: 2 }), 'done')
  await s.agrees(t)
})

t.test('more of one consumer in an hour than 64 bits hold, and less again', async t => {
  const s = await usageScene(t, await server.database(), { chunkPairs: 1_000 })
  await s.session.execute(
    'ALTER TABLE consumption MODIFY resource_consumption DECIMAL(38,0) NOT NULL',
  )
  const most: Pairs = [
    [3n, U64_MAX],
    [9n, 4n],
  ]
  const [first] = [
    await s.used(most, '2026-11-01T00:30:00.000Z'),
    await s.used(most, '2026-11-01T00:31:00.000Z'),
    await s.used(most, '2026-11-01T00:32:00.000Z'),
  ]
  t.equal(await s.roll(), 'done')
  await s.agrees(t)
  t.equal(await s.rows('usage_wide' as never), 1)
  await s.correct('undo', first!)
  t.equal(await s.roll(), 'done')
  await s.agrees(t)
})
