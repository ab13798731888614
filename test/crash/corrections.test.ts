import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { CrashPoint } from '../../shared/crash-points.ts'
import { countersink, jsonLines } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { type DataFile, drop, sha256Of, totalsOf } from '../helpers/files.ts'
import { archivedIn, list } from '../helpers/invariants.ts'
import { pingParser, startParser, stopProgram } from '../helpers/parser.ts'
import type { Site } from '../helpers/state-dir.ts'
import { chunkedFile, settleAll, spawnDoomed, tinySite } from './scene.ts'

// A correction is done once, wherever the parser is killed that carries it out, and its file is where
// the ledger says.

const server = await startDatabaseServer(t)
t.jobs = 2
t.setTimeout(600_000)

const [OLD, OTHER, NEW] = [chunkedFile('old', 1), chunkedFile('other', 2), chunkedFile('new', 3)]

/** Each is killed there, at that passing. */
const COUNTING: readonly (readonly [CrashPoint, number])[] = [
  ['P4-before-commit', 1],
  ['P4-batch-begun', 1],
  ['P5-before-commit', 1],
  ['P5-before-commit', 3],
  ['P5-chunk-committed', 1],
  ['P5-chunk-committed', 4],
  ['P6-batch-committed', 1],
]
const FOLLOWING: readonly (readonly [CrashPoint, number])[] = [
  ['P8-linked', 1],
  ['F1-moved', 1],
  ['F2-history-changed', 1],
]

for (const [point, passing] of [...COUNTING, ...FOLLOWING]) {
  t.test(`taken back, killed at ${point}, passing ${passing}`, async t => {
    const site = await counted(t, [OLD, OTHER])
    await ask(t, site, 'undo')
    const doomed = await spawnDoomed(t, site, point, { passing })
    await doomed.died()
    await carriedOut(t, site)
    await assertStands(t, site, { counted: [OTHER], reverted: [OLD] })
    // It makes no difference to that where it was killed before.
    if (point !== 'P5-chunk-committed') return
    await ask(t, site, 'redo')
    await carriedOut(t, site)
    await assertStands(t, site, { counted: [OLD, OTHER], reverted: [] })
  })
}

for (const [point, passing] of FOLLOWING) {
  t.test(`counted again, killed at ${point}`, async t => {
    const site = await counted(t, [OLD, OTHER])
    await ask(t, site, 'undo')
    await carriedOut(t, site)
    await ask(t, site, 'redo')
    const doomed = await spawnDoomed(t, site, point, { passing })
    await doomed.died()
    await carriedOut(t, site)
    await assertStands(t, site, { counted: [OLD, OTHER], reverted: [] })
  })
}

for (const [point, passing] of [
  ...COUNTING,
  ...FOLLOWING,
  ['S1-claimed', 1],
  ['S2-portion-recorded', 2],
  ['S3-before-commit', 1],
  ['S3-staged', 1],
  ['P7-done-journalled', 1],
  ['P8-moved', 1],
] as readonly (readonly [CrashPoint, number])[]) {
  t.test(`replaced, killed at ${point}, passing ${passing}`, async t => {
    const site = await counted(t, [OLD, OTHER])
    const path = join(site.paths.dir, NEW.name)
    writeFileSync(path, NEW.content)
    const command = ['supersede', sha256Of(OLD.content), path, '--reason', 'x', '--timeout', '0']
    const [first = '', ...rest] = command
    t.match(await countersink(t, site, first, ...rest), { code: 3 })
    const doomed = await spawnDoomed(t, site, point, { passing })
    await doomed.died()
    await carriedOut(t, site)
    await assertStands(t, site, { counted: [OTHER, NEW], reverted: [OLD] })
  })
}

t.test('asked for while one parser after the other is killed', async t => {
  const site = await counted(t, [OLD, OTHER])
  await ask(t, site, 'undo')
  for (const passing of [1, 1, 1]) {
    const doomed = await spawnDoomed(t, site, 'P5-chunk-committed', { passing })
    await doomed.died()
  }
  await carriedOut(t, site)
  await assertStands(t, site, { counted: [OTHER], reverted: [OLD] })
})

async function counted(t: Test, files: readonly DataFile[]): Promise<Site> {
  const site = await tinySite(t, server)
  drop(site.paths, files)
  await settleAll(t, site, files.length)
  return site
}

/** Nobody is there yet to do it. */
async function ask(t: Test, site: Site, command: 'undo' | 'redo'): Promise<void> {
  const prefix = sha256Of(OLD.content).slice(0, 12)
  const asked = await countersink(t, site, command, prefix, '--timeout', '0', '--json')
  t.match([asked.code, jsonLines(asked)], [3, [{ do: command, state: 'waiting' }]])
}

/** By a parser that nothing harms; nothing is left to be done then. */
async function carriedOut(t: Test, site: Site): Promise<void> {
  const parser = await startParser(t, site)
  await eventually('nothing is left to be done', () =>
    withSession(site, async session => {
      const left = await session.query(
        `SELECT id FROM countersink_order WHERE state IN ('waiting', 'working')
         UNION ALL SELECT id FROM countersink_batch WHERE state <> 'applied'
         UNION ALL SELECT file_sequence FROM countersink_todo
         UNION ALL SELECT sequence FROM countersink_file WHERE state NOT IN ('applied', 'reverted')`,
      )
      return left.length === 0
    }),
  )
  await eventually(
    'its queue is empty',
    async () => (await pingParser(site.paths))?.queue.files === 0,
  )
  t.match(await stopProgram(parser), { code: 0 })
}

async function assertStands(
  t: Test,
  site: Site,
  { counted, reverted }: { counted: readonly DataFile[]; reverted: readonly DataFile[] },
): Promise<void> {
  const totals = await withSession(site, session =>
    session.query<{ id: bigint; amount: bigint | string }>(
      'SELECT id, resource_consumption AS amount FROM consumption WHERE resource_consumption > 0',
    ),
  )
  const found = new Map(totals.map(({ id, amount }) => [BigInt(id), BigInt(amount)]))
  const expected = new Map([...totalsOf(counted)].filter(([, amount]) => amount > 0n))
  t.same(found, expected)
  const proven = await countersink(t, site, 'verify', '--full')
  t.match(proven, { code: 0 }, proven.stdout)
  for (const [files, word, directory] of [
    [counted, 'counted', String.raw`archive/\d{4}/\d\d/\d\d`],
    [reverted, 'not counted', 'reverted'],
  ] as const) {
    for (const { name, content } of files) {
      const sha256 = sha256Of(content)
      const checked = await countersink(t, site, 'check', sha256)
      t.match(checked.stdout, new RegExp(` ${word}`), name)
      const explained = await countersink(t, site, 'explain', sha256, '--json')
      t.match(JSON.parse(explained.stdout).path, new RegExp(`/${directory}/[^/]+$`), name)
    }
  }
  const { paths } = site
  const standing = [archivedIn(paths.archive).length, list(paths.reverted).length]
  t.same(standing, [counted.length, reverted.length], 'each file stands in one place')
}
