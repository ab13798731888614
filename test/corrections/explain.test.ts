import { randomBytes } from 'node:crypto'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createTotals, ledgerNames } from '../../parser/ledger/schema/tables.ts'
import { archivedName } from '../../shared/archive.ts'
import { U64_MAX } from '../../shared/limits.ts'
import { publishedName, settledName } from '../../shared/paths.ts'
import { spawnDoomed, tinySite, wideFile } from '../crash/scene.ts'
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
} from '../helpers/files.ts'
import { archivedPath } from '../helpers/invariants.ts'
import { pingParser, startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite } from '../helpers/state-dir.ts'
import { explained, type Fields } from './explained.ts'

// What became of a file.

const server = await startDatabaseServer(t)
t.jobs = 3
t.setTimeout(300_000)

/** The times of a step list, in its order: they must never go back. */
function assertInOrder(t: Test, text: string, steps: readonly string[]): void {
  const found = [...text.matchAll(/^ {2}(\w+) +(\d{4}-\S+ \S+)/gm)]
  t.same(
    found.map(([, step]) => step),
    steps,
  )
  const times = found.map(([, , time]) => time)
  t.same(times, [...times].sort(), 'one after the other')
}

t.test('what is on its way, what stands in the inbox, and what is asked wrongly', async t => {
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  await server.kill()
  const file = seededFile('waits', 1)
  const origin = '0123456789abcdef'.repeat(2)
  const published = '2026-01-31T23:59:59.123Z'
  drop(site.paths, [file], { manifest: manifestOf(file.content, { origin, published }) })
  await eventually('it is claimed', async () => (await pingParser(site.paths))?.queue.files === 1)
  const sha256 = sha256Of(file.content)
  const { code, last } = await explained(t, site, 'waits')
  t.equal(code, 0)
  t.match(last.outcome, /^not counted yet: it/)
  const queued = [{ sha256, publication: origin, publishedAt: published }]
  t.match(last, { counted: false, queued, settled: [], path: /\/work\/\d{15}\.waits$/ })
  t.match(await countersink(t, site, 'explain', sha256), { stderr: /MariaDB cannot be asked/ })
  t.match(await countersink(t, site, 'status'), { stdout: /^queue +1 file, /m })
  t.match(await countersink(t, site, 'explain', 'nobody'), { code: 3 }, 'it may be counted')
  await server.start()
  await parser.untilSettled(1)
  t.match(await explained(t, site, 'waits'), {
    last: { counted: true, ledger: { state: 'applied', publication: origin } },
  })
  const inArchive = archivedName('waits', Buffer.from(sha256, 'hex'))
  const settled = archivedPath(site.paths.archive, inArchive)!
  t.match(await explained(t, site, 'waits'), { last: { path: settled } })
  const flat = join(site.paths.archive, settledName('waits', Buffer.from(sha256, 'hex')))
  renameSync(settled, flat)
  t.match(await explained(t, site, 'waits'), { last: { path: flat } }, 'of an earlier version')
  renameSync(flat, settled)
  renameSync(settled, `${settled}.elsewhere`)
  t.notOk('path' in (await explained(t, site, 'waits')).last, 'somebody has taken it away')
  await stopProgram(parser)
  drop(site.paths, [seededFile('unclaimed', 2)])
  t.match(await countersink(t, site, 'explain', 'unclaimed'), { code: 0, stdout: /in the inbox/ })
  for (const wrong of [
    [],
    ['a', '--consumer', '1'],
    ['--consumer', '-1'],
    ['--consumer', '1', '--since', 'today'],
    ['--consumer', '1', '--since', '2026-01-02', '--until', '2026-01-01'],
    ['a', '--since', '2026-01-02'],
    [site.paths.dir],
  ]) {
    t.match(await countersink(t, site, 'explain', ...wrong), { code: 2 }, wrong.join(' '))
  }
  const refusals: readonly [string, RegExp][] = [
    [
      '2bb350f',
      /^countersink explain: no file of the name 2bb350f was ever seen, and of a SHA-256 at least 8 digits/,
    ],
    ['/no/such/path', /there is no file "\/no\/such\/path"/],
    ['', /must be given, got ""/],
  ]
  for (const [asked, stderr] of refusals) {
    t.match(await countersink(t, site, 'explain', asked), { code: 2, stdout: /^$/, stderr }, asked)
  }
  t.match(await countersink(t, site, 'explain', '2bb350f0'), {
    code: 1,
    stdout: /never seen/,
    stderr: /^\(the parser is not running; this is what its journal says\)\n$/,
  })
  for (const day of ['2026-02-31', '2026-02-29T10:00', '2026-04-31T23:59:59+02:00']) {
    const ended = await countersink(t, site, 'explain', '--consumer', '1', '--until', day)
    t.match(ended, { code: 2, stderr: `--until: there is no day ${day.slice(0, 10)}` }, day)
  }
})

