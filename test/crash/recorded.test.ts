import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { drop } from '../helpers/files.ts'
import { assertEverythingAddsUp, list } from '../helpers/invariants.ts'
import { pingParser, startParser, stopProgram } from '../helpers/parser.ts'
import type { Site } from '../helpers/state-dir.ts'
import { applied, chunkedFile, queueOf, settleAll, spawnDoomed, tinySite } from './scene.ts'
import { batchesOf, holdLease, waitingOf } from './sql.ts'

// Once its sums are in the ledger, nothing here is needed to count a content: no file, no run.

const server = await startDatabaseServer(t)
t.jobs = 3
t.setTimeout(600_000)

const file = chunkedFile('a-file', 1)

/** The file is recorded, and whoever counts is away. */
async function recorded(site: Site, t: Test) {
  const hold = await holdLease(site)
  const parser = await startParser(t, site)
  await eventually('it is recorded', async () => (await waitingOf(site)) === 1)
  t.match(await stopProgram(parser), { code: 0 })
  return hold
}

function loseFile(site: Site): void {
  const name = list(site.paths.work).find(one => one.endsWith('.a-file'))!
  rmSync(join(site.paths.work, name))
}

/** Where a first file is settled, so that only this one is on its way. */
async function siteWithFile(t: Test): Promise<Site> {
  const site = await tinySite(t, server)
  await settleAll(t, site, 0)
  drop(site.paths, [file])
  return site
}

/** It waits for its row, and is counted once somebody counts. */
async function assertCounted(
  t: Test,
  site: Site,
  hold: { release(): Promise<void> },
): Promise<void> {
  const parser = await startParser(t, site)
  await eventually('it waits', async () => {
    const { reason } = (await pingParser(site.paths)) ?? {}
    return /1 wait until whoever counts/.test(reason ?? '')
  })
  await hold.release()
  await parser.untilSettled(1)
  t.match(await stopProgram(parser), { code: 0 })
  t.equal((await batchesOf(site)).length, 1)
}

t.test('its file and its sums are gone', { buffered: true }, async t => {
  const site = await siteWithFile(t)
  const hold = await recorded(site, t)
  loseFile(site)
  for (const name of list(site.paths.runs)) rmSync(join(site.paths.runs, name))
  await assertCounted(t, site, hold)
  t.same(list(site.paths.quarantine), [], 'it is not missed')
})

t.test('the journal is restored from before, and its file is gone', { buffered: true }, async t => {
  const site = await siteWithFile(t)
  await (await spawnDoomed(t, site, 'P1-claim-journalled')).died()
  const copy = join(site.paths.dir, 'journal-copy')
  cpSync(site.paths.journal, copy, { recursive: true })
  const hold = await recorded(site, t)
  loseFile(site)
  rmSync(site.paths.journal, { recursive: true })
  cpSync(copy, site.paths.journal, { recursive: true })
  t.match(await queueOf(site), [{ stage: 'claimed' }])
  await assertCounted(t, site, hold)
  t.same(list(site.paths.quarantine), [], 'it is not missed')
})

t.test('it is not read again', { buffered: true }, async t => {
  const site = await siteWithFile(t)
  const hold = await recorded(site, t)
  for (const name of list(site.paths.runs)) rmSync(join(site.paths.runs, name))
  // Read again it would be `claimed`.
  const parser = await startParser(t, site)
  await eventually('it waits', async () => (await pingParser(site.paths))?.reason !== undefined)
  t.match(await queueOf(site), [{ stage: 'digested' }])
  await hold.release()
  await parser.untilSettled(1)
  t.match(await stopProgram(parser), { code: 0 })
  await assertEverythingAddsUp(t, site, applied(file))
})
