import { CountersinkError, describeError, hasCode, toError } from '../../shared/errors.ts'
import { processActivity } from '../../shared/lifecycle.ts'
import type { StatePaths } from '../../shared/paths.ts'
import type { Health } from '../../shared/protocol.ts'
import { type Channel, openChannel } from '../../shared/socket/index.ts'
import { readSupervisor, type SupervisorStatus } from '../state/index.ts'

/** A process of this state directory that answers. */
export interface Reached {
  readonly channel: Channel
  readonly health: Health
  /** From the ping to the pong. */
  readonly roundTripMs: number
}

/** One that does not, and what is really so, as a sentence about it. */
export interface Silence {
  readonly silentBecause: string
  /** Somebody listens, or the process is known to live. */
  readonly isThere: boolean
  readonly listens: boolean
}

type Name = 'parser' | 'generator' | 'serving'

/** Connects and pings; the caller closes the channel. */
export async function reach(paths: StatePaths, name: Name): Promise<Reached | Silence> {
  const path = paths[`${name}Socket`]
  let channel: Channel | undefined
  try {
    channel = await openChannel(path, 'client')
    const sentMs = performance.now()
    const { health } = await channel.request<'pong'>({ type: 'ping' }, PING_TIMEOUT_MS)
    return { channel, health, roundTripMs: performance.now() - sentMs }
  } catch (error) {
    channel?.close()
    return whySilent(paths, name, error)
  }
}

/** Advice for who asks where nothing was ever counted. */
export async function whatToDoFirst(paths: StatePaths): Promise<string> {
  return (await readSupervisor(paths)) === undefined
    ? 'Start it with "countersink up", or name its directory with --dir.'
    : 'Ask again when the service has started; "countersink status" shows what runs.'
}

/** @throws the error itself when it is not one of the socket or of who answers there. */
export async function whySilent(paths: StatePaths, name: Name, error: unknown): Promise<Silence> {
  const path = paths[`${name}Socket`]
  const supervisor = await readSupervisor(paths)
  const pid = supervisor?.[name]?.pid
  const activity = pid === undefined ? undefined : processActivity(pid)
  const what = name === 'serving' ? 'what serves' : `the ${name}`
  const who = activity === undefined ? what : `${what} (pid ${pid})`
  if (hasCode(error, 'ENOENT', 'ECONNREFUSED')) {
    if (activity === undefined) {
      const soon = supervisor === undefined ? '' : whatItsSupervisorDoes(supervisor, name)
      return { ...silence(`${who} is not running${soon}`), isThere: false, listens: false }
    }
    if (activity.isStopped) return silence(stopped(who, pid))
    const closed = `${who} does not listen at ${path}: it is starting or ending`
    return { ...silence(closed), listens: false }
  }
  if (hasCode(error, 'EACCES', 'EPERM')) {
    return silence(`this user (uid ${process.getuid?.()}) has no permission to use ${path}`)
  }
  if (activity?.isStopped) return silence(stopped(who, pid))
  if (hasCode(error, 'FRAME_TOO_SLOW', 'REQUEST_TIMEOUT', 'EAGAIN')) {
    const disk = activity?.waitsForDisk ? ': it waits for the disk' : ''
    return silence(`${who} answers nothing${disk}`)
  }
  const refusal = toError(error).cause ?? error
  if (hasCode(error, 'CHANNEL_CLOSED', 'ECONNRESET', 'EPIPE')) {
    return silence(`${who} hangs up: ${describeError(refusal)}`)
  }
  if (error instanceof CountersinkError) return silence(`${who} answers: ${describeError(error)}`)
  throw error
}

/** The one that is asked for is not there now, and somebody lives who may start it. */
function whatItsSupervisorDoes(supervisor: SupervisorStatus, name: Name): string {
  if (name === 'generator' && !supervisor.withGenerator) return ''
  if (name === 'serving' && supervisor.serving === undefined) return ''
  switch (supervisor.state) {
    case 'starting':
      return ' yet (the service is starting)'
    case 'running':
      return ' (its supervisor starts it again)'
    case 'draining':
      return name === 'generator' ? ' (it has made its files)' : ' (its supervisor starts it again)'
    default:
      return ' (the service is stopping)'
  }
}

const PING_TIMEOUT_MS = 5_000

function silence(silentBecause: string): Silence {
  return { silentBecause, isThere: true, listens: true }
}

function stopped(who: string, pid: number | undefined): string {
  return `${who} is stopped by a signal and answers nothing; "kill -CONT ${pid}" lets it go on`
}
