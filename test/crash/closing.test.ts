import t, { type Test } from 'tap'
import { askFor, pruneOrder, resetOrder } from '../../parser/ledger/asking/orders.ts'
import { fromSqlTime, ledgerNames } from '../../parser/ledger/schema/tables.ts'
import { CRASH_POINTS, type CrashPoint } from '../../shared/crash-points.ts'
import { countersink } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { drop, type Totals, totalsOf } from '../helpers/files.ts'
import { pingParser, startParser, stopProgram } from '../helpers/parser.ts'
import { makeNeighbour, type Site } from '../helpers/state-dir.ts'
import { chunkedFile, settleAll, spawnDoomed, tinySite } from './scene.ts'

// Totals are emptied once, and books are closed once, wherever the parser is killed that does it; it is
// another one that goes on.

const server = await startDatabaseServer(t)
t.jobs = 2
t.setTimeout(600_000)

const FILES = [chunkedFile('a', 1), chunkedFile('b', 2)]
const EMPTYING = CRASH_POINTS.filter(name => name.startsWith('E'))
const CLOSING = CRASH_POINTS.filter(name => name.startsWith('C'))
/** In the middle. */
const PASSING: { readonly [point in CrashPoint]?: number } = { 'E2-chunk-emptied': 3 }

for (const point of EMPTYING) {
  t.test(`emptied, killed at ${point}`, async t => {
    const site = await counted(t)
    await ask(site, uuid => resetOrder(uuid, 'month'))
    await killedAndGoneOnWith(t, site, point, PASSING[point] ?? 1)
    await assertStands(t, site, new Map([...totalsOf(FILES)].map(([id]) => [id, 0n])))
  })
}

for (const point of CLOSING) {
  t.test(`closed, killed at ${point}`, async t => {
    const site = await counted(t)
    await ask(site, (_uuid, now) => pruneOrder(now, 'year'))
    await killedAndGoneOnWith(t, site, point, 1)
    await assertStands(t, site, totalsOf(FILES))
    const [left] = await withSession(site, session =>
      session.query<Record<'generations' | 'files', bigint>>(
        `SELECT COUNT(DISTINCT IF(file_sequence > ${2n ** 63n}, file_sequence, NULL)) AS generations,
                COUNT(IF(file_sequence < ${2n ** 63n}, 1, NULL)) AS files FROM countersink_sums`,
      ),
    )
    t.match(left, { generations: 1n, files: 0n }, 'nothing is left that nobody needs')
  })
}

async function counted(t: Test): Promise<Site> {
  const site = await tinySite(t, server)
  drop(site.paths, FILES)
  await settleAll(t, site, FILES.length)
  return site
}

async function ask(
  site: Site,
  requestOf: (uuid: string, nowMs: number) => Parameters<typeof askFor>[2],
): Promise<void> {
  await withSession(site, async session => {
    const [row] = await session.query<{ uuid: string; now: string }>(
      'SELECT ledger_uuid AS uuid, UTC_TIMESTAMP(3) AS now FROM countersink_meta',
    )
    const request = requestOf(row!.uuid, fromSqlTime(row!.now))
    await askFor(session, ledgerNames(site.config), request)
  })
}

async function killedAndGoneOnWith(
  t: Test,
  site: Site,
  point: CrashPoint,
  passing: number,
): Promise<void> {
  await (await spawnDoomed(t, site, point, { passing })).died()
  const meanwhile = await countersink(t, site, 'verify', '--full')
  t.match(meanwhile, { code: 0 }, meanwhile.stdout)
  const neighbour = await makeNeighbour(t, site)
  const other = await startParser(t, neighbour)
  await eventually('it is done', () =>
    withSession(site, async session => {
      const left = await session.query("SELECT 1 FROM countersink_order WHERE state <> 'done'")
      return left.length === 0
    }),
  )
  t.ok(await pingParser(neighbour.paths))
  t.match(await stopProgram(other), { code: 0 })
}

async function assertStands(t: Test, site: Site, expected: Totals): Promise<void> {
  const rows = await withSession(site, session =>
    session.query<{ id: bigint; amount: bigint }>(
      'SELECT id, resource_consumption AS amount FROM consumption',
    ),
  )
  t.same(new Map(rows.map(({ id, amount }) => [BigInt(id), BigInt(amount)])), new Map(expected))
  const proven = await countersink(t, site, 'verify', '--full')
  t.match(proven, { code: 0 }, proven.stdout)
  // Its own files are where they were.
  const again = await startParser(t, site)
  t.match(await stopProgram(again), { code: 0 })
}
