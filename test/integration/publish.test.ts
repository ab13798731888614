import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { sweepLeftovers } from '../../generator/publishing/sweep.ts'
import { publishFile } from '../../scripts/publishing/publication.ts'
import { identityOf } from '../../shared/file-identity.ts'
import { processIdentity } from '../../shared/lifecycle.ts'
import { countersink, startCountersink } from '../helpers/cli.ts'
import { eventually } from '../helpers/eventually.ts'
import { type DataFile, dataFile, seededFile, sha256Of } from '../helpers/files.ts'
import { list } from '../helpers/invariants.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'
import { failureOf } from '../shared/helpers.ts'

// What `publish` makes of a source that is not, or may not be, complete. No parser runs.

t.jobs = 4

const HOUR_MS = 3_600_000
const good = seededFile('good', 1, { lines: 20 })

/** A site, and a directory for sources. */
async function scene(t: Parameters<typeof makeSite>[0], env: Record<string, string> = {}) {
  const site = await makeSite(t, undefined, env)
  const sources = join(site.paths.dir, 'sources')
  mkdirSync(sources)
  const put = ({ name, content }: DataFile): string => {
    writeFileSync(join(sources, name), content)
    return join(sources, name)
  }
  return { site, put }
}

/** The contents in the inbox, each behind a manifest of its own; nothing else is left anywhere. */
function published({ paths }: Site): string[] {
  const names = list(paths.inbox)
  const data = names.filter(name => !name.endsWith('.manifest.json'))
  t.equal(names.length, 2 * data.length)
  t.same(list(paths.generatorTmp), [])
  return data.map(name => {
    const content = readFileSync(join(paths.inbox, name))
    const manifest = readFileSync(join(paths.inbox, `${name}.manifest.json`), 'utf8')
    t.match(JSON.parse(manifest), { size: content.length, sha256: sha256Of(content) })
    return content.toString()
  })
}

t.test('one that may be cut is refused, the others go in', { buffered: true }, async t => {
  const { site, put } = await scene(t)
  const cut = put(dataFile('cut', '1 100\n2 25'))
  const empty = put(dataFile('empty', ''))
  const gzip = put({ name: 'gzip', content: gzipSync(good.content) })
  const crOnly = put(dataFile('cr-only', '1 5\r2 6\r'))
  const files = [cut, put(good), join(site.paths.dir, 'none')]
  const ended = await countersink(t, site, 'publish', ...files)
  t.match(ended, { code: 3, stdout: `queued ${sha256Of(good.content)} good\n` })
  t.match(
    ended.stderr,
    /\/cut cannot be published: its last line has no line end.*UNTERMINATED=acc/,
  )
  t.match(ended.stderr, /\/none cannot be published: there is no such file\n/)
  t.same(published(site), [good.content.toString()])

  const env = { ...site.env, COUNTERSINK_UNTERMINATED: 'accept' }
  t.match(await countersink(t, { ...site, env }, 'publish', cut), { code: 0, stdout: / cut\n$/ })
  t.same(published(site).sort(), ['1 100\n2 25', good.content.toString()].sort())
  const noBeginning = await countersink(t, site, 'publish', gzip, crOnly, empty)
  t.match(noBeginning, { code: 0, stderr: /it is empty: nothing of it is counted/ })
  t.equal(published(site).length, 5, 'what is no beginning of a good file is no cut one')
})

