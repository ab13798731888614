import { type Connection, type ConnectionConfig, createConnection } from 'mariadb'
import type { Config } from '../../shared/config.ts'
import { CountersinkError, describeError, toError } from '../../shared/errors.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { SEQUENCE_ROWS, SEQUENCE_TABLE } from './sequences.ts'

/** Where MariaDB is: a URL, or the private server's UNIX socket. */
export type DatabaseAddress = { readonly url: string } | { readonly socketPath: string }

/** The configured database, or the private server of this state directory. */
export function databaseAddress(
  config: Pick<Config, 'databaseUrl'>,
  paths: Pick<StatePaths, 'mariadbSocket'>,
): DatabaseAddress {
  return config.databaseUrl === ''
    ? { socketPath: paths.mariadbSocket }
    : { url: config.databaseUrl }
}

/** The database a private server keeps everything in. */
const PRIVATE_DATABASE = 'countersink'
const CONNECT_TIMEOUT_MS = 5_000

/**
 * Everything that a wrong number could hide behind is set, not inherited:
 * strict mode (otherwise 2^64 is silently clamped), READ COMMITTED (repeatable read's gap locks
 * deadlock neighbouring chunks), UTC, and limits for a connection whose owner has vanished.
 */
const SESSION_SETTINGS = [
  "sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
  "tx_isolation = 'READ-COMMITTED'",
  "time_zone = '+00:00'",
  'autocommit = 1',
  'innodb_lock_wait_timeout = 20',
  'wait_timeout = 28800',
  'idle_transaction_timeout = 60',
]

/** One connection with the settings that exactness needs. Not shared between two users. */
export class Session {
  readonly #connection: Connection
  #lost: Error | undefined
  #packetBytesMax = 0
  #hasSequences: boolean | undefined

  private constructor(connection: Connection) {
    this.#connection = connection
    // Without a listener a lost connection would be an uncaught exception.
    connection.on('error', error => {
      this.#lost ??= error
    })
  }

  /** @throws CountersinkError DATABASE_UNAVAILABLE (try again), DATABASE_UNFIT (wrong settings). */
  static async open(address: DatabaseAddress): Promise<Session> {
    let connection: Connection
    try {
      connection = await createConnection({
        ...addressOptions(address),
        connectTimeout: CONNECT_TIMEOUT_MS,
        charset: 'utf8mb4',
        // Matched rows would hide missing ones: affected rows must be changed rows.
        foundRows: false,
        // A COMMIT sent behind a statement that fails would commit half a batch.
        pipelining: false,
        permitLocalInfile: false,
        multipleStatements: false,
        bigIntAsNumber: false,
        decimalAsNumber: false,
        insertIdAsNumber: false,
        autoJsonMap: false,
        // As the server writes them, in UTC: nothing is shifted into this machine's time zone.
        dateStrings: true,
        trace: false,
      })
    } catch (thrown) {
      throw connectFailure(toError(thrown))
    }
    const session = new Session(connection)
    try {
      await session.execute(`SET SESSION ${SESSION_SETTINGS.join(', SESSION ')}`)
      const [packet] = await session.query<{ bytes: bigint }>(
        'SELECT @@max_allowed_packet AS bytes',
      )
      session.#packetBytesMax = Number(packet?.bytes)
    } catch (cause) {
      session.destroy()
      if (isTransient(cause)) throw unavailable(toError(cause))
      throw new CountersinkError('DATABASE_UNFIT', 'the session settings were refused', { cause })
    }
    return session
  }

  get isUsable(): boolean {
    return this.#lost === undefined && this.#connection.isValid()
  }

  /** The server's `max_allowed_packet`: a longer statement would end the connection. */
  get packetBytesMax(): number {
    return this.#packetBytesMax
  }

  /** Whether `SEQUENCE_TABLE` can be read; asked of the server once. */
  async hasSequences(): Promise<boolean> {
    this.#hasSequences ??= await this.#findSequences()
    return this.#hasSequences
  }

  async #findSequences(): Promise<boolean> {
    try {
      const [found] = await this.query<{ n: bigint; last: bigint | null }>(
        `SELECT COUNT(DISTINCT seq) AS n, MAX(seq) AS last FROM ${SEQUENCE_TABLE}`,
      )
      return Number(found?.n) === SEQUENCE_ROWS && Number(found?.last) === SEQUENCE_ROWS - 1
    } catch (error) {
      if (isTransient(error)) throw error
      return false
    }
  }

  /** Rows as objects: BIGINT is bigint, DECIMAL, SUM and DATETIME are strings, BINARY is Buffer. */
  async query<Row>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.#connection.query(sql, valuesOf(values))) as Row[]
  }

  /** Rows one by one with backpressure, for results of any length. */
  stream<Row>(sql: string, values: readonly unknown[] = []): AsyncIterable<Row> {
    return this.#connection.queryStream(sql, valuesOf(values)) as AsyncIterable<Row>
  }

  /** The number of rows changed (an upsert counts 1 for a new row, 2 for a changed one). */
  async execute(sql: string, values: readonly unknown[] = []): Promise<number> {
    return changesOf(await this.#connection.query(sql, valuesOf(values)))
  }

  /**
   * The same of a statement that the server keeps, for the connection's life, from its first use on.
   * Values travel beside it as they are, a Buffer as bytes that the server does not look through.
   */
  async executePrepared(sql: string, values: readonly unknown[]): Promise<number> {
    return changesOf(await this.#connection.execute(sql, values as unknown[]))
  }

  async rollback(): Promise<void> {
    await this.#connection.rollback()
  }

  async close(): Promise<void> {
    await this.#connection.end().catch(() => {
      // It was lost already; the server rolls back what was open.
    })
  }

  destroy(): void {
    this.#connection.destroy()
  }
}

