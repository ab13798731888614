import {
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { type DataFile, dataFile, drop, seededFile, sha256Of } from '../helpers/files.ts'
import { pingParser, startParser, stopProgram, untilSettled } from '../helpers/parser.ts'
import { spawnNode } from '../helpers/processes.ts'
import { BUILT } from '../helpers/root.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'
import { startUp } from '../helpers/up.ts'

// What a service tells of itself, in the form in which whoever keeps its logs wants it.

const server = await startDatabaseServer(t)
const PLAIN = { manifest: false }

type Told = Readonly<Record<string, unknown>>

function objects(text: string): Told[] {
  return text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as Told)
}

function logOf(site: Site, name: string): string {
  return readFileSync(join(site.paths.log, `${name}.log`), 'utf8')
}

function configure({ paths }: Site, content: object): void {
  writeFileSync(join(paths.dir, 'countersink.json'), JSON.stringify(content), { mode: 0o600 })
}

t.test('JSON: of all processes, a line an object, files with code and hash', async t => {
  const site = await makeSite(t, server)
  configure(site, { logLevel: 'debug' })
  const up = await startUp(t, site, '--log-format', 'json')
  const good = seededFile('good', 1)
  const bad = dataFile('bad', '1 x\n')
  drop(site.paths, [good, bad], PLAIN)
  mkdirSync(join(site.paths.inbox, 'directory'))
  await untilSettled(site, 2)
  drop(site.paths, [{ ...good, name: 'again' }])
  await untilSettled(site, 3)
  await eventually('the directory is told of', () => /LEFT_IN_INBOX/.test(logOf(site, 'parser')))

  configure(site, { logLevel: 'notice' })
  up.signal('SIGHUP')
  await eventually('it is told', () => /logLevel debug -> notice/.test(logOf(site, 'parser')))
  drop(site.paths, [seededFile('unsaid', 2), dataFile('bad2', '2 x\n')], PLAIN)
  await untilSettled(site, 5)
  process.kill((await pingParser(site.paths))!.pid, 'SIGKILL')
  await eventually('its death is told of', () => /was ended by SIGKILL/.test(up.output()))
  const { code, stdout, stderr } = await stopProgram(up)
  t.same([code, stdout], [0, ''])

  const parser = objects(logOf(site, 'parser'))
  const supervisor = objects(logOf(site, 'supervisor'))
  const printed = objects(stderr)
  t.equal(printed.length, parser.length + supervisor.length, 'all of it is printed')
  for (const line of printed) {
    t.same(Object.keys(line).slice(0, 4), ['time', 'level', 'process', 'message'])
  }
  const sha256 = sha256Of(good.content)
  const of = (message: string): Told | undefined => parser.find(one => one.message === message)
  t.match(of('applied'), { level: 'info', process: 'parser', name: 'good', sha256 })
  t.type(of('applied')?.amount, 'string')
  t.match(of('duplicate'), { level: 'info', name: 'again', sha256, code: 'COUNTED_BEFORE' })
  t.match(of('quarantined'), { level: 'warn', name: bad.name, sha256: sha256Of(bad.content) })
  t.match(of('quarantined')?.code, /^[A-Z_]+$/)
  t.match(of('left in the inbox: it is not a regular file'), { name: 'directory' })
  t.ok(of('batch applied'), 'each step is told of')
  const bad2 = parser.filter(({ name }) => name === 'bad2')
  t.match(bad2, [{ message: 'quarantined' }], 'and only what is odd, once nothing else is wanted')
  t.notOk(parser.some(({ name }) => name === 'unsaid'))
  t.match(supervisor[0], { level: 'notice', process: 'supervisor', message: 'begins' })
  t.ok(supervisor.some(({ level, message }) => level === 'warn' && /SIGKILL/.test(`${message}`)))
})

