import { DATABASE_URL_FORM, maskedUrl, parseDatabaseUrl } from './database-url.ts'
import { U64_MAX } from './limits.ts'
import { parseBytes, parseU64 } from './numbers.ts'
import { parseRejectLimit, REJECT_LIMIT_PATTERN, type RejectLimit } from './reject-limit.ts'
import { parseServeAddress, SERVE_FORM } from './serve-address.ts'
import { type Setting, SIZES_PATTERN } from './setting-kinds.ts'
import { timeZoneNamed } from './time-zone.ts'

// Settings that are of no kind that others are of: each has a form of its own. What they stand
// among is in `settings.ts`.

export interface ByteRange {
  readonly minBytes: number
  readonly maxBytes: number
}

/** A generated file is at least this long: shorter ones could be equal by chance. */
const GENERATED_BYTES_MIN = 1_024

export const fileSize: Setting<ByteRange> = {
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

export const seed: Setting<bigint | 'random'> = {
  variable: 'COUNTERSINK_SEED',
  meaning: 'seed of the generated stream, kept in its state from the first start on',
  default: 'random',
  allowed: `a whole number from 0 to ${U64_MAX}, or random`,
  // What JSON has beyond 2^53 is not what was written: it is written as a string.
  schema: { type: ['integer', 'string'], minimum: 0, pattern: String.raw`^(random|\d{1,39})$` },
  parse: text => (text === 'random' ? text : parseU64(text)),
}

export const databaseUrl: Setting<string> = {
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

export const rejectLines: Setting<RejectLimit> = {
  variable: 'COUNTERSINK_REJECT_LINES',
  meaning:
    'how many bad lines of a file are put aside in rejects/, so that its good ones are counted: N lines, or P% of all of its lines; 0: the first one quarantines the file. What a manifest says of its file goes before it',
  default: '0',
  allowed: 'a whole number of lines such as 10, or a share from 0% to 100% such as 0.5%',
  schema: { type: ['integer', 'string'], minimum: 0, pattern: REJECT_LIMIT_PATTERN },
  parse: parseRejectLimit,
}

export const timeZone: Setting<string> = {
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

export const serve: Setting<string> = {
  variable: 'COUNTERSINK_SERVE',
  meaning: 'where up serves the page, the API and the metrics over HTTP; empty: nowhere',
  default: '',
  allowed: SERVE_FORM,
  schema: { type: 'string', pattern: String.raw`^(unix:/.+|.+:\d{1,5})?$` },
  parse: text => (text === '' || parseServeAddress(text) !== undefined ? text : undefined),
}

export const alertCommand: Setting<string> = {
  variable: 'COUNTERSINK_ALERT_COMMAND',
  meaning:
    'run by /bin/sh with a JSON event on standard input when a person is needed; empty: none',
  default: '',
  allowed: 'a command line of at most 4096 characters',
  parse: text => (text.length <= 4_096 && !text.includes('\0') ? text : undefined),
  schema: { type: 'string', pattern: '^.{0,4096}$' },
}
