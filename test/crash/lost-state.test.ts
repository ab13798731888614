import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { workName } from '../../shared/paths.ts'
import { countersink } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import {
  type DataFile,
  dataFile,
  drop,
  manifestOf,
  seededFile,
  sha256Of,
  totalsOf,
} from '../helpers/files.ts'
import {
  archivedIn,
  assertEverythingAddsUp,
  assertLedgerBalances,
  assertTotalsEqual,
  type Fate,
  list,
} from '../helpers/invariants.ts'
import { spawnParser, startParser, stopProgram, untilSettled } from '../helpers/parser.ts'
import type { Site } from '../helpers/state-dir.ts'
import { applied, settleAll, spawnDoomed, tinySite, wideFile } from './scene.ts'
import { backUp, batchesOf, holdLease, openBatchOf, waitingOf } from './sql.ts'

// Each part of the local state lost, at every stage of a batch; the ledger decides.

const server = await startDatabaseServer(t)
t.jobs = 3
t.setTimeout(600_000)

const first = seededFile('a-first', 1, { lines: 40, consumers: 12 })
const large = wideFile('b-large', 2, { bytes: 150 * 1024 })
const small = seededFile('c-small', 3, { lines: 20, consumers: 8 })
const middle = seededFile('d-middle', 4, { lines: 1_000, consumers: 150 })
const FILES = [first, large, small, middle]

/** The first of these counted, and the others, all in one batch, killed in its middle. */
async function killedInMidBatch(t: Test, site: Site, files: readonly DataFile[] = FILES) {
  const [one, ...others] = files
  drop(site.paths, one === undefined ? [] : [one])
  await settleAll(t, site, 1)
  const hold = await holdLease(site)
  const doomed = await spawnDoomed(t, site, 'P5-chunk-committed', { passing: 4 })
  for (const file of others) drop(site.paths, [file], { manifest: publishedAs(file) })
  await eventually('they are recorded', async () => (await waitingOf(site)) === others.length)
  await hold.release()
  await doomed.died()
  t.equal((await openBatchOf(site)).state, 'applying', 'a batch is open')
}

/** Its publication has a name, by which its row is known when nothing here is left. */
function publishedAs({ name, content }: DataFile): string {
  return manifestOf(content, { origin: sha256Of(Buffer.from(name)).slice(0, 32) })
}

const LOST = {
  'the journal': ['journal'],
  'the runs': ['runs'],
  'the journal and the runs': ['journal', 'runs'],
  'all of parser/, also who we are': ['parser'],
} as const

for (const [what, names] of Object.entries(LOST)) {
  // Only the end of a claim's rename in work/ is synced before the ack: on a filesystem that does not
  // keep both ends together the other one may be undone.
  t.test('a power loss brings a claimed name back to the inbox', { buffered: true }, async t => {
    const site = await tinySite(t, server)
    const doomed = await spawnDoomed(t, site, 'P1-claim-journalled')
    drop(site.paths, [small])
    await doomed.died()
    t.same(list(site.paths.inbox), [], 'it was claimed')
    drop(site.paths, [small])
    await settleAll(t, site, 2)
    await assertEverythingAddsUp(t, site, [
      [small, 'applied'],
      [small, 'duplicate'],
    ])
  })

  t.test(`lost in mid-batch: ${what}`, { buffered: true }, async t => {
    const site = await tinySite(t, server)
    await killedInMidBatch(t, site)
    const { cursor } = await openBatchOf(site)
    t.not(cursor, null, 'some of it is applied')
    for (const name of names) rmSync(site.paths[name], { recursive: true })
    await settleAll(t, site, FILES.length)
    await assertEverythingAddsUp(t, site, applied(...FILES))
  })
}

const EARLIER_AND_LATER = [
  ['P2-checkpoint-committed', 'runs'],
  ['P2-checkpoint-committed', 'journal'],
  ['P3-digest-journalled', 'runs'],
  ['P3-digest-journalled', 'journal'],
  ['P6-batch-committed', 'runs'],
  ['P6-batch-committed', 'journal'],
  ['P7-done-journalled', 'journal'],
] as const

for (const [point, lost] of EARLIER_AND_LATER) {
  t.test(`lost after ${point}: ${lost}`, { buffered: true }, async t => {
    const site = await tinySite(t, server)
    drop(site.paths, [large])
    await (await spawnDoomed(t, site, point)).died()
    rmSync(site.paths[lost], { recursive: true })
    await settleAll(t, site, 1)
    await assertEverythingAddsUp(t, site, applied(large))
  })
}

t.test('deleted while it runs', { buffered: true }, async t => {
  for (const lost of ['journal', 'runs', 'parser'] as const) {
    await t.test(lost, async t => {
      const site = await tinySite(t, server)
      const parser = await startParser(t, site)
      drop(site.paths, [first])
      await parser.untilSettled(1)
      rmSync(site.paths[lost], { recursive: true })
      drop(site.paths, [large, small])
      if (lost === 'runs') {
        // Made again within a second; a run that was just being written then is what ends it.
        const outcome = await Promise.race([untilSettled(site, 3), parser.ended])
        if ('queue' in outcome) {
          t.match(parser.output(), /was gone; it is made again/)
          t.match(await stopProgram(parser), { code: 0 })
        } else {
          t.match(outcome, { code: 70, stderr: /IO_FAILED/ })
        }
      } else {
        const { code, stderr } = await parser.ended
        t.equal(code, 70, 'it ends, and is not told to stay down')
        t.match(stderr, /JOURNAL_FAILED|IO_FAILED/)
      }
      await settleAll(t, site, 3)
      await assertEverythingAddsUp(t, site, applied(first, large, small))
    })
  }
})

