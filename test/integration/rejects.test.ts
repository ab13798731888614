import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { rejectsName, settledName } from '../../shared/paths.ts'
import { countersink, jsonLines } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { type DataFile, dataFile, drop, manifestOf, sha256Of } from '../helpers/files.ts'
import { list, processedFiles } from '../helpers/invariants.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'

// Bad lines that are put aside, as whoever brings the file sees it.

const server = await startDatabaseServer(t)
const NONE = { lines: undefined, amount: undefined }
const QUICK = { COUNTERSINK_QUIET_MS: '100' }

const file = dataFile('usage.txt', '1 10\nwhat\n2 20\n3\t30\r\n3 5\n')
const sha256 = sha256Of(file.content)

t.test('asked for with a file, shown, mended and counted as its child', async t => {
  const site = await makeSite(t, server, QUICK)
  const parser = await startParser(t, site)
  const source = write(site, file)
  const published = await countersink(
    t,
    site,
    'publish',
    source,
    '--wait',
    '--json',
    '--reject-lines',
    '2',
  )
  const place = join(
    site.paths.rejects,
    rejectsName(`usage.txt-${sha256.slice(0, 12)}`, hash(sha256)),
  )
  t.match(jsonLines(published), [{ outcome: 'applied', rejectedLines: 2, rejects: place }])
  t.match(published, { code: 0, stderr: `  2 bad lines put aside: ${place}` })
  t.equal((await countersink(t, site, 'totals')).stdout, '1\t10\n2\t20\n3\t5\n')

  for (const asked of [source, sha256, sha256.slice(0, 8), place]) {
    const shown = await countersink(t, site, 'rejects', asked, '--json')
    t.equal(shown.code, 0)
    t.same(
      jsonLines(shown).map(({ line, offset, reason, size, text, whole, parent }) => ({
        line,
        offset,
        reason,
        size,
        text,
        whole,
        parent,
      })),
      [
        {
          line: 2,
          offset: 5,
          reason: 'ID_NOT_DIGITS',
          size: 4,
          text: 'what',
          whole: true,
          parent: sha256,
        },
        {
          line: 4,
          offset: 15,
          reason: 'ID_NOT_DIGITS',
          size: 5,
          text: '3\t30\r',
          whole: true,
          parent: sha256,
        },
      ],
    )
  }
  t.match(
    (await countersink(t, site, 'rejects', source)).stdout,
    /line 2, offset 5: ID_NOT_DIGITS: "what"/,
  )
  const { stdout } = await countersink(t, site, 'rejects', source, '--lines')
  t.equal(stdout, 'what\n3\t30\r\n')

  const said = await Promise.all(
    [['check', source], ['explain', source], ['hashes'], ['status']].map(([command, ...words]) =>
      countersink(t, site, command!, ...words),
    ),
  )
  for (const { stdout } of said) t.match(stdout, '2 bad lines put aside')
  t.match(jsonLines(await countersink(t, site, 'hashes', '--json')), [
    { lines: 3, rejectedLines: 2 },
  ])
  t.match(jsonLines(await countersink(t, site, 'status', '--json')), [
    { ever: { lines: 3, rejectedLines: 2 } },
  ])
  t.match(jsonLines(await countersink(t, site, 'explain', source, '--json')), [
    { ledger: { lines: 3, rejectedLines: 2 }, rejects: place },
  ])
  const told = await countersink(t, site, 'explain', source)
  t.ok(told.stdout.replaceAll(/\s+/g, '').includes(`putaside${place}`), 'and where they are')
  t.match(parser.output(), /applied name=usage.txt\S* .*rejectedLines=2/)

  const mended = write(
    site,
    dataFile('mended.txt', stdout.replace('what\n', '').replace('\t', ' ')),
  )
  const child = await countersink(t, site, 'publish', mended, '--wait', '--parent', sha256)
  t.match(child, { code: 0, stdout: /^applied / })
  t.equal((await countersink(t, site, 'totals')).stdout, '1\t10\n2\t20\n3\t35\n')

  drop(site.paths, [{ ...file, name: 'again.txt' }], { manifest: false })
  await parser.untilSettled(3)
  const again = (await processedFiles(site)).at(-1)
  t.match(again, { name: 'again.txt', outcome: 'duplicate' }, 'also where no bad line may be')
  t.match(await countersink(t, site, 'rejects', mended), { code: 1, stderr: /no line/ })
  t.match(await countersink(t, site, 'verify', '--full'), { code: 0 })
  await stopProgram(parser)
  const verified = await countersink(t, site, 'verify', '--full')
  t.match(verified, { code: 0, stdout: '(2 files, 2 bad lines put aside)' })
  t.match(jsonLines(await countersink(t, site, 'verify', '--json')), [{ rejectedLines: 2 }])
  t.match(jsonLines(await countersink(t, site, 'status', '--json')), [
    { ever: { rejectedLines: 2 } },
  ])
})

