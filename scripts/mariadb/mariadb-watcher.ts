import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { ProcessIdentity } from '../../shared/lifecycle.ts'

export interface Watcher {
  readonly process: ChildProcess
  /** The writing end of its pipe. It is told `ready`, and `ended`; the pipe's end without that ends mariadbd. */
  readonly lifeline: Socket
}

/** Starts the shell that ends mariadbd when nobody holds its lifeline any more. */
export async function startWatcher(
  { pid, startTime }: ProcessIdentity,
  env: NodeJS.ProcessEnv,
): Promise<Watcher> {
  const watcher = spawn(
    '/bin/sh',
    ['-c', WATCHER, 'countersink-mariadb-watcher', String(pid), startTime],
    { cwd: '/', env, detached: true, stdio: ['pipe', 'ignore', 'ignore'] },
  )
  await once(watcher, 'spawn')
  // Node makes these pipes of sockets, whatever the declared type says.
  const lifeline = watcher.stdin as Socket
  lifeline.on('error', () => {
    // The watcher is gone, which its exit makes known.
  })
  return { process: watcher, lifeline }
}

/** From the order to end to a kill. */
export const STOP_TIMEOUT_MS = 60_000

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
