import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { processIdentity } from '../../shared/lifecycle.ts'
import { BUILT } from './root.ts'

/** The part of a tap test that the helpers need. */
export interface Teardown {
  teardown(run: () => void | Promise<void>): void
  passing(): boolean
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A program under test. */
export interface Program {
  readonly pid: number
  readonly ended: Promise<Ended>
  isRunning(): boolean
  /** Both streams, as far as they have come. */
  output(): string
  signal(signal: NodeJS.Signals): void
}

/**
 * Node with these arguments, as a user would start it. The test runner puts its loader into the
 * NODE_OPTIONS of every process that is spawned, whatever `env` says, and a program that is loaded
 * through it needs several times as much of the processor; `env` takes it out, and then becomes
 * node under the same pid. Where coverage is measured, it is of these processes too.
 */
export function spawnNode(args: readonly string[], options: SpawnOptions): ChildProcess {
  const { NODE_V8_COVERAGE } = process.env
  const env = NODE_V8_COVERAGE === undefined ? options.env : { ...options.env, NODE_V8_COVERAGE }
  return spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, ...args], { ...options, env })
}

/** By this variable every descendant of a program under test can be found in /proc. */
const MARK = 'COUNTERSINK_TEST_DIRECTORY'

/** How much of a program's output a failed test shows. */
const SHOWN = 4_000

/** Starts a built program; it is killed at the end of the test if it still runs. */
export function startProgram(
  t: Teardown,
  dir: string,
  [file, ...args]: readonly [file: string, ...args: string[]],
  env: Readonly<Record<string, string>> = {},
): Program {
  const child = spawnNode([`${BUILT}${file}`, ...args], {
    cwd: dir,
    env: { PATH: process.env.PATH, HOME: dir, ...env, [MARK]: dir },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', text => {
    stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  let running = true
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', () => {
      running = false
    })
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
  t.teardown(async () => {
    if (running) child.kill('SIGKILL')
    // Its pipes stay open for as long as a descendant of it lives.
    child.stdout?.destroy()
    child.stderr?.destroy()
    await ended
    if (!t.passing())
      process.stderr.write(`--- ${file} said:\n${(stdout + stderr).slice(-SHOWN)}\n`)
  })
  return {
    pid: child.pid ?? 0,
    ended,
    isRunning: () => running,
    output: () => stdout + stderr,
    signal: signal => void child.kill(signal),
  }
}

/** Living processes of a state directory: programs that name it, and all that they started. */
export function processesOf(dir: string): { pid: number; command: string }[] {
  return readdirSync('/proc').flatMap(entry => {
    const pid = Number(entry)
    if (!Number.isInteger(pid) || pid === process.pid) return []
    const command = readProc(pid, 'cmdline')
    if (!command.includes(dir) && !readProc(pid, 'environ').includes(`${MARK}=${dir}\0`)) return []
    if (processIdentity(pid) === undefined) return []
    return [{ pid, command: command.replaceAll('\0', ' ').slice(0, 200) }]
  })
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    // It has ended, or is not ours to look into.
    return ''
  }
}

/** Ends one process that a test started through a program. */
export function killProcess(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  process.kill(pid, signal)
}
