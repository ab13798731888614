import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { startPrivateMariadb } from '../../scripts/mariadb/private-mariadb.ts'
import { isAlive, type ProcessIdentity, processIdentity } from '../../shared/lifecycle.ts'
import {
  endOf,
  eventually,
  firstByte,
  hold,
  kill,
  place,
  processGroup,
  sharedDescriptors,
  spawnHolder,
  watcherOf,
} from './mariadb-scene.ts'

// A real mariadbd in every case. The holders, which are killed, run the built program.

t.test('the first start makes the directory, the second uses it', async t => {
  const { options, notices } = await place(t, 'a b')
  const first = await startPrivateMariadb(options)
  t.teardown(() => first.stop())
  t.ok(existsSync(join(options.dataDir, 'countersink')), 'there is a database countersink')
  t.notOk(existsSync(`${options.dataDir}.initialising`))
  t.equal(await firstByte(first.socketPath), 10, 'it greets')
  t.same(JSON.parse(await readFile(options.pidPath, 'utf8')), processIdentity(first.pid))
  t.equal(processGroup(first.pid), first.pid, 'a Ctrl-C at our terminal does not reach it')
  t.ok(watcherOf(first.pid), 'it is watched')
  t.same(sharedDescriptors(first.pid), [], 'no socket or pipe of ours has leaked into it')

  await Promise.all([first.stop(), first.stop()])
  t.same(await first.exited, { code: 0, signal: null }, 'it ended in order')
  t.notOk(existsSync(options.pidPath))
  t.notOk(existsSync(options.socketPath))
  await eventually('the watcher has gone too', () => !watcherOf(first.pid))

  const marker = join(options.dataDir, 'countersink', 'db.opt')
  const made = await readFile(marker, 'utf8')
  const second = await startPrivateMariadb(options)
  t.teardown(() => second.stop())
  t.equal(await readFile(marker, 'utf8'), made)
  t.match(made, /utf8mb4/)
  await second.stop()
  t.same(notices, [], 'nothing was worth a notice')
})

t.test('a killed server is known of, and the next start recovers', async t => {
  const { options } = await place(t)
  const first = await startPrivateMariadb(options)
  process.kill(first.pid, 'SIGKILL')
  t.same(await first.exited, { code: null, signal: 'SIGKILL' })
  t.notOk(existsSync(options.pidPath))
  await first.stop()
  await eventually('its watcher has gone', () => !watcherOf(first.pid))
  const second = await startPrivateMariadb(options)
  t.equal(await firstByte(second.socketPath), 10)
  await second.stop()
})

t.test('a killed holder takes the server with it', async t => {
  const { options } = await place(t)
  const holder = await hold(t, options)
  t.ok(isAlive(holder.server))
  await kill(holder.process)
  await eventually('the server has ended', () => !isAlive(holder.server))
  t.match(await readFile(options.logPath, 'utf8'), /Shutdown complete/, 'in order')
  await eventually('the watcher has gone', () => !watcherOf(holder.server.pid))
})

t.test('a holder killed before the server is ready takes it along too', async t => {
  const { options } = await place(t)
  await startPrivateMariadb(options).then(server => server.stop())
  const holder = spawnHolder(t, options)
  // The socket is there long before anybody is greeted; a SIGTERM now would make the server hang.
  await eventually('it starts', () => existsSync(options.socketPath))
  const server: ProcessIdentity = JSON.parse(await readFile(options.pidPath, 'utf8'))
  t.teardown(() => endOf(server))
  await kill(holder)
  await eventually('the server has ended', () => !isAlive(server), 20_000)
  await startPrivateMariadb(options).then(server => server.stop())
})

t.test('a leftover is ended before a new start', async t => {
  for (const pidFile of ['with its pid file', 'without its pid file']) {
    await t.test(pidFile, async t => {
      const { options, notices } = await place(t)
      const holder = await hold(t, options, { keeper: true })
      await kill(holder.process)
      // The keeper still holds the lifeline: the same server greets as long as we care to look.
      t.equal(await firstByte(options.socketPath), 10, 'the lifeline was handed on')
      t.ok(isAlive(holder.server))
      if (pidFile.startsWith('without')) await rm(options.pidPath)

      const second = await startPrivateMariadb(options)
      t.teardown(() => second.stop())
      t.notOk(isAlive(holder.server))
      t.not(second.pid, holder.server.pid)
      t.match(notices, [new RegExp(`pid ${holder.server.pid}.*left behind`)])
      await second.stop()
    })
  }
})

