import t from 'tap'
import type { Session } from '../../../../parser/ledger/connection.ts'
import { hourSeed } from '../../../../parser/ledger/periods/hour-seed.ts'
import { prove } from '../../../../parser/ledger/proving/verify.ts'
import { type BlockRow, blockOf } from '../../../../parser/ledger/recording/blocks.ts'
import { packPlainly, unpackPlainly } from '../../../../parser/sums/index.ts'
import { U64_MAX } from '../../../../shared/limits.ts'
import { openSession, type Pairs, startServer } from '../helpers.ts'
import { type UsageScene, usageScene } from '../periods/usage-scene.ts'

// Whatever somebody else changes of usage by time is named, with its place.

const server = await startServer(t)
t.setTimeout(120_000)

const SOME: Pairs = [
  [1n, 5n],
  [2n, 6n],
  [2n ** 60n, 7n],
]
const MORE: Pairs = [
  [1n, 8n],
  [3n, U64_MAX],
]
const HOUR = '2026-10-31 22:00:00'
const NEXT_HOUR = '2026-10-31 23:00:00'

interface Damage {
  readonly what: string
  /** Statements, or something to do. */
  readonly by: readonly string[] | ((session: Session) => Promise<void>)
  /** Without a look at each consumer; undefined: it is not seen there. */
  readonly glanced?: RegExp
  readonly proved: RegExp
}

