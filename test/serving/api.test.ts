import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readConsumer } from '../../parser/ledger/index.ts'
import { LocalClock } from '../../shared/local-clock.ts'
import { countersink, jsonLines } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { dataFile, drop, sha256Of } from '../helpers/files.ts'
import { startParser, stopProgram, untilSettled } from '../helpers/parser.ts'
import { makeSite } from '../helpers/state-dir.ts'
import { startUp } from '../helpers/up.ts'
import { startServe } from './http.ts'

// What the API answers is what the command line says, and as the OpenAPI document has it (`ask` compares each
// answer): of totals past 2^53, of names that are meant to hurt, a page at a time, and while things are away.

const BIG = 18446744073709551615n
const HOSTILE = [
  '<script>alert(1)<∕script>.txt',
  'a"b&c=d?e#f%00.txt',
  '..∕up.txt'.slice(2),
  '\u202eexe.txt',
  "q'); DROP TABLE x;--.txt",
]

const server = await startDatabaseServer(t)
const site = await makeSite(t, server, {
  ...{ COUNTERSINK_TIME_ZONE: 'Europe/Berlin', COUNTERSINK_KEEP_HOURS: 'forever' },
})
const { paths } = site
const parser = await startParser(t, site)
const files = [
  dataFile('first.txt', `1 5\n${BIG} 7\n2 ${BIG - 9n}\n`),
  dataFile('second.txt', '1 6\n2 1\n'),
  ...HOSTILE.map((name, i) => dataFile(name, `1 ${i + 10}\n`)),
]
for (const [first, end] of [
  [0, 2],
  [2, 5],
  [5, files.length],
]) {
  drop(paths, files.slice(first, end))
  await parser.untilSettled(end!)
}
writeFileSync(join(paths.inbox, 'bad <b>.txt'), '1 5\n1 <img src=x>\n')
drop(paths, [dataFile('later.txt', '9 9\n')])
await parser.untilSettled(files.length + 2)
const web = await startServe(t, site)

type Line = Record<string, unknown>

/** What the command line prints, without what its lines begin with. */
async function said(t: Test, command: string, ...args: string[]): Promise<Line[]> {
  const lines = jsonLines(await countersink(t, site, command, ...args, '--json'))
  return lines.map(({ version: _version, command: _command, ...fields }) => fields)
}

/** All pages, one after the other. */
async function pages(path: string, list: string): Promise<Line[]> {
  const found: Line[] = []
  for (let next: unknown = ''; next !== null; ) {
    const after = next === '' ? '' : `&after=${encodeURIComponent(String(next))}`
    const page = await web.get(`${path}${after}`)
    found.push(...(page[list] as Line[]))
    next = page.next
  }
  return found
}

t.test('status', async t => {
  const changing = (picture: Line | undefined) =>
    JSON.stringify(picture).replaceAll(/"(uptimeSeconds|eventLoopDelayMs)":[\d.]+/g, '"$1":0')
  const [picture] = await said(t, 'status')
  t.equal(changing(await web.get('/api/v1/status')), changing(picture))
})

t.test('files, a page at a time, and looked for', async t => {
  const all = await said(t, 'hashes', '--limit', '0')
  t.equal(all.length, files.length + 2)
  for (const limit of [1, 2, 3, 500]) {
    t.same(await pages(`/api/v1/files?limit=${limit}`, 'files'), all, `pages of ${limit}`)
  }
  const quarantined = await said(t, 'hashes', '--outcome', 'quarantined')
  t.same(await pages('/api/v1/files?outcome=quarantined&limit=1', 'files'), quarantined)
  for (const { name } of files) {
    const found = await pages(`/api/v1/files?name=${encodeURIComponent(name)}`, 'files')
    t.same(
      found,
      all.filter(file => String(file.name).includes(name)),
      name,
    )
    t.ok(found.length >= 1)
  }
  const hash = sha256Of(files[1]!.content)
  for (const digits of [3, 8, 64]) {
    const found = await pages(`/api/v1/files?hash=${hash.slice(0, digits)}`, 'files')
    t.match(found, [{ sha256: hash, name: 'second.txt' }])
  }
  // At any time one of them has another day than UTC.
  for (const zone of ['Pacific/Kiritimati', 'Etc/GMT+12']) {
    const there = await startServe(t, {
      ...site,
      env: { ...site.env, COUNTERSINK_TIME_ZONE: zone },
    })
    const clock = new LocalClock(zone)
    const dayOf = (file: Line): string => clock.minuteAt(Date.parse(`${file.time}`)).slice(0, 10)
    const day = dayOf(all[0]!)
    t.same(await there.get(`/api/v1/files?day=${day}`), {
      ...{ timeZone: zone, files: all.filter(file => dayOf(file) === day), next: null },
    })
  }
  t.same(await pages('/api/v1/files?day=2001-02-03', 'files'), [])
})

