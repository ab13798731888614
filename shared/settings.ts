import { DATABASE_URL_FORM, maskedUrl, parseDatabaseUrl } from './database-url.ts'
import { U64_MAX } from './limits.ts'
import { LEVELS, LOG_FORMATS } from './log-line.ts'
import { parseBytes, parseU64 } from './numbers.ts'
import { parseRejectLimit, REJECT_LIMIT_PATTERN, type RejectLimit } from './reject-limit.ts'
import { parseServeAddress, SERVE_FORM } from './serve-address.ts'
import {
  bytes,
  choice,
  count,
  daysKept,
  path,
  type Setting,
  SIZES_PATTERN,
  sqlName,
} from './setting-kinds.ts'
import { timeZoneNamed } from './time-zone.ts'

export interface ByteRange {
  readonly minBytes: number
  readonly maxBytes: number
}

/** A generated file is at least this long: shorter ones could be equal by chance. */
const GENERATED_BYTES_MIN = 1_024

const fileSize: Setting<ByteRange> = {
  variable: 'COUNTERSINK_FILE_SIZE',
  meaning: 'sizes of generated files, smallest-largest',
  default: '10MiB-64MiB',
  allowed: 'two sizes such as 10MiB-2GiB, from 1 KiB to 64 GiB, the smaller first',
  schema: { type: ['integer', 'string'], minimum: GENERATED_BYTES_MIN, pattern: SIZES_PATTERN },
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
  // What JSON has beyond 2^53 is not what was written: it is written as a string.
  schema: { type: ['integer', 'string'], minimum: 0, pattern: String.raw`^(random|\d{1,39})$` },
  parse: text => (text === 'random' ? text : parseU64(text)),
}

const databaseUrl: Setting<string> = {
  variable: 'COUNTERSINK_DATABASE_URL',
  meaning: `your MariaDB, as ${DATABASE_URL_FORM}, with several as HOST:PORT,HOST:PORT, ?ssl=verify-full&ca=FILE for TLS or ?socketPath=FILE; empty: a private one`,
  default: '',
  allowed: DATABASE_URL_FORM,
  schema: { type: 'string' },
  isSecret: true,
  parse: text => (text === '' || !('wrong' in parseDatabaseUrl(text)) ? text : undefined),
  refused(text) {
    const parsed = parseDatabaseUrl(text)
    const why = 'wrong' in parsed ? `: ${parsed.wrong}` : ''
    return `${maskedUrl(text)}${why}; what is special in user or password must be percent-encoded (@ is %40, : %3A, / %2F, # %23, % %25)`
  },
}

const rejectLines: Setting<RejectLimit> = {
  variable: 'COUNTERSINK_REJECT_LINES',
  meaning:
    'how many bad lines of a file are put aside in rejects/, so that its good ones are counted: N lines, or P% of all of its lines; 0: the first one quarantines the file. What a manifest says of its file goes before it',
  default: '0',
  allowed: 'a whole number of lines such as 10, or a share from 0% to 100% such as 0.5%',
  schema: { type: ['integer', 'string'], minimum: 0, pattern: REJECT_LIMIT_PATTERN },
  parse: parseRejectLimit,
}

const timeZone: Setting<string> = {
  variable: 'COUNTERSINK_TIME_ZONE',
  meaning:
    'where days and months begin, as Europe/Berlin; another one than the ledger has: its days and months are made anew. Of several hosts that share a ledger the one whose setting was changed last decides. Empty: the one that the ledger has, of a new one UTC',
  default: '',
  allowed: 'the IANA name of a time zone such as Europe/Berlin or UTC',
  schema: {
    type: 'string',
    pattern: String.raw`^([A-Za-z][A-Za-z0-9_+\-]*(/[A-Za-z0-9_+\-]+)*)?$`,
  },
  parse: text => (text === '' ? text : timeZoneNamed(text)),
}