const DAMAGES: readonly Damage[] = [
  {
    what: "an hour's block exchanged for another valid one",
    by: session =>
      exchangeBlock(session, HOUR, pairs => pairs.map(([id, n]) => [id, id === 1n ? n + 2n : n])),
    proved: /^the hour of 2026-10-31 22:00:00 has 18, and its consumers 20$/,
  },
  {
    what: 'one of as much together',
    by: session =>
      exchangeBlock(session, HOUR, pairs =>
        pairs.map(([id, n]) => [id, id === 1n ? n + 2n : id === 2n ? n - 2n : n]),
      ),
    proved: /^consumer 1 has 2 more by hour than was rolled up$/,
  },
  {
    what: 'one that has another consumer instead',
    by: session =>
      exchangeBlock(session, HOUR, pairs => pairs.map(([id, n]) => [id === 2n ? 4n : id, n])),
    proved: /^consumer 2 has 6 less by hour than was rolled up$/,
  },
  {
    what: 'the block of another hour',
    by: [
      `DELETE FROM countersink_usage_block WHERE period_start = '${NEXT_HOUR}'`,
      `INSERT INTO countersink_usage_block SELECT '${NEXT_HOUR}', first_id, last_id, pairs, amount, crc, block
         FROM countersink_usage_block WHERE period_start = '${HOUR}'`,
    ],
    proved: /^the hour of 2026-10-31 23:00:00: .*CRC is wrong/,
  },
  {
    what: 'a byte of a block',
    by: [
      `UPDATE countersink_usage_block SET block = INSERT(block, 12, 1, CHAR(ASCII(SUBSTR(block, 12)) ^ 1))
        WHERE period_start = '${HOUR}'`,
    ],
    proved: /^the hour of 2026-10-31 22:00:00: .*CRC is wrong/,
  },
  {
    what: 'a block removed',
    by: [`DELETE FROM countersink_usage_block WHERE period_start = '${HOUR}'`],
    proved: /^the hour of 2026-10-31 22:00:00 has 18, and its consumers 0$/,
  },
  {
    what: 'a sum beyond 64 bits raised',
    by: ['UPDATE countersink_usage_wide SET amount = amount + 3'],
    proved: /^consumer 3 has 3 more by hour than was rolled up$/,
  },
  {
    what: 'and removed',
    by: ['DELETE FROM countersink_usage_wide'],
    proved: /^consumer 3 has 18446744073709551615 less by hour than was rolled up$/,
  },
  ...(['day', 'month'] as const).flatMap(by => rowsDamaged(by)),
  {
    what: 'two hours that have changed places, with their sums',
    by: async session => {
      const first = await pairsOfHour(session, HOUR)
      const second = await pairsOfHour(session, '2026-11-01 00:00:00')
      await exchangeBlock(session, HOUR, () => second)
      await exchangeBlock(session, '2026-11-01 00:00:00', () => first)
      await session.execute(
        `UPDATE countersink_usage u JOIN countersink_usage v ON v.granularity = 'hour' AND u.granularity = 'hour'
            AND (u.period_start = '${HOUR}' AND v.period_start = '2026-11-01 00:00:00'
              OR v.period_start = '${HOUR}' AND u.period_start = '2026-11-01 00:00:00')
            SET u.amount = IF(u.period_start = '${HOUR}', 13, 18)`,
      )
    },
    proved: /^the hour of 2026-10-31 22:00:00 has 13, and the files rolled up into it 18$/,
  },
  {
    what: 'the sum of an hour raised',
    by: [
      `UPDATE countersink_usage SET amount = amount + 1
        WHERE granularity = 'hour' AND period_start = '${HOUR}'`,
    ],
    glanced: /^by hour there are \d+, dropped are 0, and \d+ were rolled up$/,
    proved: /^the hour of 2026-10-31 22:00:00 has 19, and its consumers 18$/,
  },
  {
    what: 'two sums changed by as much',
    by: [
      `UPDATE countersink_usage SET amount = amount + IF(period_start = '${HOUR}', 1, -1)
        WHERE granularity = 'hour' AND period_start IN ('${HOUR}', '${NEXT_HOUR}')`,
    ],
    proved: /^the hour of 2026-10-31 22:00:00 has 19, and its consumers 18$/,
  },
  {
    what: 'the sum of a month removed',
    by: [
      `DELETE FROM countersink_usage WHERE granularity = 'month' AND period_start = '2026-11-01'`,
    ],
    glanced: /^by month there are \d+, dropped are 0, and \d+ were rolled up$/,
    proved: /^the month of 2026-11-01 00:00:00 has 0, and its consumers 13$/,
  },
  {
    what: 'more dropped than was',
    by: [`UPDATE countersink_period SET dropped = 1 WHERE granularity = 'day'`],
    glanced: /^by day there are \d+, dropped are 1, and \d+ were rolled up$/,
    proved: /^by day there are/,
  },
  {
    what: 'what is kept of a granularity gone',
    by: [`DELETE FROM countersink_period WHERE granularity = 'day'`],
    glanced: /^of days it is not known from when on they are kept$/,
    proved: /^of days it is not known from when on they are kept$/,
  },
  ...(['hour', 'day', 'month'] as const).map(
    (by): Damage => ({
      what: `${by}s kept from later on, and their sums still there`,
      by: [`UPDATE countersink_period SET kept_from = '2026-11-01' WHERE granularity = '${by}'`],
      glanced: new RegExp(`^the ${by} of 2026-10-.* has \\d+, and is dropped$`),
      proved: new RegExp(`^the ${by} of 2026-10-.* has \\d+, and is dropped$`),
    }),
  ),
  {
    what: 'kept from later on, without what was dropped',
    by: [
      `UPDATE countersink_period SET kept_from = '2026-11-01' WHERE granularity = 'hour'`,
      `DELETE FROM countersink_usage WHERE granularity = 'hour' AND period_start < '2026-11-01'`,
    ],
    glanced: /^by hour there are 13, dropped are 0, and \d+ were rolled up$/,
    proved: /^by hour there are 13/,
  },
  {
    what: 'kept from earlier on than they were dropped',
    by: [
      `UPDATE countersink_period SET dropped = (SELECT SUM(amount) FROM countersink_usage
          WHERE granularity = 'day' AND period_start < '2026-11-01') WHERE granularity = 'day'`,
      `DELETE FROM countersink_usage WHERE granularity = 'day' AND period_start < '2026-11-01'`,
      `DELETE FROM countersink_usage_day WHERE period_start < '2026-11-01'`,
    ],
    proved: /^the day of 2026-10-31 00:00:00 has 0, and the files rolled up into it \d+$/,
  },
  {
    what: 'a posting that is of no roll-up',
    by: ['UPDATE countersink_posting SET rolled = 77 WHERE file_sequence = 1'],
    proved: /^posting 1 of file 1 is of roll-up 77, which is not there$/,
  },
  {
    what: 'one that waits, said to be rolled up',
    by: [
      `UPDATE countersink_posting SET rolled = 1, day = '2026-11-05' WHERE rolled IS NULL AND n = 1`,
    ],
    proved: /^roll-up 1 has \d+, and its files \d+$/,
  },
  {
    what: 'one that is rolled up, said to wait',
    by: ['UPDATE countersink_posting SET rolled = NULL, day = NULL WHERE file_sequence = 1'],
    proved: /^roll-up 1 has \d+, and its files \d+$/,
  },
  {
    what: 'one without a day',
    by: ['UPDATE countersink_posting SET day = NULL WHERE file_sequence = 1'],
    proved: /^posting 1 of file 1 is of roll-up 1, and has no day$/,
  },
  {
    what: 'one with another day',
    by: [`UPDATE countersink_posting SET day = '2026-11-01' WHERE file_sequence = 1`],
    proved: /^the day of 2026-11-01 00:00:00 has 13, and the files rolled up into it 31$/,
  },
  {
    what: 'a file used at another time',
    by: ["UPDATE countersink_file SET used_at = '2026-11-01 00:30:00' WHERE sequence = 1"],
    proved: /^the hour of 2026-10-31 22:00:00 has 18, and the files rolled up into it 0$/,
  },
  {
    what: 'taken back in a roll-up, and counted in none',
    by: [
      'UPDATE countersink_posting SET rolled = NULL, day = NULL WHERE file_sequence = 5 AND n = 1',
    ],
    proved: /^posting 2 of file 5 is of roll-up \d+, and posting 1 of none$/,
  },
  {
    what: 'a day that is left by nothing',
    by: [`UPDATE countersink_posting SET day_before = '2026-10-30' WHERE file_sequence = 1`],
    proved: /^posting 1 of file 1 leaves the day 2026-10-30, and nothing brings it into another$/,
  },
  {
    what: 'a roll-up gone',
    by: ['DELETE FROM countersink_rollup WHERE n = 1'],
    glanced: /^by hour there are \d+, dropped are 0, and \d+ were rolled up$/,
    proved: /^posting 1 of file 1 is of roll-up 1, which is not there$/,
  },
  {
    what: 'all of them',
    by: ['DELETE FROM countersink_rollup'],
    glanced: /^by hour there are \d+, dropped are 0, and 0 were rolled up$/,
    proved: /^posting 1 of file 1 is of roll-up 1, which is not there$/,
  },
  {
    what: 'one that has applied less than it has planned',
    by: ['UPDATE countersink_rollup SET pairs_applied = pairs_applied - 1 WHERE n = 1'],
    glanced: /^roll-up 1 is applied, \d+ pairs and \d+ of \d+ and \d+$/,
    proved: /^roll-up 1 is applied/,
  },
  {
    what: 'two that are under way',
    by: ["UPDATE countersink_rollup SET state = 'applying'"],
    glanced: /^roll-up 1 is under way, and is not the last one$/,
    proved: /^roll-up 1 is under way, and is not the last one$/,
  },
]