t.test('old ones are taken at once, however many', { buffered: true }, async t => {
  const { site, put } = await scene(t, { COUNTERSINK_QUIET_MS: String(HOUR_MS) })
  const files = Array.from({ length: 100 }, (_, i) => put(dataFile(`f${i}`, `${i} 1\n`)))
  const old = (Date.now() - 2 * HOUR_MS) / 1_000
  for (const file of files) utimesSync(file, old, old)
  const link = join(site.paths.dir, 'link')
  symlinkSync(files[7]!, link)
  const ended = await countersink(t, site, 'publish', ...files, link)
  t.match(ended, { code: 0, stderr: /^\(the parser is not running[^\n]*\n$/ })
  const names = ended.stdout.trim().split('\n')
  t.same(
    names.map(line => line.split(' ')[2]),
    [...files.map((_, i) => `f${i}`), 'link'],
    'in the order they were named in',
  )
  t.equal(published(site).length, 101)
})

t.test('one that still grows is waited for', { buffered: true }, async t => {
  const { site, put } = await scene(t, { COUNTERSINK_QUIET_MS: '2000' })
  const growing = put(dataFile('growing', '3 1\n'))
  const replaced = put(dataFile('replaced', '4 1\n'))
  const future = put(dataFile('future', '5 1\n'))
  const old = put(good)
  utimesSync(old, 1, 1)
  const later = Date.now() / 1_000 + 3_600
  utimesSync(future, later, later)
  const files = [growing, replaced, future, old]
  const publishing = startCountersink(t, site, 'publish', ...files)
  await eventually('what is at rest goes in first', () => list(site.paths.inbox).length === 2)
  writeFileSync(`${replaced}.new`, '4 2\n')
  renameSync(`${replaced}.new`, replaced)
  const saysThatItWaits = () => publishing.output().includes('waiting')
  for (let looks = 0; looks < 24 || !saysThatItWaits(); looks += 1) {
    appendFileSync(growing, `3 ${looks}\n`)
    const { mtimeMs } = statSync(growing)
    // Less than the quiet time passes between two lines.
    await eventually('a while has passed', () => Date.now() - mtimeMs > 100)
  }
  // A copying program may set the time back.
  utimesSync(growing, 1, 1)
  const ended = await publishing.ended
  t.match(ended, { code: 0, stdout: / growing\n.* replaced\n.* future\n.* good\n$/s })
  t.equal(ended.stderr.match(/waiting until/g)?.length, 1, 'once')
  t.match(ended.stderr, /nobody has written to \S*growing.* for 2\.0 s/)
  const whole = readFileSync(growing, 'utf8')
  t.same(published(site).sort(), [whole, '4 2\n', '5 1\n', good.content.toString()].sort())
})

t.test('one that does not come to rest is refused', { buffered: true }, async t => {
  const { site, put } = await scene(t, { COUNTERSINK_QUIET_MS: '1000' })
  const restless = put(dataFile('restless', '1 1\n'))
  const publishing = startCountersink(t, site, 'publish', restless, put(good))
  await eventually(
    'it is given up',
    () => {
      appendFileSync(restless, '1 1\n')
      return !publishing.isRunning()
    },
    { pollMs: 100 },
  )
  const ended = await publishing.ended
  t.match(ended, { code: 3, stdout: `queued ${sha256Of(good.content)} good\n` })
  t.match(ended.stderr, /restless cannot be published: it was written to again and again for 1\d\./)
  t.same(published(site), [good.content.toString()])
})

t.test('what is copied must be what was found at rest', { buffered: true }, async t => {
  const { site, put } = await scene(t)
  const owner = processIdentity(process.pid)!
  const path = put(dataFile('large', Buffer.alloc(64 * 2 ** 20, '1 1\n')))
  const identity = identityOf(statSync(path, { bigint: true }))
  const mayBeCut = false
  const isCopying = (): boolean => list(site.paths.generatorTmp).length > 0
  for (const [what, change] of [
    ['appended to', () => appendFileSync(path, '1 1\n')],
    ['replaced', () => renameSync(put(dataFile('other', '1 2\n')), path)],
  ] as const) {
    const now = identityOf(statSync(path, { bigint: true }))
    const publishing = publishFile({ path, identity: now, mayBeCut }, site.paths, owner)
    const failure = failureOf(publishing)
    while (!isCopying()) await setImmediate()
    change()
    t.match(await failure, { code: 'FILE_CHANGED' }, `${what} meanwhile`)
    t.same(published(site), [])
  }
  t.match(await failureOf(publishFile({ path, identity, mayBeCut }, site.paths, owner)), {
    code: 'FILE_CHANGED',
  })
  t.same(readdirSync(site.paths.inbox), [], 'nothing of it is left')
})

t.test(
  'killed on its way into the inbox, it goes in whole the next time',
  { buffered: true },
  async t => {
    for (const [point, left] of [
      ['G2-manifest-renamed', [/manifest\.json$/]],
      ['G3-data-renamed', [/[0-9a-f]{12}$/, /manifest\.json$/]],
    ] as const) {
      const { site, put } = await scene(t)
      const path = put(good)
      const env = { ...site.env, COUNTERSINK_CRASH_AT: point }
      const crashed = await countersink(t, { ...site, env }, 'publish', path)
      t.match(crashed, { signal: 'SIGKILL', stdout: '' })
      t.match(list(site.paths.inbox), left, point)
      t.match(await countersink(t, site, 'publish', path), { code: 0 })
      await sweepLeftovers(site.paths)
      t.same(published(site), [good.content.toString()])
    }
  },
)
