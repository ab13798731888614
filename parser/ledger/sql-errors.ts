/**
 * What each of MariaDB's errors means for us, in one table. Whatever is not in it is waited for: the
 * next server has errors that this program has never heard of, and most of them pass.
 *
 * - **wait**: the database cannot do it now. Tried again on a new connection, for ever, with growing
 *   pauses; the reason is in `status`. Every action asks the ledger first, so a repetition is safe.
 * - **row**: a single row is refused (a constraint, a trigger). The file it comes from is to blame.
 * - **refused**: this account, database or server will not do. At the start the process ends with
 *   advice; while it runs it waits, because somebody may just be changing it.
 * - **ours**: the statement itself is wrong. The process ends: waiting would hide our own fault.
 */

import {
  CountersinkError,
  type CountersinkErrorOptions,
  describeError,
  hasCode,
  toError,
} from '../../shared/errors.ts'

export type Meaning = 'wait' | 'row' | 'refused' | 'ours'

interface Entry {
  readonly meaning: Meaning
  /** What is the matter, for people; before the server's own words. */
  readonly says: string
  /** The first pause in milliseconds, and the longest that it grows to. */
  readonly pauseMs: readonly [from: number, to: number]
}

/** Somebody else was quicker, or the connection is gone: it is over in a moment. */
const BRIEF: Entry['pauseMs'] = [25, 2_000]
/** Somebody has to do something about it. */
const LONG: Entry['pauseMs'] = [200, 15_000]

function entries(
  meaning: Meaning,
  pauseMs: Entry['pauseMs'],
  texts: Readonly<Record<number, string>>,
): [number, Entry][] {
  return Object.entries(texts).map(([number, says]) => [Number(number), { meaning, says, pauseMs }])
}

const BY_NUMBER: ReadonlyMap<number, Entry> = new Map([
  ...entries('wait', BRIEF, {
    1020: 'a row was changed by somebody else',
    1047: 'the node is not ready (Galera)',
    1050: 'somebody else has just made the table',
    1053: 'the server is shutting down',
    1152: 'the connection was cut',
    1158: 'the connection was cut',
    1159: 'the connection was cut',
    1160: 'the connection was cut',
    1161: 'the connection was cut',
    1205: 'a lock was not free in time',
    1213: 'a deadlock',
    1317: 'the statement was interrupted',
    1615: 'the table has just changed',
    1927: 'the connection was ended by somebody',
    2006: 'the server has gone away',
    2013: 'the connection was lost',
  }),
  ...entries('wait', LONG, {
    1021: 'the disk of the database is full',
    1030: 'the storage of the database reports an error',
    1036: 'the table is read only now',
    1040: 'the server has no connection left',
    1054: 'a column is away',
    1114: 'the table is full, or the disk of the database',
    1129: 'the server blocks this host',
    1135: 'the server cannot make a thread',
    1146: 'a table is away',
    1203: 'this account has no connection left (the parser keeps two open, or one)',
    1226: 'this account has reached a limit, as of its connections (the parser keeps two open, or one)',
    1290: 'the server is read only',
    1461: 'the server has no room for prepared statements',
    1792: 'the transaction is read only',
    1836: 'the server is read only',
    1969: 'the statement took longer than the server allows',
    2002: 'nothing answers there',
    2003: 'nothing answers there',
  }),
  ...entries('row', LONG, {
    1048: 'a column may not be empty',
    1216: 'a foreign key has no such row',
    1452: 'a foreign key has no such row',
    1366: 'a text does not fit the character set',
    1406: 'a text is too long',
    1526: 'no partition takes this row',
    1644: 'a trigger refuses it',
    1748: 'no partition takes this row',
    3819: 'a CHECK refuses it',
    4025: 'a CHECK refuses it',
  }),
  // Asked for where totals are added: whether all totals fit is proved before (see `overflow.ts`).
  ...entries('wait', LONG, {
    1264: 'a total does not fit its column',
    1690: 'a total does not fit its column',
  }),
  ...entries('refused', LONG, {
    1044: 'this account may not use the database',
    1045: 'user or password is wrong, or this account demands TLS or a certificate',
    1046: 'no database is named',
    1049: 'there is no such database',
    1142: 'this account lacks a privilege',
    1143: 'this account lacks a privilege on a column',
    1193: 'it lacks a variable of MariaDB’s: it is not MariaDB, or too old',
    1227: 'this account lacks a privilege',
    1370: 'this account lacks a privilege',
    1410: 'this account lacks a privilege',
    1698: 'user or password is wrong',
    1820: 'the password of this account has to be changed',
    3159: 'it demands TLS',
    1862: 'the password of this account has expired',
    4151: 'this account is locked',
    // The connector's own.
    45023: 'it has no TLS, which is asked for',
    45044:
      'it asks for the password in the way of MySQL: it is MySQL, or has this account from there',
    45056: 'its certificate is not to be trusted',
    45057: 'its certificate is not to be trusted',
    45059: 'its certificate is for another host',
    45062: 'its certificate is not to be trusted',
    45063: 'its certificate is not to be trusted',
    45064: 'this account sends its password in clear, which is done only with TLS',
  }),
  ...entries('ours', LONG, {
    1058: 'columns and values do not fit',
    1064: 'a statement is wrong',
    1065: 'a statement is empty',
    1136: 'columns and values do not fit',
    1149: 'a statement is wrong',
    1210: 'a statement has other parameters',
    // The connector's own, about how it is called.
    45016: 'a statement lacks a parameter',
    45017: 'a parameter is undefined',
    45018: 'a placeholder is undefined',
    45049: 'there is no statement',
    45050: 'a number would be rounded',
    45052: 'a statement lacks a parameter',
  }),
])