t.test('what became of a content', async t => {
  for (const { content } of files) {
    const hash = sha256Of(content)
    const [explained] = await said(t, 'explain', hash)
    t.same(await web.get(`/api/v1/files/${hash}`), explained)
    t.same(await web.get(`/api/v1/files/${hash.slice(0, 12)}`), explained)
  }
  t.match(await web.ask(`/api/v1/files/${'ab'.repeat(32)}`), { status: 404 })
  t.match(await web.ask('/api/v1/files/first.txt'), { status: 400 }, 'no path, and no name')
  t.match(await web.ask('/api/v1/files/..%2f..%2fetc'), { status: 400 })
})

t.test('usage by time', async t => {
  const cases: readonly (readonly [path: string, ...args: string[]])[] = [
    ['usage'],
    ['usage?by=hour', '--by', 'hour'],
    [`consumers/${BIG}/usage?by=month`, '--consumer', `${BIG}`, '--by', 'month'],
    ['consumers/2/usage?by=hour', '--consumer', '2', '--by', 'hour'],
    ['usage/top?n=2', '--top', '2'],
    ['usage?from=2026-01-01&to=2026-01-03', '--from', '2026-01-01', '--to', '2026-01-03'],
  ]
  for (const [path, ...args] of cases) {
    const [head, ...lines] = await said(t, 'usage', ...args)
    const { asOf, ...whole } = await web.get(`/api/v1/${path}`)
    t.type(asOf, 'string')
    t.same({ ...whole, asOf: head?.asOf }, { ...head, periods: lines.slice(0, -1) }, path)
    t.ok(lines.length >= 2, path)
  }
  t.match(await web.ask('/api/v1/usage?from=2026-02-30'), { status: 400 })
  t.match(await web.ask('/api/v1/usage?from=2026-02-02&to=2026-02-01'), { status: 400 })
  t.match(await web.ask('/api/v1/usage?by=hour&from=2020-01-01'), { status: 400 }, 'too much')
  t.match(await web.ask('/api/v1/usage/top?n=101'), { status: 400 })
})

t.test('a consumer, with totals past 2^53', async t => {
  for (const id of [1n, 2n, 9n, BIG]) {
    const lines = await said(t, 'explain', '--consumer', `${id}`)
    const [opening, total] = [lines[0], lines.at(-1)]
    const postings = lines.slice(1, -1)
    const whole = await web.get(`/api/v1/consumers/${id}`)
    const totalNow = total?.total
    t.same(whole, { opening, totalNow, postings, next: null, total }, `${id}`)
    t.same(await pages(`/api/v1/consumers/${id}?limit=1`, 'postings'), postings)
  }
  const two = await web.get('/api/v1/consumers/2')
  t.match(two.total, { total: `${BIG - 8n}`, addsUp: true })
  const until = '2001-01-01'
  const lines = await said(t, 'explain', '--consumer', '1', '--until', until)
  t.same(await web.get(`/api/v1/consumers/1?until=${until}`), {
    ...{ opening: lines[0], after: lines[1], postings: [], next: null, total: lines[2] },
    totalNow: lines[2]?.total,
  })
  t.match(await web.get('/api/v1/consumers/777'), { total: { total: null }, postings: [] })
  t.match(await web.ask('/api/v1/consumers/18446744073709551616'), { status: 400 })
  const key = (batch: string): string => `${batch}.1.1.1.5.0.0.0.0`
  t.match(await web.ask(`/api/v1/consumers/1?after=${key('ab'.repeat(16))}`), { status: 404 })
  t.match(await web.ask(`/api/v1/consumers/1?after=${key('ab')}`), { status: 400 })
})

