import assert from 'node:assert/strict'
import { CountersinkError } from './errors.ts'
import { nearest } from './nearest.ts'
import type { Setting } from './setting-kinds.ts'
import { SETTINGS } from './settings.ts'

/**
 * Every setting, resolved once at the edge of each process from environment variables into a
 * readonly record. Nothing deeper reads `process.env` or applies a default. The supervisor turns
 * its own options into these variables for its children.
 */
export type Config = {
  readonly [K in keyof typeof SETTINGS]: Exclude<
    ReturnType<(typeof SETTINGS)[K]['parse']>,
    undefined
  >
}

/**
 * @throws CountersinkError CONFIG_INVALID naming the variable, the value and what is allowed; for a
 * variable that nothing here knows, the nearest one; and for settings that contradict each other, both.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  refuseUnknown(env)
  const entries = Object.entries(SETTINGS).map(([key, setting]: [string, Setting<unknown>]) => {
    const text = env[setting.variable] ?? setting.default
    const value = setting.parse(text)
    if (value === undefined) {
      const found = setting.refused?.(text) ?? JSON.stringify(text)
      throw new CountersinkError(
        'CONFIG_INVALID',
        `${setting.variable} must be ${setting.allowed}; got ${found}`,
        { advice: `It means: ${setting.meaning}. The default is ${setting.default || 'empty'}.` },
      )
    }
    return [key, value]
  })
  const config = Object.freeze(Object.fromEntries(entries)) as Config
  refuseCollisions(config)
  refuseContradictions(env, config)
  return config
}

/** Not settings: what one process tells another, and what tests and the benchmark go by. */
const OTHER_VARIABLES = [
  ...['COUNTERSINK_MARIADBD', 'COUNTERSINK_RUN_ID', 'COUNTERSINK_CRASH_AT'],
  ...['COUNTERSINK_CRASH_MARKS', 'COUNTERSINK_TEST_DIRECTORY', 'COUNTERSINK_HISTORIES'],
  ...['COUNTERSINK_FIRST_SEED', 'COUNTERSINK_SEED_HISTORY', 'COUNTERSINK_BENCH_MODULES'],
]

/** A misspelt variable would be ignored without a word, and something else be done than was meant. */
function refuseUnknown(env: Readonly<Record<string, string | undefined>>): void {
  const known = Object.values(SETTINGS).map(({ variable }) => variable)
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith('COUNTERSINK_') || value === undefined) continue
    if (known.includes(variable) || OTHER_VARIABLES.includes(variable)) continue
    const near = nearest(variable, known)
    throw new CountersinkError('CONFIG_INVALID', `there is no setting ${variable}`, {
      advice: near === undefined ? 'Unset it.' : `Is ${near} what is meant? Otherwise unset it.`,
    })
  }
}

/** The server compares names of columns, and on some systems of tables, without regard to case. */
function refuseCollisions(config: Config): void {
  const { totalsTable, totalsIdColumn, totalsAmountColumn, tablePrefix } = SETTINGS
  const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()
  if (same(config.totalsIdColumn, config.totalsAmountColumn)) {
    throw collision(totalsIdColumn, totalsAmountColumn, config.totalsIdColumn)
  }
  const taken = LEDGER_TABLES.find(table => {
    return same(`${config.tablePrefix}${table}`, config.totalsTable)
  })
  if (taken !== undefined) {
    throw collision(totalsTable, tablePrefix, `${config.tablePrefix}${taken}`)
  }
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
function refuseContradictions(
  env: Readonly<Record<string, string | undefined>>,
  config: Config,
): void {
  for (const { smaller, larger, otherwise } of ORDERS) {
    const [less, more] = [SETTINGS[smaller], SETTINGS[larger]]
    if (env[less.variable] === undefined || env[more.variable] === undefined) continue
    if (config[smaller] <= config[larger]) continue
    throw new CountersinkError(
      'CONFIG_INVALID',
      `${more.variable} (${config[larger]}) must be at least ${less.variable} (${config[smaller]}): ${otherwise}`,
      { advice: `They are: ${more.meaning}; ${less.meaning}. Change one of them.` },
    )
  }
}

function collision(one: Setting<string>, other: Setting<string>, name: string): CountersinkError {
  return new CountersinkError(
    'CONFIG_INVALID',
    `${one.variable} and ${other.variable} both lead to the name ${name}`,
    { advice: `They are: ${one.meaning}; ${other.meaning}. Choose different names.` },
  )
}

/** The ledger's own tables, as they are called behind the prefix. */
export const LEDGER_TABLES = ['meta', 'batch', 'file', 'sighting'] as const

const defaults = readConfig({})
for (const { smaller, larger } of ORDERS) assert(defaults[smaller] <= defaults[larger])
assert(defaults.chunkPairsMax <= defaults.pairsMax)
assert(defaults.batchFilesMax <= defaults.queueFilesMax)
assert(defaults.backlogFilesMax <= defaults.queueFilesMax)
assert(defaults.fileSize.maxBytes <= defaults.backlogBytesMax)
