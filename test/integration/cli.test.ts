import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { U64_MAX } from '../../shared/limits.ts'
import { countersink, jsonLines, startCountersink } from '../helpers/cli.ts'
import { eventually } from '../helpers/eventually.ts'
import { type DataFile, dataFile, seededFile, sha256Of, totalsText } from '../helpers/files.ts'
import { pingParser, stopProgram } from '../helpers/parser.ts'
import { type Ended, startProgram } from '../helpers/processes.ts'
import { makeSite } from '../helpers/state-dir.ts'
import { pidOf, startUp, type Up } from '../helpers/up.ts'

// One site for the whole file: first nothing is there, then `up` runs, then it has ended.
// Only what is announced is taken, so that nothing is settled before its announcer asks.
const site = await makeSite(t, undefined, { COUNTERSINK_SCAN_INTERVAL_MS: '3600000' })
const { dir } = site.paths
/** `up` outlives the part that starts it. */
const whole = t
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

const early = seededFile('early.txt', 1, { lines: 50, consumers: 5 })
const usage = seededFile('usage.txt', 2, { lines: 50, consumers: 5 })
const extreme = dataFile('extreme.txt', `${U64_MAX} ${U64_MAX}\n900 7\n901 7\n902 0\n`)
const bad = dataFile('bad.txt', '1 1\n1 x\n')
const unseen = seededFile('unseen.txt', 3)
const counted = [early, usage, extreme]
const never = 'ab'.repeat(32)
const sources = join(dir, 'sources')
const path = (file: DataFile): string => join(sources, file.name)
let up: Up

/** Runs a command; nothing that is not a terminal gets escape codes. */
async function run(command: string, ...args: string[]): Promise<Ended> {
  const ended = await countersink(t, site, command, ...args)
  if (`${ended.stdout}${ended.stderr}`.includes('\u001b')) t.fail(`${command} prints escape codes`)
  return ended
}

t.test('before anything ran', async t => {
  mkdirSync(sources)
  for (const file of [...counted, bad, unseen]) writeFileSync(path(file), file.content)
  t.match(await run('hashes'), { code: 3, stdout: '', stderr: /nothing is known in/ })
  t.match(await run('check', never), { code: 3, stdout: '', stderr: /nothing is known in/ })
  t.match(await run('totals'), { code: 3, stdout: '', stderr: /no totals in .* yet/ })
  t.match(await run('ping'), { code: 1, stdout: 'generator: not running\nparser: not running\n' })
  t.match(await run('status'), { code: 0, stdout: /^supervisor {2}stopped$/m })
  const { stderr } = await run('publish', '--', '--help')
  t.match(stderr, /--help cannot be published: there is no such file/, 'it is a name here')
  const wrong = { files: '1e3', 'file-size': '5', consumers: '-1', seed: '' }
  for (const [option, value] of Object.entries(wrong)) {
    const refused = await run('up', `--${option}=${value}`)
    t.match(refused, { code: 2, stdout: '' })
    t.match(refused.stderr, `countersink up: --${option} must be `)
    t.match(refused.stderr, `got "${value}"`)
  }
  const nowhere = join(dir, 'nowhere')
  for (const [command, ...rest] of [
    ...[['status'], ['hashes'], ['totals'], ['ping'], ['recover'], ['check', never]],
    ['publish', path(early)],
  ] as [string, ...string[]][]) {
    const ended = await run(command, ...rest, '--dir', nowhere)
    t.match(ended, { code: 3, stdout: '', stderr: `there is no state directory ${nowhere}.` })
    t.match(ended.stderr, /--dir, or start one there/)
  }
  t.notOk(existsSync(nowhere), 'only `up` makes one')
  t.match(await run('status', '--dir', sources), {
    code: 3,
    stderr: /nothing of countersink is in/,
  })

  const published = await run('publish', path(early))
  t.match(published, { code: 0, stdout: `queued ${sha256Of(early.content)} early.txt\n` })
  t.match(published.stderr, /the parser is not running; it takes the files at its next start/)
  const waited = await run('publish', path(early), '--wait')
  t.match(waited, {
    code: 3,
    stdout: /^queued /,
    stderr: /1 of 1 not settled: the parser is not r/,
  })
})

