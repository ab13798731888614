import { resolve } from 'node:path'

/**
 * Where a process finds its state directory, its logs and its configuration file when its command
 * line does not say: the environment tells, first ours, then systemd's.
 */

type Environment = Readonly<Record<string, string | undefined>>

export const DIR_VARIABLE = 'COUNTERSINK_DIR'
export const CONFIG_VARIABLE = 'COUNTERSINK_CONFIG'
export const CONFIG_NAME = 'countersink.json'

/** For `--dir` where it is not given. */
export function defaultDirectory(env: Environment): string {
  return env[DIR_VARIABLE] ?? firstPath(env.STATE_DIRECTORY) ?? 'var'
}

/**
 * undefined: in the state directory. What systemd says of logs goes with what it says of the state:
 * whoever names a state directory means all of it.
 */
export function logsDirectory(env: Environment, isDirGiven: boolean): string | undefined {
  const isNamed = isDirGiven || env[DIR_VARIABLE] !== undefined
  const logs = firstPath(env.LOGS_DIRECTORY)
  return isNamed || logs === undefined ? undefined : resolve(logs)
}

/** A file that was named must be there; the one in the state directory may be missing. */
export interface ConfigPlace {
  readonly path: string
  readonly isNamed: boolean
}

export function configPlace(dir: string, env: Environment): ConfigPlace {
  const named = env[CONFIG_VARIABLE]
  return named === undefined || named === ''
    ? { path: resolve(dir, CONFIG_NAME), isNamed: false }
    : { path: resolve(named), isNamed: true }
}

/** systemd separates several by colons; the first is the unit's main one. */
function firstPath(paths: string | undefined): string | undefined {
  return paths?.split(':').find(path => path !== '')
}
