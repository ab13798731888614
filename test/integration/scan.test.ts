import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { countersink } from '../helpers/cli.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { type DataFile, dataFile, drop, manifestOf, seededFile } from '../helpers/files.ts'
import { assertEverythingAddsUp, type Fate, list, processedFiles } from '../helpers/invariants.ts'
import { pingParser, startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite } from '../helpers/state-dir.ts'

const server = await startDatabaseServer(t)

t.test('files that nobody announced', async t => {
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  const vouched = seededFile('with-manifest', 1)
  const alone = seededFile('without-manifest', 2)
  const empty = dataFile('empty-with-manifest', '')
  drop(site.paths, [alone], { manifest: false })
  drop(site.paths, [vouched, empty])
  await parser.untilSettled(3)
  const claimed = new Map((await processedFiles(site)).map(file => [file.name, file.claimedAtMs]))
  t.ok(
    claimed.get(vouched.name)! < claimed.get(alone.name)!,
    'the one with a manifest was taken at once, the other when it had been quiet',
  )
  await stopProgram(parser)
  await assertEverythingAddsUp(t, site, [
    [vouched, 'applied'],
    [alone, 'applied'],
    [empty, 'applied'],
  ])
})

t.test('a file that grows is not taken while it grows', async t => {
  const site = await makeSite(t, server, { COUNTERSINK_QUIET_MS: '1000' })
  const parser = await startParser(t, site)
  const path = join(site.paths.inbox, 'growing')
  const line = '5 1\n'
  let content = ''
  const startedMs = performance.now()
  // Longer than it would have to be quiet; a look now and then would find it unchanged.
  while (performance.now() - startedMs < 1_500) {
    appendFileSync(path, line)
    content += line
    await sleep(20)
  }
  t.match(await pingParser(site.paths), { queue: { files: 0 }, processed: 0 })
  await parser.untilSettled(1)
  await stopProgram(parser)
  await assertEverythingAddsUp(t, site, [[dataFile('growing', content), 'applied']])
})

t.test('a file that is empty or without its last line end may be cut', async t => {
  for (const policy of ['quarantine', 'accept'] as const) {
    await t.test(policy, async t => {
      const site = await makeSite(t, server, {
        COUNTERSINK_CUT_HOLD_MS: '2000',
        COUNTERSINK_UNTERMINATED: policy,
      })
      const cut = dataFile('cut', '1 10\n2 20\n3 3')
      const empty = dataFile('empty', '')
      const whole = seededFile('whole', 5)
      const parser = await startParser(t, site)
      drop(site.paths, [cut, empty, whole], { manifest: false })
      await parser.untilSettled(3)
      const processed = await processedFiles(site)
      const [first, ...others] = processed.sort((a, b) => a.claimedAtMs - b.claimedAtMs)
      t.equal(first?.name, 'whole', 'the others were held')
      await stopProgram(parser)
      const outcome = policy === 'accept' ? 'applied' : 'quarantined'
      const fates: Fate[] = [
        [whole, 'applied'],
        [cut, outcome],
        [empty, outcome],
      ]
      await assertEverythingAddsUp(t, site, fates)
      if (policy === 'accept') return
      for (const { name, reason } of others) {
        const why = name === 'empty' ? 'it is empty' : 'the last line has no line end'
        t.match(reason, new RegExp(`^UNTERMINATED: ${why} and no manifest`))
      }
    })
  }
})

t.test('a copy that comes to its end within the time it is held is counted whole', async t => {
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  const path = join(site.paths.inbox, 'slow-copy')
  writeFileSync(path, '1 10\n2 2')
  // The other file is dropped later and taken earlier: the first one was looked at meanwhile.
  const other = seededFile('other', 6)
  drop(site.paths, [other], { manifest: false })
  await parser.untilSettled(1)
  appendFileSync(path, '0\n')
  await parser.untilSettled(2)
  await stopProgram(parser)
  await assertEverythingAddsUp(t, site, [
    [other, 'applied'],
    [dataFile('slow-copy', '1 10\n2 20\n'), 'applied'],
  ])
})

t.test('a file that is not what its manifest says', async t => {
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  const fates: Fate[] = []
  const reasons = new Map<string, RegExp>()
  const refused = (file: DataFile, manifest: string, reason: RegExp): void => {
    drop(site.paths, [file], { manifest })
    fates.push([file, 'quarantined'])
    reasons.set(file.name, reason)
  }
  const say = (name: string, seed: number, changes: Record<string, unknown>): void => {
    const file = seededFile(name, seed)
    refused(file, manifestOf(file.content, changes), new RegExp(`^MANIFEST_MISMATCH: ${name} `))
  }
  say('size', 11, { size: 5 })
  say('sha256', 12, { sha256: 'ab'.repeat(32) })
  say('lines', 13, { lines: 199 })
  say('amount', 14, { amount: '1' })
  const spoil = (name: string, seed: number, text: string): void =>
    refused(seededFile(name, seed), text, /^MANIFEST_INVALID: /)
  spoil('no-json', 21, '{"version":1,')
  spoil('a-future-version', 22, manifestOf(seededFile('', 22).content, { version: 2 }))
  spoil('amount-as-a-number', 23, manifestOf(seededFile('', 23).content, { amount: 12 }))
  spoil('long', 24, ' '.repeat(5_000))
  const good = seededFile('good', 30)
  drop(site.paths, [good])
  fates.push([good, 'applied'])
  await parser.untilSettled(fates.length)
  await stopProgram(parser)
  for (const { name, reason } of await processedFiles(site)) {
    t.match(reason, reasons.get(name) ?? undefined, name)
  }
  await assertEverythingAddsUp(t, site, fates)
  const sidecar = list(site.paths.quarantine).find(name => /^amount\..*\.reason\.json$/.test(name))
  t.match(JSON.parse(readFileSync(join(site.paths.quarantine, sidecar ?? ''), 'utf8')), {
    name: 'amount',
    reason: /MANIFEST_MISMATCH/,
    manifest: { amount: '1' },
  })
})

t.test('unfinished, unfit and odd entries are left alone', async t => {
  const site = await makeSite(t, server)
  const left = ['.hidden', 'a.part', 'b.FilePart', 'c.tmp', 'd~', 'line\nend', 'x'.repeat(201)]
  for (const name of left) writeFileSync(join(site.paths.inbox, name), '1 1\n')
  mkdirSync(join(site.paths.inbox, 'directory'))
  const manifest = 'data-still-to-come.manifest.json'
  writeFileSync(join(site.paths.inbox, manifest), '{}')
  const parser = await startParser(t, site)
  const good = seededFile('good', 40)
  drop(site.paths, [good], { manifest: false })
  await parser.untilSettled(1)
  await eventually('it said what it leaves', () =>
    [/regular file.*directory/, /201 bytes.*xxxx/, /none of ours.*still-to-come/].every(said =>
      said.test(parser.output()),
    ),
  )
  const { leftInInbox } = JSON.parse((await countersink(t, site, 'status', '--json')).stdout)
  t.equal(leftInInbox.files, 4)
  const { stdout } = await countersink(t, site, 'status')
  t.match(stdout, /^inbox +left in the inbox: 4 \(.*not a regular file: "directory".*"line\\nend"/m)
  await stopProgram(parser)
  t.same(list(site.paths.inbox), [...left, manifest].sort())
  t.match(await processedFiles(site), { length: 1 })
})
