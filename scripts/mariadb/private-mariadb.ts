import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:fs'
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeDirectories, replaceFile } from '../../shared/durable.ts'
import { CountersinkError, describeError } from '../../shared/errors.ts'
import { processIdentity } from '../../shared/lifecycle.ts'
import { SOCKET_PATH_BYTES_MAX } from '../../shared/limits.ts'
import { shellWord } from '../../shared/printable.ts'
import { refuseDirectoriesOfOthers } from '../../shared/state-directory.ts'
import {
  commonArguments,
  endLeftovers,
  ensureDataDirectory,
  findServerProgram,
  greets,
  type ServerProgram,
  serverEnvironment,
} from './mariadb-bootstrap.ts'
import { type ServerMemory, serverMemory } from './server-memory.ts'

/**
 * The private MariaDB server: one mariadbd on a UNIX socket inside the state directory.
 *
 * Three processes take part: we, mariadbd, and a watcher, a shell that waits on the *lifeline*, a
 * pipe whose writing end we hold and may hand on. It is told when mariadbd is ready and when it has
 * ended; the pipe's end without that means that every holder has died, and the watcher ends
 * mariadbd. All have sessions of their own: a terminal's Ctrl-C is for the supervisor, which decides
 * the order.
 *
 * Until mariadbd has greeted, it is ended by SIGKILL: a SIGTERM in that time makes 10.11 hang for
 * good, deaf to further ones (in 76 of 150 tries). Nobody can have committed anything by then.
 *
 * What each step of a start leaves behind if we are killed right after it:
 *
 *   1. leftovers ended      Nothing. A second mariadbd on a living directory would hang and fail.
 *   2. directory made       It, whole, or an `.initialising` beside it that the next start removes.
 *   3. shell started        A shell that waits for a word before it becomes mariadbd: it sees its
 *                           input end, and ends. (Its pid and start time are mariadbd's already.)
 *   4. pid file written     The same shell, and a pid file whose process is dead.
 *   5. watcher started      The same; the watcher sees the lifeline end.
 *   6. word given           mariadbd; the watcher ends it. If the watcher dies as well, the next
 *                           start ends it at 1, by the pid file or by its working directory.
 *
 * Killing mariadbd itself, at any time, costs a recovery at the next start and nothing else.
 */

export interface PrivateMariadbOptions {
  readonly dataDir: string
  /** Its directory must be closed to others: whoever reaches the socket is root in the database. */
  readonly socketPath: string
  readonly pidPath: string
  readonly logPath: string
  /** Of its pool; 0: as fits the machine. Left out, it is a small one. */
  readonly poolBytes?: number
  /** Told, in a sentence, what is worth knowing and no failure. */
  readonly onNotice?: (text: string) => void
}

export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface PrivateMariadb {
  readonly pid: number
  readonly socketPath: string
  readonly memoryBytes: ServerMemory
  /**
   * The writing end of the watcher's pipe. A child that inherits it (as an entry of `stdio`) keeps
   * the server alive for as long as it lives, even when we are killed. Write nothing to it.
   */
  readonly lifeline: Socket
  /** Resolves when the server has ended, asked or not, and its pid file is gone. Never rejects. */
  readonly exited: Promise<Ending>
  /**
   * Ends the server in order and waits for it; repeatable, all callers share one outcome.
   *
   * @throws CountersinkError CHILD_FAILED if it had to be killed.
   */
  stop(): Promise<void>
}

const SMALL_POOL_BYTES = 256 * 2 ** 20
const START_TIMEOUT_MS = 120_000
const STOP_TIMEOUT_MS = 60_000
const POLL_MS = 20
const LOG_BYTES_MAX = 8 * 1024 * 1024
const LOG_TAIL_BYTES = 4_096

/**
 * Starts the server and waits until it greets. The data directory is made at the first start; a
 * server that a killed supervisor left on it is ended first. The caller makes sure that no other
 * supervisor is at work here, and that no process still uses the leftover.
 *
 * @throws CountersinkError SOCKET_PATH_TOO_LONG, STATE_DIRECTORY_UNFIT, DATABASE_PROGRAM_MISSING;
 * DATABASE_FAILED when it does not come up, with the end of its log. Nothing is left running then.
 */
export async function startPrivateMariadb(options: PrivateMariadbOptions): Promise<PrivateMariadb> {
  const places = {
    dataDir: resolve(options.dataDir),
    socketPath: resolve(options.socketPath),
    pidPath: resolve(options.pidPath),
    logPath: resolve(options.logPath),
  }
  const onNotice = options.onNotice ?? (() => {})
  refuseLongSocketPath(places.socketPath)
  const program = await findServerProgram()
  const runDirectory = dirname(places.pidPath)
  await makeDirectories(dirname(places.socketPath), runDirectory, join(runDirectory, NO_FILES))
  await refuseOpenDirectory(dirname(places.socketPath))
  await endLeftovers(places, onNotice)
  const memory = await serverMemory(places.dataDir, options.poolBytes ?? SMALL_POOL_BYTES)
  await ensureDataDirectory(program, places.dataDir, memory)
  // The socket of a dead server would not answer; without it there is nothing to mistake for ours.
  await rm(places.socketPath, { force: true })

  const log = await openLog(places.logPath, onNotice)
  try {
    const logStart = (await log.stat()).size
    const server = await Server.launch({ program, places, memory, log, onNotice })
    try {
      await waitForGreeting(server)
      server.markReady()
    } catch (error) {
      await server.stop().catch(() => {
        // Why it did not come up is the better news.
      })
      throw withLogTail(error, await readFrom(log, logStart), places.logPath)
    }
    return server
  } finally {
    await log.close()
  }
}

