import { LEVELS, LOG_FORMATS } from './log-line.ts'
import {
  alertCommand,
  databaseUrl,
  fileSize,
  rejectLines,
  seed,
  serve,
  timeZone,
} from './setting-forms.ts'
import { bytes, choice, count, daysKept, path, sqlName } from './setting-kinds.ts'

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