t.test('what is configured, what the file asks for, and what is wrong', async t => {
  const site = await makeSite(t, server, { ...QUICK, COUNTERSINK_REJECT_LINES: '50%' })
  const parser = await startParser(t, site)
  const some = dataFile('some', '1 1\nx\n')
  const many = dataFile('many', '1 1\nx\ny\n')
  const strict = dataFile('strict', '2 2\nx\n')
  const told = dataFile('told', '3 3\nz\n')
  const wrong = dataFile('wrong', '4 4\nz\n')
  drop(site.paths, [some, many], { manifest: false })
  const given = (one: DataFile, fields: object) =>
    drop(site.paths, [one], { manifest: manifestOf(one.content, { ...NONE, ...fields }) })
  given(strict, { rejectLines: '0' })
  given(told, { lines: 2, amount: '3' })
  given(wrong, { lines: 1, amount: '4' })
  await parser.untilSettled(5)
  await stopProgram(parser)
  const fates = new Map((await processedFiles(site)).map(one => [one.name, one]))
  t.match(fates.get('some'), { outcome: 'applied', lines: 1, rejectedLines: 1 })
  t.match(fates.get('told'), { outcome: 'applied', lines: 1, rejectedLines: 1 })
  t.match(fates.get('strict'), { outcome: 'quarantined', reason: /^ID_NOT_DIGITS: line 2/ })
  t.match(fates.get('wrong'), {
    outcome: 'quarantined',
    reason: /^MANIFEST_MISMATCH: lines are 2, announced were 1 \(1 of the lines are bad\)/,
  })
  t.match(fates.get('many'), {
    outcome: 'quarantined',
    reason:
      /^TOO_MANY_REJECTED: more lines are bad than may be put aside \(50%\), the first is ID_NOT_DIGITS: line 2, /,
  })
  const sidecar = join(
    site.paths.quarantine,
    `${settledName('many', hash(sha256Of(many.content)))}.reason.json`,
  )
  t.match(JSON.parse(readFileSync(sidecar, 'utf8')), {
    ...{ code: 'TOO_MANY_REJECTED', firstDefect: 'ID_NOT_DIGITS', rejectLines: '50%', line: 2 },
  })
  t.equal(list(site.paths.rejects).length, 2)
  const back = await countersink(t, site, 'requeue', 'many', '--reject-lines', '2')
  t.match(back, { code: 0, stdout: /^queued / })
  const run = await countersink(t, site, 'run', '--once', '--json')
  t.match(run, { code: 0, stderr: '' })
  t.match(jsonLines(run), [{ applied: 1, quarantined: 0, rejectedLines: 2 }])
  t.equal(list(site.paths.rejects).length, 3)
  t.match(await countersink(t, site, 'requeue', 'strict', '--reject-lines', 'x'), { code: 2 })
  for (const limit of ['x', '-1', '101%', '1.5', '0.00001%']) {
    const refused = await countersink(t, site, 'publish', 'f', `--reject-lines=${limit}`)
    t.match(refused, { code: 2, stderr: /--reject-lines must be a whole number of lines/ }, limit)
  }
  t.match(await countersink(t, site, 'publish', 'f', '--parent', 'abc'), { code: 2 })
})

t.test(
  'the same again, another of the same name, and one of which nothing is kept whole',
  async t => {
    const site = await makeSite(t, server, { ...QUICK, COUNTERSINK_REJECT_LINES: '100%' })
    const taken = join(site.paths.rejects, rejectsName('usage.txt', hash(sha256)))
    const first = await startParser(t, site)
    writeFileSync(taken, 'somebody else’s')
    drop(site.paths, [file], { manifest: manifestOf(file.content, NONE) })
    await first.untilSettled(1)
    drop(site.paths, [file], { manifest: manifestOf(file.content, NONE) })
    await first.untilSettled(2)
    const long = dataFile('long', `1 1\n${'x'.repeat(100_000)}\nshort\n`)
    drop(site.paths, [long], { manifest: manifestOf(long.content, NONE) })
    await first.untilSettled(3)
    await stopProgram(first)
    t.equal(readFileSync(taken, 'utf8'), 'somebody else’s')
    const names = list(site.paths.rejects)
    t.equal(names.length, 3, names.join())
    t.match(names.join(), /usage\.txt\.\w{12}\.\d{15}\.rejected/)
    const raw = await countersink(t, site, 'rejects', sha256Of(long.content), '--lines')
    t.match(raw, { code: 1, stdout: 'short\n', stderr: /left out: line 2, .*100 000 bytes/ })
    t.match(await countersink(t, site, 'rejects', sha256), { code: 0 })
  },
)

t.test('what the ledger lacks is counted again as it was', async t => {
  const site = await makeSite(t, server, { ...QUICK, COUNTERSINK_REJECT_LINES: '2' })
  const parser = await startParser(t, site)
  drop(site.paths, [file], { manifest: false })
  await parser.untilSettled(1)
  await stopProgram(parser)
  await withSession(site, async session => {
    for (const table of ['file', 'sums', 'posting', 'batch']) {
      await session.execute(`DELETE FROM countersink_${table}`)
    }
    await session.execute('DELETE FROM consumption')
  })
  rmSync(site.paths.rejects, { recursive: true })
  const strict: Site = { ...site, env: { ...site.env, COUNTERSINK_REJECT_LINES: '0' } }
  t.match(await countersink(t, strict, 'recover'), { code: 0 })
  const again = await startParser(t, strict)
  await again.untilSettled(1)
  await stopProgram(again)
  t.equal((await countersink(t, site, 'totals')).stdout, '1\t10\n2\t20\n3\t5\n')
  t.same(list(site.paths.rejects), [rejectsName('usage.txt', hash(sha256))])
})

function write(site: Site, { name, content }: DataFile): string {
  const path = join(site.paths.dir, name)
  writeFileSync(path, content)
  return path
}

function hash(hex: string): Buffer {
  return Buffer.from(hex, 'hex')
}
