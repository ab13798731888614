import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { SupervisorStatus } from '../../scripts/state/supervisor-status.ts'
import { countersink } from '../helpers/cli.ts'
import { eventually } from '../helpers/eventually.ts'
import { drop, seededFile } from '../helpers/files.ts'
import { receiveNotices } from '../helpers/notify-socket.ts'
import { killProcess, startProgram } from '../helpers/processes.ts'
import { BUILT } from '../helpers/root.ts'
import { makeSite } from '../helpers/state-dir.ts'
import { execStart } from '../helpers/units.ts'

// The line that the unit has is run as systemd would, and systemd's socket is read.

t.test('the service, as its unit starts it', async t => {
  const site = await makeSite(t)
  const { dir } = site.paths
  const unit = await startProgram(t, dir, ['scripts/countersink.js', 'systemd']).ended
  const [node, program, ...args] = execStart(unit.stdout)
  t.equal(node, process.execPath)
  t.equal(program, `${BUILT}scripts/countersink.js`)
  t.notOk(args.includes('--dir'), 'systemd names the directory')

  const manager = await receiveNotices(t, join(dir, 'notify'))
  const service = startProgram(t, dir, ['scripts/countersink.js', ...args], {
    ...site.env,
    ...{ STATE_DIRECTORY: dir, LOGS_DIRECTORY: join(dir, 'logs') },
    ...{ NOTIFY_SOCKET: join(dir, 'notify'), WATCHDOG_USEC: '600000' },
  })
  await manager.hears('READY=1')
  await manager.hears('STATUS=running; queue 0 files')
  drop(site.paths, [seededFile('a', 1)])
  await manager.hears('STATUS=running; queue 0 files, 0 B; since start 1 applied')

  const { parser } = JSON.parse(
    readFileSync(site.paths.supervisorStatus, 'utf8'),
  ) as SupervisorStatus
  killProcess(parser!.pid!, 'SIGSTOP')
  await manager.hears('STATUS=a process answers nothing')
  await eventually('the watchdog is told nothing', () => manager.quietMs('WATCHDOG=1') > 1_000)
  t.equal(manager.lines('STOPPING').length, 0, 'it is not the service that ends')
  killProcess(parser!.pid!, 'SIGCONT')
  await eventually('it is told again', () => manager.quietMs('WATCHDOG=1') < 600)

  const before = manager.lines().length
  service.signal('SIGHUP')
  await eventually('it is ready again', () => manager.lines().slice(before).includes('READY=1'))
  const reload = manager.lines().slice(before)
  t.ok(reload.indexOf('RELOADING=1') < reload.indexOf('READY=1'))

  service.signal('SIGTERM')
  t.match(await service.ended, { code: 0, stdout: /stopping in order \(SIGTERM\)/ })
  const lines = manager.lines()
  const order = [
    'STATUS=starting',
    'READY=1',
    'WATCHDOG=1',
    'RELOADING=1',
    'STOPPING=1',
    'STATUS=stopped',
  ]
  const places = order.map(line => lines.indexOf(line))
  t.same(
    places,
    [...places].sort((a, b) => a - b),
    'in order',
  )
  t.notOk(places.includes(-1))
  t.equal(lines.at(-1), 'STATUS=stopped')
  // MariaDB, too, would tell systemd of itself.
  t.same(
    lines.filter(
      line => !/^(READY|STOPPING|RELOADING|WATCHDOG)=1$|^STATUS=|^MONOTONIC_/.test(line),
    ),
    [],
  )
  t.same(
    lines.filter(line => line.startsWith('STATUS=') && /SQL|shutdown/i.test(line)),
    [],
  )
  t.match(readFileSync(join(dir, 'logs/supervisor.log'), 'utf8'), / NOTICE supervisor running/)
})

t.test('a configuration that cannot be used is no reason to start it again', async t => {
  const site = await makeSite(t)
  const manager = await receiveNotices(t, join(site.paths.dir, 'notify'))
  const env = {
    ...{ ...site.env, COUNTERSINK_QUIET_MS: 'long' },
    NOTIFY_SOCKET: join(site.paths.dir, 'notify'),
  }
  t.match(await countersink(t, { ...site, env }, 'up'), { code: 2 })
  t.same(manager.lines('READY'), [])
})
