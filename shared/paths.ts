import assert from 'node:assert/strict'
import { realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { CountersinkError, hasCode } from './errors.ts'
import { NAME_BYTES_MAX, SOCKET_PATH_BYTES_MAX } from './limits.ts'
import { refuseUnfitPlace } from './state-directory.ts'

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
  /** Files that were counted and taken back. */
  readonly reverted: string
  readonly held: string
  /** Lines of files that were counted, or are held, which were not. */
  readonly rejects: string
  readonly parser: string
  readonly instance: string
  /** Which time zone this parser was told, and whether its ledger has had it. */
  readonly timeZone: string
  /** Which database, and which ledger in it, this directory belongs to. */
  readonly rememberedLedger: string
  readonly journal: string
  readonly runs: string
  readonly run: string
  readonly supervisorLock: string
  readonly supervisorStatus: string
  readonly parserSocket: string
  readonly generatorSocket: string
  readonly servingSocket: string
  /** What `verify` has found last. */
  readonly lastProof: string
  readonly mariadb: string
  readonly mariadbSocket: string
  readonly mariadbPid: string
  readonly log: string
}

/**
 * Links are followed here, once: one that is pointed elsewhere later changes nothing for a process
 * that runs, or for its children, which are given `dir`.
 *
 * @throws CountersinkError SOCKET_PATH_TOO_LONG when the directory lies too deep for sockets, USAGE
 * when it cannot be a state directory at all.
 */
export function statePaths(dir: string): StatePaths {
  const asked = fromHere(dir)
  refuseUnfitPlace(dir, asked)
  const root = withoutLinks(asked)
  refuseUnfitPlace(dir, root)
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
    reverted: join(root, 'reverted'),
    held: join(root, 'held'),
    rejects: join(root, 'rejects'),
    parser: join(root, 'parser'),
    instance: join(root, 'parser', 'instance.json'),
    timeZone: join(root, 'parser', 'time-zone.json'),
    rememberedLedger: join(root, 'parser', 'ledger.json'),
    journal: join(root, 'parser', 'journal'),
    runs: join(root, 'parser', 'runs'),
    run,
    supervisorLock: join(run, 'supervisor.lock'),
    supervisorStatus: join(run, 'supervisor.json'),
    parserSocket: fitSocketPath(join(run, 'parser.sock')),
    generatorSocket: fitSocketPath(join(run, 'generator.sock')),
    servingSocket: fitSocketPath(join(run, 'serving.sock')),
    lastProof: join(run, 'verify.json'),
    mariadb: join(root, 'mariadb'),
    mariadbSocket: fitSocketPath(join(run, 'mariadb.sock')),
    mariadbPid: join(run, 'mariadb.json'),
    log: join(root, 'log'),
  }
}

/** @throws CountersinkError USAGE when the current directory, from which it is named, was removed. */
function fromHere(dir: string): string {
  try {
    return resolve(dir)
  } catch (cause) {
    if (!hasCode(cause, 'ENOENT')) throw cause
    throw new CountersinkError(
      'USAGE',
      `the current directory was removed, so there is no ${JSON.stringify(dir)} in it`,
      { advice: 'Go to one that is there, or name the state directory from / on with --dir.' },
    )
  }
}

/** As far as it is there; the rest is still to be made. */
function withoutLinks(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    const parent = dirname(path)
    if (parent === path || !hasCode(error, 'ENOENT')) return path
    return join(withoutLinks(parent), basename(path))
  }
}

/** The room a listener needs to bind under a name of its own first: `.` and a pid. */
const BIND_SUFFIX_BYTES = 8

