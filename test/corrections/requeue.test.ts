import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { settledName } from '../../shared/paths.ts'
import { countersink, jsonLines } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { type DataFile, dataFile, drop, seededFile, sha256Of, totalsOf } from '../helpers/files.ts'
import { assertTotalsEqual, list, processedFiles } from '../helpers/invariants.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'

// What is in quarantine/ comes back by the inbox, as it is or mended, and is counted once.

const server = await startDatabaseServer(t)
t.jobs = 2
t.setTimeout(120_000)

const bad = dataFile('day', '1 5\n2 x\n')
const mended = dataFile('mended', '1 5\n2 7\n')
const good = seededFile('good', 1)
const hash = sha256Of(bad.content)

function sidecarOf({ paths }: Site, file: DataFile): Record<string, unknown> {
  const name = settledName(file.name, Buffer.from(sha256Of(file.content), 'hex'))
  return JSON.parse(readFileSync(join(paths.quarantine, `${name}.reason.json`), 'utf8'))
}

/** A parser that has put `bad` into quarantine. */
async function scene(t: Test, ...files: DataFile[]) {
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  drop(site.paths, [bad, ...files], { manifest: false })
  await parser.untilSettled(1 + files.length)
  const path = join(site.paths.dir, 'mended')
  writeFileSync(path, mended.content)
  return { site, parser, path }
}

async function assertCounted(t: Test, site: Site, ...files: DataFile[]): Promise<void> {
  await withSession(site, s => assertTotalsEqual(t, site, s, totalsOf(files)))
}

t.test('mended: counted as its child, which both tell of; the sidecar stays', async t => {
  const { site, path } = await scene(t)
  const ended = await countersink(t, site, 'requeue', 'day', '--with', path, '--wait', '--json')
  t.equal(ended.code, 0)
  const child = sha256Of(mended.content)
  const name = `day-${child.slice(0, 12)}`
  t.match(jsonLines(ended), [{ file: 'day', outcome: 'applied', sha256: child, name, mends: hash }])
  await assertCounted(t, site, mended)
  t.match(sidecarOf(site, bad), { sha256: hash, requeued: [{ sha256: child, name, at: /Z$/ }] })
  t.equal(list(site.paths.quarantine).length, 2, 'the one that was mended stays, with its sidecar')
  t.ok(readFileSync(path).equals(mended.content))
  const [ofChild] = jsonLines(await countersink(t, site, 'explain', child, '--json'))
  t.match(ofChild, { ledger: { mends: { sha256: hash, name: 'day' } } })
  const [ofParent] = jsonLines(await countersink(t, site, 'explain', hash, '--json'))
  t.match(ofParent, { counted: false, mendedBy: [{ sha256: child, name: 'day' }] })
  t.match((await countersink(t, site, 'explain', child)).stdout, `mends        day (${hash})`)
  t.match((await countersink(t, site, 'explain', hash)).stdout, `mended by    day (${child})`)
  const again = await countersink(t, site, 'requeue', 'day', '--with', path, '--wait')
  t.match(again, { code: 0, stdout: /^duplicate / }, 'asked again it is counted once')
  await assertCounted(t, site, mended)
})

t.test('as it is: quarantined again, for the same reason, with both sidecars', async t => {
  const { site } = await scene(t, good)
  const ended = await countersink(t, site, 'requeue', hash.slice(0, 10), '--wait')
  t.match(ended, { code: 1, stdout: `quarantined ${hash} day\n`, stderr: /AMOUNT_NOT_DIGITS/ })
  const inQuarantine = list(site.paths.quarantine)
  t.equal(inQuarantine.filter(name => name.endsWith('.reason.json')).length, 2)
  t.equal(inQuarantine.length, 3)
  t.match(sidecarOf(site, bad), { requeued: [{ sha256: hash }] })
  await assertCounted(t, site, good)
})

t.test('refused before: counted once its reason has gone', async t => {
  const { site, parser } = await scene(t, good)
  const large = dataFile('large', '1 18446744073709551615\n')
  drop(site.paths, [large])
  await parser.untilSettled(3)
  t.match((await processedFiles(site)).at(-1), { outcome: 'quarantined', reason: /OVERFLOW/ })
  await withSession(site, s =>
    s.execute('UPDATE consumption SET resource_consumption = 0 WHERE id = 1'),
  )
  const file = join(
    site.paths.quarantine,
    list(site.paths.quarantine).find(name => name.startsWith('large'))!,
  )
  const ended = await countersink(t, site, 'requeue', file, '--wait')
  t.match(ended, { code: 0, stdout: /^applied [0-9a-f]{64} large\n$/ })
  t.same(
    list(site.paths.quarantine).filter(name => /^large.*[0-9a-f]$/.test(name)),
    [],
  )
})

t.test(
  'died between any two of its steps, and asked again: counted once, and nothing is lost',
  async t => {
    for (const at of ['G2-manifest-renamed', 'G3-data-renamed']) {
      const { site, parser } = await scene(t, good)
      await stopProgram(parser)
      const env = { ...site.env, COUNTERSINK_CRASH_AT: at, COUNTERSINK_UNTERMINATED: 'accept' }
      const file = list(site.paths.quarantine).find(name => /[0-9a-f]{16}$/.test(name))!
      const died = await countersink(t, { ...site, env }, 'requeue', file)
      t.equal(died.signal, 'SIGKILL')
      t.ok(
        list(site.paths.quarantine).includes(file),
        'it stands there until it stands in the inbox',
      )
      t.equal((await countersink(t, site, 'requeue', file)).code, 0)
      t.notOk(list(site.paths.quarantine).includes(file))
      const next = await startParser(t, site)
      await next.untilSettled(3)
      await stopProgram(next)
      t.same((await processedFiles(site)).map(({ outcome }) => outcome).sort(), [
        ...['applied', 'quarantined', 'quarantined'],
      ])
    }
  },
)

t.test('what cannot be meant is refused', async t => {
  const { site, path } = await scene(t, dataFile('other', '1 x\n'))
  const refused = async (why: RegExp, ...args: string[]): Promise<void> => {
    t.match(
      await countersink(t, site, 'requeue', ...args),
      { code: 2, stderr: why },
      args.join(' '),
    )
  }
  await refused(/there is no "nothing" in/, 'nothing')
  await refused(/there is no "\.\.\/archive\/x"/, '../archive/x')
  await refused(/--with goes with one file/, 'day', 'other', '--with', path)
  writeFileSync(path, bad.content)
  await refused(/has the very content that it is to mend/, 'day', '--with', path)
  const gone = join(site.paths.dir, 'gone')
  const ended = await countersink(t, site, 'requeue', hash, '--with', gone)
  t.match(ended, { code: 3, stderr: /there is no such file/ })
  t.same(list(site.paths.inbox), [])
})