/** The last one has been taken back; what comes behind is not rolled up. */
async function rolledScene(t: Parameters<typeof usageScene>[0]): Promise<UsageScene> {
  const s = await usageScene(t, await server.database(), { chunkPairs: 1_000 })
  await s.session.execute(
    'ALTER TABLE consumption MODIFY resource_consumption DECIMAL(38,0) NOT NULL',
  )
  await s.used(SOME, '2026-10-31T22:30:00Z')
  await s.used(MORE, '2026-10-31T23:30:00Z')
  await s.used(MORE, '2026-10-31T23:40:00Z')
  await s.used(SOME.slice(1), '2026-11-01T00:10:00Z')
  const taken = await s.used(SOME, '2026-11-02T00:00:00Z')
  t.equal(await s.roll(), 'done')
  await s.correct('undo', taken)
  t.equal(await s.roll(), 'done')
  await s.agrees(t)
  await s.used(SOME, '2026-11-05T00:00:00Z')
  return s
}

t.test('whatever somebody else changes is named', async t => {
  const s = await rolledScene(t)
  const { session, config, address } = s
  const reader = await openSession(t, address)
  const texts = async (isFull: boolean): Promise<string[]> => {
    const { findings } = await prove(reader, config, {
      journal: [],
      consumers: isFull ? { differencesMax: 5, limits: { rowsMax: 4, straysMax: 3 } } : undefined,
    })
    return findings.map(({ check, text }) => (check === 'usage' ? text : `${check}: ${text}`))
  }
  t.same(await texts(true), [])
  t.same(await texts(false), [])
  const putBack = await copyOf(session)
  for (const { what, by, glanced, proved } of DAMAGES) {
    if (typeof by === 'function') await by(session)
    else for (const sql of by) t.ok((await session.execute(sql)) > 0, `${what}: ${sql}`)
    const atAGlance = await texts(false)
    if (glanced === undefined) t.same(atAGlance, [], `${what}, at a glance`)
    else
      t.ok(
        atAGlance.some(text => glanced.test(text)),
        `${what}, at a glance`,
        { atAGlance },
      )
    const inFull = await texts(true)
    t.ok(
      inFull.some(text => proved.test(text)),
      `${what}, in full`,
      { inFull },
    )
    await putBack()
  }
  t.same(await texts(true), [])
  t.same(await texts(false), [])
})