/** @throws CountersinkError SOCKET_PATH_TOO_LONG */
export function fitSocketPath(path: string): string {
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

/**
 * How names end, in any case, that programs give to what they have not finished: browsers, clients
 * for file transfer, editors, tools for clouds and clusters. A finished file's other name (`.bak`,
 * `.old`, `.copy`) is not one of them: it may be all that its owner has.
 */
export const UNFINISHED_ENDINGS: readonly string[] = [
  ...['.tmp', '.temp', '.part', '.partial', '.filepart', '.crdownload', '.download', '.opdownload'],
  ...['.downloading', '.aria2', '.gstmp', '.!ut', '.!qb', '.bc!', '.swp', '.swo', '.swn', '.swx'],
  ...['.upload', '.uploading', '.incomplete', '.inprogress', '.in-progress', '.in_progress'],
  ...['.unfinished', '.writing', '.pending', '.copying', '._copying_', '.lock', '~'],
]
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
  if (isHidden(name) || markOfUnfinished(name) !== undefined) return 'unfinished'
  if (name.endsWith(MANIFEST_SUFFIX)) return 'manifest'
  return whyUnfit(name) === undefined ? 'data' : 'unfit'
}

/** Why nothing of this name can be taken; undefined if it can. */
export function whyNoDataName(name: string): string | undefined {
  switch (classifyName(name)) {
    case 'data':
      return undefined
    case 'manifest':
      return 'it is the name of a manifest'
    case 'unfit':
      return whyUnfit(name)
    case 'unfinished':
      return isHidden(name)
        ? 'it is hidden'
        : `${markOfUnfinished(name)}, as names of unfinished files do`
  }
}

/** Names that begin with a dot: not only unfinished files have them. */
export function isHidden(name: string): boolean {
  return name.startsWith('.')
}

/** What shows that a file of this name is unfinished; hidden ones are another matter. */
function markOfUnfinished(name: string): string | undefined {
  if (name.startsWith('~$')) return 'it begins with ~$'
  if (name.length > 1 && name.startsWith('#') && name.endsWith('#')) return 'it stands between # #'
  const lower = name.toLowerCase()
  const ending = UNFINISHED_ENDINGS.find(one => lower.length > one.length && lower.endsWith(one))
  return ending === undefined ? undefined : `it ends in ${ending}`
}

function whyUnfit(name: string): string | undefined {
  if (name.length === 0) return 'it is empty'
  if (name.includes('/')) return 'it is a path'
  if (UNPRINTABLE.test(name)) return 'it has control characters or bytes that are not UTF-8'
  const bytes = Buffer.byteLength(name)
  return bytes > NAME_BYTES_MAX
    ? `it has ${bytes} bytes, at most ${NAME_BYTES_MAX} may be`
    : undefined
}

/** A name for the inbox made from any file's name: printable ASCII, bounded, never hidden. */
export function sanitiseName(path: string, bytesMax = NAME_BYTES_MAX): string {
  const cleaned = basename(path)
    .replace(/[^A-Za-z0-9._-]+/g, '_')
    .replace(/^\.+/, '')
    .slice(0, bytesMax)
  return cleaned === '' ? 'file' : cleaned
}

/** The beginning of a name that has at most so many bytes, cut between two characters. */
export function cutName(name: string, bytesMax: number): string {
  const bytes = Buffer.from(name)
  if (bytes.length <= bytesMax) return name
  let end = bytesMax
  while (end > 0 && isWithinCharacter(bytes[end]!)) end -= 1
  return bytes.toString('utf8', 0, end)
}

/** In UTF-8 all bytes of a character but its first. */
function isWithinCharacter(byte: number): boolean {
  return (byte & 0xc0) === 0x80
}

export const PUBLISHED_HASH_DIGITS = 12

/**
 * The inbox name of a published file: different contents of one name do not collide there.
 *
 * @param digits of the hash; more where that name is taken.
 */
export function publishedName(
  stem: string,
  sha256: string,
  digits: number = PUBLISHED_HASH_DIGITS,
): string {
  return `${stem}-${sha256.slice(0, digits)}`
}

/** Room that `publishedName` needs behind the stem. */
export const PUBLISHED_SUFFIX_BYTES = PUBLISHED_HASH_DIGITS + 1

/** The reverse of `publishedName`: what its maker called the file; any other name as it is. */
export function givenName(name: string, sha256: string): string {
  const published = parsePublishedName(name)
  return published && sha256.startsWith(published.hashPrefix) ? published.stem : name
}

/** Of a name that `publishedName` may have made. */
export function parsePublishedName(
  name: string,
): { readonly stem: string; readonly hashPrefix: string } | undefined {
  const [, stem, hashPrefix] = PUBLISHED.exec(name) ?? []
  return stem === undefined || hashPrefix === undefined ? undefined : { stem, hashPrefix }
}

