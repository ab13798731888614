/**
 * One error family for the whole project.
 *
 * Callers and tests look at `code`; the message is for people. It names the thing, the value found
 * and the range allowed; `advice` says what to do about it.
 */

export type ErrorCode =
  // Usage and configuration: the same start would fail again, so nobody restarts it.
  | 'USAGE'
  | 'CONFIG_INVALID'
  | 'STATE_DIRECTORY_UNFIT'
  | 'STATE_DIRECTORY_IN_USE'
  | 'SOCKET_PATH_TOO_LONG'
  | 'LIMIT_TOO_LOW'
  | 'DATABASE_UNFIT'
  | 'DATABASE_PROGRAM_MISSING'
  | 'LEDGER_UNFIT'
  | 'LEDGER_BEHIND'
  // Somebody else is at work here.
  | 'OWNERSHIP_LOST'
  | 'ALREADY_RUNNING'
  // The socket.
  | 'FRAME_TOO_LARGE'
  | 'FRAME_EMPTY'
  | 'FRAME_UNREADABLE'
  | 'FRAME_TOO_SLOW'
  | 'MESSAGE_INVALID'
  | 'PROTOCOL_MISMATCH'
  | 'PEER_NOT_READING'
  | 'GAVE_WAY'
  | 'NO_PLACE'
  | 'TOO_MANY_REQUESTS'
  | 'CHANNEL_CLOSED'
  | 'REQUEST_TIMEOUT'
  // Files.
  | 'MANIFEST_INVALID'
  | 'FILE_UNFIT'
  | 'FILE_CHANGED'
  | 'IO_FAILED'
  | 'DISK_FULL'
  | 'RUN_UNREADABLE'
  | 'BLOCK_UNREADABLE'
  // Journal and ledger.
  | 'JOURNAL_FAILED'
  | 'JOURNAL_IN_USE'
  | 'JOURNAL_UNREADABLE'
  | 'DATABASE_UNAVAILABLE'
  | 'DATABASE_FAILED'
  | 'CURSOR_MOVED'
  | 'USAGE_UNLIKE'
  | 'LEASE_LOST'
  // Processes.
  | 'CHILD_FAILED'
  | 'STOPPED'

/** Codes that a restart cannot mend: the process says so by `EXIT_CONFIG` and is left alone. */
const FINAL_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'USAGE',
  'CONFIG_INVALID',
  'STATE_DIRECTORY_UNFIT',
  'STATE_DIRECTORY_IN_USE',
  'SOCKET_PATH_TOO_LONG',
  'LIMIT_TOO_LOW',
  'DATABASE_UNFIT',
  'DATABASE_PROGRAM_MISSING',
  'LEDGER_UNFIT',
  'LEDGER_BEHIND',
  'OWNERSHIP_LOST',
  'ALREADY_RUNNING',
])

/** A process that ended for a reason that a restart would only repeat (sysexits' EX_CONFIG). */
export const EXIT_CONFIG = 78
/** A process that ended on an error that a fresh start may well survive (sysexits' EX_SOFTWARE). */
export const EXIT_FAILED = 70

/** A process that ended because a disk is full: a fresh start survives once there is room (EX_TEMPFAIL). */
export const EXIT_DISK_FULL = 75

export interface CountersinkErrorOptions extends ErrorOptions {
  /** One sentence: what the reader can do now. */
  readonly advice?: string
  /** What mends it, word for word: SQL ends in a semicolon, anything else is a command for a shell. */
  readonly mend?: readonly string[]
}

export class CountersinkError extends Error {
  readonly code: ErrorCode
  readonly advice: string | undefined
  readonly mend: readonly string[]

  constructor(code: ErrorCode, message: string, options: CountersinkErrorOptions = {}) {
    super(message, options)
    this.name = 'CountersinkError'
    this.code = code
    this.advice = options.advice
    this.mend = options.mend ?? []
  }

  /** The exit status of a process that ends on this error. */
  get exitCode(): number {
    return FINAL_CODES.has(this.code) ? EXIT_CONFIG : exitCodeOf(this)
  }
}

/** The exit status of a process that ends on something thrown that no restart would only repeat. */
export function exitCodeOf(thrown: unknown): number {
  return isDiskFull(thrown) ? EXIT_DISK_FULL : EXIT_FAILED
}

/** Anything thrown, as an Error; what was not one is kept as the cause. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown })
}

export function ioFailed(what: string, thrown: unknown): CountersinkError {
  return new CountersinkError('IO_FAILED', `${what} failed`, { cause: thrown })
}

/** Whether `thrown` is an error of this code, or of one of these codes. */
export function hasCode(thrown: unknown, ...codes: readonly string[]): boolean {
  return (
    thrown instanceof Error &&
    'code' in thrown &&
    typeof thrown.code === 'string' &&
    codes.includes(thrown.code)
  )
}

/** Whether a disk without room is behind it: in so many words, as LMDB passes on no code. */
export function isDiskFull(thrown: unknown): boolean {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (hasCode(error, 'ENOSPC', 'EDQUOT', 'DISK_FULL')) return true
    if (/No space left on device|Disk quota exceeded/.test(error.message)) return true
  }
  return false
}

/** `CODE: message (because: …). Advice`, on one line, for a log. */
export function describeError(thrown: unknown): string {
  const error = toError(thrown)
  const found = 'code' in error && typeof error.code === 'string' ? `${error.code}: ` : ''
  // The system's own messages begin with it.
  const code = error.message.startsWith(found) ? '' : found
  return `${code}${explainError(error)}`.replace(/\s*\n\s*/g, ' ')
}

/** The same without the code and with its line breaks, for a terminal. */
export function explainError(thrown: unknown): string {
  const what = withCause(thrown)
  if (!(thrown instanceof CountersinkError) || thrown.advice === undefined) return what
  return `${what}${/[.!?…]$/.test(what) ? '' : '.'} ${thrown.advice}`
}

/** The number of a database's connection: with it, each attempt of the same would read like another. */
const WHERE = /^\(conn:-?\d+, no: \d+, SQLState: \w+\) /

/** What happened and why, without the advice. */
export function withCause(thrown: unknown): string {
  const error = toError(thrown)
  const why = error.cause === undefined ? '' : toError(error.cause).message.replace(WHERE, '')
  return error.message.includes(why) ? error.message : `${error.message} (because: ${why})`
}

/** What the system said, without the paths it said it of: `EPERM: operation not permitted`. */
export function systemReason(thrown: unknown): string {
  const error = toError(thrown)
  if (hasCode(error, 'IO_FAILED') && error.cause !== undefined) return systemReason(error.cause)
  const call = 'syscall' in error ? error.message.indexOf(`, ${error.syscall}`) : -1
  return call === -1 ? error.message : error.message.slice(0, call)
}
