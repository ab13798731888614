import { renameSync, rmSync } from 'node:fs'
import t from 'tap'
import { countersink } from '../helpers/cli.ts'
import { connectAnnouncer } from '../helpers/client.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import {
  type DataFile,
  dataFile,
  drop,
  manifestOf,
  seededFile,
  sha256Of,
  totalsOf,
  totalsText,
} from '../helpers/files.ts'
import { assertEverythingAddsUp, type Fate, list } from '../helpers/invariants.ts'
import { pingParser, spawnParser, startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'

const server = await startDatabaseServer(t)

t.test('stopped in mid-file it ends soon, and the next start counts the file once', async t => {
  const site = await makeSite(t, server)
  // Large enough to be met in the middle of it, of few lines, for the model's sake.
  const part = dataFile(
    'large',
    numbers(30_000)
      .map(n => `${zeros(n)} ${zeros(n * n)}\n`)
      .join(''),
  )
  const content = Buffer.concat(Array.from({ length: COPIES }, () => part.content))
  const large = { ...part, content }
  const small = seededFile('small', 2)
  const parser = await startParser(t, site)
  const vouched = {
    size: content.length,
    sha256: sha256Of(content),
    lines: undefined,
    amount: undefined,
  }
  drop(site.paths, [large], { manifest: manifestOf(content, vouched) })
  drop(site.paths, [small])
  await eventually('it reads', async () => {
    const reading = (await pingParser(site.paths))?.reading
    return reading?.name === 'large' && reading.positionBytes > 0
  })
  const askedMs = performance.now()
  const { code } = await stopProgram(parser)
  t.equal(code, 0)
  t.ok(performance.now() - askedMs < 5_000, 'within seconds')
  t.match(parser.output(), /left in mid-file/)
  t.ok(list(site.paths.work).some(name => name.endsWith('.large')))

  const next = await startParser(t, site)
  await next.untilSettled(2)
  await stopProgram(next)
  const totals = new Map(totalsOf([small]))
  for (const [id, amount] of totalsOf([part])) {
    totals.set(id, (totals.get(id) ?? 0n) + amount * BigInt(COPIES))
  }
  await assertEverythingAddsUp(t, site, applied(large, small), totals)
})

t.test('a deleted journal is made again from the ledger', async t => {
  const site = await makeSite(t, server)
  const counted = [1, 2, 3].map(seed => seededFile(`counted-${seed}`, seed))
  drop(site.paths, counted)
  const before = await startParser(t, site)
  await before.untilSettled(counted.length)
  await stopProgram(before)
  rmSync(site.paths.journal, { recursive: true })

  const after = await startParser(t, site)
  await after.untilSettled(counted.length)
  t.match(await check(t, site, counted[0]!), { code: 0, stdout: /counted .* as counted-1/ })
  const { stdout } = await countersink(t, site, 'hashes')
  for (const file of counted) t.match(stdout, sha256Of(file.content))
  const copies = counted.map(file => ({ ...file, name: `${file.name}-again` }))
  const fresh = seededFile('fresh', 4)
  drop(site.paths, [...copies, fresh])
  await after.untilSettled(7)
  await stopProgram(after)
  await assertEverythingAddsUp(t, site, [
    ...applied(...counted, fresh),
    ...copies.map((file): Fate => [file, 'duplicate']),
  ])
})

t.test('files in work/ that a deleted journal had claimed are adopted', async t => {
  const site = await makeSite(t, server)
  const claimed = [1, 2, 3].map(seed => seededFile(`claimed-${seed}`, seed))
  drop(site.paths, claimed)
  const before = spawnParser(t, site, NO_DATABASE)
  await eventually('all are claimed', async () => {
    return (await pingParser(site.paths))?.queue.files === claimed.length
  })
  await stopProgram(before)
  t.same(list(site.paths.inbox), [])
  rmSync(site.paths.parser, { recursive: true })

  const after = await startParser(t, site)
  await after.untilSettled(claimed.length)
  await stopProgram(after)
  t.match(after.output(), /adopted/)
  await assertEverythingAddsUp(t, site, applied(...claimed))
})

t.test('counted, but neither settled nor remembered: still counted once', async t => {
  for (const lost of ['journal', 'parser'] as const) {
    await t.test(`${lost} lost`, async t => {
      const site = await makeSite(t, server)
      const file = seededFile('file', 1)
      drop(site.paths, [file])
      const doomed = spawnParser(t, site, { COUNTERSINK_CRASH_AT: 'P6-batch-committed' })
      t.match(await doomed.ended, { signal: 'SIGKILL' })
      rmSync(site.paths[lost], { recursive: true })
      const next = await startParser(t, site)
      // The index knows it from the ledger, and work/ has it once more: as a duplicate or as done.
      await eventually('it left work/', async () => {
        const health = await pingParser(site.paths)
        return health?.queue.files === 0 && list(site.paths.work).length === 0
      })
      await stopProgram(next)
      const row = await countersink(t, site, 'totals')
      const again = await check(t, site, file)
      t.match(again, { code: 0 })
      t.equal(row.stdout, totalsText([file]))
    })
  }
})

t.test('a database that is not the one of the journal is refused', async t => {
  const site = await makeSite(t, server)
  const file = seededFile('file', 1)
  drop(site.paths, [file])
  const parser = await startParser(t, site)
  await parser.untilSettled(1)
  await stopProgram(parser)
  const empty = await makeSite(t, server)
  renameSync(site.paths.parser, empty.paths.parser)
  const refused = await spawnParser(t, empty).ended
  t.match(refused, { code: 78, stderr: /LEDGER_BEHIND: .*there is no ledger/ })
  const other = await makeSite(t, server)
  await stopProgram(await startParser(t, other))
  rmSync(other.paths.parser, { recursive: true })
  renameSync(empty.paths.parser, other.paths.parser)
  const again = await spawnParser(t, other).ended
  t.match(again, { code: 78, stderr: /LEDGER_BEHIND: .*another ledger/ })
})

t.test('a parser that was replaced takes nothing any more', async t => {
  const site = await makeSite(t, server)
  const first = await startParser(t, site)
  const files = [1, 2, 3].map(seed => seededFile(`file-${seed}`, seed))
  drop(site.paths, files.slice(0, 1))
  await first.untilSettled(1)
  // The second one does not look by itself, so the first is the one to find what comes now.
  const second = await startParser(t, site, { COUNTERSINK_SCAN_INTERVAL_MS: '3600000' })
  drop(site.paths, files.slice(1))
  t.match(await first.ended, { code: 78, stderr: /OWNERSHIP_LOST/ })
  t.same(list(site.paths.work), [], 'it ended without moving anything')

  const announcer = await connectAnnouncer(t, site.paths)
  for (const file of files.slice(1)) {
    t.match(await announcer.announce(file), { outcome: 'accepted' })
  }
  if (t.passing()) await second.untilSettled(files.length)
  await stopProgram(second)
  await assertEverythingAddsUp(t, site, applied(...files))
})

const NO_DATABASE = { COUNTERSINK_DATABASE_URL: 'mariadb://x@localhost/x?socketPath=/nowhere' }

const COPIES = 50

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i)
}

function zeros(value: number): string {
  return String(value).padStart(20, '0')
}

function applied(...files: DataFile[]): Fate[] {
  return files.map(file => [file, 'applied'])
}

function check(t: Parameters<typeof countersink>[0], site: Site, file: DataFile) {
  return countersink(t, site, 'check', sha256Of(file.content))
}
