import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { hasCode } from '../../shared/errors.ts'
import { type Build, benchProgram } from './builds.ts'
import type { Workspace } from './workspace.ts'

/** Programs that the benchmark runs: to their end, or until it has seen enough. */

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  /** From the start to the end, as it is seen from here. */
  readonly seconds: number
}

/** Kept of what a program says. */
const SAID_CHARACTERS_MAX = 2 ** 20

/** Runs a program to its end; undefined when it is not installed. */
export async function runProgram(
  workspace: Workspace,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Finished | undefined> {
  const startedMs = performance.now()
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  const end = workspace.whenRemoved(async () => void child.kill('SIGKILL'))
  const said = collect(child)
  try {
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, ...said(), seconds: (performance.now() - startedMs) / 1_000 }
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  } finally {
    await end()
  }
}

/** The built file of this project at this place, seen from scripts/bench/. */
export function builtFile(name: string): string {
  return fileURLToPath(new URL(`${name}${extname(import.meta.url)}`, import.meta.url))
}

/**
 * Runs one of our own child programs, which prints one JSON object.
 *
 * @throws Error with what it said when it ends otherwise.
 */
export async function runForJson<T>(
  workspace: Workspace,
  name: string,
  args: readonly string[],
  build?: Build,
): Promise<T> {
  const program = build === undefined ? builtFile(name) : benchProgram(build, name)
  const ended = await runProgram(workspace, process.execPath, [program, ...args])
  if (ended?.code === 0) return JSON.parse(ended.stdout) as T
  throw new Error(ended?.stderr.trim() || `${name} ended with status ${ended?.code}`)
}

/** A program that runs until it is told to stop. */
export interface Running {
  readonly pid: number
  isRunning(): boolean
  /** The end of what it has said. */
  output(): string
  /** @throws Error when it does not end. */
  stop(signal?: NodeJS.Signals): Promise<void>
}

/** What a program gets to end after it was asked to. */
const STOP_TIMEOUT_MS = 60_000

export function startProgram(
  workspace: Workspace,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Running {
  const child = spawn(process.execPath, args, {
    cwd: workspace.dir,
    env: { ...inherited(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = collect(child)
  let isRunning = true
  const closed = new Promise<void>(resolve => {
    child.once('exit', () => {
      isRunning = false
    })
    child.once('close', () => resolve())
  })
  child.once('error', () => {
    isRunning = false
  })
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    if (!isRunning) return
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await closed
    clearTimeout(timer)
  }
  const atTheLatest = workspace.whenRemoved(() => stop())
  return {
    pid: child.pid ?? 0,
    isRunning: () => isRunning,
    output: () => `${said().stdout}${said().stderr}`.slice(-2_000),
    stop: signal => (signal === undefined ? atTheLatest() : stop(signal)),
  }
}

/** Our environment without the settings in it: what is measured is what the benchmark sets. */
function inherited(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !name.startsWith('COUNTERSINK_') || name === 'COUNTERSINK_MARIADBD',
    ),
  )
}

function collect(child: ChildProcess): () => { stdout: string; stderr: string } {
  const said = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      said[stream] = (said[stream] + text).slice(-SAID_CHARACTERS_MAX)
    })
  }
  return () => ({ ...said })
}