t.test('wrong usage', async t => {
  const wrong: [args: [command: string, ...rest: string[]], hint: RegExp][] = [
    [['publihs'], /no command "publihs"\. Did you mean publish\?/],
    [['publish'], /a file to publish is missing/],
    [['publish', 'x', '--wiat'], /no option --wiat; did you mean --wait\?\nSee: .* publish --help/],
    [['hashes', '--outcome', 'lost'], /--outcome must be one of applied, duplicate, quarantined/],
    [['hashes', '--limit', '1e3'], /--limit must be a whole number from 0 .* got "1e3"/],
    [['hashes', 'abc'], /"abc" is one argument too many/],
    [['check', 'abcdef1'], /neither an existing file nor 8 to 64 hex digits/],
    [['check', sources], /not a regular file/],
    [['totals', '--id', '18446744073709551616'], /--id must be a whole number/],
    [['totals', '--id', '1', '--top', '1'], /cannot be combined/],
    [['ping', 'mariadb'], /neither generator nor parser/],
    [['status', '--jsno'], /did you mean --json\?/],
    [['publish', 'x', '--timeout', '5'], /--timeout is for --wait/],
    [['publish', 'x', '--wait', '--timeout', '5s'], /--timeout must be a whole number from 0/],
  ]
  for (const [[command, ...rest], stderr] of wrong) {
    const what = [command, ...rest].join(' ').slice(0, 60)
    t.match(await run(command, ...rest), { code: 2, stdout: '', stderr }, what)
  }
  const bare = await startProgram(t, dir, ['scripts/countersink.js']).ended
  t.match(bare, { code: 2, stdout: /Usage: countersink COMMAND/ })
  const version = await startProgram(t, dir, ['scripts/countersink.js', '--version']).ended
  t.match(version, { code: 0, stdout: /^\d+\.\d+\.\d+\n$/ })
  for (const command of ['up', 'totals', 'ping']) {
    t.match(await run(command, '--help'), {
      code: 0,
      stdout: new RegExp(`^Usage: countersink ${command} `),
    })
  }
})

t.test('publish', async t => {
  const early1 = startCountersink(t, site, 'publish', path(early), '--wait', '--timeout', '60')
  await eventually('it waits for a start', () => early1.output().includes('waiting for it'))
  up = await startUp(whole, site, '--no-generator')
  t.match(await early1.ended, { code: 0, stdout: /^(applied|duplicate) / }, 'through a start')
  const line = (outcome: string, file: DataFile): string =>
    `${outcome} ${sha256Of(file.content)} ${file.name}\n`
  const both = await run('publish', '--wait', path(usage), path(extreme))
  t.match(both, { code: 0, stdout: line('applied', usage) + line('applied', extreme), stderr: '' })
  t.match(await run('publish', path(usage), '--wait'), {
    code: 0,
    stdout: line('duplicate', usage),
  })
  t.match(await run('publish', path(early), '--wait'), {
    code: 0,
    stdout: line('duplicate', early),
  })
  const refused = await run('publish', path(bad), '--wait', path(usage))
  t.match(refused, { code: 1, stdout: line('quarantined', bad) + line('duplicate', usage) })
  t.match(
    refused.stderr,
    /^ {2}AMOUNT_NOT_DIGITS: line 2.*\n {2}it is in \S+quarantine\/bad\.txt-\S+,/,
  )
  t.match(await run('publish', path(usage)), { code: 0, stdout: line('queued', usage) })
  const stopped = await pidOf(up, 'parser')
  process.kill(stopped, 'SIGSTOP')
  const hurried = await run('publish', path(usage), '--wait', '--timeout', '0')
  process.kill(stopped, 'SIGCONT')
  t.match(hurried, {
    code: 3,
    stdout: line('queued', usage),
    stderr: /1 of 1 not settled: the parser/,
  })
  process.kill(await pidOf(up, 'parser'), 'SIGKILL')
  const restarted = await run('publish', path(usage), '--wait')
  t.match(restarted, { code: 0, stdout: line('duplicate', usage) }, 'through a restart')
  const missing = await run('publish', '--wait', join(sources, 'nothing'), path(usage))
  t.match(missing, { code: 3, stdout: line('duplicate', usage), stderr: /there is no such file/ })
  t.match(await run('publish', sources), { code: 3, stdout: '', stderr: /not a regular file/ })
  t.same(readFileSync(path(usage)), usage.content, 'the source is not touched')
})

