import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { COMMANDS } from '../../scripts/command-line.ts'
import { commandsOf } from '../../scripts/command-table/index.ts'
import { countersink, jsonLines, startCountersink } from '../helpers/cli.ts'
import { withSession } from '../helpers/database.ts'
import { dataFile, drop, seededFile, sha256Of } from '../helpers/files.ts'
import { assertDocumented, misfit, undocumented } from '../helpers/json-shape.ts'
import { stopProgram } from '../helpers/parser.ts'
import { startProgram } from '../helpers/processes.ts'
import { ROOT } from '../helpers/root.ts'
import { makeSite } from '../helpers/state-dir.ts'
import { startUp } from '../helpers/up.ts'

// What every command prints with --json is what it is documented to print: where nothing is there, while it
// runs, afterwards, and when it fails. (`countersink` compares every answer with the documented shape.)

const site = await makeSite(t, undefined, { COUNTERSINK_QUIET_MS: '100' })
const { paths } = site
const { dir } = paths
const PROGRAM = 'scripts/countersink.js'
const good = seededFile('good.txt', 1, { lines: 20, consumers: 4 })
const bad = dataFile('bad.txt', '1 1\n1 x\n')
const some = dataFile('some.txt', '1 1\n1 y\n')
const sources = join(dir, 'sources')
const asked = new Set<string>()

async function answers(t: Test, code: number, command: string, ...args: string[]) {
  asked.add(command)
  const ended = await countersink(t, site, command, ...args, '--json')
  t.equal(ended.code, code, `${[command, ...args].join(' ')}: ${ended.stderr}`)
  const found = jsonLines(ended)
  for (const one of found) t.match(one, { version: 1, command })
  return found
}

const failed = (code: string) => [{ error: { code, message: String } }]

t.test('the comparison finds what is wrong', async t => {
  const shape = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] }
  t.equal(misfit({ a: 1 }, shape, 'x'), undefined)
  t.equal(misfit({}, shape, 'x'), 'x.a is missing')
  t.equal(misfit({ a: 1.5 }, shape, 'x'), 'x.a is no integer')
  t.equal(misfit({ a: 1, b: 1 }, shape, 'x'), 'x.b is not documented')
  t.equal(misfit([], shape, 'x'), 'x is no object')
  t.match(
    await undocumented('totals', { version: 1, command: 'totals', id: 1, amount: null }),
    /id is no string/,
  )
})

t.test('where nothing is there, and of wrong usage', async t => {
  const nowhere = join(dir, 'nowhere')
  const commands = ['status', 'hashes', 'totals', 'ping', 'recover', 'verify']
  const all = commands.map(command => answers(t, 3, command, '--dir', nowhere))
  for (const found of await Promise.all(all)) {
    t.match(found, [{ error: { code: 'STOPPED', message: /no state directory/, advice: /--dir/ } }])
  }
  t.match(await answers(t, 2, 'totals', '--tpo', '1'), failed('USAGE'))
  t.match(await answers(t, 2, 'config', 'shwo'), failed('USAGE'))
  t.match(await answers(t, 2, 'run'), failed('USAGE'))
  t.match(await answers(t, 2, 'up', '--files', 'x'), failed('USAGE'))
  t.match(await answers(t, 0, 'status'), [{ answeredBy: null, journal: 'missing' }])
  t.match(await answers(t, 1, 'ping'), [{ ready: false, processes: [{ state: 'silent' }, {}] }])
  t.match(await answers(t, 0, 'config', 'show'), [{ settings: Array, problems: [] }])
  t.match(await answers(t, 0, 'config', 'check'), [{ problems: [] }])
  t.match(await answers(t, 0, 'schema'), [{ tables: Array }])
  t.match(await answers(t, 0, 'doctor'), [{ fail: 0, notLookedAt: 0, checks: [{ verdict: 'ok' }] }])
  t.match(await answers(t, 0, 'systemd', '--user', 'counts'), [
    { units: [{ name: 'countersink.service' }, {}] },
  ])
  const { stdout } = await startProgram(t, dir, [PROGRAM, 'help', '--json'], site.env).ended
  t.equal(await undocumented('help', JSON.parse(stdout)), undefined)
  t.match(JSON.parse(stdout), {
    command: 'help',
    commands: { length: Object.keys(COMMANDS).length },
  })
})

