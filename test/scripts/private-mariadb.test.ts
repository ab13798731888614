import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import {
  type PrivateMariadbOptions,
  startPrivateMariadb,
} from '../../scripts/mariadb/private-mariadb.ts'
import { hasCode } from '../../shared/errors.ts'
import { isAlive, type ProcessIdentity, processIdentity } from '../../shared/lifecycle.ts'
import { makeScratchDirectory } from '../helpers/scratch.ts'

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

interface Place {
  readonly dir: string
  readonly options: PrivateMariadbOptions
  readonly notices: string[]
}

/** A state directory with a short path, gone at the end of the test. */
async function place(t: Pick<Test, 'teardown'>, name = 's'): Promise<Place> {
  const parent = makeScratchDirectory('cs-')
  t.teardown(() => rm(parent, { recursive: true, force: true, maxRetries: 20 }))
  const dir = join(parent, name)
  await mkdir(dir)
  const notices: string[] = []
  return {
    dir,
    notices,
    options: {
      dataDir: join(dir, 'mariadb'),
      socketPath: join(dir, 'run', 'mariadb.sock'),
      pidPath: join(dir, 'run', 'mariadb.json'),
      logPath: join(dir, 'log', 'mariadb.log'),
      onNotice: text => notices.push(text),
    },
  }
}

const BUILT = pathToFileURL(resolve('dist/scripts/mariadb/private-mariadb.js')).href

/** Starts a server, says its identity, and then waits to be killed. */
const HOLDER = `
  import { spawn } from 'node:child_process'
  const [url, options, keeper] = process.argv.slice(1)
  const { startPrivateMariadb } = await import(url)
  const server = await startPrivateMariadb(JSON.parse(options))
  const kept = keeper === 'keeper'
    ? spawn('sleep', ['600'], { detached: true, stdio: ['ignore', 'ignore', 'ignore', server.lifeline] })
    : undefined
  console.log(JSON.stringify({ server: server.pid, keeper: kept?.pid }))
`

function spawnHolder(t: Pick<Test, 'teardown'>, options: PrivateMariadbOptions, ...more: string[]) {
  const holder = spawn(
    process.execPath,
    ['--input-type=module', '-e', HOLDER, BUILT, JSON.stringify(options), ...more],
    // The test runner's own hooks are of no use in there.
    { env: { ...process.env, NODE_OPTIONS: '' }, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  t.teardown(() => kill(holder))
  return holder
}

async function hold(
  t: Pick<Test, 'teardown'>,
  options: PrivateMariadbOptions,
  { keeper = false } = {},
) {
  const holder = spawnHolder(t, options, keeper ? 'keeper' : 'alone')
  const [line] = await Promise.race([
    once(holder.stdout, 'data'),
    once(holder, 'exit').then(() => {
      throw new Error('the holder ended; is dist/ built?')
    }),
  ])
  const said = JSON.parse(String(line))
  if (said.keeper !== undefined) {
    const identity = processIdentity(said.keeper)
    t.teardown(() => identity && isAlive(identity) && process.kill(identity.pid, 'SIGKILL'))
  }
  const server = processIdentity(said.server)
  if (server === undefined) throw new Error('the server that the holder started is dead')
  t.teardown(() => endOf(server))
  return { process: holder, server }
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

/** What a failed test may have left is not left to the machine. */
async function endOf(server: ProcessIdentity): Promise<void> {
  if (isAlive(server)) process.kill(server.pid, 'SIGKILL')
  await eventually('the server is gone', () => !isAlive(server))
}

const EVENTUALLY_MS = 60_000

async function eventually(
  what: string,
  condition: () => boolean,
  withinMs = EVENTUALLY_MS,
): Promise<void> {
  const deadline = performance.now() + withinMs
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`)
    await sleep(5)
  }
}

/** The first byte behind the packet's header: the version of the protocol, in a greeting. */
async function firstByte(socketPath: string): Promise<number | undefined> {
  const socket = connect(socketPath)
  try {
    const [bytes] = await once(socket, 'data')
    return bytes[4]
  } finally {
    socket.destroy()
  }
}

/** Whether a watcher of this process is at work. */
function watcherOf(pid: number): boolean {
  return readdirSync('/proc').some(entry => {
    try {
      const words = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0')
      return words.includes('countersink-mariadb-watcher') && words.includes(String(pid))
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ESRCH', 'EACCES')) return false
      throw error
    }
  })
}

function processGroup(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2])
}

/** Sockets and pipes of this process, other than what its own parent left open, that it has too. */
function sharedDescriptors(pid: number): string[] {
  const inherited = new Set(connections(process.ppid))
  const ours = new Set(connections(process.pid).filter(each => !inherited.has(each)))
  return connections(pid).filter(each => ours.has(each))
}

function connections(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap(fd => {
    try {
      const target = readlinkSync(`/proc/${pid}/fd/${fd}`)
      return /^(socket|pipe):/.test(target) ? [target] : []
    } catch {
      // Closed since it was listed.
      return []
    }
  })
}
