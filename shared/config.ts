import { DATABASE_URL_FORM, maskedUrl, parseDatabaseUrl } from './database-url.ts'
import { CountersinkError } from './errors.ts'
import { U64_MAX } from './limits.ts'
import { nearest } from './nearest.ts'
import { formatBytes, parseBytes, parseU64 } from './numbers.ts'

/**
 * Every tunable, resolved once at the edge of each process from environment variables into a
 * readonly record. Nothing deeper reads `process.env` or applies a default. The supervisor turns
 * its own options into these variables for its children.
 */
interface Setting<T> {
  /** The environment variable. */
  readonly variable: string
  readonly meaning: string
  /** In the form an operator would write. */
  readonly default: string
  /** What is allowed, for the message of a refusal. */
  readonly allowed: string
  /** undefined: not allowed. */
  parse(text: string): T | undefined
  /** A value that is not allowed, for its refusal: without what is secret in it, and why. */
  refused?(text: string): string
}

export interface ByteRange {
  readonly minBytes: number
  readonly maxBytes: number
}

const SQL_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,47}$/

function count(variable: string, meaning: string, fallback: number, min: number, max: number) {
  return {
    variable,
    meaning,
    default: String(fallback),
    allowed: `a whole number from ${min} to ${max}`,
    parse(text: string): number | undefined {
      const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
      return value >= min && value <= max ? value : undefined
    },
  } satisfies Setting<number>
}

function bytes(variable: string, meaning: string, fallback: string, min: number, max: number) {
  return {
    variable,
    meaning,
    default: fallback,
    allowed: `a size from ${formatBytes(min)} to ${formatBytes(max)}, such as 64MiB`,
    parse(text: string): number | undefined {
      const value = parseBytes(text)
      return value !== undefined && value >= min && value <= max ? value : undefined
    },
  } satisfies Setting<number>
}

function choice<T extends string>(
  variable: string,
  meaning: string,
  options: readonly [T, ...T[]],
) {
  return {
    variable,
    meaning,
    default: options[0],
    allowed: options.join(' or '),
    parse: (text: string): T | undefined => options.find(option => option === text),
  } satisfies Setting<T>
}

function sqlName(variable: string, meaning: string, fallback: string) {
  return {
    variable,
    meaning,
    default: fallback,
    allowed: 'a name of letters, digits and _ (at most 48)',
    parse: (text: string): string | undefined => (SQL_NAME.test(text) ? text : undefined),
  } satisfies Setting<string>
}

/** A generated file is at least this long: shorter ones could be equal by chance. */
const GENERATED_BYTES_MIN = 1_024

const fileSize: Setting<ByteRange> = {
  variable: 'COUNTERSINK_FILE_SIZE',
  meaning: 'sizes of generated files, smallest-largest',
  default: '10MiB-64MiB',
  allowed: 'two sizes such as 10MiB-2GiB, from 1 KiB to 64 GiB, the smaller first',
  parse(text) {
    const [from = '', to = from, ...more] = text.split('-')
    const minBytes = parseBytes(from)
    const maxBytes = parseBytes(to)
    if (minBytes === undefined || maxBytes === undefined || more.length > 0) return undefined
    if (minBytes < GENERATED_BYTES_MIN || maxBytes < minBytes || maxBytes > 2 ** 36)
      return undefined
    return { minBytes, maxBytes }
  },
}

const seed: Setting<bigint | 'random'> = {
  variable: 'COUNTERSINK_SEED',
  meaning: 'seed of the generated stream, kept in its state from the first start on',
  default: 'random',
  allowed: `a whole number from 0 to ${U64_MAX}, or random`,
  parse: text => (text === 'random' ? text : parseU64(text)),
}

const databaseUrl: Setting<string> = {
  variable: 'COUNTERSINK_DATABASE_URL',
  meaning: `your MariaDB, as ${DATABASE_URL_FORM}, with ?ssl=verify-full&ca=FILE for TLS or ?socketPath=FILE; empty: a private one`,
  default: '',
  allowed: DATABASE_URL_FORM,
  parse: text => (text === '' || !('wrong' in parseDatabaseUrl(text)) ? text : undefined),
  refused(text) {
    const parsed = parseDatabaseUrl(text)
    const why = 'wrong' in parsed ? `: ${parsed.wrong}` : ''
    return `${maskedUrl(text)}${why}; what is special in user or password must be percent-encoded (@ is %40, : %3A, / %2F, # %23, % %25)`
  },
}

