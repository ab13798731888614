import { existsSync, opendirSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { configOf } from '../../shared/config.ts'
import { CONFIG_VARIABLE, defaultDirectory } from '../../shared/config-places.ts'
import { CountersinkError, hasCode, toError } from '../../shared/errors.ts'
import { nearest } from '../../shared/nearest.ts'
import { type StatePaths, statePaths } from '../../shared/paths.ts'

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

type Options = NonNullable<ParseArgsConfig['options']>

/** One subcommand. */
export interface Command {
  readonly name: string
  /** For the list of commands. */
  readonly summary: string
  /** All of `--help`. */
  readonly help: string
  /** It goes on when nobody reads what it prints any more. */
  readonly isService?: true
  /** @returns the exit status. */
  run(args: readonly string[]): Promise<number>
}

/**
 * Strict parsing with a hint: an unknown option is refused with the nearest known one.
 *
 * @throws CountersinkError USAGE
 */
export function parseOptions<const T extends Options>(
  args: readonly string[],
  options: T,
  positionals: { min: number; max: number; what: string } = { min: 0, max: 0, what: '' },
) {
  let parsed: ReturnType<
    typeof parseArgs<{ options: T & typeof COMMON; allowPositionals: true; strict: true }>
  >
  try {
    parsed = parseArgs({
      args: [...args],
      options: { ...options, ...COMMON },
      allowPositionals: true,
      strict: true,
    })
  } catch (error) {
    throw usage(hintFor(toError(error), Object.keys({ ...options, ...COMMON, help: 0 })))
  }
  const found = parsed.positionals.length
  if (found < positionals.min || found > positionals.max) {
    const extra = parsed.positionals[positionals.max]
    throw usage(
      found > positionals.max
        ? `${JSON.stringify(extra)} is one argument too many`
        : `${positionals.what} is missing`,
    )
  }
  const { dir, config } = parsed.values as { dir?: string; config?: string }
  // As a variable it reaches whatever reads the configuration, and the children of this process.
  if (config !== undefined) process.env[CONFIG_VARIABLE] = resolve(config)
  return {
    ...parsed,
    values: { ...parsed.values, dir: dir ?? defaultDirectory(process.env) },
    isDirGiven: dir !== undefined,
  }
}

/** `--dir` and `--config` are everywhere. */
const COMMON = {
  dir: { type: 'string' },
  config: { type: 'string' },
} as const satisfies Options

export const DIR_HELP = `  --dir D            the state directory (default: COUNTERSINK_DIR, systemd's, or ./var)
  --config FILE      the configuration (default: COUNTERSINK_CONFIG, or countersink.json in D)`

export function usage(message: string): CountersinkError {
  return new CountersinkError('USAGE', message)
}

export function cannot(message: string, advice?: string): CountersinkError {
  return new CountersinkError('STOPPED', message, advice === undefined ? {} : { advice })
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
 * mistyped.
 *
 * @throws CountersinkError STOPPED when the directory is none of ours
 */
export function environment(dir: string) {
  const paths: StatePaths = statePaths(dir)
  refuseWhatIsDenied(paths)
  const config = configOf(paths.dir, process.env)
  const made = [paths.inbox, paths.run, paths.parser, paths.mariadb, paths.archive]
  if (!made.some(path => existsSync(path))) {
    const what = existsSync(paths.dir)
      ? 'nothing of countersink is in'
      : 'there is no state directory'
    throw cannot(
      `${what} ${paths.dir}`,
      'Name the directory of the service with --dir, or start one there with "countersink up".',
    )
  }
  return { paths, config }
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

function hintFor(error: Error, known: readonly string[]): string {
  const unknown = /Unknown option '--?([^'=]+)/.exec(error.message)?.[1]
  if (!hasCode(error, 'ERR_PARSE_ARGS_UNKNOWN_OPTION') || unknown === undefined) {
    return error.message.split('. To specify')[0] ?? error.message
  }
  const near = nearest(unknown, known)
  return `there is no option --${unknown}${near === undefined ? '' : `; did you mean --${near}?`}`
}