t.test('up, with its proof', async t => {
  asked.add('up')
  const up = startCountersink(t, site, 'up', '--json', '--files', '2', '--file-size', '10KiB')
  const ended = await up.ended
  t.equal(ended.code, 0, ended.stderr)
  await assertDocumented('up', ended)
  t.match(jsonLines(ended), [
    {
      ...{ exit: 0, outcome: 'adds-up', reason: null },
      report: { addsUp: true, filesWanted: 2, files: [{ outcome: 'applied' }, {}] },
    },
  ])
  t.match(ended.stderr, /It adds up\./, 'a person reads it beside it')
})

t.test('while it runs', async t => {
  mkdirSync(sources)
  for (const file of [good, bad, some]) writeFileSync(join(sources, file.name), file.content)
  const up = await startUp(t, site, '--no-generator', '--json')
  const names = [good, bad, some].map(file => join(sources, file.name))
  const published = await answers(t, 3, 'publish', '--wait', 'nothing', names[0]!, names[1]!)
  t.match(published, [
    { file: 'nothing', error: { code: 'FILE_UNFIT' } },
    { file: names[0], outcome: 'applied', sha256: sha256Of(good.content) },
    { file: names[1], outcome: 'quarantined', reasons: [/AMOUNT_NOT_DIGITS/, /it is in/] },
  ])
  t.match(await answers(t, 0, 'check', names[0]!), [
    { counted: true, state: 'counted', file: { outcome: 'applied' } },
  ])
  t.match(await answers(t, 1, 'check', names[1]!), [{ state: 'refused', file: { reason: String } }])
  t.match(await answers(t, 1, 'check', 'ab'.repeat(5)), [{ state: 'never-seen' }])
  t.match(await answers(t, 0, 'publish', '--wait', '--reject-lines', '1', names[2]!), [
    { outcome: 'applied', rejectedLines: 1, rejects: String },
  ])
  t.match(await answers(t, 0, 'rejects', names[2]!), [
    { line: 2, offset: 4, reason: 'AMOUNT_NOT_DIGITS', text: '1 y' },
  ])
  const goodHash = sha256Of(good.content)
  t.match(await answers(t, 0, 'release', goodHash), [{ do: 'release', state: 'done' }])
  t.match(await answers(t, 1, 'refuse', goodHash), [{ state: 'refused', answer: /applied/ }])
  t.match(await answers(t, 1, 'requeue', bad.name, '--wait'), [
    { file: bad.name, outcome: 'quarantined', mends: null },
  ])
  t.match(await answers(t, 0, 'hashes', '--limit', '0'), { length: 6 })
  t.match(await answers(t, 0, 'totals', '--top', '2'), [{ id: /^\d+$/, amount: /^\d+$/ }, {}])
  const [explained] = await answers(t, 0, 'explain', names[0]!)
  t.match(explained, { kind: 'content', counted: true, ledger: { postings: [{ n: 1 }] } })
  const { id } = (await answers(t, 0, 'totals', '--top', '1'))[0] as { id: string }
  t.match((await answers(t, 0, 'explain', '--consumer', id)).at(-1), {
    kind: 'total',
    addsUp: true,
  })
  t.match(await answers(t, 1, 'explain', 'nobody.txt'), [{ kind: 'unknown' }])
  t.match(await answers(t, 0, 'verify'), [{ kind: 'end', addsUp: true, differences: null }])
  t.match(await answers(t, 0, 'verify', '--full'), [{ kind: 'end', addsUp: true, differences: 0 }])
  t.same((await answers(t, 1, 'totals', '--id', '987654321'))[0]?.amount, null)
  t.match(await answers(t, 2, 'usage', '--by', 'week'), failed('USAGE'))
  await withSession(site, s => s.execute(`UPDATE countersink_meta SET time_zone = 'UTC'`))
  t.match(await answers(t, 0, 'usage', '--by', 'month'), { 0: { kind: 'usage' }, length: 14 })
  t.match(await answers(t, 0, 'ping', '--ready'), [{ ready: true, processes: [{}] }])
  await t.test('corrections', corrections)
  mkdirSync(join(paths.inbox, 'folder'))
  t.match(await answers(t, 1, 'run', '--once'), [{ outcome: 'left', left: 1 }])
  t.match(await answers(t, 0, 'status'), [{ answeredBy: 'parser', leftInInbox: { files: 1 } }])
  rmSync(join(paths.inbox, 'folder'), { recursive: true })
  t.match(await answers(t, 3, 'recover'), failed('STATE_DIRECTORY_IN_USE'))
  const ended = await stopProgram(up)
  await assertDocumented('up', ended)
  t.match(jsonLines(ended), [{ exit: 0, outcome: 'stopped', reason: 'SIGTERM', report: null }])
})