const PUBLISHED = /^(.+)-([0-9a-f]{12,64})$/s

/** Sequences start at the clock in milliseconds (see the journal), which has 13 digits today. */
const SEQUENCE_DIGITS = 15
/** The clock in the year 5138: far from any that was given, and from the end of the journal's keys. */
const SEQUENCE_MAX = 10 ** 14

export function sequenceText(sequence: number): string {
  return String(sequence).padStart(SEQUENCE_DIGITS, '0')
}

/** The name of a claimed file in work/: its journal sequence, then the name it came with. */
export function workName(sequence: number, name: string): string {
  return `${sequenceText(sequence)}.${name}`
}

/** The reverse of `workName`; undefined for what the parser did not put there. */
export function parseWorkName(entry: string): { sequence: number; name: string } | undefined {
  const match = /^(\d{15})\.(.+)$/s.exec(entry)
  if (match?.[1] === undefined || match[2] === undefined) return undefined
  const sequence = Number(match[1])
  return sequence > SEQUENCE_MAX ? undefined : { sequence, name: match[2] }
}

const SETTLED_HASH_DIGITS = 16

/**
 * The name of a settled file that was not counted (one that was: `archivedName`): the hash in it keeps
 * equal names from overwriting each other. Where that name is taken all the same, the sequence behind it
 * makes it one that nobody else has.
 */
export function settledName(name: string, sha256: Uint8Array, sequence?: number): string {
  const settled = `${name}.${Buffer.from(sha256).toString('hex').slice(0, SETTLED_HASH_DIGITS)}`
  return sequence === undefined ? settled : `${settled}.${sequenceText(sequence)}`
}

/** The reverse of `settledName`; undefined for what the parser did not put there. */
export function parseSettledName(
  entry: string,
): { readonly name: string; readonly hashPrefix: string } | undefined {
  const match = /^(.+)\.([0-9a-f]{16})(?:\.\d{15})?$/s.exec(entry)
  if (match?.[1] === undefined || match[2] === undefined) return undefined
  return { name: match[1], hashPrefix: match[2] }
}

/** What is said of a file that needs a person, beside it. */
export function sidecarPath(directory: string, name: string): string {
  return join(directory, `${name}${SIDECAR_SUFFIX}`)
}

export const SIDECAR_SUFFIX = '.reason.json'

const REJECTS_HASH_DIGITS = 12
const REJECTS_SUFFIX = '.rejected'

/** The name of a counted file's reject file, by its name as published; with the sequence nobody else's. */
export function rejectsName(name: string, sha256: Uint8Array, sequence?: number): string {
  const hex = Buffer.from(sha256).toString('hex')
  const given = givenName(name, hex)
  const hash = hex.slice(0, REJECTS_HASH_DIGITS)
  const own = sequence === undefined ? '' : `.${sequenceText(sequence)}`
  return `${given}.${hash}${own}${REJECTS_SUFFIX}`
}

/** The first digits of the hash in such a name; undefined: it is none. */
export function hashInRejectsName(entry: string): string | undefined {
  return /\.([0-9a-f]{12})(?:\.\d{15})?\.rejected$/.exec(entry)?.[1]
}

/** The reject file of a file in work/, while it grows and until that one is counted. */
export function rejectDraftName(sequence: number): string {
  return `.${sequenceText(sequence)}.draft`
}

/** The reverse of `rejectDraftName`. */
export function parseRejectDraftName(entry: string): number | undefined {
  const digits = /^\.(\d{15})\.draft$/.exec(entry)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** What a directory takes as a name. */
export const ENTRY_BYTES_MAX = 255
const longest = settledName('n'.repeat(NAME_BYTES_MAX), Buffer.alloc(32), 1)
assert(Buffer.byteLength(`${longest}${MANIFEST_SUFFIX}`) <= ENTRY_BYTES_MAX)
assert(
  Buffer.byteLength(rejectsName('n'.repeat(NAME_BYTES_MAX), Buffer.alloc(32), 1)) <=
    ENTRY_BYTES_MAX,
)