t.test('beside a roll-up that is under way', async t => {
  const s = await rolledScene(t)
  const { session } = s
  await s.rollPartly({ rowsMax: 1 })
  const findings = async (): Promise<string[]> => (await s.proof()).findings.map(({ text }) => text)
  t.same(await findings(), [])
  const putBack = await copyOf(session)
  for (const [what, sql, found] of [
    [
      'its cursor moved on',
      "UPDATE countersink_rollup SET cursor_id = 2 WHERE state = 'applying'",
      /^consumer 2 has 6 less by hour than was rolled up$/,
    ],
    [
      'its cursor gone',
      "UPDATE countersink_rollup SET cursor_id = NULL WHERE state = 'applying'",
      /^consumer 1 has 5 more by day than was rolled up$/,
    ],
    [
      'more applied',
      "UPDATE countersink_rollup SET amount_applied = amount_applied + 1 WHERE state = 'applying'",
      /^by hour there are/,
    ],
    [
      'the sum of a period that it does not touch',
      "UPDATE countersink_posting SET day = '2026-11-02' WHERE file_sequence = 1",
      /^the day of 2026-10-31 00:00:00 has \d+, and the files rolled up into it \d+$/,
    ],
  ] as const) {
    t.ok((await session.execute(sql)) > 0, what)
    const inFull = await findings()
    t.ok(
      inFull.some(text => found.test(text)),
      what,
      { inFull },
    )
    await putBack()
  }
  t.same(await findings(), [])
})

