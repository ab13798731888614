import { rmSync } from 'node:fs'
import t from 'tap'
import { U64_MAX } from '../../shared/limits.ts'
import { connectAnnouncer } from '../helpers/client.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import {
  amountOf,
  type DataFile,
  dataFile,
  drop,
  manifestOf,
  seededFile,
} from '../helpers/files.ts'
import { assertEverythingAddsUp, type Fate, list, processedFiles } from '../helpers/invariants.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite } from '../helpers/state-dir.ts'

const server = await startDatabaseServer(t)
const MAX = U64_MAX.toString()

t.test('several files together, with every number and line end that is allowed', async t => {
  const site = await makeSite(t, server)
  const files: DataFile[] = [
    seededFile('random-1', 1, { lines: 3_000, consumers: 500 }),
    seededFile('random-2', 2, { lines: 3_000, consumers: 500 }),
    seededFile('one-consumer', 3, { lines: 500, consumers: 1 }),
    dataFile('largest', `${MAX} ${MAX}\n18446744073709551614 ${MAX}\n9007199254740993 1\n`),
    dataFile('crlf', '7 1\r\n8 2\r\n7 3\n'),
    dataFile('leading-zeros', '00000000000000000007 00000000000000000005\n0 00\n007 1\n'),
    dataFile('zero-amounts', '1000001 0\n1000002 0\n1000001 0\n'),
    dataFile('empty', ''),
    dataFile('no-final-line-end', '7 1\n1000003 9007199254740993'),
  ]
  drop(site.paths, files)
  const parser = await startParser(t, site)
  await parser.untilSettled(files.length)
  t.match(await stopProgram(parser), { code: 0, signal: null })
  await assertEverythingAddsUp(t, site, allApplied(files))
})

t.test('many small files, most of which are read at once', async t => {
  const site = await makeSite(t, server)
  const files = Array.from({ length: 80 }, (_, i) =>
    seededFile(`small-${i}`, i, { lines: 1 + ((i * 7) % 90), consumers: 40 }),
  )
  const empty = dataFile('small-5-empty', '')
  const wide = seededFile('small-7-wide', 99, { lines: 20_000, consumers: 40_000 })
  const bad = dataFile('small-3-bad', '1 1\nwhat\n')
  drop(site.paths, [...files, empty, wide])
  drop(site.paths, [bad], { manifest: manifestOf(bad.content, { lines: 2, amount: '1' }) })
  const parser = await startParser(t, site)
  await parser.untilSettled(83)

  const copies: DataFile[] = files
    .slice(20, 40)
    .map(file => ({ ...file, name: `${file.name}-copy` }))
  const last = seededFile('small-last', 100)
  drop(site.paths, [...copies, last])
  await parser.untilSettled(104)
  t.match(await stopProgram(parser), { code: 0, signal: null })
  await assertEverythingAddsUp(t, site, [
    ...allApplied([...files, empty, wide, last]),
    ...copies.map((copy): Fate => [copy, 'duplicate']),
    [bad, 'quarantined'],
  ])
})

t.test('files read side by side are counted in the order in which they came', async t => {
  const site = await makeSite(t, server, {
    COUNTERSINK_READERS: '3',
    COUNTERSINK_SCAN_INTERVAL_MS: '3600000',
    COUNTERSINK_BATCH_FILES_MAX: '1',
  })
  // Large ones among small ones, so that later files are read before earlier ones.
  const files = Array.from({ length: 24 }, (_, i) =>
    seededFile(`file-${i}`, i, { lines: i % 4 === 0 ? 60_000 : 40, consumers: 300 }),
  )
  const copy: DataFile = { ...files[20]!, name: 'copy' }
  const parser = await startParser(t, site)
  const announcer = await connectAnnouncer(t, site.paths)
  for (const file of [...files, copy]) {
    drop(site.paths, [file])
    t.match(await announcer.announce(file), { outcome: /^(accepted|known)$/ })
  }
  await parser.untilSettled(files.length + 1)
  t.match(await stopProgram(parser), { code: 0, signal: null })
  await assertEverythingAddsUp(t, site, [...allApplied(files), [copy, 'duplicate']])
  const names = (await processedFiles(site)).map(({ name }) => name)
  t.same(
    names.filter(name => name !== 'copy'),
    files.map(({ name }) => name),
  )
})