/** What the reading commands say must be the same while the parser runs and when it does not. */
async function assertAnswers(t: Test): Promise<void> {
  const all = jsonLines(await run('hashes', '--json', '--limit', '0'))
  const outcomes = all.map(({ outcome }) => outcome)
  t.equal(outcomes.filter(outcome => outcome === 'applied').length, 3)
  t.equal(outcomes.filter(outcome => outcome === 'quarantined').length, 1)
  t.same(
    all.map(({ settledAt }) => settledAt),
    all
      .map(({ settledAt }) => settledAt)
      .sort()
      .reverse(),
    'newest first',
  )
  const one = all.find(({ sha256 }) => sha256 === sha256Of(extreme.content))
  t.match(one, {
    size: extreme.content.length,
    lines: 4,
    amount: String(U64_MAX + 14n),
    outcome: 'applied',
    name: `extreme.txt-${sha256Of(extreme.content).slice(0, 12)}`,
    time: ISO,
    claimedAt: ISO,
    settledAt: ISO,
  })
  t.match(await run('hashes', '--limit', '2'), { code: 0, stdout: /^[^\n]+\n[^\n]+\n$/ })
  const quarantined = await run('hashes', '--outcome', 'quarantined')
  t.match(quarantined, { code: 0, stdout: new RegExp(`^${sha256Of(bad.content)}[^\\n]+\\n$`) })

  const hash = sha256Of(usage.content)
  const yes = { code: 0, stdout: new RegExp(`^${hash} {2}counted .* UTC as usage.txt`) }
  t.match(await run('check', path(usage)), yes, 'by file')
  t.match(await run('check', hash), yes, 'by hash')
  t.match(await run('check', hash.toUpperCase()), yes, 'by hash in capitals')
  t.match(await run('check', hash.slice(0, 8)), yes, 'by prefix')
  t.match(await run('check', path(unseen)), { code: 1, stdout: /never seen/ })
  t.match(await run('check', never), { code: 1, stdout: `${never}  not counted: never seen\n` })
  t.match(await run('check', path(bad)), {
    code: 1,
    stdout: /not counted: quarantined .* as bad.txt-.*: AMOUNT_NOT_DIGITS: line 2/,
  })

  t.same((await run('totals')).stdout, totalsText(counted), 'ascending by id')
}

async function assertTotals(t: Test): Promise<void> {
  t.match(await run('totals', '--id', '902'), { code: 0, stdout: '902\t0\n' })
  t.match(await run('totals', '--id', '903'), { code: 1, stdout: '' })
  t.match(await run('totals', '--id', String(U64_MAX), '--json'), {
    code: 0,
    stdout: `{"version":1,"command":"totals","id":"${U64_MAX}","amount":"${U64_MAX}"}\n`,
  })
  const top = jsonLines(await run('totals', '--top', '8', '--json'))
  t.match(top[0], { id: String(U64_MAX) })
  t.match(top.slice(-2), [{ id: '900' }, { id: '901' }], 'equal ones by id')
  t.equal(top.length, 8)
}

t.test('answers while it runs', async t => {
  await assertAnswers(t)
  await assertTotals(t)
  t.match(await run('ping', 'parser'), {
    code: 0,
    stdout: /^parser: healthy, answered in .* ms\n$/,
  })
  t.match(await run('ping', 'parser', '--ready'), { code: 0, stdout: /^parser: healthy/ })
  t.match(await run('ping', 'generator'), { code: 1, stdout: 'generator: not running\n' })
  const status = await run('status', '--json')
  t.match(JSON.parse(status.stdout), {
    answeredBy: 'parser',
    parser: { state: 'running', restarts: 1 },
    generator: { state: 'stopped', pid: null, restarts: 0 },
    database: { kind: 'private', state: 'ready' },
    ever: { applied: 3, quarantined: 1 },
  })
  t.match(await run('status'), { code: 0, stdout: /^ever {8}3 applied, \d duplicate, 1 quarant/m })
})

t.test('answers from what is on disk, which stays as it is', async t => {
  const { ever } = (await pingParser(site.paths))!
  t.match(await stopProgram(up), { code: 0 })
  const journal = join(site.paths.journal, 'data.mdb')
  const picture = () => [sha256Of(readFileSync(journal)), statSync(journal).mtimeMs]
  const before = picture()
  await assertAnswers(t)
  const hashes = await run('hashes', '--limit', '1')
  t.match(hashes.stderr, /the parser is not running; this is what its journal says/)
  t.match(await run('ping'), { code: 1 })
  const status = JSON.parse((await run('status', '--json')).stdout)
  t.match(status, { answeredBy: 'journal', parser: { state: 'stopped', pid: null }, ever })
  t.same(status.queue, { files: 0, bytes: 0 })
  t.same(picture(), before, 'the journal is unchanged')
})
