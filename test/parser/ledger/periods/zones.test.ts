import t from 'tap'
import { U64_MAX } from '../../../../shared/limits.ts'
import { type Pairs, startServer } from '../helpers.ts'
import { usageScene } from './usage-scene.ts'

// Days and months go by a time zone, which may become another one.

const server = await startServer(t)

const SPARSE: Pairs = [
  [0n, 5n],
  [2n ** 63n, 3n],
  [U64_MAX, 2n ** 40n],
]
const DENSE: Pairs = Array.from({ length: 30 }, (_, i) => [BigInt(i), BigInt(i * 7)] as const)

for (const timeZone of ['Europe/Berlin', 'Asia/Kolkata', 'America/Sao_Paulo']) {
  t.test(`days of ${timeZone}, and the change to it`, async t => {
    const s = await usageScene(t, await server.database(), { chunkPairs: 1_000 })
    const dayOf = (zone: string) => (usedAt: string) =>
      new Date(usedAt).toLocaleDateString('sv-SE', { timeZone: zone })
    // Days of 23 and of 25 hours, midnights that are none of UTC.
    const days = ['2026-03-29', '2026-10-25', '2018-02-17', '2018-11-04']
    for (const day of days) {
      for (const ms of [-1, 3_600_000, 66_599_999, 84_600_000]) {
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
