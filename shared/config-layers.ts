import { CountersinkError } from './errors.ts'
import { nearest } from './nearest.ts'
import { shellWord } from './printable.ts'
import { readSecretFile } from './secret-file.ts'
import { fileKeyOf, SETTING_KEYS, SETTINGS, type SettingKey } from './settings.ts'

/**
 * What each source of the configuration says, as texts of settings. A later layer goes before an
 * earlier one, a setting at a time; what is wrong in one is collected, so that all of it can be told
 * at once.
 */

export type Source = 'default' | 'remembered' | 'file' | 'environment'

/** One setting as a source has it. */
export interface Given {
  readonly source: Source
  /** How the person who wrote it finds it: a variable, or a key in a file. */
  readonly name: string
  readonly text: string
  /** How it is shown when it is refused, where that is not the text itself. */
  readonly shown?: string
  /** The text stands in a file of its own. */
  readonly secretFile?: string
}

export type Layer = ReadonlyMap<SettingKey, Given>

export interface Problem {
  readonly message: string
  readonly advice: string
  /** A command that mends it. */
  readonly mend?: string
}

export type Environment = Readonly<Record<string, string | undefined>>

/** The setting is in a file of its own, whose path is here. */
export const FILE_SUFFIX = '_FILE'

/** Not settings: what one process tells another, where things are, and what tests and the benchmark go by. */
const OTHER_VARIABLES = [
  ...['COUNTERSINK_DIR', 'COUNTERSINK_CONFIG'],
  ...['COUNTERSINK_MARIADBD', 'COUNTERSINK_RUN_ID', 'COUNTERSINK_CRASH_AT'],
  ...['COUNTERSINK_CRASH_MARKS', 'COUNTERSINK_TEST_DIRECTORY', 'COUNTERSINK_HISTORIES'],
  ...['COUNTERSINK_FIRST_SEED', 'COUNTERSINK_SEED_HISTORY', 'COUNTERSINK_BENCH_MODULES'],
]

export function defaultsLayer(): Layer {
  return new Map(
    SETTING_KEYS.map(key => {
      const { variable, default: text } = SETTINGS[key]
      return [key, { source: 'default', name: variable, text }]
    }),
  )
}

/** @param env of this process, or (`remembered`) variables as the service would have them. */
export function environmentLayer(
  env: Environment,
  problems: Problem[],
  source: Source = 'environment',
): Layer {
  refuseUnknownVariables(env, problems)
  const layer = new Map<SettingKey, Given>()
  for (const key of SETTING_KEYS) {
    const setting = SETTINGS[key]
    const { variable } = setting
    const text = env[variable]
    const path = 'isSecret' in setting ? env[`${variable}${FILE_SUFFIX}`] : undefined
    if (text !== undefined) layer.set(key, { source, name: variable, text })
    if (path === undefined) continue
    const name = `${variable}${FILE_SUFFIX}`
    if (text !== undefined) problems.push(bothGiven(variable, name))
    else setFromFile(layer, key, { source, name, text: path }, problems)
  }
  return layer
}

/** A setting whose text stands in a file of its own. */
export function setFromFile(
  layer: Map<SettingKey, Given>,
  key: SettingKey,
  { source, name, text: path }: Given,
  problems: Problem[],
): void {
  try {
    const text = readSecretFile(path, name)
    layer.set(key, { source, name: `${name} (${path})`, text, secretFile: path })
  } catch (error) {
    problems.push(problemOf(error))
  }
}

export function bothGiven(one: string, other: string): Problem {
  return {
    message: `${one} and ${other} are both given, and say the same thing twice`,
    advice: 'Leave out one of them.',
  }
}

/** Only a refusal is a problem of the configuration; anything else is thrown on. */
export function problemOf(error: unknown): Problem {
  if (!(error instanceof CountersinkError) || error.code !== 'CONFIG_INVALID') throw error
  const [mend] = error.mend
  return { message: error.message, advice: error.advice ?? '', ...(mend && { mend }) }
}

/** A misspelt variable would be ignored without a word, and something else be done than was meant. */
function refuseUnknownVariables(env: Environment, problems: Problem[]): void {
  const known = SETTING_KEYS.flatMap(key => {
    const setting = SETTINGS[key]
    const { variable } = setting
    return 'isSecret' in setting ? [variable, `${variable}${FILE_SUFFIX}`] : [variable]
  })
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith('COUNTERSINK_') || value === undefined) continue
    if (known.includes(variable) || OTHER_VARIABLES.includes(variable)) continue
    const near = nearest(variable, [...known, 'COUNTERSINK_DIR', 'COUNTERSINK_CONFIG'])
    problems.push({
      message: `there is no setting ${variable}`,
      advice: near === undefined ? 'Unset it.' : `Is ${near} what is meant? Otherwise unset it.`,
      mend: `unset ${shellWord(variable)}`,
    })
  }
}

/** Every key that the configuration file may have, and the setting behind it. */
export const FILE_KEYS: ReadonlyMap<string, { key: SettingKey; isPath: boolean }> = new Map(
  SETTING_KEYS.flatMap(key => {
    const setting = SETTINGS[key]
    const name = fileKeyOf(setting.variable)
    const itself: [string, { key: SettingKey; isPath: boolean }] = [name, { key, isPath: false }]
    return 'isSecret' in setting
      ? [itself, [fileKeyOf(`${setting.variable}${FILE_SUFFIX}`), { key, isPath: true }] as const]
      : [itself]
  }),
)