t.test('another process that has the pid of the pid file is left alone', async t => {
  const { options, notices } = await place(t)
  const bystander = spawn('sleep', ['600'], { stdio: 'ignore' })
  t.teardown(() => kill(bystander))
  await once(bystander, 'spawn')
  await mkdir(join(options.pidPath, '..'), { mode: 0o700 })
  await writeFile(options.pidPath, JSON.stringify({ pid: bystander.pid, startTime: '1' }))
  const server = await startPrivateMariadb(options)
  await server.stop()
  t.ok(processIdentity(bystander.pid!))
  t.same(notices, [])
})

t.test('a living server is left alone by a start on a copy of its state directory', async t => {
  const original = await place(t)
  const server = await startPrivateMariadb(original.options)
  t.teardown(() => server.stop())
  const copy = await place(t)
  await mkdir(join(copy.options.pidPath, '..'), { mode: 0o700 })
  await writeFile(copy.options.pidPath, await readFile(original.options.pidPath))
  const second = await startPrivateMariadb(copy.options)
  t.teardown(() => second.stop())
  t.ok(processIdentity(server.pid), 'its pid file names it, but it works elsewhere')
  t.same(copy.notices, [])
})

t.test('a kill in the middle of initialising leaves nothing in the way', async t => {
  const { options } = await place(t)
  const unfinished = `${options.dataDir}.initialising`
  const holder = spawnHolder(t, options)
  await eventually('it is under way', () => existsSync(join(unfinished, 'ibdata1')))
  await kill(holder)
  t.notOk(existsSync(options.dataDir), 'the name is given only to what is complete')
  await writeFile(join(unfinished, 'half-made'), '')

  const server = await startPrivateMariadb(options)
  t.notOk(existsSync(unfinished))
  t.notOk(existsSync(join(options.dataDir, 'half-made')))
  t.ok(existsSync(join(options.dataDir, 'mysql')))
  await server.stop()
})

t.test('refusals', async t => {
  const { options, dir } = await place(t)
  const long = join(dir, 'x'.repeat(100), 'mariadb.sock')
  await t.rejects(startPrivateMariadb({ ...options, socketPath: long }), {
    code: 'SOCKET_PATH_TOO_LONG',
  })

  await mkdir(options.dataDir)
  await writeFile(join(options.dataDir, 'holiday.jpg'), '')
  await t.rejects(startPrivateMariadb(options), {
    code: 'STATE_DIRECTORY_UNFIT',
    message: /holiday\.jpg/,
  })
  t.ok(existsSync(join(options.dataDir, 'holiday.jpg')))

  await chmod(join(options.socketPath, '..'), 0o755)
  await t.rejects(startPrivateMariadb(options), { code: 'STATE_DIRECTORY_UNFIT', message: /755/ })
  await chmod(join(options.socketPath, '..'), 0o700)

  await rm(options.dataDir, { recursive: true })
  await mkdir(join(options.dataDir, 'mysql'), { recursive: true })
  await writeFile(join(options.dataDir, 'ibdata1'), 'not a tablespace')
  await t.rejects(
    startPrivateMariadb(options),
    { code: 'DATABASE_FAILED', message: /ended \(.*and said:.*ib_logfile0/s },
    "it shows the server's own words",
  )
  t.notOk(existsSync(options.pidPath))

  const chosen = process.env.COUNTERSINK_MARIADBD
  t.teardown(() => {
    if (chosen === undefined) delete process.env.COUNTERSINK_MARIADBD
    else process.env.COUNTERSINK_MARIADBD = chosen
  })
  process.env.COUNTERSINK_MARIADBD = join(dir, 'no-such-program')
  await t.rejects(startPrivateMariadb(options), {
    code: 'DATABASE_PROGRAM_MISSING',
    message: /no-such-program/,
  })

  // A program that cannot initialise: what it says is in the error.
  await rm(options.dataDir, { recursive: true })
  const program = join(dir, 'usr', 'sbin', 'mariadbd')
  const share = join(dir, 'usr', 'share', 'mysql')
  await mkdir(join(program, '..'), { recursive: true })
  await mkdir(share, { recursive: true })
  await writeFile(program, '#!/bin/sh\necho the disk is on fire >&2\nexit 3\n', { mode: 0o700 })
  process.env.COUNTERSINK_MARIADBD = program
  await t.rejects(startPrivateMariadb(options), {
    code: 'DATABASE_PROGRAM_MISSING',
    message: /system_tables\.sql/,
  })
  for (const name of [
    'mariadb_system_tables.sql',
    'mariadb_performance_tables.sql',
    'mariadb_system_tables_data.sql',
    'maria_add_gis_sp_bootstrap.sql',
    'mariadb_sys_schema.sql',
  ]) {
    await writeFile(join(share, name), '')
  }
  await t.rejects(startPrivateMariadb(options), {
    code: 'DATABASE_FAILED',
    message: /status 3.*the disk is on fire/s,
  })
  t.notOk(existsSync(options.dataDir))
})
