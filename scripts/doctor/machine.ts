import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { filledDirectories } from '../../parser/disk-watch.ts'
import type { Config } from '../../shared/config.ts'
import { type Finding, fail, looked, ok, warn } from '../../shared/findings.ts'
import { formatBytes, formatCount } from '../../shared/numbers.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { shellWord } from '../../shared/printable.ts'
import { freeRoom, lackOfRoom, type Reserve } from '../../shared/room.ts'
import { limitOf, refuseTooFewDescriptors } from '../../shared/state-directory.ts'
import { findServerProgram } from '../mariadb/index.ts'

/** Disk, memory, limits and programs. */
export async function examineMachine(
  paths: StatePaths,
  config: Config | undefined,
  servicePid: number | undefined,
): Promise<readonly Finding[]> {
  const pids = servicePid === undefined ? (['self'] as const) : (['self', servicePid] as const)
  return [
    ...(config === undefined ? [] : await examineRoom(paths, config)),
    await looked('open files', () => {
      for (const pid of pids) refuseTooFewDescriptors(pid)
      return pids.map(pid => `${count(limitOf('Max open files', pid))} ${of(pid)}`).join(', ')
    }),
    ...lookAtLimits(),
    lookAtMemory(config),
    await looked('flock', () => lookForProgram('flock', 'util-linux')),
    ...(config?.databaseUrl === ''
      ? [await looked('MariaDB program', async () => (await findServerProgram()).path)]
      : []),
  ]
}

function of(pid: number | 'self'): string {
  return pid === 'self' ? 'from here' : 'of the service'
}

/** Each filesystem once. */
async function examineRoom(paths: StatePaths, config: Config): Promise<readonly Finding[]> {
  const seen = new Set<number>()
  const findings: Finding[] = []
  for (const path of [paths.inbox, ...filledDirectories(paths), paths.log].map(nearest)) {
    const { dev } = statSync(path)
    if (seen.has(dev)) continue
    seen.add(dev)
    findings.push(await looked(`room in ${path}`, () => lookAtRoom(path, config)))
  }
  return findings
}

/** What is not there yet will be made there. */
function nearest(path: string): string {
  return existsSync(path) ? path : nearest(dirname(path))
}

/** So many times the reserve is little. */
const LITTLE = 2

async function lookAtRoom(path: string, config: Config): Promise<string | Finding> {
  const check = `room in ${path}`
  const shown = `du -xh --max-depth=2 ${shellWord(path)} | sort -h | tail`
  const lack = await lackOfRoom(path, config)
  if (lack !== undefined) return fail(check, `${lack}: nothing is begun`, shown)
  const { freeBytes, freeInodes } = await freeRoom(path)
  const text = `${formatBytes(freeBytes)} and ${count(freeInodes)} inodes are free`
  const little: Reserve = {
    reserveBytes: LITTLE * config.reserveBytes,
    reserveInodes: LITTLE * config.reserveInodes,
  }
  if ((await lackOfRoom(path, little)) === undefined) return text
  const reserve = `${formatBytes(config.reserveBytes)} and ${count(config.reserveInodes)}`
  return warn(check, `${text}, and work stops at ${reserve}`, shown)
}

function count(value: number): string {
  return Number.isFinite(value) ? formatCount(value) : 'any number of'
}

/** What a shell, or a service, may limit, and nothing here gets along with. */
function lookAtLimits(): readonly Finding[] {
  const limited = [
    ['Max file size', 'ulimit -f unlimited'],
    ['Max address space', 'ulimit -v unlimited'],
  ].filter(([name = '']) => Number.isFinite(limitOf(name)))
  return limited.map(([name = '', mend = '']) =>
    warn('limits', `${name} is ${formatCount(limitOf(name))} from here`, mend),
  )
}

/** Sums, the journal's pages, and what a process needs to begin with. */
const PARSER_BYTES = 384 * 2 ** 20
const POOL_BYTES_MIN = 256 * 2 ** 20

function lookAtMemory(config: Config | undefined): Finding {
  const pool = config?.databaseUrl === '' ? Math.max(config.mariadbPoolBytes, POOL_BYTES_MIN) : 0
  const needed = PARSER_BYTES + pool
  const available = process.availableMemory()
  const text = `${formatBytes(available)} are available`
  return available >= needed
    ? ok('memory', text)
    : warn(
        'memory',
        `${text}; a service may use ${formatBytes(needed)}`,
        'ps -eo rss,pid,args --sort=-rss | head',
      )
}

function lookForProgram(name: string, of: string): string | Finding {
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(directory, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Perhaps in the next one.
    }
  }
  return fail(name, `there is no program ${name} in PATH`, `apt-get install ${of}`)
}