t.test('amounts whose sum is far above 64 bits', async t => {
  const site = await makeSite(t, server, { COUNTERSINK_CHUNK_PAIRS_MAX: '7' })
  const lines = Array.from({ length: 100 }, (_, i) => `${i} ${U64_MAX - BigInt(i * i)}\n`)
  const huge = dataFile('huge', lines.join(''))
  const more = dataFile('more', '1 0\n2 4\n99 9801\n200 1\n')
  t.ok(amountOf(huge.content) > 99n * U64_MAX, 'the total of the file needs more than 64 bits')
  drop(site.paths, [huge, more])
  const parser = await startParser(t, site)
  await parser.untilSettled(2)
  await stopProgram(parser)
  await assertEverythingAddsUp(t, site, allApplied([huge, more]))
})

t.test('totals that stood there before are added to, not replaced', async t => {
  const site = await makeSite(t, server, { COUNTERSINK_TOTALS_TABLE: 'usage_by_meter' })
  const first = seededFile('first', 11)
  const second = seededFile('second', 12)
  drop(site.paths, [first])
  const before = await startParser(t, site)
  await before.untilSettled(1)
  await stopProgram(before)
  drop(site.paths, [second])
  const after = await startParser(t, site)
  await after.untilSettled(2)
  await stopProgram(after)
  await assertEverythingAddsUp(t, site, allApplied([first, second]))
})

t.test('a duplicate is counted once', async t => {
  const site = await makeSite(t, server)
  const first = seededFile('first', 21)
  const beside = { ...first, name: 'second-name-in-the-queue' }
  const later = { ...first, name: 'third-name-much-later' }
  drop(site.paths, [first, beside])
  const before = await startParser(t, site)
  await before.untilSettled(2)
  await stopProgram(before)
  drop(site.paths, [later])
  const after = await startParser(t, site)
  await after.untilSettled(3)
  drop(site.paths, [later])
  await after.untilSettled(4)
  await stopProgram(after)
  // Which of the two that came together is first is up to the directory.
  const { archive } = site.paths
  const counted = list(archive)[0]?.startsWith('first') ? first : beside
  const other = counted === first ? beside : first
  await assertEverythingAddsUp(t, site, [
    [counted, 'applied'],
    [other, 'duplicate'],
    [later, 'duplicate'],
    [later, 'duplicate'],
  ])
})

t.test('a duplicate is known when only the ledger remembers it', async t => {
  const site = await makeSite(t, server)
  const first = seededFile('first', 31)
  drop(site.paths, [first])
  const before = await startParser(t, site)
  await before.untilSettled(1)
  await stopProgram(before)
  rmSync(site.paths.parser, { recursive: true })
  rmSync(site.paths.archive, { recursive: true })
  drop(site.paths, [{ ...first, name: 'again' }])
  const after = await startParser(t, site)
  const { ever } = await after.untilSettled(2)
  t.match(ever, { applied: 1, duplicate: 1 })
  await stopProgram(after)
})

t.test('one name with two contents is two files', async t => {
  const site = await makeSite(t, server)
  const monday = seededFile('usage.txt', 41)
  const tuesday = seededFile('usage.txt', 42)
  drop(site.paths, [monday])
  const parser = await startParser(t, site)
  await parser.untilSettled(1)
  drop(site.paths, [tuesday])
  await parser.untilSettled(2)
  await stopProgram(parser)
  await assertEverythingAddsUp(t, site, allApplied([monday, tuesday]))
})

function allApplied(files: readonly DataFile[]): Fate[] {
  return files.map(file => [file, 'applied'])
}
