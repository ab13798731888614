import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { findServerProgram } from '../mariadb/index.ts'
import { runProgram } from './programs.ts'
import type { Workspace } from './workspace.ts'

/** What figures depend on, without anything that names a host or a place on it. */
export interface Machine {
  readonly cores: number
  readonly cpu: string
  /** Whether the CPU has instructions for SHA-256. */
  readonly shaInstructions: boolean
  readonly memoryBytes: number
  readonly kernel: string
  readonly node: string
  readonly mariadb: string
  readonly openssl: string
  /** UTC, to the day. */
  readonly date: string
  /** Of the sources measured; `+` when they were changed since. */
  readonly commit: string
}

export async function describeMachine(workspace: Workspace): Promise<Machine> {
  const firstLine = async (program: string, ...args: string[]): Promise<string> => {
    const ended = await runProgram(workspace, program, args)
    return ended?.code === 0 ? (ended.stdout.split('\n')[0] ?? '').trim() : ''
  }
  const mariadbd = await findServerProgram().then(
    program => program.path,
    () => undefined,
  )
  const mariadb = mariadbd === undefined ? '' : await firstLine(mariadbd, '--version')
  const root = new URL('../../../', import.meta.url).pathname
  const commit = await firstLine('git', '-C', root, 'rev-parse', '--short', 'HEAD')
  const changes = await firstLine('git', '-C', root, 'status', '--porcelain', '-uno')
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    shaInstructions: /\bsha_ni\b|\bsha2\b/.test(readFileSync('/proc/cpuinfo', 'latin1')),
    memoryBytes: totalmem(),
    kernel: `Linux ${release()}`,
    node: process.version,
    mariadb: /Ver (\S+)/.exec(mariadb)?.[1] ?? 'none',
    openssl: /^OpenSSL \S+/.exec(await firstLine('openssl', 'version'))?.[0] ?? 'no openssl',
    date: new Date().toISOString().slice(0, 10),
    commit: commit === '' ? 'unknown' : `${commit}${changes === '' ? '' : '+'}`,
  }
}
