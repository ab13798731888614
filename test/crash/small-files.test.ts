import t from 'tap'
import { startDatabaseServer } from '../helpers/database.ts'
import { type DataFile, drop, seededFile } from '../helpers/files.ts'
import { assertEverythingAddsUp } from '../helpers/invariants.ts'
import { makeSite } from '../helpers/state-dir.ts'
import { applied, queueOf, settleAll, spawnDoomed } from './scene.ts'

const server = await startDatabaseServer(t)

/** Read at once, and claimed in one commit of the journal. */
const files: readonly DataFile[] = Array.from({ length: 40 }, (_, i) =>
  seededFile(`small-${String(i).padStart(2, '0')}`, i, { lines: 30, consumers: 50 }),
)

for (const [point, digested] of [
  ['P3-before-digest-journalled', 0],
  ['P3-digest-journalled', 40],
] as const) {
  t.test(`killed at ${point} of many files`, { buffered: true }, async t => {
    const site = await makeSite(t, server)
    drop(site.paths, files)
    await (await spawnDoomed(t, site, point)).died()
    const queue = await queueOf(site)
    t.equal(queue.filter(({ stage }) => stage === 'digested').length, digested, 'all or none')
    t.equal(queue.length, files.length)
    await settleAll(t, site, files.length)
    await assertEverythingAddsUp(t, site, applied(...files))
  })
}
