import { existsSync, opendirSync, readdirSync, statSync } from 'node:fs'
import { configOf, resolveConfig } from '../../shared/config.ts'
import { FILE_SUFFIX } from '../../shared/config-layers.ts'
import { CONFIG_NAME } from '../../shared/config-places.ts'
import { CountersinkError, hasCode } from '../../shared/errors.ts'
import { type StatePaths, statePaths } from '../../shared/paths.ts'
import { SETTINGS } from '../../shared/settings.ts'

/** The exit statuses of all commands: a contract with scripts. */
export const EXIT = {
  /** Yes, or done. */
  ok: 0,
  /** The negative answer. */
  no: 1,
  /** The command line is wrong. */
  usage: 2,
  /** It cannot be answered or done now. */
  cannot: 3,
  /** Ended by Ctrl-C or SIGTERM before there was an answer. */
  interrupted: 130,
} as const

export function usage(message: string): CountersinkError {
  return new CountersinkError('USAGE', message)
}

export function cannot(message: string, advice?: string): CountersinkError {
  return new CountersinkError('STOPPED', message, advice === undefined ? {} : { advice })
}

/**
 * Of what the ledger decides, while it cannot be asked.
 *
 * @param byJournal what the journal says of it by itself.
 */
export function undecided(
  what: string,
  byJournal: string,
  silentBecause: string,
): CountersinkError {
  return new CountersinkError(
    'DATABASE_UNAVAILABLE',
    `${what} cannot be known, as MariaDB cannot be asked: ${silentBecause}`,
    { advice: `The journal by itself would say "${byJournal}".` },
  )
}

/** A whole number in a range, or a refusal that names all three. */
export function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw usage(
    `--${option} must be a whole number from ${min} to ${max}, got ${JSON.stringify(text)}`,
  )
}

/**
 * The state directory and the configuration of a command on a service. Only `up` makes a state
 * directory: any other command has nothing to do in one that is not there, which is most likely
 * mistyped. Root acts as the directory's owner from here on.
 *
 * @param mayBegin a directory that somebody made for it, with nothing in it yet, will do.
 * @throws CountersinkError STOPPED when the directory is none of ours
 */
export function environment(dir: string, mayBegin = false) {
  const paths: StatePaths = statePaths(dir)
  refuseWhatIsDenied(paths)
  const config = configOf(paths.dir, process.env)
  refuseStrangeDirectory(paths, mayBegin)
  becomeOwnerOf(paths.dir)
  return { paths, config }
}

/**
 * One in which no service has ever worked.
 *
 * @throws CountersinkError STOPPED
 */
export function refuseStrangeDirectory(paths: StatePaths, mayBegin = false): void {
  const made = [paths.inbox, paths.run, paths.parser, paths.mariadb, paths.archive]
  if (!made.some(path => existsSync(path)) && !(mayBegin && isEmpty(paths.dir))) {
    const what = existsSync(paths.dir)
      ? 'nothing of countersink is in'
      : 'there is no state directory'
    throw cannot(
      `${what} ${paths.dir}`,
      'Name the directory of the service with --dir, or start one there with "countersink up".',
    )
  }
}

/** But for what a new filesystem has, and the configuration. */
function isEmpty(dir: string): boolean {
  const there = ['lost+found', CONFIG_NAME]
  return existsSync(dir) && readdirSync(dir).every(name => there.includes(name))
}

/**
 * What root makes in a directory of somebody's would be closed to the service, which is no wish of
 * whoever types a command as root: from here on, all is done as its owner.
 *
 * @returns who that is; undefined: this process is still who it was.
 */
export function becomeOwnerOf(dir: string): number | undefined {
  const { uid, gid } = statSync(dir)
  if (process.geteuid?.() !== 0 || uid === 0) return undefined
  bringSecretAlong(dir)
  process.setgroups?.([gid])
  process.setgid?.(gid)
  process.setuid?.(uid)
  return uid
}

/** A file that is root's alone is how the service is given it, too: as a copy of its own. */
function bringSecretAlong(dir: string): void {
  const given = resolveConfig(dir, process.env).given.get('databaseUrl')
  if (given?.source !== 'environment' || given.secretFile === undefined) return
  const { variable } = SETTINGS.databaseUrl
  delete process.env[`${variable}${FILE_SUFFIX}`]
  process.env[variable] = given.text
}

/**
 * What this user may not look into would seem not to be there.
 *
 * @throws CountersinkError STOPPED
 */
export function refuseWhatIsDenied({ dir, run }: Pick<StatePaths, 'dir' | 'run'>): void {
  for (const path of [dir, run]) {
    try {
      opendirSync(path).closeSync()
      statSync(`${path}/.`)
    } catch (error) {
      if (!hasCode(error, 'EACCES')) continue
      throw cannot(
        `this user (uid ${process.geteuid?.()}) may not look into ${path}${ownerOf(path)}`,
        'Run the command as the user that the service runs as.',
      )
    }
  }
}

function ownerOf(path: string): string {
  try {
    return `, which belongs to the user with id ${statSync(path).uid}`
  } catch {
    // One of the directories above it is closed.
    return ''
  }
}
