import t from 'tap'
import { schemaStatements } from '../../../parser/ledger/schema/printed.ts'
import { createViews } from '../../../parser/ledger/schema/views.ts'
import { blocksOf } from '../../operating/host/pages.ts'
import { closingScene } from './closing-scene.ts'
import { addressOf, databaseOf, openSession, type Pairs, startServer } from './helpers.ts'
import { keepUsage, ledgerNames, rollUp } from './usage-scene.ts'

// Usage in SQL, as OPERATIONS has it: what it says is what was used, for an account that may only ask.

const server = await startServer(t)
t.setTimeout(60_000)

t.test('each statement of the page, asked by the account for questions', async t => {
  const address = await server.database()
  const database = databaseOf(address)
  const s = await closingScene(t, address)
  const n = ledgerNames(s.config)
  await keepUsage(s.session, n, 'UTC')
  const used: readonly (readonly [Pairs, string])[] = [
    [
      [
        [4711n, 5n],
        [7n, 2n ** 64n - 1n],
      ],
      '2026-11-24T10:59:59.999Z',
    ],
    [
      [
        [4711n, 6n],
        [7n, 1n],
        [8n, 0n],
      ],
      '2026-11-24T11:00:00Z',
    ],
    [[[4711n, 1n]], '2026-11-26T00:00:00Z'],
    [[[4711n, 3n]], '2026-10-31T23:59:59Z'],
  ]
  for (const [pairs, usedAt] of used) {
    await s.session.execute(`UPDATE ${n.totals} SET ${n.amount} = 0`)
    await s.counted(pairs, { terms: { usedAtMs: Date.parse(usedAt) } })
  }
  await rollUp(s.session, n, 'UTC')
  const account = (user: string) => ({ user, host: 'localhost' })
  const accounts = { service: account('service'), reader: account('reader') }
  const { reader, views } = schemaStatements(s.config, { database, ...accounts })
  for (const statement of [...reader, ...reader]) await server.admin.execute(statement)
  for (const view of [...views, ...views]) await s.session.execute(view)
  await server.admin.execute(`ALTER USER reader@localhost IDENTIFIED BY 'x' ACCOUNT UNLOCK`)
  const { url } = addressOf(server.socketPath, database)
  const asking = await openSession(t, { url: url.replace('root@', 'reader:x@') })
  const [page] = blocksOf('OPERATIONS.md').get('Usage in SQL') ?? []
  const statements = (page?.text ?? '').split(';').filter(text => text.trim() !== '')
  const answers: unknown[] = []
  for (const statement of statements) answers.push(await asking.query(statement))
  t.match(answers, [
    [
      { consumer: 7n, amount: `${2n ** 64n}` },
      { consumer: 4711n, amount: '12' },
    ],
    [
      { day: '2026-11-24', amount: '11' },
      { day: '2026-11-26', amount: '1' },
    ],
    [
      { time: '2026-11-24 10:00:00', amount: `${2n ** 64n + 4n}` },
      { time: '2026-11-24 11:00:00', amount: '7' },
    ],
    [{ 'MAX(ended_at)': String }],
  ])
  t.same(
    answers.map(rows => (rows as unknown[]).length),
    [2, 2, 2, 1],
  )

  await s.session.execute(
    `UPDATE ${n.period} SET kept_from = '2026-11-25' WHERE granularity = 'day'`,
  )
  t.same(
    await asking.query(`SELECT day FROM ${n.usage_by_day} UNION
      SELECT period_start FROM ${n.usage_by_period} WHERE granularity = 'day'`),
    [{ day: '2026-11-26 00:00:00' }],
    'what is not kept any more is not there',
  )
})

t.test('an account that may make no views goes without them', async t => {
  const address = await server.database()
  const database = databaseOf(address)
  await server.admin.execute(`CREATE USER maker@localhost IDENTIFIED BY 'x'`)
  await server.admin.execute(
    `GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX ON ${database}.* TO maker@localhost`,
  )
  const { url } = addressOf(server.socketPath, database)
  const s = await closingScene(t, { url: url.replace('root@', 'maker:x@') })
  const views = () =>
    server.admin.query(`SHOW FULL TABLES FROM ${database} WHERE Table_type = 'VIEW'`)
  t.same(await views(), [])
  await s.counted([[1n, 1n]])
  await server.admin.execute(`USE ${database}`)
  for (const view of createViews(ledgerNames(s.config), 'or replace')) {
    await server.admin.execute(view)
  }
  t.equal((await views()).length, 3)
  await s.ledger.open()
})
