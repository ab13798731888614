import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { makeDirectories } from '../shared/durable.ts'
import { CountersinkError, hasCode } from '../shared/errors.ts'

/** One supervisor per state directory; also held by a command that starts the private server. */
export interface StateLock {
  release(): Promise<void>
}

const TAKEN = 75
/** Says that it holds the lock, then holds it until its input ends, however we may end. */
const HOLDER = 'echo held; read -r _ || exit 0'

/**
 * Takes the kernel's lock on a file, through `flock` (util-linux): Node has no call for it. The
 * lock belongs to a small shell whose input is a pipe from us: when we die, in whatever way, the
 * pipe ends, the shell ends, and the kernel frees the lock. A pid file could not do that.
 *
 * @throws CountersinkError STATE_DIRECTORY_IN_USE, STATE_DIRECTORY_UNFIT
 */
export async function takeStateLock(lockPath: string, statusPath: string): Promise<StateLock> {
  await makeDirectories(dirname(lockPath))
  const holder = spawn('flock', ['-n', '-E', String(TAKEN), lockPath, 'sh', '-c', HOLDER], {
    // A session of its own: a terminal's Ctrl-C must not free the lock before we are done.
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exit = once(holder, 'exit') as Promise<[number | null]>
  exit.catch(() => {
    // A failed spawn is reported by the race below.
  })
  const held = once(holder.stdout, 'data').then(() => undefined)
  let code: number | null | undefined
  try {
    code = await Promise.race([held, exit.then(([status]) => status)])
  } catch (cause) {
    if (!hasCode(cause, 'ENOENT')) throw cause
    throw new CountersinkError('STATE_DIRECTORY_UNFIT', 'the program flock is missing', {
      advice: 'Install util-linux.',
    })
  }
  if (code === TAKEN) throw await inUse(lockPath, statusPath)
  if (code !== undefined) {
    throw new CountersinkError(
      'STATE_DIRECTORY_UNFIT',
      `locking ${lockPath} failed (status ${code})`,
    )
  }
  return {
    release: async () => {
      holder.stdin.end()
      await exit
    },
  }
}

async function inUse(lockPath: string, statusPath: string): Promise<CountersinkError> {
  const owner = await readFile(statusPath, 'utf8')
    .then(text => {
      const pid: unknown = JSON.parse(text)?.pid
      return typeof pid === 'number' ? ` (pid ${pid})` : ''
    })
    // Whoever holds it has not written it yet, or is a command that never does.
    .catch(() => '')
  return new CountersinkError(
    'STATE_DIRECTORY_IN_USE',
    `a countersink is at work in ${dirname(dirname(lockPath))} already${owner}`,
    { advice: 'Stop it first, or choose another directory with --dir.' },
  )
}
