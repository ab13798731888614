import t, { type Test } from 'tap'
import { orderOf } from '../../../parser/ledger/asking/orders.ts'
import { readUsage, type UsageOf } from '../../../parser/ledger/asking/usage.ts'
import { GRANULARITIES, type Granularity } from '../../../parser/ledger/schema/tables.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { seeded } from '../../helpers/files.ts'
import { type ClosingScene, closingScene } from './closing-scene.ts'
import { openSession, type Pairs, startServer } from './helpers.ts'
import { askUsage, keepUsage, ledgerNames, rollUp, startAt, type Told } from './usage-scene.ts'

// What was used when: told as a plain model tells it, wherever the postings stand on their way into periods.

const server = await startServer(t)
t.setTimeout(120_000)
const LIMITS = { rowsMax: 4, straysMax: 3 }

interface Used {
  readonly pairs: Pairs
  readonly usedAtMs: number
}

/** All lines of a question, by a model. */
function modelled(
  used: readonly Used[],
  of: UsageOf,
  {
    by,
    timeZone,
    fromMs,
    toMs,
  }: { by: Granularity; timeZone: string; fromMs: number; toMs: number },
): Told['lines'] {
  const periods = new Map<string, Map<bigint, bigint>>()
  // Every quarter of an hour, so that no period is missed.
  for (let ms = fromMs; ms < toMs; ms += 900_000) {
    periods.set(startAt(by, timeZone, ms), new Map())
  }
  for (const { pairs, usedAtMs } of used) {
    const sums = periods.get(startAt(by, timeZone, usedAtMs))
    for (const [id, amount] of pairs) sums?.set(id, (sums.get(id) ?? 0n) + amount)
  }
  return [...periods].flatMap(([start, sums]): Told['lines'] => {
    const all = [...sums].filter(([, sum]) => sum > 0n).sort(([a], [b]) => (a < b ? -1 : 1))
    if (of === 'all') return [[start, undefined, all.reduce((sum, [, one]) => sum + one, 0n)]]
    if (of !== 'each' && 'id' in of) return [[start, of.id, sums.get(of.id) ?? 0n]]
    const wanted =
      of === 'each'
        ? all
        : [...all].sort(([, a], [, b]) => (a === b ? 0 : a > b ? -1 : 1)).slice(0, of.top)
    return wanted.map(([id, sum]) => [start, id, sum] as const)
  })
}

const QUESTIONS: readonly UsageOf[] = ['all', 'each', { id: 2n }, { id: U64_MAX }, { top: 2 }]

async function assertTold(
  t: Test,
  s: ClosingScene,
  used: readonly Used[],
  timeZone: string,
  [from, to]: readonly [string, string],
): Promise<void> {
  for (const by of GRANULARITIES) {
    for (const of of QUESTIONS) {
      const question = { of, by, from: { local: from }, to: { local: to } }
      const told = (await askUsage(s.session, s.config, question, LIMITS))!
      const { fromMs, toMs } = told
      const what = `${timeZone} ${by} ${JSON.stringify(of, (_, one) => (typeof one === 'bigint' ? `${one}` : one))}`
      t.strictSame(told.lines, modelled(used, of, { by, timeZone, fromMs, toMs }), what)
    }
  }
}

/** Across a change of the clocks, where there is one. */
const SCENES = [
  {
    timeZone: 'Europe/Berlin',
    around: '2026-03-29T01:00Z',
    range: ['2026-03-28T00:00', '2026-03-31T00:00'],
  },
  {
    timeZone: 'Europe/Berlin',
    around: '2026-10-25T01:00Z',
    range: ['2026-10-24T00:00', '2026-10-27T00:00'],
  },
  {
    timeZone: 'Asia/Kolkata',
    around: '2026-01-31T18:30Z',
    range: ['2026-01-30T10:10', '2026-02-03T00:00'],
  },
  {
    timeZone: 'Australia/Lord_Howe',
    around: '2026-04-04T15:00Z',
    range: ['2026-04-04T00:00', '2026-04-06T12:30'],
  },
  { timeZone: 'UTC', around: '2026-12-31T23:59Z', range: ['2026-12-30T00:00', '2027-01-02T00:00'] },
] as const

for (const [seed, { timeZone, around, range }] of SCENES.entries()) {
  t.test(`${timeZone} around ${around}`, async t => {
    const below = seeded(seed + 1)
    const s = await closingScene(t, await server.database())
    const n = ledgerNames(s.config)
    await keepUsage(s.session, n, timeZone)
    const used: Used[] = []
    const counted: { sha256: string; used: Used }[] = []
    const count = async (files: number): Promise<void> => {
      for (let i = 0; i < files; i += 1) {
        const usedAtMs = Date.parse(around) + below(3 * 86_400_000) - 86_400_000
        const pairs = [0n, 1n, 2n, 3n, 5n, 8n, 13n, U64_MAX]
          .filter(() => below(2) === 0)
          .map(id => [id, BigInt(below(9)) * 10n ** BigInt(below(15)) + 1n] as const)
        if (pairs.length === 0) continue
        const { sha256 } = await s.counted(pairs, { terms: { usedAtMs } })
        const one = { pairs, usedAtMs }
        used.push(one)
        counted.push({ sha256: Buffer.from(sha256).toString('hex'), used: one })
      }
    }
    const undo = async (): Promise<void> => {
      const [one] = counted.splice(below(counted.length), 1)
      const [content] = await s.ledger.ask(one!.sha256)
      if (content === undefined || !('row' in content)) throw new Error('it has no row')
      await s.ask(orderOf('undo', s.uuid, content.row, ''))
      t.same(await s.carryOut(), ['applied'])
      used.splice(used.indexOf(one!.used), 1)
    }
    await count(6)
    await t.test('not rolled up', t => assertTold(t, s, used, timeZone, range))
    await rollUp(s.session, n, timeZone)
    await t.test('rolled up', t => assertTold(t, s, used, timeZone, range))
    await count(3)
    await undo()
    await undo()
    await t.test('partly', t => assertTold(t, s, used, timeZone, range))
    await rollUp(s.session, n, timeZone, 3n)
    await count(2)
    await undo()
    await t.test('beside one that is under way', t => assertTold(t, s, used, timeZone, range))
  })
}

