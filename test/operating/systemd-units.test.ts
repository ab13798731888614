import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  type Deployment,
  notesOn,
  serviceUnits,
  timerUnits,
  writeUnits,
} from '../../scripts/deploy/index.ts'
import { startProgram } from '../helpers/processes.ts'
import { systemdAnalyze, whyNoSystemdAnalyze } from '../helpers/systemd-analyze.ts'
import { execStart } from '../helpers/units.ts'
import { tempDir } from '../shared/helpers.ts'

t.jobs = 4
const skip = whyNoSystemdAnalyze()
const EXPOSURE_MAX = 20

const STRANGE = '/srv/usage 100%$HOME "x"'

const run = (t: Test, dir: string, args: readonly string[], env = {}) =>
  startProgram(t, dir, ['scripts/countersink.js', 'systemd', ...args], env).ended

/** As an administrator has it; node is one that is there. */
const PLACE: Deployment = {
  ...{ node: process.execPath, program: '/opt/countersink/dist/scripts/countersink.js' },
  ...{ user: 'countersink', dir: undefined, configFile: undefined, databaseUrlFile: undefined },
}

for (const [what, units] of [
  ['a service', serviceUnits(PLACE)],
  ['one of a user', serviceUnits({ ...PLACE, user: 'billing', dir: STRANGE, configFile: STRANGE })],
  ['one with a database', serviceUnits({ ...PLACE, databaseUrlFile: '/etc/a b%' })],
  ['a timer', timerUnits(PLACE)],
] as const) {
  t.test(`systemd understands ${what}, and finds it confined`, { skip }, async t => {
    const paths = await writeUnits(tempDir(t), units)
    t.same(systemdAnalyze('verify', '--man=no', ...paths), { said: '', status: 0 })
    for (const path of paths.filter(path => path.endsWith('.service'))) {
      const { said, status } = systemdAnalyze(
        ...['security', '--offline=true', `--threshold=${EXPOSURE_MAX}`, path],
      )
      t.equal(status, 0, said.slice(said.lastIndexOf('→')))
    }
  })
}

t.test('each file is printed under its path', { buffered: true }, async t => {
  const { stdout } = await run(t, tempDir(t), ['--once'])
  const { units } = JSON.parse((await run(t, tempDir(t), ['--once', '--json'])).stdout)
  t.equal(
    stdout,
    units.map(({ path, text }: Record<string, string>) => `# ${path}\n${text}`).join('\n'),
  )
  t.same(stdout.match(/^# \/etc\/systemd.*/gm), [
    '# /etc/systemd/system/countersink.service',
    '# /etc/systemd/system/countersink.timer',
    '# /etc/systemd/system/countersink-alert@.service',
  ])
})

t.test('what is said of it', { buffered: true }, async t => {
  const text = (place: Partial<Deployment> = {}): string =>
    serviceUnits({ ...PLACE, ...place })[0]!.text
  for (const line of ['Type=notify', 'RestartPreventExitStatus=2 78', 'User=countersink']) {
    t.ok(text().includes(`\n${line}\n`), line)
  }
  t.notMatch(text(), /MemoryDenyWriteExecute|~@resources/, 'Node.js and MariaDB would not run')
  t.notMatch(text(), /DynamicUser/, 'what root does as the owner would find the directory closed')
  t.match(text({ user: 'billing' }), /\nUser=billing\nStateDirectory=countersink\n/)
  const own = text({ user: 'billing', dir: STRANGE })
  t.same(execStart(own).slice(-2), ['--dir', STRANGE])
  t.notMatch(own, /StateDirectory|LogsDirectory/)
  t.match(text({ node: '/home/me/node' }), /\nProtectHome=read-only\n/)
  t.match(text(), /\nProtectHome=yes\nPrivateTmp=yes\n/)
  const credential = text({ databaseUrlFile: '/etc/a b%' })
  t.match(
    credential,
    /\nLoadCredential=database-url:\/etc\/a b%%\n.*_URL_FILE=\/run\/credentials\/%n\/database-url\n/,
  )
  const [service] = timerUnits(PLACE)
  t.same(execStart(service!.text).slice(2), ['run', '--once', '--timeout', '3600'])
})

t.test('what would keep it from running is said', { buffered: true }, async t => {
  const dir = tempDir(t)
  chmodSync(dir, 0o755)
  mkdirSync(join(dir, 'closed'), { mode: 0o700 })
  const node = join(dir, 'closed/node')
  t.match(notesOn({ ...PLACE, node, user: 'no-such', dir: join(dir, 'none') }), [
    /^there is no user no-such here: useradd --system --home-dir \S+none --shell \S+ no-such$/,
    /closed, which only its owner may enter/,
    /none must be there: install -d -m 0700 -o no-such /,
  ])
})

t.test('what is there is not written over', { buffered: true }, async t => {
  const dir = tempDir(t)
  t.match(await run(t, dir, ['--output', dir]), {
    code: 0,
    stdout: /Next: systemctl daemon-reload/,
  })
  const path = join(dir, 'countersink.service')
  t.equal(statSync(path).mode & 0o777, 0o644)
  t.match(await run(t, dir, ['--output', dir]), { code: 0 }, 'the same')
  writeFileSync(path, 'mine\n')
  const refused = await run(t, dir, ['--once', '--output', dir])
  t.match(refused, { code: 3, stderr: /something else in .*countersink\.service; nothing was/ })
  t.equal(readFileSync(path, 'utf8'), 'mine\n')
  t.same(readdirSync(dir).sort(), ['countersink-alert@.service', 'countersink.service'])
  t.match(await run(t, dir, ['--output', join(dir, 'none')]), { code: 3, stderr: /no directory/ })
})

t.test('wrong usage', { buffered: true }, async t => {
  const dir = tempDir(t)
  t.match(await run(t, dir, ['--user', 'a b']), { code: 2, stderr: /--user must be .*"a b"/ })
  t.match(await run(t, dir, ['--user', 'x', '--dir', '/srv/a\nb']), { code: 2 })
})

t.test('the alert unit tells the command, else the journal', { buffered: true }, async t => {
  const dir = tempDir(t)
  const { stdout } = await run(t, dir, [])
  const line = execStart(stdout.slice(stdout.indexOf('countersink-alert@.service\n')))
  t.same(line.slice(2), ['systemd', '--failed', '%i'])
  const failed = ['--failed', 'countersink.service']
  const env = {
    ...{ STATE_DIRECTORY: dir, MONITOR_SERVICE_RESULT: 'exit-code', MONITOR_EXIT_STATUS: '3' },
    // That something is wrong with it may be why the service failed.
    COUNTERSINK_QUIET_MS: 'long',
  }
  const reason =
    'countersink.service: exit-code, status 3; "journalctl -u countersink.service" tells more'
  const journal = await run(t, dir, failed, env)
  t.match(journal, { code: 0, stderr: `countersink has ended abnormally: ${reason}; ` })

  writeFileSync(
    join(dir, 'countersink.json'),
    JSON.stringify({ alertCommand: `cat >> ${dir}/told` }),
  )
  t.match(await run(t, dir, failed, env), { code: 0, stderr: '' })
  t.match(JSON.parse(readFileSync(join(dir, 'told'), 'utf8')), {
    ...{ version: 1, kind: 'service-failed', what: 'the service has ended abnormally', reason },
    ...{ stateDirectory: dir, host: hostname(), since: String, at: String },
  })
  const broken = { ...env, COUNTERSINK_ALERT_COMMAND: 'exit 4' }
  t.match(await run(t, dir, failed, broken), {
    code: 3,
    stderr: /was not told of .*: it ended with status 4/,
  })
})