t.test('deleted while it has nothing to do', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  const parser = await startParser(t, site)
  drop(site.paths, [first])
  await parser.untilSettled(1)
  rmSync(site.paths.parser, { recursive: true })
  const { code, stderr } = await parser.ended
  t.equal(code, 70, 'it ends by itself, and is not told to stay down')
  t.match(stderr, /JOURNAL_FAILED/)
  drop(site.paths, [large, small])
  await settleAll(t, site, 3)
  await assertEverythingAddsUp(t, site, applied(first, large, small))
})

t.test('an archive without a journal: its contents are known', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  drop(site.paths, FILES)
  await settleAll(t, site, FILES.length)
  rmSync(site.paths.parser, { recursive: true })
  const copies = FILES.map(file => ({ ...file, name: `${file.name}-again` }))
  const fresh = wideFile('fresh', 9, { bytes: 70 * 1024 })
  drop(site.paths, [...copies, fresh])
  await settleAll(t, site, 2 * FILES.length + 1)
  const fates = copies.map((file): Fate => [file, 'duplicate'])
  await assertEverythingAddsUp(t, site, [...applied(...FILES, fresh), ...fates])
})

t.test('a claim torn apart: its data in work/, its manifest back in the inbox', async t => {
  // A parser that was replaced between its two renames, and a successor that looked between them.
  const site = await tinySite(t, server)
  await settleAll(t, site, 0)
  drop(site.paths, [middle])
  const name = workName(Date.now(), middle.name)
  renameSync(join(site.paths.inbox, middle.name), join(site.paths.work, name))
  await settleAll(t, site, 1)
  await assertEverythingAddsUp(t, site, applied(middle))
})

t.test('a ledger from a backup is refused, until `recover`', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  // Without its manifest it might be a cut copy.
  const cut = dataFile('f-no-line-end', '7 1\n8 2')
  const made = seededFile('g-generated', 6)
  drop(site.paths, [first, middle])
  await settleAll(t, site, 2)
  const backup = await backUp(site)
  drop(site.paths, [large, small, cut])
  drop(site.paths, [made], { manifest: manifestOf(made.content, { disposable: true }) })
  await settleAll(t, site, 6)
  await backup.restore()

  const late = seededFile('e-late', 5)
  drop(site.paths, [late])
  const refused = spawnParser(t, site)
  t.match(await refused.ended, { code: 78, stderr: /LEDGER_BEHIND.*countersink recover/s })
  const recovered = await countersink(t, site, 'recover')
  t.match(recovered, { code: 0, stdout: /4 went back to the inbox, 0 contents are lost here/ })
  await settleAll(t, site, 7)
  t.equal(
    archivedIn(site.paths.archiveDisposable).length,
    1,
    'the generated one is still known as such',
  )
  const asides = readdirSync(site.paths.parser).filter(name => name.includes('before-recovery'))
  t.equal(asides.length, 1, 'the old journal is kept')
  await assertEverythingAddsUp(t, site, applied(first, middle, large, small, cut, made, late))
})

t.test('a backup made in mid-batch is finished from the archive', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  await killedInMidBatch(t, site)
  const backup = await backUp(site)
  await settleAll(t, site, FILES.length)
  await backup.restore()
  t.equal((await openBatchOf(site)).state, 'applying')
  const parser = await startParser(t, site)
  await eventually('no batch is open', async () =>
    (await batchesOf(site)).every(({ state }) => state === 'applied'),
  )
  t.match(await stopProgram(parser), { code: 0 })
  await assertEverythingAddsUp(t, site, applied(...FILES))
})

t.test('neither sums nor files are here: they are in the ledger', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  await killedInMidBatch(t, site)
  rmSync(site.paths.runs, { recursive: true })
  rmSync(site.paths.work, { recursive: true })
  await settleAll(t, site, FILES.length)
  t.same(list(site.paths.quarantine), [], 'no file is missed')
  await withSession(site, async session => {
    await assertTotalsEqual(t, site, session, totalsOf(FILES))
    await assertLedgerBalances(t, site, session)
  })
})

t.test('all of it here is lost, and another host finishes it', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  await killedInMidBatch(t, site)
  const { dir } = site.paths
  renameSync(dir, `${dir}-lost`)
  t.teardown(() => rmSync(`${dir}-lost`, { recursive: true, force: true }))
  mkdirSync(site.paths.inbox, { recursive: true })
  const other = await startParser(t, site)
  await eventually('no batch is open', async () =>
    (await batchesOf(site)).every(({ state }) => state === 'applied'),
  )
  t.match(await stopProgram(other), { code: 0 })
  await withSession(site, async session => {
    await assertTotalsEqual(t, site, session, totalsOf(FILES))
    await assertLedgerBalances(t, site, session)
  })
})