async function corrections(t: Test) {
  const sha256 = sha256Of(good.content)
  const possible = { do: 'undo', sha256, state: 'possible', order: null, isDryRun: true }
  t.match(await answers(t, 0, 'undo', sha256, '--dry-run'), [possible])
  t.match(await answers(t, 0, 'undo', sha256), [{ state: 'done', order: String, isDryRun: false }])
  t.match(await answers(t, 1, 'check', sha256), [{ counted: false, state: 'reverted' }])
  t.match(await answers(t, 0, 'redo', sha256), [{ do: 'redo', sha256, state: 'done' }])
  const mended = dataFile('mended.txt', '1 2\n')
  const other = dataFile('other.txt', '1 3\n')
  for (const file of [mended, other]) writeFileSync(join(sources, file.name), file.content)
  const instead = { old: sha256, sha256: sha256Of(mended.content), outcome: 'applied' }
  t.match(await answers(t, 0, 'supersede', sha256, join(sources, mended.name)), [instead])
  t.match(await answers(t, 3, 'supersede', sha256, join(sources, other.name)), failed('STOPPED'))
  const emptying = ['--to-zero', '--reason', '2026-11']
  t.match(await answers(t, 2, 'reset', '--to-zero'), failed('USAGE'))
  t.match(await answers(t, 0, 'reset', ...emptying, '--dry-run'), [
    { state: 'possible', totals: /^\d+$/, amount: /^\d+$/, order: null },
  ])
  t.match(await answers(t, 0, 'reset', ...emptying), [{ state: 'done', totals: null }])
  t.match(await answers(t, 1, 'reset', ...emptying), [{ state: 'repeated', order: null }])
  t.match(await answers(t, 1, 'undo', instead.sha256), [{ state: 'refused', answer: String }])
  t.match(await answers(t, 0, 'prune', '--keep', '400d', '--dry-run'), [
    { state: 'possible', files: 0, pairs: '0', order: null },
  ])
  const now = new Date().toISOString().slice(0, 19)
  t.match(await answers(t, 0, 'prune', '--before', now), [{ state: 'done', files: null }])
}

t.test('afterwards', async t => {
  t.match(await answers(t, 0, 'status'), [{ answeredBy: 'journal' }])
  t.match((await answers(t, 0, 'recover', '--dry-run')).at(-1), { event: 'end', dryRun: true })
  drop(paths, [dataFile('more.txt', '7 7\n')])
  t.match(await answers(t, 0, 'run', '--once'), [{ outcome: 'settled', applied: 1 }])
})

t.test('every command that answers was asked, and stands in OPERATIONS', async t => {
  const answering = (await commandsOf(COMMANDS))
    .filter(({ answer }) => answer !== undefined)
    .map(({ name }) => name)
  const page = readFileSync(`${ROOT}OPERATIONS.md`, 'utf8')
  const section = page.slice(page.indexOf('## JSON'))
  const examples = section
    .split('\n')
    .filter(line => line.startsWith('{"version"'))
    .map(line => JSON.parse(line))
  for (const example of examples) {
    const why = await undocumented(example.command, example)
    t.equal(why, undefined, `an example of ${example.command}`)
  }
  t.same([...new Set(examples.map(({ command }) => command))].sort(), [...answering].sort())
  t.same([...asked].sort(), answering.filter(name => name !== 'help').sort())
})
