import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { CrashPoint } from '../../shared/crash-points.ts'
import { settledName } from '../../shared/paths.ts'
import { countersink } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { type DataFile, drop, seededFile, sha256Of } from '../helpers/files.ts'
import { archivedPath, list, nameInPlace, processedFiles } from '../helpers/invariants.ts'
import { pingParser, startParser, stopProgram } from '../helpers/parser.ts'
import type { Site } from '../helpers/state-dir.ts'
import { settleAll, spawnDoomed, tinySite } from './scene.ts'

// A file is held once, and a decision about it is carried out once, wherever the parser is killed.

const server = await startDatabaseServer(t)
t.jobs = 2
t.setTimeout(300_000)

const [FIRST, SECOND] = [seededFile('day', 1), seededFile('day', 2)]
const HASH = sha256Of(SECOND.content)
const NAME = settledName(SECOND.name, Buffer.from(HASH, 'hex'))

const HOLDING: readonly CrashPoint[] = [
  'S3-before-commit',
  'S3-staged',
  'P7-sidecar-written',
  'P8-moved',
]
for (const point of HOLDING) {
  t.test(`held, killed at ${point}`, async t => {
    const site = await scene(t, FIRST)
    drop(site.paths, [SECOND])
    await (await spawnDoomed(t, site, point)).died()
    await settleAll(t, site, 2)
    await assertIs(t, site, 'held')
  })
}

const DECISIONS = {
  release: ['applied', ['F1-moved', 'F2-history-changed']],
  refuse: ['quarantined', ['P8-linked', 'F1-moved']],
} as const
for (const [command, [outcome, points]] of Object.entries(DECISIONS)) {
  for (const point of points) {
    t.test(`${command}, killed at ${point}`, async t => {
      const site = await scene(t, FIRST)
      drop(site.paths, [SECOND])
      await settleAll(t, site, 2)
      t.equal((await countersink(t, site, command, HASH, '--timeout', '0')).code, 3)
      await (await spawnDoomed(t, site, point)).died()
      const parser = await startParser(t, site)
      await eventually('nothing is left to be done', () =>
        withSession(site, async s => {
          return (await s.query('SELECT 1 FROM countersink_todo')).length === 0
        }),
      )
      await eventually('it is idle', async () => (await pingParser(site.paths))?.held === undefined)
      t.match(await stopProgram(parser), { code: 0 })
      await assertIs(t, site, outcome)
    })
  }
}

async function scene(t: Test, ...files: readonly DataFile[]): Promise<Site> {
  const site = await tinySite(t, server, { COUNTERSINK_SAME_NAME: 'hold' })
  drop(site.paths, files)
  await settleAll(t, site, files.length)
  return site
}

/** In the history, in one directory, with a sidecar where a person is needed, and in the totals or not. */
async function assertIs(t: Test, site: Site, outcome: string): Promise<void> {
  t.same(
    (await processedFiles(site)).map(file => file.outcome),
    ['applied', outcome],
  )
  const { archive, held, quarantine, work } = site.paths
  const archived = nameInPlace(SECOND.name, SECOND.content, 'applied')
  t.equal(archivedPath(archive, archived) !== undefined, outcome === 'applied')
  const stands = [held, quarantine, work].flatMap(directory =>
    list(directory)
      .filter(name => name.startsWith(NAME) || directory === work)
      .map(name => join(directory, name)),
  )
  const aside = join(outcome === 'held' ? held : quarantine, NAME)
  t.same(stands, outcome === 'applied' ? [] : [aside, `${aside}.reason.json`])
  const counted = await countersink(t, site, 'check', HASH)
  t.equal(counted.code, outcome === 'applied' ? 0 : 1, counted.stdout)
  t.equal((await countersink(t, site, 'verify', '--full')).code, 0)
}
