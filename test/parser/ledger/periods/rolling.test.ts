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

for (const timeZone of ['Europe/Berlin', 'Asia/Kolkata', 'America/Sao_Paulo']) {
  t.test(`days of ${timeZone}, and the change to it`, async t => {
    const s = await usageScene(t, await server.database(), { chunkPairs: 1_000 })
    const dayOf = (zone: string) => (usedAt: string) =>
      new Date(usedAt).toLocaleDateString('sv-SE', { timeZone: zone })
    // Days of 23 and of 25 hours, midnights that are none of UTC.
    const days = ['2026-03-29', '2026-10-25', '2018-02-17', '2018-11-04']
    for (const day of days) {
      for (const ms of [-7_200_000, -1, 0, 3_600_000, 66_599_999, 66_600_000, 84_600_000]) {
        await s.used(SPARSE, new Date(Date.parse(day) + ms).toISOString())
      }
    }
    t.equal(await s.roll({ timeZone: 'UTC' }), 'done')
    await s.agrees(t)
    const taken = await s.used(DENSE, '2026-10-24T22:30:00.000Z')
    t.equal(await s.roll(), 'done')
    await s.correct('undo', taken)
    await s.used(DENSE, '2026-10-24T22:30:00.000Z')
    t.equal(await s.roll({ timeZone, rowsMax: 2 }), 'done')
    await s.agrees(t, dayOf(timeZone))
    await s.correct('redo', taken)
    t.equal(await s.roll({ timeZone }), 'done')
    await s.agrees(t, dayOf(timeZone))
    t.equal(await s.roll({ timeZone: 'UTC' }), 'done')
    await s.agrees(t)
  })
}
