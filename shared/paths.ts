import { basename, join, resolve } from 'node:path'
import { CountersinkError } from './errors.ts'
import { NAME_BYTES_MAX, SOCKET_PATH_BYTES_MAX } from './limits.ts'

/** Where everything lives below the state directory (`--dir`, default `./var`). All absolute. */
export interface StatePaths {
  readonly dir: string
  readonly generator: string
  readonly generatorTmp: string
  readonly generatorState: string
  readonly inbox: string
  readonly work: string
  readonly archive: string
  /** Archived files that their maker declared disposable: the only ones the limit may delete. */
  readonly archiveDisposable: string
  readonly quarantine: string
  readonly duplicate: string
  readonly parser: string
  readonly instance: string
  /** Which database, and which ledger in it, this directory belongs to. */
  readonly rememberedLedger: string
  readonly journal: string
  readonly runs: string
  readonly run: string
  readonly supervisorLock: string
  readonly supervisorStatus: string
  readonly parserSocket: string
  readonly generatorSocket: string
  readonly mariadb: string
  readonly mariadbSocket: string
  readonly mariadbPid: string
  readonly log: string
}

/** @throws CountersinkError SOCKET_PATH_TOO_LONG when the directory lies too deep for sockets. */
export function statePaths(dir: string): StatePaths {
  const root = resolve(dir)
  const run = join(root, 'run')
  return {
    dir: root,
    generator: join(root, 'generator'),
    generatorTmp: join(root, 'generator', 'tmp'),
    generatorState: join(root, 'generator', 'state.json'),
    inbox: join(root, 'inbox'),
    work: join(root, 'work'),
    archive: join(root, 'archive'),
    archiveDisposable: join(root, 'archive', 'disposable'),
    quarantine: join(root, 'quarantine'),
    duplicate: join(root, 'duplicate'),
    parser: join(root, 'parser'),
    instance: join(root, 'parser', 'instance.json'),
    rememberedLedger: join(root, 'parser', 'ledger.json'),
    journal: join(root, 'parser', 'journal'),
    runs: join(root, 'parser', 'runs'),
    run,
    supervisorLock: join(run, 'supervisor.lock'),
    supervisorStatus: join(run, 'supervisor.json'),
    parserSocket: socketPath(join(run, 'parser.sock')),
    generatorSocket: socketPath(join(run, 'generator.sock')),
    mariadb: join(root, 'mariadb'),
    mariadbSocket: socketPath(join(run, 'mariadb.sock')),
    mariadbPid: join(run, 'mariadb.json'),
    log: join(root, 'log'),
  }
}

/** The room a listener needs to bind under a name of its own first: `.` and a pid. */
const BIND_SUFFIX_BYTES = 8

function socketPath(path: string): string {
  const bytes = Buffer.byteLength(path)
  const most = SOCKET_PATH_BYTES_MAX - BIND_SUFFIX_BYTES
  if (bytes > most) {
    throw new CountersinkError(
      'SOCKET_PATH_TOO_LONG',
      `the socket path ${path} has ${bytes} bytes; at most ${most} are safe`,
      { advice: 'Choose a state directory with a shorter path (--dir).' },
    )
  }
  return path
}

export const MANIFEST_SUFFIX = '.manifest.json'
const UNFINISHED = /\.(tmp|part|partial)$/i
/** C0 and C1 controls, DEL, and the mark that Node puts for bytes that are not UTF-8. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\ufffd]/

/** What the inbox makes of a directory entry's name. */
export type InboxName = 'data' | 'manifest' | 'unfinished' | 'unfit'

/**
 * `unfinished` names are somebody's work in progress and are left alone; `unfit` ones can be
 * neither announced nor journalled (a path, too long, control characters, not UTF-8).
 */
export function classifyName(name: string): InboxName {
  if (name.startsWith('.') || UNFINISHED.test(name)) return 'unfinished'
  if (name.endsWith(MANIFEST_SUFFIX)) return 'manifest'
  if (
    name.length === 0 ||
    name.includes('/') ||
    UNPRINTABLE.test(name) ||
    Buffer.byteLength(name) > NAME_BYTES_MAX
  ) {
    return 'unfit'
  }
  return 'data'
}

/** A name for the inbox made from any file's name: printable ASCII, bounded, never hidden. */
export function sanitiseName(path: string, bytesMax = NAME_BYTES_MAX): string {
  const cleaned = basename(path)
    .replace(/[^A-Za-z0-9._-]+/g, '_')
    .replace(/^\.+/, '')
    .slice(0, bytesMax)
  return cleaned === '' ? 'file' : cleaned
}

/** Sequences start at the clock in milliseconds (see the journal), which has 13 digits today. */
const SEQUENCE_DIGITS = 15

/** The name of a claimed file in work/: its journal sequence, then the name it came with. */
export function workName(sequence: number, name: string): string {
  return `${String(sequence).padStart(SEQUENCE_DIGITS, '0')}.${name}`
}

/** The reverse of `workName`; undefined for what the parser did not put there. */
export function parseWorkName(entry: string): { sequence: number; name: string } | undefined {
  const match = /^(\d{15})\.(.+)$/s.exec(entry)
  if (match?.[1] === undefined || match[2] === undefined) return undefined
  return { sequence: Number(match[1]), name: match[2] }
}

const SETTLED_HASH_DIGITS = 16

/** The name of a settled file: the hash in it keeps equal names from overwriting each other. */
export function settledName(name: string, sha256: Uint8Array): string {
  return `${name}.${Buffer.from(sha256).toString('hex').slice(0, SETTLED_HASH_DIGITS)}`
}

/** The reverse of `settledName`; undefined for what the parser did not put there. */
export function parseSettledName(
  entry: string,
): { readonly name: string; readonly hashPrefix: string } | undefined {
  const match = /^(.+)\.([0-9a-f]{16})$/s.exec(entry)
  if (match?.[1] === undefined || match[2] === undefined) return undefined
  return { name: match[1], hashPrefix: match[2] }
}