function rowsDamaged(by: 'day' | 'month'): Damage[] {
  const table = `countersink_usage_${by}`
  const period = by === 'day' ? '2026-11-01' : '2026-10-01'
  const of = `the ${by} of ${period} 00:00:00 has`
  return [
    {
      what: `a row of a ${by} raised`,
      by: [`UPDATE ${table} SET amount = amount + 1 WHERE period_start = '${period}' AND id = 2`],
      proved: new RegExp(`^${of} \\d+, and its consumers \\d+$`),
    },
    {
      what: `two rows of a ${by} changed by as much`,
      by: [
        `UPDATE ${table} SET amount = amount + IF(id = 2, 1, -1)
          WHERE period_start = '${period}' AND id IN (2, ${2n ** 60n})`,
      ],
      proved: new RegExp(`^consumer 2 has 1 more by ${by} than was rolled up$`),
    },
    {
      what: `a row of a ${by} removed`,
      by: [`DELETE FROM ${table} WHERE period_start = '${period}' AND id = 2`],
      proved: new RegExp(`^consumer 2 has 6 less by ${by} than was rolled up$`),
    },
    {
      what: `a row of a ${by} added`,
      by: [`INSERT INTO ${table} VALUES ('${period}', 99, 4)`],
      proved: new RegExp(`^consumer 99 has 4 more by ${by} than was rolled up$`),
    },
    {
      what: `a row of a ${by} of which there was nothing`,
      by: [`INSERT INTO ${table} VALUES ('2020-02-01', 99, 4)`],
      proved: new RegExp(`^the ${by} of 2020-02-01 00:00:00 has 0, and its consumers 4$`),
    },
    {
      what: `rows of a ${by} of which there was nothing, nothing together`,
      by: [`INSERT INTO ${table} VALUES ('2020-02-01', 98, 4), ('2020-02-01', 99, -4)`],
      proved: new RegExp(`^consumer 99 has -4 in the ${by} of 2020-02-01`),
    },
  ]
}

async function pairsOfHour(session: Session, hour: string): Promise<Pairs> {
  const rows = await session.query<BlockRow>(
    `SELECT first_id AS firstId, last_id AS lastId, pairs, amount, crc, block
       FROM countersink_usage_block WHERE period_start = ? ORDER BY first_id`,
    [hour],
  )
  return rows.flatMap(row => {
    const { ids, amounts } = unpackPlainly(hourSeed(hour), blockOf(row))
    return Array.from(ids, (id, i) => [id, amounts[i]!] as const)
  })
}

/** Puts a block in its place of which nothing by itself is wrong. */
async function exchangeBlock(
  session: Session,
  hour: string,
  change: (pairs: Pairs) => Pairs,
): Promise<void> {
  const pairs = [...change(await pairsOfHour(session, hour))].sort(([a], [b]) => (a < b ? -1 : 1))
  await session.execute('DELETE FROM countersink_usage_block WHERE period_start = ?', [hour])
  const packed = packPlainly(hourSeed(hour), {
    ids: BigUint64Array.from(pairs, ([id]) => id),
    amounts: BigUint64Array.from(pairs, ([, amount]) => amount),
  })
  for (const { firstId, lastId, pairs, amount, crc, bytes } of packed) {
    await session.execute('INSERT INTO countersink_usage_block VALUES (?, ?, ?, ?, ?, ?, ?)', [
      ...[hour, firstId, lastId, pairs, `${amount}`, crc, Buffer.from(bytes)],
    ])
  }
}

const TABLES = [
  ...['usage', 'usage_block', 'usage_wide', 'usage_day', 'usage_month'],
  ...['period', 'posting', 'file', 'rollup'],
]

/** @returns what puts all tables back. */
async function copyOf(session: Session): Promise<() => Promise<void>> {
  for (const table of TABLES) {
    await session.execute(
      `CREATE OR REPLACE TABLE kept_${table} AS SELECT * FROM countersink_${table}`,
    )
  }
  return async () => {
    for (const table of TABLES) {
      await session.execute(`DELETE FROM countersink_${table}`)
      await session.execute(`INSERT INTO countersink_${table} SELECT * FROM kept_${table}`)
    }
  }
}
