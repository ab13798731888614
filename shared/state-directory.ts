import { existsSync, readFileSync, statSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join, parse } from 'node:path'
import { CountersinkError } from './errors.ts'
import { printable, shellWord } from './printable.ts'

/**
 * What a state directory must not be, and whom it must belong to. Directories and files are made in
 * it, moved and removed; whoever else may write there could put others in their place.
 */

/** Directories that belong to the system or hold everybody's things; below them is another matter. */
const SHARED_PLACES: ReadonlySet<string> = new Set([
  ...['/bin', '/boot', '/dev', '/etc', '/home', '/lib', '/lib32', '/lib64', '/media', '/mnt'],
  ...['/opt', '/proc', '/root', '/run', '/sbin', '/srv', '/sys', '/tmp', '/usr', '/var'],
  ...['/usr/bin', '/usr/lib', '/usr/local', '/usr/share', '/var/cache', '/var/lib', '/var/log'],
  ...['/var/run', '/var/spool', '/var/tmp', '/dev/shm'],
])

/**
 * @param dir as given, and where that is.
 * @throws CountersinkError USAGE for nothing at all, the root, a directory that is shared by all, or
 * one that holds a program's sources, or one whose name would break the lines that name it.
 */
export function refuseUnfitPlace(dir: string, root: string): void {
  const why =
    dir.trim() === ''
      ? 'an empty name'
      : root === parse(root).root || SHARED_PLACES.has(root)
        ? `${root}, which holds what belongs to the system`
        : isSourceTree(root)
          ? `${root}, which holds a program's sources`
          : UNNAMEABLE.test(root)
            ? `${printable(JSON.stringify(root))}: its name has control characters, or bytes that are not UTF-8`
            : undefined
  if (why === undefined) return
  throw new CountersinkError('USAGE', `the state directory cannot be ${why}`, {
    advice: 'Name a directory of its own with --dir, such as /var/lib/countersink.',
  })
}

/** What ends a line, and the mark that Node puts for bytes that are not UTF-8: it would name another. */
const UNNAMEABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\ufffd]/u

function isSourceTree(directory: string): boolean {
  return ['package.json', '.git'].some(name => existsSync(join(directory, name)))
}

/**
 * @throws CountersinkError STATE_DIRECTORY_UNFIT when one of these directories is another user's, who
 * could reach what is in it, or make us write somewhere else.
 */
export async function refuseDirectoriesOfOthers(...paths: readonly string[]): Promise<void> {
  const me = process.geteuid?.()
  for (const path of paths) {
    const { uid } = await stat(path)
    if (me === undefined || uid === me) continue
    throw new CountersinkError(
      'STATE_DIRECTORY_UNFIT',
      `${path} belongs to the user with id ${uid}, and this program runs as ${me}`,
      {
        advice: `Run it as that user, or give it the directory: chown -R ${me} ${shellWord(path)}.`,
        mend: [`chown -R ${me} ${shellWord(path)}`],
      },
    )
  }
}

/** Which directory it is, whatever leads to it: a copy has the names and contents, but not this. */
export function placeOf(path: string): string {
  const { dev, ino } = statSync(path, { bigint: true })
  return `${dev}:${ino}`
}

/** Descriptors that a process may need: connections, files being read, runs being merged, LMDB. */
const OPEN_FILES_MIN = 512

/**
 * @throws CountersinkError LIMIT_TOO_LOW when this process may open too few files for what it
 * may have to do; failing in the middle of it would be worse.
 */
export function refuseTooFewDescriptors(pid: number | 'self' = 'self'): void {
  // Node has raised the soft limit to the hard one already.
  const files = limitOf('Max open files', pid)
  if (files >= OPEN_FILES_MIN) return
  throw new CountersinkError(
    'LIMIT_TOO_LOW',
    `${pid === 'self' ? 'this process' : `process ${pid}`} may open ${files} files, and needs at least ${OPEN_FILES_MIN}`,
    {
      advice: `Raise it: "ulimit -n ${2 * OPEN_FILES_MIN}", or LimitNOFILE= of its service.`,
      mend: [`ulimit -n ${2 * OPEN_FILES_MIN}`],
    },
  )
}

/** A limit of a process, by its name in /proc; Infinity where it has none. */
export function limitOf(name: string, pid: number | 'self' = 'self'): number {
  const limits = readFileSync(`/proc/${pid}/limits`, 'utf8').split('\n')
  const value = limits
    .find(line => line.startsWith(name))
    ?.slice(name.length)
    .trim()
    .split(/\s/)[0]
  return value === undefined || value === 'unlimited' ? Number.POSITIVE_INFINITY : Number(value)
}
