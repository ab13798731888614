import { spawn, spawnSync } from 'node:child_process'
import { describeError } from '../../shared/errors.ts'

/**
 * Runs a command of somebody's to its end, or ends it: its failure is an answer.
 *
 * @returns why it failed; undefined: it did not.
 */
export function runCommand(
  command: string,
  input: string,
  timeoutMs: number,
): Promise<string | undefined> {
  return new Promise(resolve => {
    let said = ''
    // A group of its own, so that all of it can be ended; and a password is none of its business.
    const child = spawn('/bin/sh', ['-c', command], {
      detached: true,
      env: Object.fromEntries(
        Object.entries(process.env).filter(([name]) => !name.startsWith('COUNTERSINK_')),
      ),
      stdio: ['pipe', 'ignore', 'pipe'],
    })
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      killGroup(child.pid)
    }, timeoutMs)
    const end = (why: string | undefined): void => {
      clearTimeout(timer)
      // What it leaves running may hold it open.
      child.stderr?.destroy()
      resolve(why)
    }
    child.stderr?.setEncoding('utf8').on('data', text => {
      said = `${said}${text}`.slice(-SAID_CHARACTERS_MAX)
    })
    child.stdin?.on('error', () => {
      // It need not read what it is told.
    })
    child.once('error', error => end(describeError(error)))
    child.once('exit', (code, signal) => {
      if (code === 0) end(undefined)
      else if (timedOut) end(`it did not end within ${timeoutMs} ms`)
      else end(`it ended with ${signal ?? `status ${code}`} ${said.trim()}`.trim())
    })
    child.stdin?.end(input)
  })
}

/**
 * What the shell would say of it without running it; undefined: nothing. Of a command line of several
 * words only the first is looked for.
 */
export function whyNoCommand(command: string): string | undefined {
  const parsed = spawnSync('/bin/sh', ['-n', '-c', command], { encoding: 'utf8' })
  if (parsed.status !== 0) return `/bin/sh cannot read it: ${parsed.stderr.trim()}`
  const [word = ''] = command.trim().split(/\s+/)
  if (!/^[\w./+-]+$/.test(word)) return undefined
  const found = spawnSync('/bin/sh', ['-c', 'command -v -- "$0" || command -v "$0"', word])
  return found.status === 0 ? undefined : `there is no command ${word}, or it may not be run`
}

const SAID_CHARACTERS_MAX = 500

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // It has just ended by itself.
  }
}
