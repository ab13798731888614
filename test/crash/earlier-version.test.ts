import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { migrateToVersion3 } from '../../parser/ledger/schema/migration.ts'
import { openLedger } from '../../parser/ledger/schema/opening.ts'
import { wrongShapes } from '../../parser/ledger/schema/table-shapes.ts'
import { ledgerNames } from '../../parser/ledger/schema/tables.ts'
import { countersink, jsonLines } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { drop, seededFile, totalsOf } from '../helpers/files.ts'
import {
  assertLedgerBalances,
  assertTotalsEqual,
  list,
  processedFiles,
} from '../helpers/invariants.ts'
import { ledgerFaults } from '../helpers/ledger-faults.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import type { Site } from '../helpers/state-dir.ts'
import { chunkedFile, settleAll, spawnDoomed, tinySite } from './scene.ts'
import { batchesOf } from './sql.ts'
import { type Left, layVersion2 } from './version-2.ts'

// A ledger of the version before sums were recorded, with a batch in its middle.

const server = await startDatabaseServer(t)
t.jobs = 3
t.setTimeout(600_000)

const counted = seededFile('a-counted', 1, { consumers: 30 })
const wide = chunkedFile('b-wide', 2)
// Shares half of its consumers with the other: merged pairs are fewer than those of the files.
const small = seededFile('c-small', 3, { consumers: 60 })
const fresh = seededFile('d-fresh', 4, { consumers: 70 })
const LEFT: Left = {
  ...{ applied: [counted], begun: [wide, small], pairsApplied: 33 },
  ...{ state: 'applying', where: 'work' },
}

async function assertFinished(t: Test, site: Site, files = [counted, wide, small]): Promise<void> {
  await withSession(site, async session => {
    await assertTotalsEqual(t, site, session, totalsOf(files))
    await assertLedgerBalances(t, site, session)
    t.same(await wrongShapes(session, site.config), [], 'tables as new ones are')
    const contents = files.map(({ content }) => content)
    t.same(await ledgerFaults(session, ledgerNames(site.config), contents), [])
    const rows = await session.query(
      "SELECT name, state, pairs FROM countersink_file WHERE name < 'd' ORDER BY name",
    )
    t.match(rows, [
      { name: 'a-counted', state: 'applied', pairs: null },
      { name: 'b-wide', state: 'applied', pairs: 60n },
      { name: 'c-small', state: 'applied', pairs: 60n },
    ])
  })
  for (const path of [site.paths.work, site.paths.runs]) t.same(list(path), [])
}

const KINDS: Readonly<Record<string, Partial<Left>>> = {
  'in its middle': {},
  'begun, and nothing applied': { pairsApplied: 0 },
  'all but the last pair applied': { pairsApplied: totalsOf([wide, small]).size - 1 },
  blocked: { state: 'blocked' },
  'its files in the archive': { where: 'archive' },
}

for (const [kind, part] of Object.entries(KINDS)) {
  t.test(`a batch is finished: ${kind}`, { buffered: true }, async t => {
    const site = await tinySite(t, server)
    await layVersion2(site, { ...LEFT, ...part })
    drop(site.paths, [fresh])
    const isHere = part.where !== 'archive'
    const parser = await startParser(t, site)
    await parser.untilSettled(isHere ? 3 : 1)
    await eventually('no batch is open', async () =>
      (await batchesOf(site)).every(({ state }) => state === 'applied'),
    )
    t.match(await stopProgram(parser), { code: 0 })
    await assertFinished(t, site, [counted, wide, small, fresh])
    const outcomes = (await processedFiles(site)).map(({ name, outcome }) => `${name} ${outcome}`)
    for (const name of isHere ? ['b-wide', 'c-small'] : []) {
      t.ok(outcomes.includes(`${name} applied`), 'its work file is the one that was counted')
    }
  })
}

for (const [point, passing] of [
  ['S2-portion-recorded', 1],
  ['S2-portion-recorded', 3],
  ['S2-portion-recorded', 6],
  ['M1-replanned', 1],
  ['P5-chunk-committed', 1],
  ['P5-before-commit', 2],
] as const) {
  t.test(`killed at ${point}, passing ${passing}`, { buffered: true }, async t => {
    const site = await tinySite(t, server)
    await layVersion2(site, LEFT)
    await (await spawnDoomed(t, site, point, { passing })).died()
    await settleAll(t, site, 2)
    await assertFinished(t, site)
  })
}

