import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { Test } from 'tap'
import type { PrivateMariadbOptions } from '../../scripts/mariadb/private-mariadb.ts'
import { hasCode } from '../../shared/errors.ts'
import { isAlive, type ProcessIdentity, processIdentity } from '../../shared/lifecycle.ts'
import { makeScratchDirectory } from '../helpers/scratch.ts'

// Servers for tests of them, who holds them, and what /proc tells of both.

interface Place {
  readonly dir: string
  readonly options: PrivateMariadbOptions
  readonly notices: string[]
}

/** A state directory with a short path, gone at the end of the test. */
export async function place(t: Pick<Test, 'teardown'>, name = 's'): Promise<Place> {
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

export function spawnHolder(
  t: Pick<Test, 'teardown'>,
  options: PrivateMariadbOptions,
  ...more: string[]
) {
  const holder = spawn(
    process.execPath,
    ['--input-type=module', '-e', HOLDER, BUILT, JSON.stringify(options), ...more],
    // The test runner's own hooks are of no use in there.
    { env: { ...process.env, NODE_OPTIONS: '' }, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  t.teardown(() => kill(holder))
  return holder
}

export async function hold(
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

export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

/** What a failed test may have left is not left to the machine. */
export async function endOf(server: ProcessIdentity): Promise<void> {
  if (isAlive(server)) process.kill(server.pid, 'SIGKILL')
  await eventually('the server is gone', () => !isAlive(server))
}

const EVENTUALLY_MS = 60_000

export async function eventually(
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
export async function firstByte(socketPath: string): Promise<number | undefined> {
  const socket = connect(socketPath)
  try {
    const [bytes] = await once(socket, 'data')
    return bytes[4]
  } finally {
    socket.destroy()
  }
}

/** Whether a watcher of this process is at work. */
export function watcherOf(pid: number): boolean {
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

export function processGroup(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2])
}

/** Sockets and pipes of this process, other than what its own parent left open, that it has too. */
export function sharedDescriptors(pid: number): string[] {
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