t.test('a page of postings costs what a page is, and its running totals are right', async t => {
  const lines = await said(t, 'explain', '--consumer', '1')
  const postings = lines.slice(1, -1)
  const middle = `${postings[2]?.time}`
  const until = ['--until', `${postings.at(-1)?.time}`]
  const narrow = await said(t, 'explain', '--consumer', '1', '--since', middle, ...until)
  const found = []
  const query = `since=${middle}&until=${until[1]}&limit=1`
  for (let after = ''; ; ) {
    const page = await web.get(`/api/v1/consumers/1?${query}${after}`)
    const { before, after: behind, total, next } = page
    found.push(...[before, ...(page.postings as Line[]), behind, total].filter(line => line))
    if (next === null) break
    t.notOk(total, 'whether it adds up is told at the end')
    t.equal(page.totalNow, lines.at(-1)?.total)
    after = `&after=${next}`
  }
  t.same(found, narrow.slice(1))
  t.ok(postings.length >= 6, `${postings.length} postings`)
  const last = `file_sequence = (SELECT sequence FROM countersink_file WHERE sha256 = x'${postings.at(-1)?.sha256}')`
  const change = (by: string) =>
    withSession(site, session =>
      session.execute(`UPDATE countersink_sums SET crc = crc ${by} WHERE ${last}`),
    )
  await change('^ 1')
  t.match(await web.get('/api/v1/consumers/1?limit=2'), { postings: postings.slice(0, 2) })
  t.match(await web.ask('/api/v1/consumers/1'), { status: 500, text: /BLOCK_UNREADABLE/ })
  await change('^ 1')
  const written = await withSession(site, async session => {
    await readConsumer(session, site.config, 1n, account => account.part(undefined, 2))
    const [row] = await session.query<{ Value: string }>(
      "SHOW SESSION STATUS LIKE 'Handler_tmp_write'",
    )
    return row?.Value
  })
  t.equal(written, '0', 'nor are all put aside by MariaDB, to be sorted')
})

t.test('quarantine, with the first bad line', async t => {
  const { files } = await web.get<{ files: Line[] }>('/api/v1/quarantine')
  t.match(files, [
    {
      ...{ name: 'bad <b>.txt', sha256: String, size: 18, reason: /^AMOUNT_NOT_DIGITS: / },
      badLine: { line: 2, offset: 4, text: '1 <img src=x>' },
    },
  ])
  const [there] = readdirSync(paths.quarantine).filter(name => !name.endsWith('.reason.json'))
  t.equal(files[0]?.entry, there)
  const strange = ['a', 'b', 'c'].map(name => join(paths.quarantine, name))
  for (const path of strange) writeFileSync(path, 'x')
  writeFileSync(`${strange[0]}.reason.json`, '{"reason": 7, "line": "x", "quarantinedAt": "soon"}')
  t.match(await pages('/api/v1/quarantine?limit=2', 'files'), [
    { entry: 'a', reason: null },
    { entry: 'b' },
    { name: 'bad <b>.txt' },
    { entry: 'c' },
  ])
  for (const path of strange) rmSync(path)
  const long = join(paths.quarantine, 'z'.repeat(255))
  const odd = ['d', 'e', 'f'].map(name => join(paths.quarantine, name))
  for (const path of [long, ...odd]) writeFileSync(path, 'x')
  mkdirSync(`${odd[0]}.reason.json`)
  execFileSync('mkfifo', [`${odd[1]}.reason.json`])
  writeFileSync(`${odd[2]}.reason.json`, JSON.stringify({ reason: 'x'.repeat(100_000) }))
  for (let n = 0; n < 6; n += 1) {
    const { text } = await web.ask(`/api/v1/quarantine?limit=${n + 100}`)
    t.match(JSON.parse(text), {
      files: [
        ...[{}, { entry: 'd', reason: null }, { entry: 'e', reason: null }],
        ...[
          { entry: 'f', reason: /^x{2000}…$/ },
          { entry: 'z'.repeat(255), reason: null },
        ],
      ],
    })
  }
  for (const path of [long, ...odd]) rmSync(path)
  for (const path of odd) rmSync(`${path}.reason.json`, { recursive: true })
})

t.test('what was proved last', async t => {
  t.match(await web.ask('/api/v1/verify'), { status: 404 })
  const [end] = await said(t, 'verify', '--full')
  t.match(await web.get('/api/v1/verify'), { at: /Z$/, findings: [], differences: [] })
  t.same((await web.get('/api/v1/verify')).result, end)
  writeFileSync(paths.lastProof, '{"half')
  t.match(await web.ask('/api/v1/verify'), { status: 404 }, 'what somebody has written there')
  rmSync(paths.lastProof)
})

