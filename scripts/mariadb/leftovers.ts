import { readdir, readFile, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { CountersinkError, hasCode } from '../../shared/errors.ts'
import { isAlive, type ProcessIdentity, processIdentity } from '../../shared/lifecycle.ts'
import { greets, initialisingDirectory } from './mariadb-bootstrap.ts'

const STOP_TIMEOUT_MS = 60_000
const KILL_TIMEOUT_MS = 10_000
const POLL_MS = 20
/** For a leftover that does not greet: it may be on its way out, or still on its way in. */
const SETTLE_TIMEOUT_MS = 10_000

/**
 * Ends servers, and bootstraps, that still work on this data directory: leftovers of a supervisor
 * that was killed. Told from other processes by where they work; one that a pid file names, as that
 * of a copied state directory does, but that works elsewhere, is left alone.
 *
 * @throws CountersinkError DATABASE_FAILED when one cannot be ended.
 */
export async function endLeftovers(
  places: { readonly dataDir: string; readonly socketPath: string },
  onNotice: (text: string) => void,
): Promise<void> {
  for (const bootstrap of await serversIn(initialisingDirectory(places.dataDir))) {
    // What it makes is thrown away.
    await killLeftover(bootstrap)
  }
  for (const server of await serversIn(places.dataDir)) {
    await endServer(server, places.socketPath, onNotice)
  }
}

/**
 * A server works in its data directory. The directory itself is compared, not its path: the same
 * path names another directory inside a container, the same directory has another path outside.
 */
async function serversIn(directory: string): Promise<ProcessIdentity[]> {
  const home = await stat(directory, { bigint: true }).catch(() => undefined)
  if (home === undefined) return []
  const servers: ProcessIdentity[] = []
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const identity = processIdentity(Number(entry))
    // Unreadable for processes of others, which cannot be a leftover of ours.
    const cwd = await stat(`/proc/${entry}/cwd`, { bigint: true }).catch(() => undefined)
    if (identity === undefined || cwd?.ino !== home.ino || cwd.dev !== home.dev) continue
    if (await isServer(identity.pid)) servers.push(identity)
  }
  return servers
}

/** A shell or an editor may stand in that directory as well. */
async function isServer(pid: number): Promise<boolean> {
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return commandLine.split('\0').some(argument => argument.startsWith('--datadir='))
}

/**
 * A SIGTERM before the first greeting makes mariadbd 10.11 hang for good, deaf to further ones, so
 * it is sent only to a server that greets.
 */
async function endServer(
  server: ProcessIdentity,
  socketPath: string,
  onNotice: (text: string) => void,
): Promise<void> {
  // One that somebody has stopped would neither greet nor hear the other signal.
  signal(server, 'SIGCONT')
  onNotice(`ending mariadbd (pid ${server.pid}), left behind by a supervisor that was killed`)
  const greeted = await within(
    SETTLE_TIMEOUT_MS,
    async () => !isAlive(server) || (await greets(socketPath)),
  )
  if (greeted) {
    signal(server, 'SIGTERM')
    if (await within(STOP_TIMEOUT_MS, () => !isAlive(server))) return
  }
  onNotice(`mariadbd (pid ${server.pid}) does not answer and is killed`)
  await killLeftover(server)
}

async function killLeftover(leftover: ProcessIdentity): Promise<void> {
  signal(leftover, 'SIGKILL')
  if (await within(KILL_TIMEOUT_MS, () => !isAlive(leftover))) return
  throw new CountersinkError('DATABASE_FAILED', `mariadbd (pid ${leftover.pid}) cannot be ended`)
}

function signal(identity: ProcessIdentity, name: NodeJS.Signals): void {
  if (!isAlive(identity)) return
  try {
    process.kill(identity.pid, name)
  } catch (error) {
    if (!hasCode(error, 'ESRCH')) throw error
  }
}

async function within(
  timeoutMs: number,
  condition: () => boolean | Promise<boolean>,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  while (!(await condition())) {
    if (performance.now() > deadline) return false
    await sleep(POLL_MS)
  }
  return true
}
