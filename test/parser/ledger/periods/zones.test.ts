import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { partitionsOf } from '../../../../parser/ledger/periods/partitions.ts'
import { ZoneSetting } from '../../../../parser/ledger/periods/zone-setting.ts'
import { ledgerNames } from '../../../../parser/ledger/schema/tables.ts'
import { U64_MAX } from '../../../../shared/limits.ts'
import { tempDir } from '../../../shared/helpers.ts'
import { openLedgerScene, openSession, type Pairs, startServer } from '../helpers.ts'
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

t.test('days that another time zone brings have partitions, and so have those behind', async t => {
  const address = await server.database()
  const s = await usageScene(t, address, { chunkPairs: 1_000 })
  const names = ledgerNames(s.config)
  const named = async (granularity: 'hour' | 'day' | 'month') =>
    (await partitionsOf(s.session, names, granularity)).map(({ name }) => name)
  for (let hour = 20; hour < 24; hour += 1) await s.used(SPARSE, `2026-12-31T${hour}:30:00.000Z`)
  t.equal(await s.roll({ timeZone: 'UTC' }), 'done')
  const before = { day: await named('day'), month: await named('month') }
  t.same(before.day, ['to_20261201', 'to_20270101', 'others'])
  const reader = await openSession(t, address)
  await reader.execute('START TRANSACTION')
  await reader.query('SELECT * FROM countersink_usage_day')
  t.equal(await s.roll({ timeZone: 'Europe/Berlin' }), 'later', 'while somebody reads')
  t.same(await named('day'), before.day)
  await s.proven(t)
  await reader.execute('COMMIT')
  // It takes long: it has begun, and a day and a month go by until it goes on.
  const parts = await s.parts({ timeZone: 'Europe/Berlin', rowsMax: 1 })
  await parts.next()
  t.same(await named('day'), ['to_20261201', 'to_20270101', 'to_20270201', 'others'])
  t.same(await named('month'), ['to_20260101', 'to_20270101', 'to_20280101', 'others'])
  await s.session.execute('UPDATE countersink_lease SET epoch = 1')
  await s.used(SPARSE, '2027-01-02T00:30:00.000Z')
  await s.used(SPARSE, '2027-02-15T00:30:00.000Z')
  t.equal(await s.roll({ timeZone: 'Europe/Berlin' }), 'done')
  const dayOf = (usedAt: string) =>
    new Date(usedAt).toLocaleDateString('sv-SE', { timeZone: 'Europe/Berlin' })
  await s.agrees(t, dayOf)
  t.same((await named('day')).slice(1), ['to_20270101', 'to_20270201', 'to_20270301', 'others'])
  t.same((await named('hour')).slice(-4), ['to_20270103', 'to_20270215', 'to_20270216', 'others'])
})

t.test('a setting decides once, where it has become another one', async t => {
  const path = join(t.testdir(), 'time-zone.json')
  const [a, b] = [new ZoneSetting(path), new ZoneSetting(undefined)]
  let ledger: string | null = null
  const asks = async (zone: ZoneSetting, setting: string): Promise<string> => {
    ledger = await zone.wanted(setting, ledger)
    // What it has set it sees the next time.
    return zone.wanted(setting, ledger)
  }
  t.equal(await asks(a, ''), 'UTC')
  t.equal(await asks(a, 'Europe/Berlin'), 'Europe/Berlin')
  t.equal(await asks(b, 'Asia/Kolkata'), 'Asia/Kolkata', 'one that comes later')
  t.equal(await asks(a, 'Europe/Berlin'), 'Asia/Kolkata', 'the first one leaves it')
  t.equal(await asks(b, 'Asia/Kolkata'), 'Asia/Kolkata')
  const restarted = new ZoneSetting(path)
  t.equal(await asks(restarted, 'Europe/Berlin'), 'Asia/Kolkata', 'also after a restart')
  t.equal(await asks(restarted, 'America/Sao_Paulo'), 'America/Sao_Paulo', 'until it is changed')
  t.equal(await asks(restarted, ''), 'America/Sao_Paulo')
  t.equal(await asks(restarted, 'Europe/Berlin'), 'Europe/Berlin', 'also to what it was once')
  t.equal(await asks(b, 'Asia/Kolkata'), 'Europe/Berlin')
  await restarted.note('Asia/Kolkata')
  t.equal(await asks(restarted, 'Europe/Berlin'), 'Europe/Berlin')
  t.equal(await asks(b, 'UTC'), 'UTC')
  await restarted.note('Asia/Kolkata')
  t.equal(await asks(restarted, 'Europe/Berlin'), 'Europe/Berlin', 'changed, and changed back')
  writeFileSync(path, 'nonsense')
  t.equal(await asks(new ZoneSetting(path), 'UTC'), 'UTC', 'what is not known decides')
})

t.test('a memory of the time zone that cannot be written ends the parser', async t => {
  const address = await server.database()
  const timeZone = `${tempDir(t)}/gone/time-zone.json`
  mkdirSync(dirname(timeZone))
  const { ledger } = await openLedgerScene(t, address, {
    env: { COUNTERSINK_TIME_ZONE: 'Europe/Berlin' },
    paths: { timeZone },
  })
  await ledger.roller.noteSettings()
  await ledger.open()
  t.equal(await ledger.counter.takeLease(), true)
  rmSync(dirname(timeZone), { recursive: true })
  // Once the ledger has it, that is to be remembered.
  const several = async (): Promise<void> => {
    for (let i = 0; i < 4; i += 1) await ledger.roller.goOn('none')
  }
  await t.rejects(several(), { code: 'IO_FAILED' })
  await t.rejects(ledger.roller.unrolled(), { code: 'IO_FAILED' })
})

t.test('parsers with different settings do not make days anew in turn', async t => {
  const address = await server.database()
  const zones = ['Europe/Berlin', 'Asia/Kolkata']
  const scenes = await Promise.all(
    zones.map((zone, i) =>
      openLedgerScene(t, address, {
        env: { COUNTERSINK_TIME_ZONE: zone },
        instance: Buffer.alloc(16, 20 + i),
      }),
    ),
  )
  for (const { ledger } of scenes) await ledger.open()
  const changes: number[] = []
  for (let round = 0; round < 3; round += 1) {
    for (const { ledger, session } of scenes) {
      t.equal(await ledger.counter.takeLease(), true)
      while ((await ledger.roller.goOn('all')).kind !== 'done');
      await ledger.roller.unrolled()
      await ledger.counter.releaseLease(session)
      const [row] = await session.query<{ changes: number }>(
        'SELECT zone_changes AS changes FROM countersink_meta',
      )
      changes.push(Number(row!.changes))
    }
  }
  t.same(changes, [0, 1, 1, 1, 1, 1], 'each has decided once')
  t.match(await scenes[0]!.ledger.roller.unrolled(), {
    zones: { ledger: 'Asia/Kolkata', setting: 'Europe/Berlin' },
  })
  t.equal((await scenes[1]!.ledger.roller.unrolled())?.zones, undefined)
})