/** With values, even none, the connector looks through the statement for their places. */
function valuesOf(values: readonly unknown[]): unknown[] | undefined {
  return values.length === 0 ? undefined : (values as unknown[])
}

function changesOf(result: unknown): number {
  return (result as { affectedRows?: number }).affectedRows ?? 0
}

function addressOptions(address: DatabaseAddress): ConnectionConfig {
  if ('socketPath' in address) {
    return { socketPath: address.socketPath, user: 'root', database: PRIVATE_DATABASE }
  }
  const url = new URL(address.url)
  const socketPath = url.searchParams.get('socketPath')
  return {
    ...(socketPath === null
      ? { host: url.hostname, port: url.port === '' ? 3306 : Number(url.port) }
      : { socketPath }),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.slice(1)),
  }
}

/** MariaDB's error numbers that we tell apart. */
export const SQL_DUPLICATE_KEY = 1062
export const SQL_OUT_OF_RANGE = 1690
export const SQL_VALUE_OUT_OF_RANGE = 1264

/**
 * Failures after which the same work can be tried again on a fresh connection, once the ledger was
 * asked what became of it: 1213 deadlock, 1205 lock wait, 1020 snapshot changed, 1040 too many
 * connections, 1053 shutdown, 1152/1158–1161 network, 1927 killed, 2006/2013 gone, 1290 read only.
 */
const TRANSIENT_NUMBERS: ReadonlySet<number> = new Set([
  1213, 1205, 1020, 1040, 1053, 1152, 1158, 1159, 1160, 1161, 1290, 1317, 1927, 2006, 2013,
])
const TRANSIENT_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'ENOTFOUND',
])

export function sqlNumber(thrown: unknown): number {
  const errno = thrown instanceof Error && 'errno' in thrown ? thrown.errno : undefined
  return typeof errno === 'number' ? errno : 0
}

/** Whether trying again on a new connection can help. */
export function isTransient(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false
  if (thrown instanceof CountersinkError) return thrown.code === 'DATABASE_UNAVAILABLE'
  const number = sqlNumber(thrown)
  if (TRANSIENT_NUMBERS.has(number)) return true
  // The connector's own numbers: the connection is closed, was lost, or could not be made.
  if (number >= 45_000 && 'fatal' in thrown && thrown.fatal === true) return true
  return 'code' in thrown && typeof thrown.code === 'string' && TRANSIENT_CODES.has(thrown.code)
}

/** 1044, 1045: access; 1049: no such database. Waiting does not mend these. */
const REFUSED_NUMBERS: ReadonlySet<number> = new Set([1044, 1045, 1049, 1698])

function connectFailure(error: Error): CountersinkError {
  if (REFUSED_NUMBERS.has(sqlNumber(error))) {
    return new CountersinkError(
      'DATABASE_UNFIT',
      `MariaDB refuses the connection: ${error.message}`,
      {
        cause: error,
        advice: 'Check user, password and database in COUNTERSINK_DATABASE_URL.',
      },
    )
  }
  return unavailable(error)
}

function unavailable(cause: Error): CountersinkError {
  return new CountersinkError(
    'DATABASE_UNAVAILABLE',
    `MariaDB cannot be reached: ${cause.message}`,
    {
      cause,
    },
  )
}

/** An unexpected SQL error, without the statement's text (it may hold a million numbers). */
export function databaseFailed(what: string, thrown: unknown): CountersinkError {
  const message = toError(thrown).message.slice(0, 300)
  return new CountersinkError('DATABASE_FAILED', `${what} failed in MariaDB: ${message}`, {
    advice: 'This is not expected: please report it.',
  })
}

/**
 * Keeps one session open for a loop that must not give up: opens it when needed, and after a
 * transient failure closes it and tries the whole action again, with growing, jittered pauses.
 */
export class SessionKeeper {
  readonly #address: DatabaseAddress
  readonly #signal: AbortSignal
  readonly #onChange: (unavailableBecause: string | undefined) => void
  readonly #random: () => number
  #session: Session | undefined

  constructor(options: {
    address: DatabaseAddress
    /** Ends the waiting; the action in hand is not interrupted. */
    signal: AbortSignal
    /** Told when the database goes away and comes back. */
    onChange?: (unavailableBecause: string | undefined) => void
    random?: () => number
  }) {
    this.#address = options.address
    this.#signal = options.signal
    this.#onChange = options.onChange ?? (() => {})
    this.#random = options.random ?? Math.random
  }

  /**
   * Runs `action` until it succeeds or fails for good. It must be safe to run again after a lost
   * connection: it asks the ledger what is there before it writes.
   *
   * @throws the abort reason once the signal is raised between two tries; anything not transient.
   */
  async run<T>(action: (session: Session) => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries += 1) {
      this.#signal.throwIfAborted()
      try {
        if (this.#session !== undefined && !this.#session.isUsable) this.#drop()
        this.#session ??= await Session.open(this.#address)
        const result = await action(this.#session)
        this.#onChange(undefined)
        return result
      } catch (error) {
        this.#drop()
        if (!isTransient(error))
          throw sqlNumber(error) === 0 ? error : databaseFailed('a statement', error)
        this.#onChange(describeError(error))
        await pause(RETRY_PAUSE_MS(tries, this.#random), this.#signal)
      }
    }
  }

  async close(): Promise<void> {
    await this.#session?.close()
    this.#session = undefined
  }

  #drop(): void {
    this.#session?.destroy()
    this.#session = undefined
  }
}

/** 25 ms doubling to 2 s, each shortened by up to half at random. */
const RETRY_PAUSE_MS = (tries: number, random: () => number): number =>
  Math.min(2_000, 25 * 2 ** Math.min(tries, 10)) * (0.5 + random() / 2)

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
