import { readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { CountersinkError, describeError, exitCodeOf } from './errors.ts'
import type { Log } from './log.ts'
import { refuseTooFewDescriptors } from './state-directory.ts'

/** A process for certain: pids are used again, a pid with its start time is not. */
export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks since boot, from /proc/PID/stat. */
  readonly startTime: string
}

/** The identity of a living process; undefined when there is none (a zombie counts as none). */
export function processIdentity(pid: number): ProcessIdentity | undefined {
  const fields = statFields(pid)
  if (fields === undefined || fields.state === 'Z') return undefined
  return { pid, startTime: fields.startTime }
}

export function isAlive(identity: ProcessIdentity): boolean {
  return processIdentity(identity.pid)?.startTime === identity.startTime
}

/** What a process did, as the kernel sees it: moves on even when the process cannot answer. */
export function processActivity(
  pid: number,
): { waitsForDisk: boolean; isStopped: boolean; cpuTicks: number } | undefined {
  const fields = statFields(pid)
  if (fields === undefined || fields.state === 'Z') return undefined
  const { state, cpuTicks } = fields
  return { waitsForDisk: state === 'D', isStopped: state === 'T' || state === 't', cpuTicks }
}

function statFields(pid: number) {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    // No such process, which is an answer.
    return undefined
  }
  // The second field is the program's name in parentheses and may itself hold spaces and those.
  const rest = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return {
    state: rest[0] ?? '?',
    cpuTicks: Number(rest[11]) + Number(rest[12]),
    startTime: rest[19] ?? '',
  }
}

/** A long-lived part of a process. */
export interface Service {
  /** Drains: what is in hand is finished or left safe. Repeatable; all callers share one outcome. */
  stop(): Promise<void>
  /** Resolves when the service has ended by itself; rejects when it failed. */
  readonly finished: Promise<void>
}

/**
 * The frame of a child process's main file: starts the service, stops it on SIGTERM, SIGINT or when
 * the supervisor's pipe (standard input, if `--supervised`) closes, and ends the process.
 *
 * The first signal drains, a second one ends at once (but not within a second: npm sends a terminal's
 * Ctrl-C once more to its child, which has had it already). An error ends the process with a status that
 * tells the supervisor whether a restart can help. A hangup (SIGHUP) never ends it.
 */
export async function runService(
  log: Log,
  supervised: boolean,
  start: () => Promise<Service>,
  onHangup: () => void = () => {},
): Promise<never> {
  process.umask(0o077)
  // Nothing here builds code from strings; msgpackr does so for peers' records unless forbidden.
  setFlagsFromString('--disallow-code-generation-from-strings')
  process.on('uncaughtException', error => fatal(log, error))
  outliveItsReaders()
  // A terminal that closes, or somebody who moves logs away: neither is a reason to end.
  process.on('SIGHUP', onHangup)
  const stopping = stopRequested(supervised, () => {
    log.warn('ended at once on a second signal')
    process.exit(130)
  })
  try {
    refuseTooFewDescriptors()
    const service = await Promise.race([start(), stopping.then(() => undefined)])
    if (service === undefined) process.exit(0)
    const why = await Promise.race([service.finished.then(() => undefined), stopping])
    if (why !== undefined) log.notice('stopping', { because: why })
    await service.stop()
    await service.finished
    log.notice('stopped')
    process.exit(0)
  } catch (error) {
    fatal(log, error)
  }
}

/** What is printed is lost when nobody reads it any more; what is worked on goes on. */
function outliveItsReaders(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', () => {
      // There is no better place to say so.
    })
  }
}

const REPEAT_MS = 1_000

/** Resolves with the reason at the first request to stop; `again` is called at a later second one. */
export function stopRequested(supervised: boolean, again: () => void): Promise<string> {
  return new Promise(resolve => {
    let askedAtMs: number | undefined
    const ask = (why: string): void => {
      const nowMs = performance.now()
      if (askedAtMs !== undefined && nowMs - askedAtMs > REPEAT_MS) again()
      askedAtMs ??= nowMs
      resolve(why)
    }
    process.on('SIGTERM', () => ask('SIGTERM'))
    process.on('SIGINT', () => ask('SIGINT'))
    if (supervised) {
      process.stdin.once('close', () => resolve('the supervisor is gone'))
      process.stdin.on('error', () => resolve('the supervisor is gone'))
      process.stdin.resume()
    }
  })
}

/** Says why and ends the process. Durable state is safe at every instant, so this is too. */
export function fatal(log: Log, thrown: unknown): never {
  const isOfOurs = thrown instanceof CountersinkError
  const stack = thrown instanceof Error && !isOfOurs ? thrown.stack : undefined
  log.error(describeError(thrown), { stack })
  process.exit(isOfOurs ? thrown.exitCode : exitCodeOf(thrown))
}
