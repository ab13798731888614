import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { countersink } from '../helpers/cli.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { drop, seededFile, totalsText } from '../helpers/files.ts'
import {
  pingParser,
  spawnParser,
  startParser,
  stopProgram,
  untilSettled,
} from '../helpers/parser.ts'
import { startProgram } from '../helpers/processes.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'
import { pidOf, startUp } from '../helpers/up.ts'

const server = await startDatabaseServer(t)
const HOUR_MS = 3_600_000

/** The same site, known by its file alone. */
function configured(site: Site, content: unknown): Site {
  const text = typeof content === 'string' ? content : JSON.stringify(content)
  const path = join(site.paths.dir, 'countersink.json')
  writeFileSync(path, text)
  chmodSync(path, 0o600)
  return { ...site, env: {} }
}

t.test('config show, check and schema', async t => {
  const plain = await makeSite(t)
  const databaseUrl = 'mariadb://bob:S3CRET@db.example/usage?ssl=required'
  const site = configured(plain, { databaseUrl, quietMs: 500, reserve: '1GiB' })
  const path = join(site.paths.dir, 'countersink.json')
  const withEnv = { ...site, env: { COUNTERSINK_FILES: '7' } }
  const shown = await countersink(t, withEnv, 'config', 'show')
  t.match(shown, { code: 0, stderr: '' })
  t.match(shown.stdout, `quietMs          500 `)
  t.match(shown.stdout, new RegExp(`^reserve +1GiB +reserve in ${path}$`, 'm'))
  t.match(shown.stdout, /^files +7 +COUNTERSINK_FILES$/m)
  t.match(shown.stdout, /^readers +0 +default$/m)
  t.match(shown.stdout, 'mariadb://bob@db.example/usage?ssl=required')
  t.notMatch(shown.stdout, /S3CRET/)
  const json = await countersink(t, withEnv, 'config', 'show', '--json')
  t.notMatch(json.stdout, /S3CRET/)
  t.match(JSON.parse(json.stdout), { version: 1, dir: site.paths.dir, file: path, problems: [] })
  const { settings } = JSON.parse(json.stdout)
  t.match(settings[0], { key: 'databaseUrl', source: 'file', from: `databaseUrl in ${path}` })
  t.match(await countersink(t, site, 'config', 'check'), {
    code: 0,
    stdout: 'the configuration can be used\n',
    stderr: '',
  })
  const schema = JSON.parse((await countersink(t, site, 'config', 'schema')).stdout)
  t.match(schema.properties.quietMs, { type: 'integer', minimum: 100, default: 10_000 })

  const other = join(site.paths.dir, 'other.json')
  writeFileSync(other, '{"quietms":5,"readers":17,"unterminated":"x"}')
  const checked = await countersink(t, site, 'config', 'check', '--config', other)
  t.match(checked, { code: 2, stdout: '' })
  t.equal(checked.stderr.split('\n').length, 4, 'everything at once')
  t.match(checked.stderr, `readers in ${other} must be a whole number from 0 to 16; got 17.`)
  t.match(checked.stderr, 'Is quietMs what is meant?')
  for (const command of ['up', 'status', 'totals']) {
    const refused = await countersink(t, site, command, '--config', other)
    t.match(refused, { code: 2, stdout: '', stderr: /there is no setting "quietms"/ }, command)
  }
  t.match(await countersink(t, site, 'config', 'shwo'), { code: 2, stderr: /did you mean show\?/ })
  const parser = await spawnParser(t, site, { COUNTERSINK_CONFIG: other }).ended
  t.match(parser, { code: 78, stderr: /there is no setting "quietms"/ })
})

