import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { drop, seededFile } from '../helpers/files.ts'
import { list } from '../helpers/invariants.ts'
import { pingParser, startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite } from '../helpers/state-dir.ts'

const server = await startDatabaseServer(t)

t.test('small files do not wait until a large one, hopeless or not, is hashed', async t => {
  const site = await makeSite(t, server, {
    COUNTERSINK_QUIET_MS: '100',
    COUNTERSINK_CUT_HOLD_MS: '100',
  })
  const parser = await startParser(t, site)
  // No disk is used, its first byte is bad, and hashing it takes seconds.
  const sparse = join(site.paths.inbox, 'sparse')
  writeFileSync(sparse, '')
  truncateSync(sparse, 2 * 2 ** 30)
  await eventually('it is read', async () => {
    return (await pingParser(site.paths))?.reading?.name === 'sparse'
  })
  const small = [1, 2, 3].map(seed => seededFile(`small-${seed}`, seed))
  drop(site.paths, small)
  await eventually('they are counted', async () => {
    return (await pingParser(site.paths))?.ever.applied === small.length
  })
  t.same(list(site.paths.quarantine), [], 'and the large one is still being read')
  t.match(await stopProgram(parser), { code: 0 })
})
