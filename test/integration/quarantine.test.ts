import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { LINE_DEFECTS, type LineDefect } from '../../parser/digest/line-defects.ts'
import { U64_MAX } from '../../shared/limits.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { type DataFile, dataFile, drop, seededFile, sha256Of } from '../helpers/files.ts'
import { assertEverythingAddsUp, type Fate, processedFiles } from '../helpers/invariants.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'

const server = await startDatabaseServer(t)
const GOOD = '1 100\n2 200\r\n'

/** A line that cannot be counted, what is said of it, and after how many of its bytes. */
const BAD: Readonly<Record<LineDefect, readonly [line: string, column: number]>> = {
  EMPTY_LINE: ['', 0],
  ID_MISSING: [' 5', 0],
  ID_NOT_DIGITS: ['-1 5', 0],
  ID_TOO_LONG: [`${'0'.repeat(21)} 5`, 20],
  ID_TOO_LARGE: ['18446744073709551616 5', 0],
  SEPARATOR_MISSING: ['12', 2],
  SEPARATOR_REPEATED: ['1  5', 2],
  AMOUNT_MISSING: ['1 ', 2],
  AMOUNT_NOT_DIGITS: ['1 2.5', 3],
  AMOUNT_TOO_LONG: [`1 ${'0'.repeat(21)}`, 22],
  AMOUNT_TOO_LARGE: ['1 18446744073709551616', 2],
  TRAILING_BYTES: ['1 5 6', 3],
  CR_MISPLACED: ['1 5\r\r', 3],
  CONSUMER_SUM_OVERFLOW: [`2 ${U64_MAX - 199n}`, 2],
}

t.test('a bad line of any kind quarantines its whole file and no other', async t => {
  const site = await makeSite(t, server, { COUNTERSINK_PAIRS_MAX: '2' })
  const good = dataFile('good', '1 1\n2 2\n')
  const bad = LINE_DEFECTS.map(defect => ({
    defect,
    file: dataFile(`bad-${defect}`, `${GOOD}${BAD[defect][0]}\n${GOOD}`),
  }))
  const last = dataFile('last', '3 3\n4 4\n')
  for (const file of [good, ...bad.map(({ file }) => file), last]) {
    drop(site.paths, [file], { manifest: false })
  }
  const parser = await startParser(t, site)
  await parser.untilSettled(bad.length + 2)
  await stopProgram(parser)

  for (const { defect, file } of bad) {
    const [line, column] = BAD[defect]
    t.match(
      sidecarOf(site, file),
      {
        name: file.name,
        sha256: sha256Of(file.content),
        size: file.content.length,
        code: defect,
        line: 3,
        lineOffset: GOOD.length,
        byteInLine: column + 1,
        firstBytesHex: Buffer.from(line).toString('hex'),
      },
      defect,
    )
  }
  for (const { name, outcome, reason } of await processedFiles(site)) {
    if (outcome !== 'quarantined') continue
    t.match(reason, new RegExp(`^${name.slice('bad-'.length)}: line 3, .* offset ${GOOD.length}`))
  }
  const fates = bad.map(({ file }): Fate => [file, 'quarantined'])
  await assertEverythingAddsUp(t, site, [[good, 'applied'], [last, 'applied'], ...fates])
})