export const SETTINGS = {
  databaseUrl,
  totalsTable: sqlName('COUNTERSINK_TOTALS_TABLE', 'the table of totals', 'consumption'),
  totalsIdColumn: sqlName('COUNTERSINK_TOTALS_ID', 'its primary key, the consumer id', 'id'),
  totalsAmountColumn: sqlName(
    'COUNTERSINK_TOTALS_AMOUNT',
    'its column of amounts',
    'resource_consumption',
  ),
  tablePrefix: sqlName(
    'COUNTERSINK_TABLE_PREFIX',
    "first part of the ledger's table names",
    'countersink_',
  ),

  scanIntervalMs: count(
    'COUNTERSINK_SCAN_INTERVAL_MS',
    'how often the inbox is looked through besides announcements',
    1_000,
    50,
    3_600_000,
  ),
  quietMs: count(
    'COUNTERSINK_QUIET_MS',
    'how long a file without a manifest must be unchanged before it is taken',
    10_000,
    100,
    86_400_000,
  ),
  cutHoldMs: count(
    'COUNTERSINK_CUT_HOLD_MS',
    'how long it must be unchanged when it is empty or its last line has no line end: it may be a cut copy',
    30_000,
    100,
    86_400_000,
  ),
  unterminated: choice('COUNTERSINK_UNTERMINATED', 'what becomes of it then', [
    'quarantine',
    'accept',
  ]),
  queueFilesMax: count(
    'COUNTERSINK_QUEUE_FILES_MAX',
    'files claimed and not yet settled; beyond it announcements are told to come later',
    100_000,
    1,
    10_000_000,
  ),
  pairsMax: count(
    'COUNTERSINK_PAIRS_MAX',
    'consumers summed in memory at a time; beyond it, or when the memory for sums is full (10 million consumers of neighbouring ids, nearly 3 million of any), the sums go to sorted files',
    50_000_000,
    1,
    50_000_000,
  ),
  readers: count(
    'COUNTERSINK_READERS',
    'files read side by side; 0: a third as many as there are processors, at most 4',
    0,
    0,
    16,
  ),
  sumThreads: count(
    'COUNTERSINK_SUM_THREADS',
    'threads that sum a large file together, besides the one that hashes it; 0: as many as gain something',
    0,
    0,
    16,
  ),
  memoryPairsMax: count(
    'COUNTERSINK_MEMORY_PAIRS_MAX',
    'consumers of a digested file whose sums wait in memory; those of others wait on disk',
    32_768,
    0,
    1_000_000,
  ),
  checkpointBytes: bytes(
    'COUNTERSINK_CHECKPOINT',
    // Summing that much again takes a second or two. At each checkpoint all sums are written and
    // synced: a million consumers are 16 MB, so that more of them would cost more than they save.
    'distance of checkpoints in a file: at most so much is summed again after a crash',
    '1GiB',
    1_024,
    2 ** 40,
  ),
  batchFilesMax: count(
    'COUNTERSINK_BATCH_FILES_MAX',
    'files whose sums are merged and applied together',
    2_048,
    1,
    10_000,
  ),
  chunkPairsMax: count(
    'COUNTERSINK_CHUNK_PAIRS_MAX',
    'totals changed in one transaction',
    250_000,
    1,
    1_000_000,
  ),
  takeoverMs: count(
    'COUNTERSINK_TAKEOVER_MS',
    "how long another parser's unfinished batch of files that are here must stand still before it is finished here",
    60_000,
    100,
    86_400_000,
  ),
  archiveBytesMax: bytes(
    'COUNTERSINK_ARCHIVE_BYTES_MAX',
    'archived bytes of generated files; the oldest are deleted beyond it, a file of yours never',
    '1GiB',
    0,
    2 ** 50,
  ),

  fileSize,
  consumers: count(
    'COUNTERSINK_CONSUMERS',
    'consumers in the generated stream',
    10_000,
    1,
    2 ** 40,
  ),
  distribution: choice(
    'COUNTERSINK_DISTRIBUTION',
    'how often each consumer occurs: all alike, or by rank as in real usage',
    ['uniform', 'zipf'],
  ),
  rateBytes: bytes(
    'COUNTERSINK_RATE',
    'generated bytes a second; 0 is as fast as possible',
    '0',
    0,
    2 ** 40,
  ),
  seed,
  files: count('COUNTERSINK_FILES', 'files to generate; 0 is without end', 0, 0, 1_000_000_000),
  backlogFilesMax: count(
    'COUNTERSINK_BACKLOG_FILES_MAX',
    'published files not yet settled, at which the generator waits',
    8,
    1,
    1_000_000,
  ),
  backlogBytesMax: bytes('COUNTERSINK_BACKLOG_BYTES_MAX', 'the same in bytes', '4GiB', 1, 2 ** 50),
  reserveBytes: bytes(
    'COUNTERSINK_RESERVE',
    'free space on the disk that is left alone: work pauses below it',
    '256MiB',
    0,
    2 ** 50,
  ),
  mariadbPoolBytes: bytes(
    'COUNTERSINK_MARIADB_POOL',
    "buffer pool of the private MariaDB; 0: an eighth of the machine's memory, from 256 MiB to 1 GiB",
    '0',
    0,
    2 ** 40,
  ),
  reserveInodes: count(
    'COUNTERSINK_RESERVE_INODES',
    'free inodes on the disk that are left alone, where it has a fixed number of them: the same',
    1_000,
    0,
    1_000_000_000,
  ),
} as const

export type Config = {
  readonly [K in keyof typeof SETTINGS]: Exclude<
    ReturnType<(typeof SETTINGS)[K]['parse']>,
    undefined
  >
}

/**
 * @throws CountersinkError CONFIG_INVALID naming the variable, the value and what is allowed; for a
 * variable that nothing here knows, the nearest one; and for names that collide.
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

function collision(one: Setting<string>, other: Setting<string>, name: string): CountersinkError {
  return new CountersinkError(
    'CONFIG_INVALID',
    `${one.variable} and ${other.variable} both lead to the name ${name}`,
    { advice: `They are: ${one.meaning}; ${other.meaning}. Choose different names.` },
  )
}

/** The ledger's own tables, as they are called behind the prefix. */
export const LEDGER_TABLES = ['meta', 'batch', 'file', 'sighting'] as const
