import assert from 'node:assert/strict'
import { fileLayer } from './config-file.ts'
import {
  defaultsLayer,
  type Environment,
  environmentLayer,
  type Given,
  type Layer,
  type Problem,
} from './config-layers.ts'
import { configPlace } from './config-places.ts'
import { CountersinkError } from './errors.ts'
import { nearest } from './nearest.ts'
import { formatBytes, parseBytes } from './numbers.ts'
import { isOfThisMachine, parseServeAddress, SERVE_DEFAULT } from './serve-address.ts'
import type { Setting } from './setting-kinds.ts'
import { SETTING_KEYS, SETTINGS, type SettingKey } from './settings.ts'

/**
 * Every setting, resolved once at the edge of each process into a readonly record: defaults, over them
 * the configuration file, over it the environment. Nothing deeper reads `process.env` or applies a
 * default. A command turns its own options into variables, for itself and its children.
 */
export type Config = {
  readonly [K in SettingKey]: Exclude<ReturnType<(typeof SETTINGS)[K]['parse']>, undefined>
}

/** Everything that is in force, where each value comes from, and all that is wrong with it. */
export interface Resolved {
  /** undefined: something is wrong. */
  readonly config: Config | undefined
  readonly given: Layer
  readonly problems: readonly Problem[]
}

/**
 * What holds in a state directory.
 *
 * @param remembered variables, as the service would have them: less than what anybody says now.
 */
export function resolveConfig(
  dir: string,
  env: Environment,
  remembered: Environment = {},
): Resolved {
  const problems: Problem[] = []
  return resolve(problems, [
    defaultsLayer(),
    environmentLayer(remembered, problems, 'remembered'),
    fileLayer(configPlace(dir, env), problems),
    environmentLayer(env, problems),
  ])
}

/**
 * @throws CountersinkError CONFIG_INVALID naming the setting as it was given, the value and what is
 * allowed; for a name that nothing here knows, the nearest one; and for settings that contradict each
 * other, both.
 */
export function configOf(dir: string, env: Environment, remembered?: Environment): Config {
  return sound(resolveConfig(dir, env, remembered))
}

/** The same without a configuration file. */
export function readConfig(env: Environment): Config {
  const problems: Problem[] = []
  return sound(resolve(problems, [defaultsLayer(), environmentLayer(env, problems)]))
}

function sound({ config, problems }: Resolved): Config {
  const [first, ...more] = problems
  if (config !== undefined && first === undefined) return config
  assert(first !== undefined)
  const others = `${more.length} more: see "countersink config check".`
  throw new CountersinkError('CONFIG_INVALID', first.message, {
    advice: more.length === 0 ? first.advice : `${first.advice} ${others}`,
  })
}

function resolve(problems: Problem[], layers: readonly Layer[]): Resolved {
  const given: Layer = new Map(layers.flatMap(layer => [...layer]))
  const found = new Map<SettingKey, unknown>()
  for (const [key, one] of given) {
    const value = SETTINGS[key].parse(one.text)
    if (value === undefined) problems.push(notAllowed(SETTINGS[key], one))
    else found.set(key, value)
  }
  const values = Object.fromEntries(SETTING_KEYS.map(key => [key, found.get(key)]))
  if (found.size === SETTING_KEYS.length) {
    refuseCollisions(values as Config, given, problems)
    refuseContradictions(values as Config, given, problems)
    refuseOpenDoor(values as Config, given, problems)
  }
  const config = problems.length === 0 ? Object.freeze(values as Config) : undefined
  return { config, given, problems }
}

function notAllowed(setting: Setting<unknown>, { source, name, text, shown }: Given): Problem {
  const found = setting.refused?.(text) ?? shown ?? JSON.stringify(text)
  const near = nearestRight(setting, text)
  return {
    message: `${name} must be ${setting.allowed}; got ${found}`,
    advice: `It means: ${setting.meaning}. The default is ${setting.default || 'empty'}.${near === undefined ? '' : ` The nearest right value is ${near}.`}`,
    ...(source === 'environment' && name === setting.variable ? { mend: `unset ${name}` } : {}),
  }
}