const serve: Setting<string> = {
  variable: 'COUNTERSINK_SERVE',
  meaning: 'where up serves the page, the API and the metrics over HTTP; empty: nowhere',
  default: '',
  allowed: SERVE_FORM,
  schema: { type: 'string', pattern: String.raw`^(unix:/.+|.+:\d{1,5})?$` },
  parse: text => (text === '' || parseServeAddress(text) !== undefined ? text : undefined),
}

const alertCommand: Setting<string> = {
  variable: 'COUNTERSINK_ALERT_COMMAND',
  meaning:
    'run by /bin/sh with a JSON event on standard input when a person is needed; empty: none',
  default: '',
  allowed: 'a command line of at most 4096 characters',
  parse: text => (text.length <= 4_096 && !text.includes('\0') ? text : undefined),
  schema: { type: 'string', pattern: '^.{0,4096}$' },
}

/** Every tunable, in the order of `up --help`. What holds between several of them is in `config.ts`. */
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
  sameName: choice(
    'COUNTERSINK_SAME_NAME',
    'a file whose name was counted with other content before: it is counted, and that is said in the log and in status, or not; or it is held until a person releases or refuses it',
    ['warn', 'accept', 'hold'],
  ),
  rejectLines,
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
    'how long another parser that counts, or records a content that is here, must stand still before this one takes over',
    60_000,
    100,
    86_400_000,
  ),
  usage: choice(
    'COUNTERSINK_USAGE',
    'whether usage is kept by hour, day and month; auto: as the ledger has it, and a new one has it',
    ['auto', 'on', 'off'],
  ),
  timeZone,
  rollUpMs: count(
    'COUNTERSINK_ROLL_UP_MS',
    'how long what was counted waits, while nothing else waits to be, until it stands in its hour, day and month; under load ten times as long',
    30_000,
    100,
    3_600_000,
  ),
  keepHours: daysKept(
    'COUNTERSINK_KEEP_HOURS',
    'how long usage by hour is kept; what is older is told by day and month',
    '14d',
  ),
  keepDays: daysKept(
    'COUNTERSINK_KEEP_DAYS',
    'how long usage by day is kept; what is older is told by month',
    '400d',
  ),
  keepMonths: daysKept('COUNTERSINK_KEEP_MONTHS', 'how long usage by month is kept', 'forever'),
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
  days: count(
    'COUNTERSINK_DAYS',
    'days over which the usage of generated files is spread, the last of them before the first start; 0: each is of the time at which it comes',
    30,
    0,
    3_650,
  ),
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
  alertCommand,
  serve,
  serveTokenFile: path(
    'COUNTERSINK_SERVE_TOKEN_FILE',
    'holds the password that who asks over HTTP must give as a bearer token; needed where others than this machine can ask; empty: none',
  ),
  metricsFile: path(
    'COUNTERSINK_METRICS_FILE',
    'where up writes the metrics every 15 seconds for a textfile collector, also without HTTP; empty: nowhere',
  ),
  logFormat: choice('COUNTERSINK_LOG_FORMAT', 'what lines of the logs are', LOG_FORMATS),
  logLevel: choice(
    'COUNTERSINK_LOG_LEVEL',
    'the least urgent lines that are written; from notice on, none for each file, but the summary',
    LEVELS,
    'info',
  ),
  logBytesMax: bytes(
    'COUNTERSINK_LOG_BYTES_MAX',
    'size at which a log is put aside as NAME.old, in the place of the one before; 0: never, as logrotate does it',
    '8MiB',
    0,
    2 ** 40,
  ),
  output: choice(
    'COUNTERSINK_OUTPUT',
    'what up prints: progress for people, the lines of all logs, or these with priorities for journald; auto: journal where that reads along, lines where they are JSON and nobody sits at a terminal, else progress',
    ['auto', 'progress', 'lines', 'journal'],
  ),
} as const

export type SettingKey = keyof typeof SETTINGS
export const SETTING_KEYS = Object.keys(SETTINGS) as SettingKey[]

/** How a setting is called in the configuration file: `COUNTERSINK_QUIET_MS` is `quietMs`. */
export function fileKeyOf(variable: string): string {
  return variable
    .replace(/^COUNTERSINK_/, '')
    .toLowerCase()
    .replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}
