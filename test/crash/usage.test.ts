import t, { type Test } from 'tap'
import { CRASH_POINTS, type CrashPoint } from '../../shared/crash-points.ts'
import { countersink } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { drop, totalsOf } from '../helpers/files.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import { makeNeighbour, type Site } from '../helpers/state-dir.ts'
import { chunkedFile, settleAll, spawnDoomed, tinySite } from './scene.ts'

// Usage comes into its hours, days and months once, wherever the parser is killed that brings it there; it
// is another one that goes on.

const server = await startDatabaseServer(t)
t.jobs = 2
t.setTimeout(600_000)

const FILES = [chunkedFile('a', 1), chunkedFile('b', 2)]
const LEAVING: readonly CrashPoint[] = ['U7-before-commit', 'U7-left-out']
const ROLLING = CRASH_POINTS.filter(name => name.startsWith('U') && !LEAVING.includes(name))
const ON = {
  ...{ COUNTERSINK_USAGE: 'on', COUNTERSINK_KEEP_HOURS: '1d', COUNTERSINK_ROLL_UP_MS: '100' },
}
const ELSEWHERE = { ...ON, COUNTERSINK_TIME_ZONE: 'Pacific/Kiritimati' }

for (const point of ROLLING) {
  t.test(`rolled up for the first time, killed at ${point}`, async t => {
    const site = await counted(t)
    await killedAndGoneOnWith(t, site, point, ON)
  })
}

for (const point of ['U1-begun', 'U2-before-commit', 'U6-zone-set'] as const) {
  t.test(`brought to the days of another time zone, killed at ${point}`, async t => {
    const site = await counted(t)
    await withSession(site, session =>
      // As if it was used when that zone had the next day already.
      session.execute(
        "UPDATE countersink_file SET used_at = DATE_FORMAT(used_at, '%Y-%m-%d 12:00')",
      ),
    )
    await killedAndGoneOnWith(t, site, 'U3-rolled', ON)
    await killedAndGoneOnWith(t, site, point, ELSEWHERE)
  })
}

for (const point of LEAVING) {
  t.test(`a file that cannot be read left out, killed at ${point}`, async t => {
    const site = await counted(t)
    const flip = () =>
      withSession(site, session =>
        session.execute(
          `UPDATE countersink_sums SET block = INSERT(block, 12, 1, CHAR(ASCII(SUBSTR(block, 12)) ^ 1))
            WHERE file_sequence = 1 ORDER BY first_id LIMIT 1`,
        ),
      )
    const waiting = () =>
      withSession(site, session =>
        session.query<{ sequence: bigint }>(
          'SELECT file_sequence AS sequence FROM countersink_posting WHERE rolled IS NULL',
        ),
      )
    t.equal(await flip(), 1)
    await (await spawnDoomed(t, site, point, { env: ON })).died()
    const neighbour = await makeNeighbour(t, site)
    const other = await startParser(t, neighbour, ON)
    await eventually('only that one is left', async () => {
      const rows = await waiting()
      return rows.length === 1 && rows[0]!.sequence === 1n
    })
    await eventually('it is named', async () => {
      const { stdout } = await countersink(t, neighbour, 'status', '--json')
      return /left out, as the sums recorded of them are not what they were: [ab]/.test(stdout)
    })
    t.match(await countersink(t, neighbour, 'usage', '--all'), {
      code: 3,
      stderr: /BLOCK_UNREADABLE|[ab].*: block of the ids/,
    })
    const broken = await countersink(t, site, 'verify', '--full')
    t.match(broken.stdout, /[ab] \([0-9a-f]{16}\): .*CRC is wrong/)
    t.equal(await flip(), 1)
    await eventually('it is rolled up too', async () => (await waiting()).length === 0)
    t.match(await stopProgram(other), { code: 0 })
    const proven = await countersink(t, site, 'verify', '--full')
    t.match(proven, { code: 0 }, proven.stdout)
  })
}

async function counted(t: Test): Promise<Site> {
  const site = await tinySite(t, server, { COUNTERSINK_USAGE: 'off' })
  drop(site.paths, FILES)
  await settleAll(t, site, FILES.length)
  return site
}

async function killedAndGoneOnWith(
  t: Test,
  site: Site,
  point: CrashPoint,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  await (await spawnDoomed(t, site, point, { env })).died()
  const meanwhile = await countersink(t, site, 'verify', '--full')
  t.match(meanwhile, { code: 0 }, meanwhile.stdout)
  const neighbour = await makeNeighbour(t, site)
  const other = await startParser(t, neighbour, env)
  await eventually('all of it is rolled up', () =>
    withSession(site, async session => {
      const left = await session.query(
        `SELECT 1 FROM countersink_posting WHERE rolled IS NULL OR day_before IS NOT NULL
         UNION ALL SELECT 1 FROM countersink_rollup WHERE state <> 'applied'
         UNION ALL SELECT 1 FROM countersink_meta WHERE NOT time_zone <=> ? OR rezoned_to IS NOT NULL`,
        [env.COUNTERSINK_TIME_ZONE ?? 'UTC'],
      )
      return left.length === 0
    }),
  )
  t.match(await stopProgram(other), { code: 0 })
  const proven = await countersink(t, site, 'verify', '--full')
  t.match(proven, { code: 0 }, proven.stdout)
  for (const table of ['usage_day', 'usage_month']) {
    const rows = await withSession(site, session =>
      session.query<{ id: bigint; amount: string }>(
        `SELECT id, SUM(amount) AS amount FROM countersink_${table} GROUP BY id`,
      ),
    )
    t.same(new Map(rows.map(({ id, amount }) => [id, BigInt(amount)])), new Map(totalsOf(FILES)))
  }
}
