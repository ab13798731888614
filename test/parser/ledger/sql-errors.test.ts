import t from 'tap'
import { Session } from '../../../parser/ledger/connection.ts'
import { judgeSqlError } from '../../../parser/ledger/sql-errors.ts'
import { CountersinkError } from '../../../shared/errors.ts'
import { startSayingNo } from '../../helpers/saying-no.ts'
import { eventually, failureOf, within } from '../../shared/helpers.ts'
import { addressOf, batchFor, databaseOf, openLedgerScene, startServer } from './helpers.ts'

// What becomes of each kind of answer that MariaDB can give.

const server = await startServer(t)
let proxies = 0

async function sceneThrough(env: Record<string, string> = {}) {
  proxies += 1
  const path = `${server.dir}/no${proxies}`
  const proxy = await startSayingNo(t, path, server.socketPath)
  const address = await server.database()
  const through = addressOf(path, databaseOf(address))
  return { proxy, ...(await openLedgerScene(t, address, { env, through })) }
}

/** Of all kinds, some that nobody has ever heard of among them. */
const WAITED_FOR: readonly [number: number, state: string][] = [
  ...[1021, 1030, 1114, 1146, 1054, 1615, 1461, 1969, 1290, 1205].map(
    number => [number, 'HY000'] as [number, string],
  ),
  ...([
    [1040, '08004'],
    [1203, '42000'],
    [1047, '08S01'],
    [1213, '40001'],
  ] as [number, string][]),
  ...([
    [1142, '42000'],
    [4711, 'HY000'],
    [1930, '25006'],
    [65_000, '99999'],
  ] as [number, string][]),
]

t.test(
  'an answer that may pass is waited for, with its reason, however often it comes',
  async t => {
    const { ledger, proxy, outages, totals, count } = await sceneThrough()
    await ledger.open()
    let counted = 0n
    for (const [number, state] of WAITED_FOR) {
      for (const match of [/INSERT INTO `countersink_batch`/, /^COMMIT/, /./]) {
        outages.length = 0
        const times = number === 1114 ? 3 : 1
        proxy.refuse({ number, state, message: `words of ${number}`, match, times })
        const result = await within(`${number} ${match}`, count(batchFor([[1n, 1n]])))
        counted += 1n
        t.match(result, { kind: 'applied' }, `${number} ${match}`)
        t.match(outages[0], new RegExp(`${number}: words of ${number}`))
      }
    }
    proxy.refuse({ number: 4711, times: 1 })
    await ledger.openBatches()
    t.match(outages.at(-1), /does not know/, 'an unknown one says so')
    t.same(await totals(), { 1: String(counted) })
  },
)

t.test('the same while it starts', async t => {
  const { ledger, proxy, outages } = await sceneThrough()
  proxy.refuse({ number: 1047, state: '08S01' })
  const opening = ledger.open()
  await eventually('it is told', () => /1047/.test(outages.at(-1) ?? ''))
  proxy.refuse(undefined)
  t.match(await within('it starts', opening), { uuid: String })
})

t.test('our own fault ends the process, and is not waited for', async t => {
  const { ledger, proxy, count } = await sceneThrough()
  await ledger.open()
  await ledger.counter.takeLease()
  proxy.refuse({ number: 1064, state: '42000', message: 'near nonsense', times: 1 })
  t.match(await failureOf(count(batchFor([[1n, 1n]]))), {
    code: 'DATABASE_FAILED',
    message: /1064: near nonsense/,
  })
})

t.test('a batch that is there already is asked for', async t => {
  const { ledger, session, totals, count } = await sceneThrough()
  await ledger.open()
  const batch = batchFor([[1n, 5n]])
  t.match(await count(batch), { kind: 'applied' })
  const again = await count(batch)
  t.match(again, { kind: 'applied' }, 'also by one who believes that it is new')
  t.same(await totals(), { 1: '5' })
  t.equal((await session.query('SELECT 1 FROM countersink_batch')).length, 1)
})