const NETWORK: Entry = { meaning: 'wait', says: 'it cannot be reached', pauseMs: BRIEF }
const UNKNOWN: Entry = {
  meaning: 'wait',
  says: 'an error that this program does not know; it is tried again',
  pauseMs: LONG,
}

/** An error of the database, judged. */
export interface SqlJudgement extends Entry {
  /** Meaning and the server's own words, bounded, without the statement. */
  readonly reason: string
}

/** undefined: it is not an error of the database or of the way to it. */
export function judgeSqlError(thrown: unknown): SqlJudgement | undefined {
  if (!(thrown instanceof Error)) return undefined
  if (thrown instanceof CountersinkError) {
    if (thrown.code !== 'DATABASE_UNAVAILABLE') return undefined
    const known = thrown.cause === undefined ? undefined : judgeSqlError(thrown.cause)
    return { ...(known ?? NETWORK), meaning: 'wait', reason: describeError(thrown) }
  }
  const entry = entryOf(thrown)
  if (entry === undefined) return undefined
  const number = sqlNumber(thrown)
  const told = number > 0 ? ` (${number}: ${wordsOf(thrown)})` : ` (${wordsOf(thrown)})`
  return { ...entry, reason: `${entry.says}${told}` }
}

function entryOf(error: Error): Entry | undefined {
  const found = BY_NUMBER.get(sqlNumber(error))
  if (found !== undefined) return found
  const state = 'sqlState' in error ? error.sqlState : undefined
  // SIGNAL in a trigger may name any number; the class of its state is that of unhandled conditions.
  if (typeof state === 'string' && state.startsWith('45')) return BY_NUMBER.get(1644)
  // Before what is waited for: a certificate does not mend itself.
  const code = certificateCode(error)
  if (code !== undefined)
    return { ...CERTIFICATE, says: CERTIFICATE_SAYS[code] ?? CERTIFICATE.says }
  if ('fatal' in error && error.fatal === true) return NETWORK
  if ('code' in error && typeof error.code === 'string' && NETWORK_CODE.test(error.code)) {
    return NETWORK
  }
  return state === undefined ? undefined : UNKNOWN
}