t.test('a reader that has it already is told so', async t => {
  const path = '/api/v1/files?limit=2'
  const { headers, text } = await web.ask(path)
  const { etag = '' } = headers
  t.match(etag, /^W\/"/)
  for (const named of [etag, `"x", ${etag}`, '*', etag.slice(2)]) {
    const again = await web.ask(path, { headers: { 'If-None-Match': named } })
    t.match(again, { status: 304, text: '', headers: { etag } }, named)
  }
  t.match(await web.ask(path, { headers: { 'If-None-Match': '"x"' } }), { status: 200, text })
  const head = await web.ask(path, { method: 'HEAD' })
  t.match(head, { status: 200, text: '', headers: { etag, 'content-length': `${text.length}` } })
})

t.test('what is asked wrongly is refused, and why', async t => {
  const wrong = {
    '/api/v1/files?lmit=1': /did you mean limit/,
    '/api/v1/files?limit=0': /limit must be a whole number from 1 to 500/,
    '/api/v1/files?limit=501': /limit/,
    '/api/v1/files?limit=1&limit=2': /more than once/,
    '/api/v1/files?outcome=lost': /one of applied/,
    '/api/v1/files?day=2026-02-30': /day/,
    '/api/v1/files?hash=XYZ': /hash/,
    '/api/v1/files?after=%00': /after/,
    '/api/v1/consumers/-1': /id must be/,
    '/api/v1/consumers/1?since=2026-02-01&until=2026-01-01': /before/,
    '/api/v1/status?x=<script>': /there is no/,
  }
  for (const [path, why] of Object.entries(wrong)) {
    const { status, headers, text } = await web.ask(path)
    t.match({ status, type: headers['content-type'] }, { status: 400, type: /problem/ }, path)
    t.match(JSON.parse(text), { code: 'USAGE', detail: why })
  }
  for (const path of [
    '/nothing',
    '/api',
    '/api/v1',
    '/api/v1/files/',
    '/%zz',
    '/page/index.html',
  ]) {
    t.match(await web.ask(path), { status: 404 }, path)
  }
  t.match(await web.ask('//evil/api/v1/status'), { status: 400 })
})

t.test('while the database is away, and while nothing runs', async t => {
  await server.kill()
  const away = await eventually('the parser notices', async () => {
    const { ready } = JSON.parse((await web.ask('/readyz')).text)
    return ready ? undefined : web.ask('/readyz')
  })
  t.match(away, { status: 503, text: /MariaDB is unavailable/ })
  t.match((await web.ask('/metrics')).text, /^countersink_database_up 0$/m)
  const consumer = await web.ask('/api/v1/consumers/1')
  t.match(consumer, { status: 503, headers: { 'retry-after': '1' } })
  t.match(JSON.parse(consumer.text), { code: 'DATABASE_UNAVAILABLE' })
  t.equal((await web.get<{ files: Line[] }>('/api/v1/files')).files.length, files.length + 2)
  await server.start()
  await eventually('it is back', async () => (await web.ask('/readyz')).status === 200)
  await stopProgram(parser)
  await eventually('it is seen that the parser ended', async () => {
    const { status, text } = await web.ask('/readyz')
    return status === 503 && text.includes('the parser is not running')
  })
  t.match(await web.get('/api/v1/status'), { answeredBy: 'journal' })
  t.equal((await web.get<{ files: Line[] }>('/api/v1/files')).files.length, files.length + 2)
  t.match(await web.get('/api/v1/consumers/9'), { total: { total: '9', addsUp: true } })
  const metrics = (await web.ask('/metrics')).text
  t.match(metrics, /^countersink_up\{process="parser"\} 0$/m)
  t.notMatch(metrics, /countersink_queue_files/, 'what is not known is not told')
  const { ended } = web
  web.signal('SIGTERM')
  t.match(await ended, { code: 0 })
})

t.test('of a directory in which nothing was ever counted', async t => {
  const fresh = await makeSite(t)
  mkdirSync(fresh.paths.run)
  const web = await startServe(t, fresh)
  t.match(await web.get('/api/v1/status'), { journal: 'missing', queue: null })
  t.match(await web.ask('/api/v1/files'), { status: 503, text: /"code":"STOPPED"/ })
  t.match(await web.ask('/api/v1/consumers/1'), { status: 503, text: /does not run/ })
  t.same(await web.get('/api/v1/quarantine'), { files: [], next: null })
  t.match(await web.ask(`/api/v1/files/${'cd'.repeat(32)}`), { status: 503 })
  t.match(await web.ask('/readyz'), { status: 503 })
})

t.test('no question starts a private MariaDB', async t => {
  const own = await makeSite(t)
  const { paths } = own
  const up = await startUp(t, own, '--no-generator')
  const file = dataFile('own.txt', '1 5\n')
  drop(paths, [file])
  await untilSettled(own, 1)
  t.match(await stopProgram(up), { code: 0 })
  const log = join(paths.log, 'mariadb.log')
  const before = readFileSync(log, 'utf8')
  const web = await startServe(t, own)
  for (const path of [`files/${sha256Of(file.content)}`, 'consumers/1', 'usage', 'usage/top']) {
    t.match(await web.ask(`/api/v1/${path}`), { status: 503, text: /MariaDB does not run/ }, path)
  }
  t.equal(readFileSync(log, 'utf8'), before)
})
