import { once } from 'node:events'
import { spawnNode } from '../helpers/processes.ts'
import { BUILT } from '../helpers/root.ts'
import type { HistorySite } from './site.ts'

/** A built program on a history's directory. */
export interface SpawnedProgram {
  readonly pid: number
  /** All that it has logged so far. */
  log(): string
  /** undefined: it runs. */
  ended(): Ended | undefined
  /** Whether a signal was sent to it. */
  wasSignalled(): boolean
  signal(signal: NodeJS.Signals): void
  /** Stops it, and lets it go on after so long. */
  pause(ms: number): void
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** @param onChange called for each piece of log, and when it has ended. */
export function spawnParser(
  { paths, env }: HistorySite,
  crashAt: string | undefined,
  onChange: () => void,
): SpawnedProgram {
  const command = [`${BUILT}parser/main.js`, '--dir', paths.dir, '--supervised']
  const crash = crashAt === undefined ? {} : { COUNTERSINK_CRASH_AT: crashAt }
  return spawnOn(paths.dir, command, { ...env, ...crash }, onChange)
}

/** A command of the built command line, to its end; `said` is both of its streams. */
export async function runCommand(
  { paths: { dir }, env }: HistorySite,
  command: string,
  ...args: string[]
): Promise<{ readonly code: number | null; readonly said: string }> {
  const child = spawnNode([`${BUILT}scripts/countersink.js`, command, '--dir', dir, ...args], {
    env: { PATH: process.env.PATH, HOME: dir, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', text => {
      said += text
    })
  }
  const [code] = await once(child, 'close')
  return { code, said }
}

export function spawnOn(
  dir: string,
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  onChange: () => void,
): SpawnedProgram {
  const child = spawnNode(command, {
    cwd: dir,
    env: { PATH: process.env.PATH, HOME: dir, ...env },
    // A supervised one ends with this process, however that ends.
    stdio: ['pipe', 'ignore', 'pipe'],
  })
  let log = ''
  let ended: Ended | undefined
  let signalled = false
  child.stderr?.setEncoding('utf8').on('data', text => {
    log += text
    onChange()
  })
  child.once('error', error => {
    log += String(error)
    ended = { code: -1, signal: null }
    onChange()
  })
  child.once('close', (code, signal) => {
    ended = { code, signal }
    onChange()
  })
  return {
    pid: child.pid ?? 0,
    log: () => log,
    ended: () => ended,
    wasSignalled: () => signalled,
    signal(signal) {
      signalled = true
      child.kill(signal)
    },
    pause(ms) {
      child.kill('SIGSTOP')
      setTimeout(() => child.kill('SIGCONT'), ms)
    },
  }
}
