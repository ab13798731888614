/**
 * What must be so before the private server can start: its program found, and the data directory made,
 * by the server program alone. That nobody is at work on it is seen to before (`leftovers.ts`).
 *
 * `mariadb-install-db` is not used: it needs programs of the client package and a host name that
 * resolves. The server's own `--bootstrap` mode reads the same system tables' SQL and needs neither.
 *
 *   1. `DIR.initialising` is made and filled.   A crash leaves it; the next start removes it.
 *   2. Every file and directory in it is synced.                                       The same.
 *   3. It is renamed to `DIR`.                              From here on it is complete and stays.
 */

import { spawn } from 'node:child_process'
import { constants, existsSync } from 'node:fs'
import { access, mkdir, open, readdir, readFile, realpath, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { delimiter, dirname, join } from 'node:path'
import { makeDirectories, renameDurably, syncDirectory } from '../../shared/durable.ts'
import { CountersinkError, hasCode, toError } from '../../shared/errors.ts'
import { shellWord } from '../../shared/printable.ts'
import type { ServerMemory } from './server-memory.ts'

export interface ServerProgram {
  readonly path: string
  /** The installation it belongs to, such as `/usr`: messages and SQL lie in its `share`. */
  readonly baseDir: string
}

const GREETING_TIMEOUT_MS = 1_000

const ADVICE =
  'Run `npm run setup`, install the package mariadb-server-core (or your system’s MariaDB server), ' +
  'or set COUNTERSINK_DATABASE_URL to use a database of yours.'

/**
 * The server program to use: COUNTERSINK_MARIADBD, or `mariadbd` in PATH and where distributions
 * put it (Debian outside of an ordinary user's PATH). The same places as in scripts/setup.sh.
 *
 * @throws CountersinkError DATABASE_PROGRAM_MISSING
 */
export async function findServerProgram(
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<ServerProgram> {
  const chosen = env.COUNTERSINK_MARIADBD
  const candidates = chosen
    ? [chosen]
    : [...(env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', '/usr/libexec']
        .filter(directory => directory.startsWith('/'))
        .map(directory => join(directory, 'mariadbd'))
  for (const path of candidates) {
    try {
      await access(path, constants.X_OK)
      return { path, baseDir: dirname(dirname(await realpath(path))) }
    } catch {
      // Not here, or not ours to run: the next one may be.
    }
  }
  throw new CountersinkError(
    'DATABASE_PROGRAM_MISSING',
    chosen
      ? `COUNTERSINK_MARIADBD names ${chosen}, which cannot be run`
      : 'there is no mariadbd to start a private database with',
    { advice: ADVICE, mend: ['apt-get install --no-install-recommends mariadb-server-core'] },
  )
}

/** What every run of the server gets: no file of the host's configuration, no TCP port. */
export function commonArguments(
  program: ServerProgram,
  dataDir: string,
  memory: ServerMemory,
): string[] {
  return [
    '--no-defaults',
    `--basedir=${program.baseDir}`,
    `--datadir=${dataDir}`,
    // A server removes all leftover temporary tables of its tmpdir when it starts: in a shared /tmp
    // those of any other server that is being made or started at that moment, too.
    `--tmpdir=${dataDir}`,
    '--skip-networking',
    '--character-set-server=utf8mb4',
    '--collation-server=utf8mb4_bin',
    // Given at bootstrap too, or the first start would make it anew.
    `--innodb-log-file-size=${memory.log}`,
    // The server refuses to run as root unless told so, and knows no other user's name to be told.
    ...(process.getuid?.() === 0 ? ['--user=root'] : []),
  ]
}

/**
 * The environment for the server. Under systemd it would otherwise report its own readiness, and
 * its own end, in the name of the service that started us.
 */
export function serverEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(NOTIFY|LISTEN|WATCHDOG)_/.test(name)),
  )
}

/** Where a data directory is made before it gets its name. */
export function initialisingDirectory(dataDir: string): string {
  return `${dataDir}.initialising`
}

const PROTOCOL_VERSION = 10
const PACKET_HEADER_BYTES = 4

/** Whether a server accepts connections here: it speaks first, beginning with its protocol version. */
export function greets(socketPath: string): Promise<boolean> {
  return new Promise(settle => {
    const socket = connect(socketPath)
    const answer = (yes: boolean): void => {
      socket.destroy()
      settle(yes)
    }
    socket.setTimeout(GREETING_TIMEOUT_MS, () => answer(false))
    socket.on('error', () => answer(false))
    socket.on('close', () => answer(false))
    socket.once('data', bytes => answer(bytes[PACKET_HEADER_BYTES] === PROTOCOL_VERSION))
  })
}

/**
 * Makes the data directory unless it is there, with an empty database `countersink` in it. The
 * caller has made sure that nobody else is at it.
 *
 * @throws CountersinkError STATE_DIRECTORY_UNFIT when something else is there, DATABASE_FAILED with
 * the server's own words when it cannot be made.
 */
export async function ensureDataDirectory(
  program: ServerProgram,
  dataDir: string,
  memory: ServerMemory,
): Promise<void> {
  const unfinished = initialisingDirectory(dataDir)
  await rm(unfinished, { recursive: true, force: true })
  if (await isDataDirectory(dataDir)) return
  const sql = await systemTablesSql(program)
  await makeDirectories(dirname(dataDir))
  await mkdir(unfinished, { mode: 0o700 })
  await runBootstrap(program, unfinished, memory, sql)
  await syncTree(unfinished)
  await renameDurably(unfinished, dataDir)
}

/**
 * Whether it has been made.
 *
 * @throws CountersinkError STATE_DIRECTORY_UNFIT when something else is there.
 */
export async function isDataDirectory(dataDir: string): Promise<boolean> {
  const entries = await readdir(dataDir).catch((error: unknown): string[] => {
    if (hasCode(error, 'ENOENT')) return []
    throw error
  })
  if (entries.includes('mysql')) return true
  if (entries.length === 0) return false
  throw new CountersinkError(
    'STATE_DIRECTORY_UNFIT',
    `${dataDir} holds ${entries[0]} and is not a data directory of MariaDB`,
    {
      advice: 'Move what is in it elsewhere, or choose another state directory.',
      mend: [`mv ${shellWord(dataDir)} ${shellWord(`${dataDir}.put-aside`)}`],
    },
  )
}

/** In the order in which they build on each other. Releases from 11 on call them mariadb_*. */
const SYSTEM_SQL = [
  'mysql_system_tables.sql',
  'mysql_performance_tables.sql',
  'mysql_system_tables_data.sql',
  'maria_add_gis_sp_bootstrap.sql',
  'mysql_sys_schema.sql',
]

async function systemTablesSql(program: ServerProgram): Promise<string> {
  const candidates = ['mysql', 'mariadb', ''].flatMap(name => {
    const directory = join(program.baseDir, 'share', name)
    return [SYSTEM_SQL, SYSTEM_SQL.map(file => file.replace(/^mysql_/, 'mariadb_'))].map(files =>
      files.map(file => join(directory, file)),
    )
  })
  const files = candidates.find(paths => paths.every(path => existsSync(path)))
  if (files === undefined) {
    throw new CountersinkError(
      'DATABASE_PROGRAM_MISSING',
      `${program.path} is there, but not its ${SYSTEM_SQL[0]} below ${program.baseDir}/share`,
      { advice: ADVICE },
    )
  }
  const texts = await Promise.all(files.map(file => readFile(file, 'utf8')))
  return [
    // The bootstrap reader takes one statement a line, or more lines up to a semicolon at an end.
    'create database if not exists mysql;',
    'use mysql;',
    ...texts,
    'create database countersink character set utf8mb4 collate utf8mb4_bin;',
    '',
  ].join('\n')
}

const OUTPUT_CHARACTERS_MAX = 4_096

/** Should we die meanwhile, the server finds the end of its input and ends. */
async function runBootstrap(
  program: ServerProgram,
  dataDir: string,
  memory: ServerMemory,
  sql: string,
): Promise<void> {
  const child = spawn(program.path, [...commonArguments(program, dataDir, memory), '--bootstrap'], {
    cwd: dataDir,
    env: serverEnvironment(),
    detached: true,
    stdio: 'pipe',
  })
  let output = ''
  const keepTail = (text: string): void => {
    output = (output + text).slice(-OUTPUT_CHARACTERS_MAX)
  }
  child.stdout.setEncoding('utf8').on('data', keepTail)
  child.stderr.setEncoding('utf8').on('data', keepTail)
  child.stdin.on('error', () => {
    // It ended before it had read everything; its exit status and its words say why.
  })
  child.stdin.end(sql)
  const ending = await new Promise<string>(resolve => {
    child.once('error', error => resolve(toError(error).message))
    child.once('close', (code, signal) => resolve(code === 0 ? '' : `status ${signal ?? code}`))
  })
  if (ending === '') return
  throw new CountersinkError(
    'DATABASE_FAILED',
    `${program.path} could not make the data directory (${ending}):\n${output.trim()}`,
  )
}

/** The server syncs its tablespaces and logs, not every table's definition and directory. */
async function syncTree(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) await syncTree(path)
    else if (entry.isFile()) await syncFile(path)
  }
  await syncDirectory(directory)
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r+')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