t.test('the state directory from the environment', async t => {
  const { paths } = await makeSite(t)
  const show = (env: Record<string, string>, ...args: string[]) =>
    startProgram(t, paths.dir, ['scripts/countersink.js', 'config', 'show', '--json', ...args], env)
      .ended
  const dirOf = async (env: Record<string, string>, ...args: string[]) =>
    JSON.parse((await show(env, ...args)).stdout).dir
  for (const name of ['one', 'two', 'three']) mkdirSync(join(paths.dir, name))
  const [one, two, three] = ['one', 'two', 'three'].map(name => join(paths.dir, name))
  t.equal(await dirOf({}), join(paths.dir, 'var'))
  const systemd = { STATE_DIRECTORY: `${one}:${two}` }
  t.equal(await dirOf(systemd), one)
  t.equal(await dirOf({ ...systemd, COUNTERSINK_DIR: two! }), two)
  t.equal(await dirOf({ ...systemd, COUNTERSINK_DIR: two! }, '--dir', three!), three)
})

t.test('up goes by a file, and reads it again on SIGHUP', async t => {
  const made = await makeSite(t, server)
  const { databaseUrl } = made.config
  const content = { databaseUrl, quietMs: 100, reserve: 0, scanIntervalMs: HOUR_MS }
  const site = configured(made, content)
  const up = await startUp(t, site)
  const logOf = (name: string): string => readFileSync(join(site.paths.log, `${name}.log`), 'utf8')

  configured(made, '{"quietMs": 1')
  up.signal('SIGHUP')
  await eventually('the file is refused', () => /and stays as it was/.test(logOf('supervisor')))
  const killed = await pidOf(up, 'parser')
  process.kill(killed, 'SIGKILL')
  await eventually('a parser that died waits for a better one', () => {
    return /the parser waits to be started again: .* is not JSON/.test(logOf('supervisor'))
  })
  configured(made, content)
  await pidOf(up, 'parser', killed)
  await eventually('it counts again', async () => {
    return (await pingParser(site.paths))?.database === 'ready'
  })
  configured(made, { ...content, scanIntervalMs: 50, readers: 2 })
  up.signal('SIGHUP')
  const told = /read again: scanIntervalMs 3600000 -> 50; a restart is needed for readers/
  await eventually('the supervisor tells of it', () => told.test(logOf('supervisor')))
  await eventually('and the parser', () => told.test(logOf('parser')))
  t.ok(up.isRunning())
  const file = seededFile('counted', 1)
  drop(site.paths, [file])
  await untilSettled(site, 1)
  t.match(await countersink(t, site, 'totals'), { code: 0, stdout: totalsText([file]) })
  t.match(await stopProgram(up), { code: 0 })
  t.match(await countersink(t, site, 'totals'), { code: 0, stdout: totalsText([file]) })
})

t.test('a parser alone does so too', async t => {
  const made = await makeSite(t, server)
  const { databaseUrl } = made.config
  const site = configured(made, { databaseUrl, quietMs: 100, reserve: 0, scanIntervalMs: HOUR_MS })
  const parser = await startParser(t, site)
  configured(made, { databaseUrl, quietMs: 100, reserve: 0, scanIntervalMs: 50 })
  parser.signal('SIGHUP')
  await eventually('it is told of', () => /scanIntervalMs 3600000 -> 50/.test(parser.output()))
  const file = seededFile('counted', 2)
  drop(site.paths, [file])
  await parser.untilSettled(1)
  configured(made, '')
  parser.signal('SIGHUP')
  await eventually('a bad file is told of', () => /WARN .*stays as it was/.test(parser.output()))
  t.match(await stopProgram(parser), { code: 0 })
})

t.test('logs go where systemd says', async t => {
  const made = await makeSite(t, server)
  const { dir } = made.paths
  const logs = join(dir, 'logs-of-systemd')
  const env = { ...made.env, STATE_DIRECTORY: dir, LOGS_DIRECTORY: `${logs}:/nowhere` }
  const up = startProgram(t, dir, ['scripts/countersink.js', 'up'], env)
  await eventually('the parser has a log there', () => {
    return existsSync(logs) && /started/.test(readFileSync(join(logs, 'parser.log'), 'utf8'))
  })
  t.match(await stopProgram(up), { code: 0 })
})
