import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type FileHandle, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { replaceFile } from '../../shared/durable.ts'
import { CountersinkError } from '../../shared/errors.ts'
import { processIdentity } from '../../shared/lifecycle.ts'
import { commonArguments, type ServerProgram, serverEnvironment } from './mariadb-bootstrap.ts'
import { STOP_TIMEOUT_MS, startWatcher } from './mariadb-watcher.ts'
import type { ServerMemory } from './server-memory.ts'

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

/** Where it works. */
export interface Places {
  readonly dataDir: string
  /** Its directory must be closed to others: whoever reaches the socket is root in the database. */
  readonly socketPath: string
  readonly pidPath: string
  readonly logPath: string
}

/** Becomes mariadbd at a word, with the pid that it has already; at the end of its input it ends. */
const LAUNCHER = 'read -r word && exec "$0" "$@" </dev/null'

/** Steps 3 to 6 of a start (`private-mariadb.ts`), and the end. */
export class MariadbProcess implements PrivateMariadb {
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

  /** Descriptors of ours stay ours: Node opens all with close-on-exec. */
  static async launch(start: {
    readonly program: ServerProgram
    readonly places: Places
    readonly memory: ServerMemory
    readonly log: FileHandle
    readonly onNotice: (text: string) => void
  }): Promise<MariadbProcess> {
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
      const watcher = await startWatcher(identity, env)
      const server = new MariadbProcess(child, identity.pid, watcher.lifeline, places, memory)
      watcher.process.once('exit', () => {
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
export const NO_FILES = 'no-files'