t.test('one of its files is nowhere', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  await layVersion2(site, LEFT)
  const lost = join(site.paths.work, list(site.paths.work).find(name => name.endsWith('.b-wide'))!)
  const content = readFileSync(lost)
  rmSync(lost)
  const before = await totalsNow(site)
  const parser = await startParser(t, site)
  await eventually('it is said', () => /ERROR parser .*code=BATCH_BLOCKED/.test(parser.output()))
  t.match(jsonLines(await countersink(t, site, 'status', '--json'))[0], {
    parser: { reason: /batch [0-9a-f]{32} is blocked: .*not all of its files are here \(b-wide\)/ },
  })
  t.same(await totalsNow(site), before, 'nothing of it is touched')
  drop(site.paths, [fresh])
  await eventually('others are counted', async () =>
    (await processedFiles(site)).some(({ name }) => name === 'd-fresh'),
  )
  // Under whatever name.
  drop(site.paths, [{ name: 'e-found', content }])
  await parser.untilSettled(3)
  t.match(await stopProgram(parser), { code: 0 })
  await assertFinished(t, site, [counted, wide, small, fresh])
})

t.test('its files are not what it has applied', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  await layVersion2(site, LEFT)
  await withSession(site, session =>
    session.execute(
      "UPDATE countersink_batch SET amount_applied = amount_applied + 1 WHERE state = 'applying'",
    ),
  )
  const parser = await startParser(t, site)
  await eventually('it is said', () => /is not what the recorded sums/.test(parser.output()))
  drop(site.paths, [fresh])
  await eventually('others are counted', async () =>
    (await processedFiles(site)).some(({ name }) => name === 'd-fresh'),
  )
  t.match(await stopProgram(parser), { code: 0 })
  t.match(
    (await batchesOf(site)).map(({ state }) => state).sort(),
    ['applied', 'applied', 'unrecorded'],
    'nothing is added to it',
  )
})

t.test('another content stands where its file was', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  await layVersion2(site, { ...LEFT, where: 'archive' })
  const name = list(site.paths.archive).find(name => name.startsWith('b-wide'))!
  writeFileSync(join(site.paths.archive, name), '1 1\n')
  const parser = await startParser(t, site)
  await eventually('it is said', () =>
    /not all of its files are here \(b-wide\)/.test(parser.output()),
  )
  t.match(await stopProgram(parser), { code: 0 })
})

function totalsNow(site: Site): Promise<unknown[]> {
  return withSession(site, session => session.query('SELECT * FROM consumption ORDER BY id'))
}

t.test('a crash at each statement of the migration', async t => {
  const statements = migrateToVersion3(ledgerNames((await tinySite(t, server)).config))
  const shapes: unknown[] = []
  for (const done of [...statements.keys(), statements.length]) {
    const site = await tinySite(t, server)
    await layVersion2(site, LEFT)
    const shape = await withSession(site, async session => {
      for (const statement of statements.slice(0, done)) await session.execute(statement)
      await openLedger(session, site.config)
      return [await shapeOf(session), await contentOf(session)]
    })
    shapes.push(shape)
  }
  for (const [done, shape] of shapes.entries()) t.same(shape, shapes[0], `after ${done} statements`)
  const whole = await tinySite(t, server)
  const [columns] = shapes[0] as [unknown]
  const fresh = await withSession(whole, async session => {
    await openLedger(session, whole.config)
    return shapeOf(session)
  })
  t.same(columns, fresh, 'it is the one of a new ledger')
})

type Asked = Parameters<typeof openLedger>[0]

function shapeOf(session: Asked): Promise<unknown[]> {
  return session.query(
    `SELECT table_name, column_name, column_type, is_nullable, column_default, column_key, extra
       FROM information_schema.columns
      WHERE table_schema = DATABASE() AND table_name LIKE 'countersink%'
      ORDER BY table_name, column_name`,
  )
}

/** Whatever is not made anew each time. */
async function contentOf(session: Asked): Promise<unknown[]> {
  return [
    await session.query('SELECT name, state, pairs, attempt, postings FROM countersink_file'),
    await session.query(
      'SELECT state, kind, cursor_id, pairs_applied FROM countersink_batch ORDER BY state',
    ),
    await session.query('SELECT file_sequence, n, folded FROM countersink_posting'),
  ]
}

t.test('who has the version before cannot claim anything', async t => {
  const site = await tinySite(t, server)
  await layVersion2(site, LEFT)
  await withSession(site, async session => {
    const [first] = migrateToVersion3(ledgerNames(site.config))
    await session.execute(first!)
    await t.rejects(
      session.execute(
        `INSERT INTO countersink_file
           (sha256, batch_id, instance, work_sequence, name, size_bytes, \`lines\`, rejected_lines,
            amount, largest_sum, state, claimed_at, digested_at, recorded_at)
         SELECT REPEAT('x', 32), batch_id, instance, 1, 'x', 1, 1, 0, 1, 1, 'applied', claimed_at,
                digested_at, recorded_at FROM countersink_file LIMIT 1`,
      ),
      /origin/,
    )
  })
})