t.test('what is missing to an account is said at a start, and waited for later', async t => {
  const { ledger, session, outages, totals } = await sceneThrough()
  await ledger.open()
  await session.execute("CREATE USER few@localhost IDENTIFIED BY 'x'")
  const [row] = await session.query<{ name: string }>('SELECT DATABASE() AS name')
  const name = row?.name ?? ''
  const url = `mariadb://few:x@localhost/${name}?socketPath=${encodeURIComponent(server.socketPath)}`
  await session.execute(`GRANT SELECT ON ${name}.* TO few@localhost`)
  const few = await openLedgerScene(t, { url })
  t.match(await failureOf(few.ledger.open()), { code: 'DATABASE_UNFIT', message: /1142.*INSERT/ })
  await session.execute(`GRANT INSERT, UPDATE, DELETE ON ${name}.* TO few@localhost`)
  await few.ledger.open()
  await session.execute(`REVOKE INSERT ON ${name}.* FROM few@localhost`)
  await session.execute('KILL USER few')
  const waiting = few.count(batchFor([[1n, 5n]]))
  await eventually('it is told', () => /1142.*INSERT/.test(few.outages.at(-1) ?? ''))
  await session.execute(`GRANT INSERT ON ${name}.* TO few@localhost`)
  t.match(await within('it goes on', waiting), { kind: 'applied' })
  t.same(await totals(), { 1: '5' }, 'tables that are there are not created')
  await session.execute('ALTER USER few@localhost IDENTIFIED BY "y"')
  const late = await openLedgerScene(t, addressOf(server.socketPath, name), { through: { url } })
  const refused = await failureOf(late.ledger.open())
  t.match(refused, { code: 'DATABASE_UNFIT', message: /1045/ })
  t.same(outages, [])
})

t.test('a server that has become read only is away, whoever asks', async t => {
  const { ledger, outages, totals, count } = await sceneThrough()
  await ledger.open()
  await server.admin.execute('SET GLOBAL read_only = 1')
  t.teardown(() => server.admin.execute('SET GLOBAL read_only = 0'))
  // Of an account that may write all the same, on a connection from before.
  const waiting = count(batchFor([[1n, 5n]]))
  await eventually('it is told', () => /read only/.test(outages.at(-1) ?? ''))
  t.same(await totals(), {})
  await server.admin.execute('SET GLOBAL read_only = 0')
  t.match(await within('it goes on', waiting), { kind: 'applied' })
})

t.test('one whose way swallows everything is noticed, and asked again', async t => {
  const { ledger, proxy, outages, totals, count } = await sceneThrough()
  await ledger.open()
  proxy.swallow(true)
  const waiting = count(batchFor([[1n, 5n]]))
  await eventually('it is told', () => outages.length > 0, 60_000)
  proxy.swallow(false)
  t.match(await within('it goes on', waiting), { kind: 'applied' })
  t.same(await totals(), { 1: '5' })
})

t.test('defaults of a server that cut or change results do no harm', async t => {
  const odd = {
    sql_select_limit: '1',
    max_join_size: '1',
    group_concat_max_len: '4',
    sql_mode: "''",
    completion_type: "'RELEASE'",
    max_statement_time: '0.001',
    sql_safe_updates: '1',
    tx_read_only: '1',
    character_set_server: "'latin1'",
    init_connect: "'SET SESSION sql_select_limit = 1'",
  }
  const before = await server.admin.query<Record<string, unknown>>(
    `SELECT ${Object.keys(odd)
      .map(name => `@@GLOBAL.${name} AS ${name}`)
      .join(', ')}`,
  )
  const set = async (values: Readonly<Record<string, unknown>>): Promise<void> => {
    for (const [name, value] of Object.entries(values)) {
      await server.admin.execute(`SET GLOBAL ${name} = ${value}`)
    }
  }
  const quoted = (value: unknown): unknown => (typeof value === 'string' ? `'${value}'` : value)
  t.teardown(() =>
    set(Object.fromEntries(Object.entries(before[0] ?? {}).map(([k, v]) => [k, quoted(v)]))),
  )
  const address = await server.database()
  await set(odd)
  const { ledger, totals, count } = await openLedgerScene(t, address)
  await ledger.open()
  const pairs = Array.from({ length: 300 }, (_, i) => [BigInt(i * 1_000), 2n ** 62n] as const)
  for (let i = 0; i < 3; i += 1) await count(batchFor(pairs, { name: `файл 😀 ${i}` }))
  t.match(await count(batchFor(pairs)), { kind: 'overflow' }, 'nothing is clamped')
  t.equal(Object.keys(await totals()).length, 300)
  const session = await Session.open(address)
  t.teardown(() => session.close())
  const names = await session.query<{ name: string }>('SELECT name FROM countersink_file')
  t.equal(names.length, 3)
  t.match(names[0], { name: 'файл 😀 0' })
})

t.test('errors that are none of the database are not judged', async t => {
  t.equal(judgeSqlError(new TypeError('x')), undefined)
  t.equal(judgeSqlError('x'), undefined)
  t.equal(judgeSqlError(new CountersinkError('CURSOR_MOVED', 'x')), undefined)
  const lost = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  t.match(judgeSqlError(lost), { meaning: 'wait', reason: /cannot be reached/ })
  t.match(judgeSqlError(new CountersinkError('DATABASE_UNAVAILABLE', 'away')), { meaning: 'wait' })
})
