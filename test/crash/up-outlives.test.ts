import { spawn } from 'node:child_process'
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { SupervisorStatus } from '../../scripts/state/supervisor-status.ts'
import { isAlive } from '../../shared/lifecycle.ts'
import { shellWord } from '../../shared/printable.ts'
import { countersink } from '../helpers/cli.ts'
import { eventually } from '../helpers/eventually.ts'
import { drop, seededFile } from '../helpers/files.ts'
import { assertEverythingAddsUp } from '../helpers/invariants.ts'
import { pingParser, stopProgram, untilSettled } from '../helpers/parser.ts'
import { killProcess, spawnNode } from '../helpers/processes.ts'
import { BUILT } from '../helpers/root.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'
import { pidOf, startUp } from '../helpers/up.ts'

// The service outlives what it stands on: its logs, its terminal, its lock's file, its children.

t.test('deaths together, logs that go, a lock that is removed', async t => {
  const site = await makeSite(t)
  const { log, supervisorLock, supervisorStatus } = site.paths
  const up = await startUp(t, site, '--no-generator')
  const supervisorLog = join(log, 'supervisor.log')

  for (let round = 0; round < 2; round += 1) {
    const [mariadb, parser] = [await pidOf(up, 'mariadb'), await pidOf(up, 'parser')]
    killProcess(mariadb)
    killProcess(parser)
    await pidOf(up, 'mariadb', mariadb)
    await pidOf(up, 'parser', parser)
    await untilCounting(site)
  }
  t.ok(up.isRunning(), 'MariaDB and the parser have died together')

  renameSync(join(log, 'parser.log'), join(log, 'parser.log.old'))
  up.signal('SIGHUP')
  await eventually('it is said', () => /logs opened anew/.test(up.output()))
  t.ok(existsSync(join(log, 'parser.log')), 'the log is there anew')

  // Neither can the logs be opened nor can MariaDB's.
  renameSync(log, `${log}.away`)
  writeFileSync(log, 'no directory')
  up.signal('SIGHUP')
  const mariadb = await pidOf(up, 'mariadb')
  killProcess(mariadb)
  await pidOf(up, 'mariadb', mariadb)
  await untilCounting(site)
  const parser = await pidOf(up, 'parser')
  killProcess(parser)
  await pidOf(up, 'parser', parser)
  await untilCounting(site)
  rmSync(log)
  renameSync(`${log}.away`, log)
  up.signal('SIGHUP')
  const file = seededFile('counted', 1)
  drop(site.paths, [file])
  await untilSettled(site, 1)
  t.match(up.output(), /parser\.log cannot be written, and lines are lost until it can/)
  await eventually('what is missing is said', () => {
    return /-- \d+ lines are missing here/.test(readFileSync(join(log, 'parser.log'), 'utf8'))
  })

  const { mariadb: database } = site.paths
  renameSync(database, `${database}.away`)
  const [pid, restarts] = [await pidOf(up, 'mariadb'), up.status()?.mariadb?.restarts]
  killProcess(pid)
  await eventually('it is waited for', () => /mariadb is away: put it back/.test(up.output()))
  t.equal(up.status()?.mariadb?.restarts, restarts)
  t.notOk(existsSync(database), 'no empty database takes the place of one that is away')
  renameSync(`${database}.away`, database)
  await pidOf(up, 'mariadb', pid)
  await untilCounting(site)

  rmSync(log, { recursive: true })
  await eventually('the directory of logs is there anew', () => {
    up.signal('SIGHUP')
    return existsSync(join(log, 'parser.log'))
  })

  rmSync(supervisorLock)
  await eventually('its loss is noticed', () => /it is locked again/.test(up.output()))
  const second = await countersink(t, site, 'up', '--no-generator')
  t.match(second, { code: 3, stderr: /is at work in .* already/ }, 'nobody else comes in')
  t.match(readFileSync(supervisorLog, 'utf8'), /WARN supervisor .*is locked again/)
  writeFileSync(supervisorStatus, 'garbage')
  t.match(await countersink(t, site, 'status'), { code: 0, stdout: /^supervisor +stopped$/m })
  rmSync(supervisorStatus)
  await eventually('what others read of it is there again', () => up.status() !== undefined)
  t.match(await stopProgram(up), { code: 0 })
  await assertEverythingAddsUp(t, site, [[file, 'applied']])
})

t.test('whoever read its output goes away', async t => {
  const site = await makeSite(t)
  const { dir, log } = site.paths
  const command = [`${BUILT}scripts/countersink.js`, 'up', '--no-generator', '--dir', dir]
  const up = spawnNode(command, {
    env: { PATH: process.env.PATH, HOME: dir, ...site.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<number | null>(resolve => up.once('exit', code => resolve(code)))
  t.teardown(() => up.kill('SIGKILL'))
  await untilCounting(site)
  up.stdout?.destroy()
  up.stderr?.destroy()
  const file = seededFile('counted', 2)
  drop(site.paths, [file])
  await untilSettled(site, 1)
  await eventually('its log tells of it', () => {
    return /nobody reads what is printed any more/.test(
      readFileSync(join(log, 'supervisor.log'), 'utf8'),
    )
  })
  up.kill('SIGTERM')
  t.equal(await ended, 0)
  await assertEverythingAddsUp(t, site, [[file, 'applied']])
})

t.test('a terminal that takes nothing more, as after Ctrl-S', async t => {
  const site = await makeSite(t)
  const { dir, supervisorStatus } = site.paths
  const words = [process.execPath, `${BUILT}scripts/countersink.js`, 'up', '--dir', dir]
  const command = [...words, '--file-size', '1KiB-2KiB'].map(shellWord).join(' ')
  const terminal = spawn('script', ['-qc', command, '/dev/null'], {
    env: { PATH: process.env.PATH, HOME: dir, TERM: 'xterm', ...site.env },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const said = () => JSON.parse(readFileSync(supervisorStatus, 'utf8')) as SupervisorStatus
  t.teardown(() => terminal.kill('SIGKILL'))
  await untilCounting(site)
  const { pid, parser } = said()
  t.teardown(() => isAlive(said()) && process.kill(pid, 'SIGKILL'))
  terminal.kill('SIGSTOP')
  const processed = async () => (await pingParser(site.paths))?.processed ?? 0
  // More lines than a terminal keeps for a reader.
  const enough = (await processed()) + 100
  await eventually('what is printed is not read', async () => (await processed()) > enough)
  process.kill(parser!.pid!, 'SIGKILL')
  await eventually('its parser is started again', async () => {
    const found = await pingParser(site.paths)
    return found !== undefined && found.pid !== parser!.pid
  })
  process.kill(pid, 'SIGTERM')
  await eventually('it stops in order', () => said().state === 'stopped')
  terminal.kill('SIGCONT')
  await eventually('it has ended', () => !isAlive(said()))
})

async function untilCounting(site: Site): Promise<void> {
  await eventually('the parser counts', async () => {
    return (await pingParser(site.paths))?.database === 'ready'
  })
}