t.test('the line that makes a sum too large is named, whatever memory there is', async t => {
  const before = seededFile('', 1, { lines: 2_000, consumers: 300 }).content
  const between = seededFile('', 2, { lines: 3_000, consumers: 300 }).content
  const line = '777777 5'
  const start = Buffer.concat([Buffer.from(`777777 ${U64_MAX - 4n}\n`), before])
  // All that comes behind it is worse.
  const rest = `${line}\n${`7 ${U64_MAX}\n`.repeat(200)}what\n`
  const file = dataFile('over', Buffer.concat([start, between, Buffer.from(rest)]))
  const small = ['1 1\n', '2 2\n', '3 3\n'].map((content, i) => dataFile(`small-${i}`, content))
  const settings: Readonly<Record<string, string>>[] = [
    {},
    { COUNTERSINK_PAIRS_MAX: '2' },
    { COUNTERSINK_PAIRS_MAX: '100', COUNTERSINK_MEMORY_PAIRS_MAX: '0' },
    { COUNTERSINK_CHECKPOINT: '1024' },
  ]
  const said = new Set<string>()
  for (const env of settings) {
    const site = await makeSite(t, server, env)
    drop(site.paths, [small[0]!, file, small[1]!, small[2]!], { manifest: false })
    const parser = await startParser(t, site)
    await parser.untilSettled(4)
    await stopProgram(parser)
    const { reason, code, line, lineOffset, byteInLine, consumer, firstBytes, firstBytesHex } =
      sidecarOf(site, file)
    const place = { line, lineOffset, byteInLine, consumer, firstBytes, firstBytesHex }
    said.add(JSON.stringify({ reason, code, ...place }))
    t.match(place, {
      line: 5_002,
      lineOffset: start.length + between.length,
      byteInLine: 8,
      consumer: '777777',
    })
    const good = small.map((one): Fate => [one, 'applied'])
    await assertEverythingAddsUp(t, site, [[file, 'quarantined'], ...good])
  }
  t.equal(said.size, 1, [...said].join(' or '))
})

t.test('a bad last line, far behind good ones, is found as well', async t => {
  const site = await makeSite(t, server)
  const lines = seededFile('', 1, { lines: 60_000, consumers: 20_000 }).content
  const file = dataFile('late', Buffer.concat([lines, Buffer.from('17')]))
  drop(site.paths, [file], { manifest: false })
  const parser = await startParser(t, { ...site, env: { ...site.env, ...HOLD_BRIEFLY } })
  await parser.untilSettled(1)
  await stopProgram(parser)
  t.match(sidecarOf(site, file), { line: 60_001, lineOffset: lines.length })
  await assertEverythingAddsUp(t, site, [[file, 'quarantined']])
})

const HOLD_BRIEFLY = { COUNTERSINK_CUT_HOLD_MS: '100' }

t.test('the same bad content again is quarantined again, and never a duplicate', async t => {
  const site = await makeSite(t, server)
  const bad = dataFile('bad', '1 1\nx\n')
  const parser = await startParser(t, site)
  drop(site.paths, [bad], { manifest: false })
  await parser.untilSettled(1)
  drop(site.paths, [bad], { manifest: false })
  await parser.untilSettled(2)
  await stopProgram(parser)
  await assertEverythingAddsUp(t, site, [
    [bad, 'quarantined'],
    [bad, 'quarantined'],
  ])
})

t.test(
  'a file that would take a total past 64 bits is quarantined, nothing of it applied',
  async t => {
    const site = await makeSite(t, server, { COUNTERSINK_CHUNK_PAIRS_MAX: '2' })
    const first = dataFile('first', '1 1\n2 2\n50 1000\n70 7\n')
    // Chunks of two: the consumer that overflows comes after some that would fit.
    const over = dataFile('over', `1 1\n2 2\n3 3\n50 ${U64_MAX - 999n}\n60 6\n`)
    const brim = dataFile('brim', `50 ${U64_MAX - 1_000n}\n60 6\n`)
    const parser = await startParser(t, site)
    const fates: Fate[] = [
      [first, 'applied'],
      [over, 'quarantined'],
      [brim, 'applied'],
    ]
    for (const [i, [file]] of fates.entries()) {
      drop(site.paths, [file], { manifest: false })
      await parser.untilSettled(i + 1)
    }
    const oneMore = dataFile('one-drop-more', '49 1\n50 1\n')
    fates.push([oneMore, 'quarantined'])
    drop(site.paths, [oneMore])
    await parser.untilSettled(fates.length)
    await stopProgram(parser)
    t.match(sidecarOf(site, over).reason, /^TOTAL_OVERFLOW: consumer 50 stands at 1000; adding/)
    await assertEverythingAddsUp(t, site, fates)
  },
)

function sidecarOf(site: Site, file: DataFile): Record<string, unknown> {
  const name = `${file.name}.${sha256Of(file.content).slice(0, 16)}.reason.json`
  return JSON.parse(readFileSync(join(site.paths.quarantine, name), 'utf8'))
}
