import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { countersink } from '../helpers/cli.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { sha256Of } from '../helpers/files.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import { ROOT } from '../helpers/root.ts'
import { makeSite } from '../helpers/state-dir.ts'
import { tempDir } from '../shared/helpers.ts'

// The library, as an installed package has it: packed, put into an empty directory without asking a
// registry (the packages that it needs are those of the clone), and used by somebody's program.

const server = await startDatabaseServer(t)
t.setTimeout(120_000)

/** A directory in which the packed countersink is installed. */
const dir = install(t)

function install(t: Test): string {
  const dir = tempDir(t)
  const pack = ['pack', '--silent', '--ignore-scripts', '--pack-destination', dir, ROOT]
  t.equal(spawnSync('npm', pack, { cwd: dir, encoding: 'utf8' }).status, 0, 'packed')
  const place = join(dir, 'node_modules', 'countersink')
  mkdirSync(place, { recursive: true })
  const [archive = ''] = readdirSync(dir).filter(name => name.endsWith('.tgz'))
  spawnSync('tar', ['-xzf', join(dir, archive), '-C', place, '--strip-components', '1'])
  symlinkSync(join(ROOT, 'node_modules'), join(place, 'node_modules'))
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}')
  return dir
}

const CORRECTED = `import { check, explain, publish } from 'countersink'
const { files, ...service } = JSON.parse(process.argv[2])
const [{ outcome: again }] = await publish({ ...service, files: files.slice(0, 1), wait: true })
const { state } = await check({ ...service, subject: files[0] })
const { postings } = await explain({ ...service, consumer: 1n })
const told = postings.map(({ amount, order, reason }) => [String(amount), order ?? null, reason ?? null])
console.log(JSON.stringify({ again, state, postings: told }))`

/** As a user starts it, without the loader of the test runner. */
function runNode(dir: string, ...args: readonly string[]) {
  const env = { PATH: process.env.PATH }
  return spawnSync('env', ['-u', 'NODE_OPTIONS', process.execPath, ...args], {
    ...{ cwd: dir, env, encoding: 'utf8' },
  })
}

t.test('a program that is compiled against it, and run', async t => {
  writeFileSync(
    join(dir, 'program.ts'),
    readFileSync(join(ROOT, 'test/operating/library/program.ts')),
  )
  const strict = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess']
  const types = ['--types', 'node', '--typeRoots', join(ROOT, 'node_modules/@types')]
  const compiled = spawnSync(
    process.execPath,
    [
      ...[join(ROOT, 'node_modules/typescript/bin/tsc'), ...strict, ...types, 'program.ts'],
      ...['--module', 'nodenext', '--target', 'es2022'],
    ],
    { cwd: dir, encoding: 'utf8' },
  )
  t.same([compiled.stdout, compiled.status], ['', 0], 'compiled')

  const site = await makeSite(t, server)
  const parser = await startParser(t, site, { COUNTERSINK_KEEP_HOURS: 'forever' })
  const content = '1 5\n2 18446744073709551600\n'
  const files = Object.entries({ 'day.txt': content, 'bad.txt': 'what\n', 'again.txt': content })
  const paths = files.map(([name, text]) => {
    writeFileSync(join(dir, name), text)
    return join(dir, name)
  })
  const given = { stateDir: site.paths.dir, files: [...paths, '/no/such'], env: site.env }
  const { status, stdout, stderr } = runNode(dir, 'program.js', JSON.stringify(given))
  t.same([status, stderr], [0, ''])
  const told = JSON.parse(stdout)
  const sha256 = sha256Of(Buffer.from(content))
  const refused = ['refused', 'FILE_UNFIT']
  t.same(told.published, [['applied', false], ['quarantined', true], ['duplicate', false], refused])
  t.match(told.checked, { sha256, isCounted: true, state: 'counted' })
  t.match(told.checked.file, { lines: 2, amount: '18446744073709551605n', outcome: String })
  t.same(told.all, [
    ['1n', '5n'],
    ['2n', '18446744073709551600n'],
  ])
  t.match(told, { sum: '18446744073709551605n', largest: ['2n'], read: 1, none: [], share: 1 })
  const hourMs = Date.parse('2026-10-31T12:00:00Z')
  t.same(told.used, [
    [hourMs, '1n', '5n'],
    [hourMs, '2n', '18446744073709551600n'],
  ])
  t.same(told.usedBy, ['5n', '18446744073709551600n', '18446744073709551605n'])
  t.match(told.facts, { by: 'hour', timeZone: 'UTC', fromMs: hourMs, isRezoning: false })
  t.match(told.proof, { addsUp: true, sums: { files: 1, opening: '0n' }, differences: 0 })
  t.match(told.file, { kind: 'content', name: 'day.txt', sha256, isCounted: true })
  t.ok(told.file.steps.every(({ atMs }: { atMs: unknown }) => typeof atMs === 'number'))
  t.match(told.consumer, { kind: 'consumer', opening: '0n', total: '5n', addsUp: true })
  t.match(told.consumer.postings, [{ amount: '5n', runningTotal: '5n', name: 'day.txt', sha256 }])
  t.match(told.unknown, { kind: 'unknown', namesakes: [] })
  t.same(told.codes, {
    ...{ noDirectory: 'STOPPED', noFile: 'USAGE', noPath: 'USAGE', setting: 'CONFIG_INVALID' },
    ...{ givenUp: 'STOPPED', givenUpTotals: 'STOPPED', givenUpUsage: 'STOPPED', deep: 'none' },
    ...{ usedBy: 'USAGE', usedFrom: 'USAGE', usedWhen: 'USAGE' },
  })
  t.equal(told.stopped, 'STOPPED')
  t.ok(told.isUntouched, 'no variable, listener or exit status of the process')

  t.equal((await countersink(t, site, 'undo', sha256, '--reason', 'wrong month')).code, 0)
  writeFileSync(join(dir, 'corrected.js'), CORRECTED)
  const corrected = runNode(dir, 'corrected.js', JSON.stringify(given))
  t.equal(corrected.stderr, '')
  t.match(JSON.parse(corrected.stdout), {
    ...{ again: 'reverted', state: 'reverted' },
    postings: [
      ['5', null, null],
      ['-5', 'undo', 'wrong month'],
    ],
  })
  await stopProgram(parser)
})

t.test('what it takes to import it', async t => {
  const program = `const library = await import('countersink')
    const resources = process.getActiveResourcesInfo()
    const loaded = process.report.getReport().sharedObjects.filter(one => one.endsWith('.node'))
    console.log(JSON.stringify({ names: Object.keys(library).sort(), resources, loaded }))`
  writeFileSync(join(dir, 'import.js'), program)
  const { status, stdout } = runNode(dir, 'import.js')
  t.equal(status, 0)
  const { names, resources, loaded } = JSON.parse(stdout)
  t.same(names, ['CountersinkError', 'check', 'explain', 'publish', 'totals', 'usage', 'verify'])
  t.same(loaded, [], 'no database is loaded')
  t.notOk(resources.some((one: string) => /TCP|Timeout|Worker|FSEvent|Process/.test(one)))
})
