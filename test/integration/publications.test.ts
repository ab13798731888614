import { rmSync } from 'node:fs'
import t from 'tap'
import { spawnDoomed } from '../crash/scene.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { drop, manifestOf, seededFile } from '../helpers/files.ts'
import { assertEverythingAddsUp, processedFiles } from '../helpers/invariants.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite } from '../helpers/state-dir.ts'

// A publication has a name of its own: by that its row in the ledger is known, whoever has written it.

const server = await startDatabaseServer(t)
t.setTimeout(300_000)

const origin = '0123456789abcdef'.repeat(2)
const file = seededFile('published', 1)
const manifest = manifestOf(file.content, { origin })

t.test('counted by a parser of which nothing is left', async t => {
  const site = await makeSite(t, server)
  drop(site.paths, [file], { manifest })
  await (await spawnDoomed(t, site, 'P6-batch-committed')).died()
  rmSync(site.paths.parser, { recursive: true })
  const parser = await startParser(t, site)
  await parser.untilSettled(1)
  await stopProgram(parser)
  t.match(await processedFiles(site), [{ outcome: 'applied', origin }])
  await assertEverythingAddsUp(t, site, [[file, 'applied']])
})

t.test('one that comes back is a duplicate of itself', async t => {
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  drop(site.paths, [file], { manifest })
  await parser.untilSettled(1)
  drop(site.paths, [file], { manifest })
  await parser.untilSettled(2)
  await stopProgram(parser)
  t.same(
    (await processedFiles(site)).map(({ outcome }) => outcome),
    ['applied', 'duplicate'],
  )
})