t.test('sums beyond 64 bits, and what a batch has moved up to now', async t => {
  const s = await closingScene(t, await server.database())
  const n = ledgerNames(s.config)
  await keepUsage(s.session, n, 'UTC')
  const usedAtMs = Date.UTC(2026, 10, 1, 12)
  const range = ['2026-11-01T00:00', '2026-11-02T00:00'] as const
  const large: Pairs = [
    [2n, 2n ** 63n],
    [7n, 1n],
  ]
  await s.counted(large, { terms: { usedAtMs } })
  await rollUp(s.session, n, 'UTC')
  // As after a reset: the total would not hold both.
  await s.session.execute(`UPDATE ${n.totals} SET ${n.amount} = 0`)
  await s.counted(large, { terms: { usedAtMs } })
  const used = [1, 2].map(() => ({ pairs: large, usedAtMs }))
  await t.test('added', t => assertTold(t, s, used, 'UTC', range))
  await rollUp(s.session, n, 'UTC')
  await t.test('rolled up', t => assertTold(t, s, used, 'UTC', range))
  const more = await s.counted(
    [
      [1n, 5n],
      [2n, 6n],
      [3n, 7n],
    ],
    { terms: { usedAtMs } },
  )
  await s.session.execute(
    `UPDATE ${n.batch} b JOIN ${n.posting} p ON p.batch_id = b.id JOIN ${n.file} f ON f.sequence = p.file_sequence
        SET b.state = 'applying', b.cursor_id = 2 WHERE f.sha256 = ?`,
    [Buffer.from(more.sha256)],
  )
  const moved = [
    ...used,
    {
      pairs: [
        [1n, 5n],
        [2n, 6n],
      ] as Pairs,
      usedAtMs,
    },
  ]
  await t.test('half counted', t => assertTold(t, s, moved, 'UTC', range))
})

t.test('what is not kept is told by coarser periods', async t => {
  const s = await closingScene(t, await server.database())
  const n = ledgerNames(s.config)
  const ask = (by: Granularity, from: string, to: string) =>
    askUsage(s.session, s.config, { of: 'all', by, from: { local: from }, to: { local: to } })
  t.equal(
    await s.session
      .execute(`UPDATE ${n.meta} SET time_zone = NULL`)
      .then(() => ask('day', '2026-01-01', '2026-01-02')),
    undefined,
    'or not at all',
  )
  await keepUsage(s.session, n, 'Europe/Berlin')
  await s.counted([[1n, 5n]], { terms: { usedAtMs: Date.parse('2026-03-01T00:30+01:00') } })
  await rollUp(s.session, n, 'Europe/Berlin')
  await s.counted([[1n, 2n]], { terms: { usedAtMs: Date.parse('2026-03-01T00:40+01:00') } })
  const kept = (by: Granularity, from: string) =>
    s.session.execute(`UPDATE ${n.period} SET kept_from = ? WHERE granularity = ?`, [from, by])
  await kept('hour', '2026-03-05 00:00:00')
  t.match(await ask('hour', '2026-03-01T00:00', '2026-03-02T00:00'), {
    by: 'day',
    filesNotRolledUp: 1,
    lines: [['2026-03-01', undefined, 7n]],
  })
  t.match(await ask('hour', '2026-03-05T01:00', '2026-03-05T03:00'), {
    by: 'hour',
    lines: { length: 2 },
  })
  await kept('day', '2026-04-01 00:00:00')
  t.match(await ask('day', '2026-03-01T00:00', '2026-03-02T00:00'), {
    by: 'month',
    lines: [['2026-03-01', undefined, 7n]],
  })
  await kept('month', '2026-03-01 00:00:00')
  t.match(await ask('month', '2025-01-01T00:00', '2026-05-01T00:00'), {
    by: 'month',
    lines: [
      ['2026-03-01', undefined, 7n],
      ['2026-04-01', undefined, 0n],
    ],
  })
})

t.test('tables of usage are not altered under somebody who asks', async t => {
  const address = await server.database()
  const s = await closingScene(t, address)
  const other = await openSession(t, address)
  const n = ledgerNames(s.config)
  await keepUsage(s.session, n, 'UTC')
  const alter = (table: string): Promise<unknown> =>
    other.execute(
      `ALTER TABLE ${table} NOWAIT REORGANIZE PARTITION others INTO
         (PARTITION p VALUES LESS THAN ('2020-01-01'), PARTITION others VALUES LESS THAN (MAXVALUE))`,
    )
  await readUsage(s.session, s.config, { of: 'all', by: 'day' }, async account => {
    for (const table of [n.usage_block, n.usage_day, n.usage_month]) {
      await t.rejects(alter(table), /[Ll]ock wait timeout/, table)
    }
    for await (const { amount } of account.lines()) t.equal(amount, 0n)
  })
  for (const table of [n.usage_block, n.usage_day, n.usage_month]) await alter(table)
})
