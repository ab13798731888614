import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { publish } from '../../scripts/library/index.ts'
import { countersink, jsonLines } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { type DataFile, dataFile, sha256Of } from '../helpers/files.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'

// Usage by time, of files that say when it was: asked for while and after they are counted.

const server = await startDatabaseServer(t)
t.setTimeout(120_000)

const site = await makeSite(t, server, {
  COUNTERSINK_QUIET_MS: '100',
  ...{ COUNTERSINK_TIME_ZONE: 'Europe/Berlin', COUNTERSINK_KEEP_HOURS: 'forever' },
})
const parser = await startParser(t, site)

function written({ paths }: Site, { name, content }: DataFile): string {
  const path = join(paths.dir, name)
  writeFileSync(path, content)
  return path
}

/** Period and consumer, and what was used. */
async function used(t: Test, ...args: string[]): Promise<unknown[]> {
  const ended = await countersink(t, site, 'usage', ...args, '--json')
  t.equal(ended.code, 0, ended.stderr)
  const [head, ...lines] = jsonLines(ended)
  t.match(head, { kind: 'usage', timeZone: 'Europe/Berlin' })
  const periods = lines.slice(0, -1)
  t.match(lines.at(-1), { kind: 'end', lines: periods.length })
  return periods.map(({ period, consumer, amount }) => [period, consumer, amount])
}

const days = ['--from', '2026-03-28', '--to', '2026-03-30']
const files = [
  [dataFile('a', '1 5\n18446744073709551615 7\n'), '2026-03-28T23:30:00Z'],
  [dataFile('b', '1 100\n'), '2026-03-28T22:30:00Z'],
  [dataFile('c', '2 18446744073709551615\n'), '2026-03-29T03:30:00.5+02:00'],
] as const

t.test('by the time that a file is published with', async t => {
  for (const [file, usedAt] of files) {
    const path = written(site, file)
    const ended = await countersink(t, site, 'publish', path, '--used-at', usedAt, '--wait')
    t.match(ended, { code: 0, stdout: /^applied / })
  }
  t.same(await used(t, ...days), [
    ['2026-03-28', null, '100'],
    ['2026-03-29', null, `${2n ** 64n - 1n + 12n}`],
  ])
  t.same(await used(t, ...days, '--consumer', '1', '--by', 'month'), [['2026-03', '1', '105']])
  t.same(await used(t, ...days, '--all'), [
    ['2026-03-28', '1', '100'],
    ['2026-03-29', '1', '5'],
    ['2026-03-29', '2', '18446744073709551615'],
    ['2026-03-29', '18446744073709551615', '7'],
  ])
  t.same(await used(t, ...days, '--top', '1'), [
    ['2026-03-28', '1', '100'],
    ['2026-03-29', '2', '18446744073709551615'],
  ])
  const hours = ['--by', 'hour', '--from', '2026-03-29T00:00', '--to', '2026-03-29T04:00+02:00']
  t.same(await used(t, ...hours), [
    ['2026-03-29T00:00+01:00', null, '12'],
    ['2026-03-29T01:00+01:00', null, '0'],
    ['2026-03-29T03:00+02:00', null, '18446744073709551615'],
  ])
})

t.test('for people, and as CSV', async t => {
  const csv = await countersink(t, site, 'usage', ...days, '--all', '--csv')
  t.equal(
    csv.stdout,
    `period,consumer,amount
2026-03-28,1,100
2026-03-29,1,5
2026-03-29,2,18446744073709551615
2026-03-29,18446744073709551615,7
`,
  )
  const { stdout } = await countersink(t, site, 'usage', '--consumer', '1', ...days)
  t.match(stdout, /^Usage of consumer 1, by day \(Europe\/Berlin\)\n\nday +amount\n/)
  t.match(stdout, /^2026-03-28 +100\n2026-03-29 +5\n\nAs of /m, 'no bars in a pipe')
  const lately = (await countersink(t, site, 'usage')).stdout
  t.equal(lately.match(/^\d{4}-\d\d-\d\d +\d/gm)?.length, 30, 'thirty days')
  t.match(lately, /\nDays are kept from \d{4}-\d\d-\d\d on\.\n$/)
  t.match(
    (await countersink(t, site, 'explain', 'c')).stdout,
    /used at +2026-03-29 01:30:00\.500 UTC/,
  )
  const [explained] = jsonLines(await countersink(t, site, 'explain', 'c', '--json'))
  t.match(explained, { ledger: { usedAt: '2026-03-29T01:30:00.500Z' } })
})