t.test('the journal: a priority for each line of each log', async t => {
  const site = await makeSite(t, server)
  const path = join(site.paths.dir, 'journal')
  const journal = openSync(path, 'w', 0o600)
  const { dev, ino } = fstatSync(journal)
  const up = spawnNode(
    [`${BUILT}scripts/countersink.js`, 'up', '--log-level', 'notice', '--dir', site.paths.dir],
    {
      env: { PATH: process.env.PATH, HOME: site.paths.dir, ...site.env, ...stream(dev, ino) },
      stdio: ['ignore', 'ignore', journal],
    },
  )
  closeSync(journal)
  const ended = new Promise<number | null>(resolve => up.once('exit', resolve))
  t.teardown(() => up.kill('SIGKILL'))
  drop(site.paths, [seededFile('good', 1), dataFile('bad', '1 x\n')], PLAIN)
  await untilSettled(site, 2)
  up.kill('SIGTERM')
  t.equal(await ended, 0)
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
  for (const line of lines)
    t.match(line, /^<[543]>\d{4}-\S+ (NOTICE|WARN|ERROR) (supervisor|parser) /)
  t.match(find(lines, ' quarantined '), /^<4>/)
  t.match(find(lines, ' supervisor running'), /^<5>/)
  t.notOk(find(lines, ' name=good '), 'files are not told of one by one')
  t.match(find(lines, ' summary '), / applied=1 duplicate=0 quarantined=1 .* queueFiles=0 /)
  t.match(find(logOf(site, 'parser').split('\n'), ' quarantined '), /^\d/, 'the file is without')
})

t.test('logs that others put aside have each line once', async t => {
  const site = await makeSite(t, server, { COUNTERSINK_LOG_BYTES_MAX: '0' })
  const up = await startUp(t, site)
  const path = join(site.paths.log, 'parser.log')
  const files = [1, 2, 3, 4, 5, 6, 7].map(seed => seededFile(`file-${seed}`, seed))
  let settled = 0
  let odd = 0
  const count = async (files: readonly DataFile[]): Promise<void> => {
    drop(site.paths, files)
    settled += files.length
    await untilSettled(site, settled)
    const { name } = files.at(-1)!
    await eventually(`${name} is told of`, () => kept().includes(name))
  }
  const kept = (): string[] => {
    const logs = readdirSync(site.paths.log).filter(name => name.startsWith('parser.log'))
    const texts = logs.map(name => readFileSync(join(site.paths.log, name), 'utf8'))
    return texts.flatMap(text =>
      [...text.matchAll(/ applied name=(\S+)/g)].map(([, name]) => name!),
    )
  }
  await count(files.slice(0, 1))
  renameSync(path, `${path}.1`)
  await count(files.slice(1, 2))
  up.signal('SIGHUP')
  await eventually('it is opened anew', () => existsSync(path))
  await count(files.slice(2, 4))
  copyFileSync(path, `${path}.2`)
  truncateSync(path)
  await count(files.slice(4, 5))
  renameSync(path, `${path}.3`)
  await count(files.slice(5, 6))
  await eventually('that it is gone is noticed', () => {
    odd += 1
    mkdirSync(join(site.paths.inbox, `odd-${odd}`))
    return existsSync(path)
  })
  await count(files.slice(6))
  t.same(
    kept().sort(),
    files.map(({ name }) => name),
  )
  t.match(await stopProgram(up), { code: 0 })
})

t.test('one whose configuration is wrong says so in the form that was asked for', async t => {
  const site = await makeSite(t, server)
  configure(site, { logFormat: 'json', quietMs: 'never' })
  const error = await startParser(t, site).then(
    () => '',
    (error: Error) => error.message,
  )
  const [, said = ''] = error.split('\n')
  t.match(JSON.parse(said), { level: 'error', code: 'CONFIG_INVALID', message: /quietMs/ })
})

function stream(dev: number, ino: number) {
  return { JOURNAL_STREAM: `${dev}:${ino}` }
}

function find(lines: readonly string[], part: string): string | undefined {
  return lines.find(line => line.includes(part))
}