const CERTIFICATE: Entry = {
  meaning: 'refused',
  says: 'its certificate is not to be trusted',
  pauseMs: LONG,
}

const CERTIFICATE_SAYS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired, or this clock is wrong',
  CERT_NOT_YET_VALID: 'its certificate is not in force yet, or this clock is wrong',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host',
}

/** OpenSSL's words for what it verifies, or Node's for the name; maybe inside of the connector's. */
const CERTIFICATE_CODE =
  /^(CERT_|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|ERR_TLS_CERT|ERR_OSSL_(PEM|X509)|ERR_SSL_)/

function certificateCode(error: Error): string | undefined {
  if ('code' in error && CERTIFICATE_CODE.test(String(error.code))) return String(error.code)
  return error.cause instanceof Error ? certificateCode(error.cause) : undefined
}

const NETWORK_CODE =
  /^(E(CONN|HOST|NET|PIPE|TIMEDOUT|NOTFOUND|AI_|ADDR|ACCES|NOENT)|ER_(SOCKET|CONNECTION|CMD))/

const WORDS_MAX = 250

function wordsOf(error: Error): string {
  // The connector puts its own prefix and the statement around what the server said.
  const said = 'sqlMessage' in error && typeof error.sqlMessage === 'string' ? error.sqlMessage : ''
  return (said || error.message).split('\n')[0]!.slice(0, WORDS_MAX)
}

/** MariaDB's number of an error; 0 for what is none. */
export function sqlNumber(thrown: unknown): number {
  const errno = thrown instanceof Error && 'errno' in thrown ? thrown.errno : undefined
  return typeof errno === 'number' ? errno : 0
}

/** Whether the server has no further connection, for this account or at all; also one of several hosts. */
export function hasNoneLeft(thrown: unknown): boolean {
  return /\b(1040|1203|1226)\b/.test(judgeSqlError(thrown)?.reason ?? '')
}

/** Numbers that single statements ask for. */
export const SQL_UNKNOWN_VARIABLE = 1193
export const SQL_DUPLICATE_KEY = 1062
export const SQL_OUT_OF_RANGE = 1690
export const SQL_VALUE_OUT_OF_RANGE = 1264
export const SQL_NO_SUCH_TABLE = 1146
export const SQL_NO_SUCH_COLUMN = 1054

export function isMissingTable(thrown: unknown): boolean {
  return sqlNumber(thrown) === SQL_NO_SUCH_TABLE
}

/** Whether trying again on a new connection can help. */
export function isTransient(thrown: unknown): boolean {
  return judgeSqlError(thrown)?.meaning === 'wait'
}

/** An SQL error that nobody can wait for, without the statement's text (it may be very long). */
export function databaseFailed(what: string, thrown: unknown): CountersinkError {
  const reason = judgeSqlError(thrown)?.reason ?? toError(thrown).message.slice(0, WORDS_MAX)
  return new CountersinkError('DATABASE_FAILED', `${what} failed in MariaDB: ${reason}`, {
    advice: 'This is not expected: please report it.',
  })
}

export function databaseUnavailable(why: string, cause?: unknown): CountersinkError {
  return new CountersinkError('DATABASE_UNAVAILABLE', why, cause === undefined ? {} : { cause })
}

/** What a person has to mend: the account, the server, the ledger in it. */
export function isUnfit(error: unknown): error is CountersinkError {
  return (
    error instanceof CountersinkError &&
    hasCode(error, 'DATABASE_UNFIT', 'LEDGER_UNFIT', 'LEDGER_BEHIND')
  )
}

/** This account, database or server will not do. */
export function databaseUnfit(
  why: string,
  advice: string,
  more: Pick<CountersinkErrorOptions, 'cause' | 'mend'> = {},
): CountersinkError {
  return new CountersinkError('DATABASE_UNFIT', `this MariaDB cannot be used: ${why}`, {
    advice,
    ...more,
  })
}