/** What was most likely meant: a word, or a number in the range; undefined: nothing is near. */
function nearestRight({ schema }: Setting<unknown>, given: string): string | undefined {
  const text = given.trim()
  const words = schema.enum ?? []
  const word = nearest(text, words) ?? words.find(one => text.startsWith(one))
  if (word !== undefined || schema.enum !== undefined) return word
  const isSize = schema.pattern !== undefined
  const number = isSize ? parseBytes(text) : /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined
  if (number === undefined) return undefined
  const { minimum = number, maximum = number } = schema
  const near = Math.min(Math.max(Math.round(number), minimum), maximum)
  return isSize ? formatBytes(near).replace(' ', '') : String(near)
}

/** The server compares names of columns, and on some systems of tables, without regard to case. */
function refuseCollisions(config: Config, given: Layer, problems: Problem[]): void {
  const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()
  const collide = (one: SettingKey, other: SettingKey, name: string): void => {
    problems.push({
      message: `${nameOf(one, given)} and ${nameOf(other, given)} both lead to the name ${name}`,
      advice: `They are: ${SETTINGS[one].meaning}; ${SETTINGS[other].meaning}. Choose different names.`,
    })
  }
  if (same(config.totalsIdColumn, config.totalsAmountColumn)) {
    collide('totalsIdColumn', 'totalsAmountColumn', config.totalsIdColumn)
  }
  const taken = LEDGER_TABLES.find(table => {
    return same(`${config.tablePrefix}${table}`, config.totalsTable)
  })
  if (taken !== undefined) collide('totalsTable', 'tablePrefix', `${config.tablePrefix}${taken}`)
}

function nameOf(key: SettingKey, given: Layer): string {
  return given.get(key)?.name ?? SETTINGS[key].variable
}

interface Order {
  readonly smaller: 'quietMs' | 'memoryPairsMax'
  readonly larger: 'cutHoldMs' | 'pairsMax'
  /** What the smaller one would do if it were larger. */
  readonly otherwise: string
}

const ORDERS: readonly Order[] = [
  {
    smaller: 'quietMs',
    larger: 'cutHoldMs',
    otherwise: 'a file that may be cut would be held no longer than any other',
  },
  {
    smaller: 'memoryPairsMax',
    larger: 'pairsMax',
    otherwise: 'more sums of a file would wait in memory than are ever kept there',
  },
]

/**
 * Each of two values may be allowed and both together make no sense: one of them then does nothing. Of
 * a default nobody has said that it is wanted: it gives way without a word.
 */
function refuseContradictions(config: Config, given: Layer, problems: Problem[]): void {
  for (const { smaller, larger, otherwise } of ORDERS) {
    const [less, more] = [given.get(smaller), given.get(larger)]
    if (less === undefined || less.source === 'default') continue
    if (more === undefined || more.source === 'default') continue
    if (config[smaller] <= config[larger]) continue
    problems.push({
      message: `${more.name} (${config[larger]}) must be at least ${less.name} (${config[smaller]}): ${otherwise}`,
      advice: `They are: ${SETTINGS[larger].meaning}; ${SETTINGS[smaller].meaning}. Change one of them.`,
    })
  }
}

/** Whoever can reach it could read all of it. */
function refuseOpenDoor(config: Config, given: Layer, problems: Problem[]): void {
  const address = config.serve === '' ? undefined : parseServeAddress(config.serve)
  if (address === undefined || isOfThisMachine(address) || config.serveTokenFile !== '') return
  problems.push({
    message: `${nameOf('serve', given)} is ${config.serve}, where others than this machine can ask, and ${SETTINGS.serveTokenFile.variable} names no password`,
    advice: `Serve at ${SERVE_DEFAULT} or unix:PATH, or name a file with a password of 16 characters or more.`,
  })
}

/** The ledger's own tables, as they are called behind the prefix. */
export const LEDGER_TABLES = [
  'meta',
  'lease',
  'batch',
  'file',
  'posting',
  'sums',
  'todo',
  'opening_wide',
  'order',
  'sighting',
  'rollup',
  'period',
  'usage',
  'usage_block',
  'usage_wide',
  'usage_day',
  'usage_month',
] as const

const defaults = readConfig({})
for (const { smaller, larger } of ORDERS) assert(defaults[smaller] <= defaults[larger])
assert(defaults.chunkPairsMax <= defaults.pairsMax)
assert(defaults.batchFilesMax <= defaults.queueFilesMax)
assert(defaults.backlogFilesMax <= defaults.queueFilesMax)
assert(defaults.fileSize.maxBytes <= defaults.backlogBytesMax)
