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

import { rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeDirectories } from '../../shared/durable.ts'
import { CountersinkError } from '../../shared/errors.ts'
import { fitSocketPath } from '../../shared/paths.ts'
import { shellWord } from '../../shared/printable.ts'
import { refuseDirectoriesOfOthers } from '../../shared/state-directory.ts'
import { endLeftovers } from './leftovers.ts'
import { ensureDataDirectory, findServerProgram, greets } from './mariadb-bootstrap.ts'
import { openLog, readFrom, withLogTail } from './mariadb-log.ts'
import { MariadbProcess, NO_FILES, type Places, type PrivateMariadb } from './mariadb-process.ts'
import { serverMemory } from './server-memory.ts'

export type { Ending, PrivateMariadb } from './mariadb-process.ts'

export interface PrivateMariadbOptions extends Places {
  /** Of its pool; 0: as fits the machine. Left out, it is a small one. */
  readonly poolBytes?: number
  /** Told, in a sentence, what is worth knowing and no failure. */
  readonly onNotice?: (text: string) => void
}

const SMALL_POOL_BYTES = 256 * 2 ** 20
const START_TIMEOUT_MS = 120_000
const POLL_MS = 20

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
    socketPath: fitSocketPath(resolve(options.socketPath)),
    pidPath: resolve(options.pidPath),
    logPath: resolve(options.logPath),
  }
  const onNotice = options.onNotice ?? (() => {})
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
    const server = await MariadbProcess.launch({ program, places, memory, log, onNotice })
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

async function waitForGreeting(server: MariadbProcess): Promise<void> {
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

/** The server makes its socket for everybody (mode 0777); only the directory keeps others out. */
export async function refuseOpenDirectory(path: string): Promise<void> {
  await refuseDirectoriesOfOthers(path)
  const mode = (await stat(path)).mode & 0o777
  if ((mode & 0o077) === 0) return
  throw new CountersinkError(
    'STATE_DIRECTORY_UNFIT',
    `${path} has mode ${mode.toString(8)}; others could reach the database through it`,
    { advice: `Run chmod 700 ${shellWord(path)}.`, mend: [`chmod 700 ${shellWord(path)}`] },
  )
}