type Places = Omit<PrivateMariadbOptions, 'onNotice' | 'poolBytes'>

/** Becomes mariadbd at a word, with the pid that it has already; at the end of its input it ends. */
const LAUNCHER = 'read -r word && exec "$0" "$@" </dev/null'

/**
 * $1 and $2: pid and start time of mariadbd. The name in /proc/PID/stat may hold anything, so the
 * fields are counted from behind the last parenthesis: the state, and 19 further the start time.
 */
const WATCHER = `
  is_alive() {
    read -r stat </proc/$1/stat || return
    since=$2
    set -- \${stat##*) }
    [ "$1" != Z ] && [ "\${20}" = "$since" ]
  } 2>/dev/null
  signal=KILL
  while read -r word; do
    [ "$word" = ready ] || exit 0
    signal=TERM
  done
  is_alive "$1" "$2" && kill -$signal "$1"
  tries=${STOP_TIMEOUT_MS / 1_000}
  while is_alive "$1" "$2"; do
    [ "$tries" -gt 0 ] || kill -KILL "$1"
    tries=$((tries - 1))
    sleep 1
  done
`

class Server implements PrivateMariadb {
  readonly pid: number
  readonly socketPath: string
  readonly memoryBytes: ServerMemory
  readonly lifeline: Socket
  readonly exited: Promise<Ending>
  readonly #child: ChildProcess
  #ready = false
  #ending: Ending | undefined
  #stopping: Promise<void> | undefined

  private constructor(
    child: ChildProcess,
    pid: number,
    lifeline: Socket,
    places: Places,
    memory: ServerMemory,
  ) {
    this.#child = child
    this.memoryBytes = memory
    this.pid = pid
    this.socketPath = places.socketPath
    this.lifeline = lifeline
    this.exited = new Promise(settle => {
      const ended = async (code: number | null, signal: NodeJS.Signals | null): Promise<void> => {
        this.#ending = { code, signal }
        lifeline.end('ended\n')
        await rm(places.pidPath, { force: true }).catch(() => {
          // The next start finds nobody alive under it.
        })
        settle(this.#ending)
      }
      if (child.exitCode === null && child.signalCode === null) child.once('exit', ended)
      else void ended(child.exitCode, child.signalCode)
    })
  }

  /** Steps 3 to 6 above. Descriptors of ours stay ours: Node opens all with close-on-exec. */
  static async launch(start: {
    readonly program: ServerProgram
    readonly places: Places
    readonly memory: ServerMemory
    readonly log: FileHandle
    readonly onNotice: (text: string) => void
  }): Promise<Server> {
    const { program, places, memory, log, onNotice } = start
    const env = serverEnvironment()
    const child = spawn(
      '/bin/sh',
      ['-c', LAUNCHER, program.path, ...serverArguments(program, places, memory)],
      { cwd: places.dataDir, env, detached: true, stdio: ['pipe', log.fd, log.fd] },
    )
    const input = child.stdin!
    try {
      await once(child, 'spawn')
      input.on('error', () => {
        // It was killed before the word reached it; its exit is what counts.
      })
      const identity = processIdentity(child.pid ?? 0)
      if (identity === undefined) {
        throw new CountersinkError('CHILD_FAILED', 'the shell that starts mariadbd died at once')
      }
      await replaceFile(places.pidPath, `${JSON.stringify(identity)}\n`)
      const watcher = spawn(
        '/bin/sh',
        ['-c', WATCHER, 'countersink-mariadb-watcher', String(identity.pid), identity.startTime],
        { cwd: '/', env, detached: true, stdio: ['pipe', 'ignore', 'ignore'] },
      )
      await once(watcher, 'spawn')
      // Node makes these pipes of sockets, whatever the declared type says.
      const lifeline = watcher.stdin as Socket
      lifeline.on('error', () => {
        // The watcher is gone, which its exit below makes known.
      })
      const server = new Server(child, identity.pid, lifeline, places, memory)
      watcher.once('exit', () => {
        if (server.#ending !== undefined) return
        onNotice('the watcher of the private mariadbd died; it goes on unwatched until its restart')
      })
      input.end('go\n')
      return server
    } catch (error) {
      input.destroy()
      throw error
    }
  }

  get ending(): Ending | undefined {
    return this.#ending
  }

  markReady(): void {
    this.#ready = true
    this.lifeline.write('ready\n')
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#end()
    return this.#stopping
  }

  /** The watcher is told only afterwards: if we are killed in here, it finishes the work. */
  async #end(): Promise<void> {
    this.#child.kill(this.#ready ? 'SIGTERM' : 'SIGKILL')
    // One that somebody has stopped hears it only now.
    this.#child.kill('SIGCONT')
    const inTime = this.exited.then(() => true)
    if (await Promise.race([inTime, sleep(STOP_TIMEOUT_MS, false, { ref: false })])) return
    this.#child.kill('SIGKILL')
    await this.exited
    throw new CountersinkError(
      'CHILD_FAILED',
      `mariadbd (pid ${this.pid}) did not end within ${STOP_TIMEOUT_MS} ms and was killed`,
      { advice: 'Nothing is lost: it recovers from its log at the next start.' },
    )
  }
}

function serverArguments(program: ServerProgram, places: Places, memory: ServerMemory): string[] {
  return [
    ...commonArguments(program, places.dataDir, memory),
    `--socket=${places.socketPath}`,
    // Its default bears the host's name, which may change. Ours, with the start time, is elsewhere.
    `--pid-file=${join(places.dataDir, 'mariadbd.pid')}`,
    // An acknowledged commit survives power loss. These are defaults, and not left to be.
    '--innodb-flush-log-at-trx-commit=1',
    '--innodb-doublewrite=ON',
    '--skip-log-bin',
    `--innodb-buffer-pool-size=${memory.pool}`,
    // Releases that know it reserve 8 TiB of addresses otherwise, which a limit on them would forbid.
    `--loose-innodb-buffer-pool-size-max=${memory.pool}`,
    // No statement reads or writes files: whoever got at the socket would do it as this user. The
    // directory has nothing in it and never gets anything; the server knows no other way to say so.
    `--secure-file-priv=${join(dirname(places.pidPath), NO_FILES)}`,
    '--local-infile=0',
    // For engines that hold system tables only.
    '--key-buffer-size=1M',
    '--aria-pagecache-buffer-size=8M',
  ]
}

/** Beside the pid file: within the data directory it would be a database. */
const NO_FILES = 'no-files'

async function waitForGreeting(server: Server): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS
  while (!(await greets(server.socketPath))) {
    if (server.ending !== undefined) {
      const { code, signal } = server.ending
      throw new CountersinkError(
        'DATABASE_FAILED',
        `mariadbd ended (${signal ?? code}) at its start`,
      )
    }
    if (performance.now() > deadline) {
      throw new CountersinkError(
        'DATABASE_FAILED',
        `mariadbd did not answer within ${START_TIMEOUT_MS} ms`,
      )
    }
    await sleep(POLL_MS)
  }
}

function refuseLongSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path)
  if (bytes <= SOCKET_PATH_BYTES_MAX) return
  throw new CountersinkError(
    'SOCKET_PATH_TOO_LONG',
    `the socket path ${path} has ${bytes} bytes; at most ${SOCKET_PATH_BYTES_MAX} are safe`,
    { advice: 'Choose a state directory with a shorter path.' },
  )
}

/** The server makes its socket for everybody (mode 0777); only the directory keeps others out. */
async function refuseOpenDirectory(path: string): Promise<void> {
  await refuseDirectoriesOfOthers(path)
  const mode = (await stat(path)).mode & 0o777
  if ((mode & 0o077) === 0) return
  throw new CountersinkError(
    'STATE_DIRECTORY_UNFIT',
    `${path} has mode ${mode.toString(8)}; others could reach the database through it`,
    { advice: `Run chmod 700 ${shellWord(path)}.` },
  )
}

/**
 * Opened here for the server to write to, so that what it says before it reads its options is kept. A
 * log that cannot be written is said, and no reason to go without a database.
 */
async function openLog(path: string, onNotice: (text: string) => void): Promise<FileHandle> {
  const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW } = constants
  try {
    await makeDirectories(dirname(path))
    const size = await stat(path).then(
      stats => stats.size,
      () => 0,
    )
    if (size > LOG_BYTES_MAX) await rename(path, `${path}.1`)
    const log = await open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600)
    if ((await log.stat()).isFile()) return log
    // The server would wait at a FIFO that nobody reads.
    await log.close()
    throw new Error('it is not a regular file')
  } catch (error) {
    onNotice(`${path} cannot be written, and what MariaDB says is lost: ${describeError(error)}`)
    return await open('/dev/null', 'r+')
  }
}

async function readFrom(log: FileHandle, start: number): Promise<string> {
  const { size } = await log.stat()
  const length = Math.min(size - start, LOG_TAIL_BYTES)
  const { buffer, bytesRead } = await log.read(Buffer.alloc(length), 0, length, size - length)
  return buffer.toString('utf8', 0, bytesRead).trim()
}

function withLogTail(error: unknown, tail: string, logPath: string): unknown {
  if (!(error instanceof CountersinkError)) return error
  const said = tail === '' ? 'and said nothing' : `and said:\n${tail}`
  return new CountersinkError(error.code, `${error.message} ${said}`, {
    cause: error.cause,
    advice: `Its whole log is ${logPath}.`,
  })
}