t.test('what is taken back, replaced or brought back', async t => {
  const [[a], [b]] = files
  t.match(await countersink(t, site, 'undo', sha256Of(b.content)), { code: 0 })
  const mended = written(site, dataFile('mended', '1 6\n'))
  t.match(await countersink(t, site, 'supersede', sha256Of(a.content), mended), { code: 0 })
  t.same(await used(t, ...days, '--consumer', '1'), [
    ['2026-03-28', '1', '0'],
    ['2026-03-29', '1', '6'],
  ])
  const bad = written(site, dataFile('bad', '1 3\n1 x\n'))
  const usedAt = ['--used-at', '2026-03-28T12:00:00Z']
  t.match(await countersink(t, site, 'publish', bad, ...usedAt, '--wait'), { code: 1 })
  const good = written(site, dataFile('good', '1 3\n'))
  t.match(await countersink(t, site, 'requeue', 'bad', '--with', good, '--wait'), { code: 0 })
  t.same(await used(t, ...days, '--consumer', '1'), [
    ['2026-03-28', '1', '3'],
    ['2026-03-29', '1', '6'],
  ])
  const other = written(site, dataFile('other', '1 9\n'))
  const then = ['--used-at', '2026-03-29T12:00:00Z']
  const instead = ['supersede', sha256Of(Buffer.from('1 3\n')), other, ...then] as const
  t.match(await countersink(t, site, ...instead), { code: 0 })
  t.same(await used(t, ...days, '--consumer', '1'), [
    ['2026-03-28', '1', '0'],
    ['2026-03-29', '1', '15'],
  ])
})

t.test('by a program', async t => {
  const file = written(site, dataFile('by-program', '77 4\n'))
  const service = { stateDir: site.paths.dir, env: site.env }
  const usedAt = new Date('2026-03-28T12:00:00Z')
  t.match(await publish({ ...service, files: [file], usedAt, wait: true }), [
    { outcome: 'applied' },
  ])
  t.same(await used(t, ...days, '--consumer', '77'), [
    ['2026-03-28', '77', '4'],
    ['2026-03-29', '77', '0'],
  ])
  for (const wrong of ['2026-03-28', new Date(Number.NaN)]) {
    await t.rejects(publish({ ...service, files: [file], usedAt: wrong }), {
      code: 'USAGE',
      message: /^usedAt must be a time with its zone/,
    })
  }
})

t.test('what cannot be asked', async t => {
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [['--by', 'week'], /--by must be one of hour, day, month/],
    [['--from', 'yesterday'], /--from must be a time like/],
    [['--to', '2026-02-30'], /there is no day 2026-02-30/],
    [['--from', '2026-03-02', '--to', '2026-03-01'], /--from must be before --to/],
    [['--consumer', '-1'], /--consumer/],
    [['--consumer', '1', '--top', '2'], /cannot be combined/],
    [['--top', '1', '--all'], /cannot be combined/],
    [['--csv', '--json'], /cannot be combined/],
  ]
  const answers = wrong.map(([args]) => countersink(t, site, 'usage', ...args))
  for (const [i, ended] of (await Promise.all(answers)).entries()) {
    t.match(ended, { code: 2, stderr: wrong[i]![1] }, wrong[i]![0].join(' '))
  }
  const path = written(site, dataFile('x', '1 1\n'))
  const none = ['2026-03-28', '1999-12-31T23:59:59Z', '2026-02-30T00:00:00Z']
  const refused = none.map(one => countersink(t, site, 'publish', path, '--used-at', one))
  for (const ended of await Promise.all(refused)) {
    t.match(ended, { code: 2, stderr: /--used-at must be a time with its zone like 2026-/ })
  }
  await stopProgram(parser)
  await withSession(site, s => s.execute('UPDATE countersink_meta SET time_zone = NULL'))
  t.match(await countersink(t, site, 'usage'), { code: 3, stderr: /usage by time is not kept/ })
})