t.test('the way of files that were published', { buffered: true }, async t => {
  const site = await makeSite(t, server)
  const brought = (name: string, content: string): string => {
    const directory = join(site.paths.dir, randomBytes(4).toString('hex'))
    mkdirSync(directory)
    const path = join(directory, name)
    writeFileSync(path, content)
    return path
  }
  const day = brought('day.txt', '1 5\n2 7\n')
  const sha256 = sha256Of(Buffer.from('1 5\n2 7\n'))
  const later = brought('day.txt', '1 6\n')
  const copy = brought('copy.txt', '1 5\n2 7\n')
  const bad = brought('bad.txt', '1 5\nwhat\n')
  const parser = await startParser(t, site)
  const publish = (...paths: string[]) => countersink(t, site, 'publish', '--wait', ...paths)
  t.match(await publish(day), { code: 0 })
  t.match(await publish(copy), { code: 0, stdout: /^duplicate/ })
  t.match(await publish(bad), { code: 1 })
  const everything = async (hasJournal: boolean): Promise<void> => {
    const inArchive = archivedName('day.txt', Buffer.from(sha256, 'hex'))
    const ways = hasJournal
      ? [day, 'copy.txt', publishedName('day.txt', sha256), inArchive]
      : [sha256.slice(0, 8).toUpperCase(), publishedName('day.txt', sha256), inArchive]
    for (const way of ways) {
      const { code, last } = await explained(t, site, way)
      t.equal(code, 0, way)
      t.match(last, { kind: 'content', outcome: 'counted: 2 lines, 2 consumers, amount 12, 8 B' })
      const { publication } = last.ledger as Fields
      t.match(last, { sha256, ledger: { state: 'applied', consumers: 2, amount: '12' } })
      const { name } = last.ledger as Fields
      t.equal(name, 'day.txt', 'without what was put behind it on its way')
      t.match(last, { ledger: { postings: [{ n: 1, state: 'applied', files: 1 }] } })
      t.match(last.sightings, [{ outcome: 'duplicate', name: /^copy\.txt/ }])
      const settled = last.settled as Fields[]
      const [first, ...others] = last.steps as Fields[]
      t.notOk('tookMs' in first!)
      t.ok(others.every(({ tookMs }) => Number(tookMs) >= 0))
      if (hasJournal) {
        const told = { publishedAt: String, announcedAt: String, digestStartedAt: String }
        t.match(settled[0], { outcome: 'applied', publication, ...told })
        t.not(settled[1]?.publication, publication, 'each publication has its own')
      } else t.same(settled, [])
    }
    const people = await countersink(t, site, 'explain', sha256)
    const [, way = ''] = people.stdout.split('\n\n')
    t.equal(/announced[\s\S]*settled/.test(way), hasJournal)
    t.equal(/announced|settled/.test(way), hasJournal)
    // The look may come before the announcement, or behind it.
    const steps = way.replace(/^ {2}announced.*\n/m, '')
    const [reading, after] = hasJournal ? [['reading'], ['settled']] : [[], []]
    t.match(people.stdout, /begun \S+ \S+ UTC, by/)
    t.match(way, /^ +time \(UTC\)\n {2}published/, 'above the times')
    assertInOrder(t, steps, ['published', 'claimed', ...reading, 'read', 'counted', ...after])
    t.match(people.stdout, /taken by +this parser\n/)
    t.match(people.stdout, /duplicate {2}copy\.txt: counted before as day\.txt/)
    const { code, last } = await explained(t, site, 'bad.txt')
    t.equal(code, 0)
    t.match(last.outcome, /^not counted: quarantined: ID_NOT_DIGITS: line 2/)
    if (!hasJournal) t.match(await explained(t, site, 'f'.repeat(8)), { code: 3 })
  }
  await everything(true)
  await stopProgram(parser)
  await everything(true)
  renameSync(site.paths.journal, `${site.paths.journal}.away`)
  await everything(false)
  const alone = await countersink(t, site, 'explain', sha256)
  t.match(alone.stderr, /there is no journal; this is what MariaDB's ledger says/)
  renameSync(`${site.paths.journal}.away`, site.paths.journal)

  const next = await startParser(t, site)
  t.match(await publish(later), { code: 0 })
  const several = await explained(t, site, 'day.txt')
  t.equal(several.code, 0)
  t.match(several.last.files, [{ state: 'applied' }, { state: 'applied', sha256 }])
  t.equal((several.last.files as unknown[]).length, 2)
  const listed = await countersink(t, site, 'explain', 'day.txt')
  t.match(listed.stdout, new RegExp(`counted +8 B +${sha256} +day`))

  // A file of a name that was counted, with a content that never was.
  const unseen = brought('day.txt', '1 7\n')
  const unseenHash = sha256Of(Buffer.from('1 7\n'))
  const laterHash = sha256Of(Buffer.from('1 6\n'))
  const of = await countersink(t, site, 'explain', unseen)
  t.equal(of.code, 1)
  t.match(of.stdout, `day.txt: its content ${unseenHash} was never seen\nthat name: counted 2`)
  t.match(of.stdout, new RegExp(`that name: counted \\S+ \\S+ UTC with content ${laterHash}\n`))
  t.match(of.stdout, new RegExp(`with content ${sha256}\n$`))
  const files = [{ sha256: laterHash }, { state: 'applied', sha256 }]
  const last = { kind: 'unknown', asked: unseenHash, name: 'day.txt', files, hasMore: false }
  t.match(await explained(t, site, unseen), { code: 1, last })
  const once = await countersink(t, site, 'explain', brought('bad.txt', '1 8\n'))
  t.match(once, { code: 1, stdout: /never seen\nthat name: quarantined \S+ \S+ UTC with/ })
  const never = await countersink(t, site, 'explain', brought('new.txt', '1 8\n'))
  t.match(never, { code: 1, stdout: /^new\.txt: its content \w{64} was never seen\n$/ })
  await stopProgram(next)
})

t.test('prefixes that fit several, and names that would be something else', async t => {
  const site = await makeSite(t, server)
  const [one, other] = alikeFiles(['50%_of', `it's \\"-- ; é`])
  const parser = await startParser(t, site)
  drop(site.paths, [one, other, dataFile('-x', '1 1\n')])
  await parser.untilSettled(3)
  const [first, second] = [one, other].map(({ content }) => sha256Of(content)) as [string, string]
  const several = await explained(t, site, first.slice(0, 8))
  t.equal(several.code, 2)
  const files = [
    { name: one.name, sha256: first, state: 'applied' },
    { name: other.name, sha256: second, state: 'applied' },
  ]
  t.match(several.last, { kind: 'several', hasMore: false })
  const found = several.last.files as Fields[]
  t.match(
    [...found].sort(a => (a.sha256 === first ? -1 : 1)),
    files,
  )
  t.match(await countersink(t, site, 'explain', first.slice(0, 8)), {
    code: 2,
    stdout: /Several begin so\. "countersink explain CONTENT" explains one\.\n$/,
  })
  t.match(await explained(t, site, first), { code: 0, last: { sha256: first } })
  // A percent sign and an underscore fit themselves alone.
  t.match(await explained(t, site, one.name), { code: 0, last: { sha256: first } })
  t.match(await explained(t, site, '50%%of'), { code: 1, last: { kind: 'unknown' } })
  t.match(await explained(t, site, other.name), { code: 0, last: { sha256: second } })
  t.match(await countersink(t, site, 'hashes', '--limit', '1'), { stdout: / {2}1 line {2}/ })
  const dashed = await countersink(t, site, 'explain', '--', '-x')
  t.match(dashed, { code: 0, stdout: /^-x\n {2}outcome +counted: 1 line, 1 consumer,/ })
  for (const name of [other.name, 'never\u001b[31m\n', `${'a'.repeat(5_000)}`, `' OR 1 --`, '..']) {
    const { stdout, stderr, code } = await countersink(t, site, 'explain', name)
    t.notOk(`${stdout}${stderr}`.includes('\u001b'), 'nothing that a terminal would obey')
    t.equal(
      code,
      name === other.name ? 0 : name === '..' ? 2 : 1,
      JSON.stringify(name.slice(0, 20)),
    )
  }
  await stopProgram(parser)
})

/** Two files whose hashes begin with the same 32 bits. */
function alikeFiles([one, other]: readonly [string, string]): [DataFile, DataFile] {
  const seen = new Map<string, number>()
  for (let id = 1; ; id += 1) {
    const prefix = sha256Of(Buffer.from(`${id} 1\n`)).slice(0, 8)
    const before = seen.get(prefix)
    if (before !== undefined) return [dataFile(one, `${before} 1\n`), dataFile(other, `${id} 1\n`)]
    seen.set(prefix, id)
  }
}

t.test('a file whose reading was interrupted', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  const large = wideFile('large', 2)
  drop(site.paths, [large])
  await (await spawnDoomed(t, site, 'P2-checkpoint-committed', { passing: 2 })).died()
  const half = await explained(t, site, 'large')
  t.match(half.last.outcome, /^not counted yet: it is read up to 128 KiB of 210 KiB at least/)
  const parser = await startParser(t, site)
  await parser.untilSettled(1)
  const { last } = await explained(t, site, 'large')
  const step = { step: 'checkpoint', note: 'the last of 3, at 192 KiB' }
  t.match((last.steps as Fields[])[2], step)
  const { stdout } = await countersink(t, site, 'explain', 'large')
  t.match(stdout, /checkpoint .* the last of 3, at 192 KiB/)
  const steps = ['claimed', 'reading', 'checkpoint', 'read', 'recorded', 'counted', 'settled']
  assertInOrder(t, stdout.split('\n\n')[1] ?? '', steps)
  await stopProgram(parser)
})

t.test(
  'a file whose sums are recorded, and that no total can take',
  { buffered: true },
  async t => {
    const site = await tinySite(t, server)
    const n = ledgerNames(site.config)
    await withSession(site, async session => {
      await session.execute(createTotals(n))
      await session.execute(`INSERT INTO ${n.totals} VALUES (3, ${U64_MAX})`)
    })
    const parser = await startParser(t, site)
    drop(site.paths, [seededFile('over', 1, { consumers: 40 })])
    await parser.untilSettled(1)
    const { code, last } = await explained(t, site, 'over')
    t.equal(code, 0)
    t.match(last, { counted: false, ledger: { state: 'refused' } })
    t.match(last.outcome, /^not counted: refused: \w+: .*consumer 3/)
    const steps = (last.steps as Fields[]).map(({ step }) => step)
    t.same(steps, ['claimed', 'reading', 'read', 'recorded', 'quarantined'])
    await stopProgram(parser)
  },
)
