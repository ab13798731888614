import type { Connection } from 'mariadb'
import { CountersinkError, toError } from '../../shared/errors.ts'
import { SEQUENCE_ROWS, SEQUENCE_TABLE } from './adding/sequence-engine.ts'
import { READ_BACK, SET_STATEMENTS, wrongSetting } from './session-settings.ts'
import { databaseUnavailable, databaseUnfit, isTransient, judgeSqlError } from './sql-errors.ts'
import {
  connectFailure,
  connectTo,
  type DatabaseAddress,
  isEncrypted,
  type Line,
} from './way-in.ts'

/** From the connection to its last setting: a way that swallows what is sent must not hold us up. */
const SET_UP_TIMEOUT_MS = 15_000

/** A server, and our thread on it: what another connection needs to find out what it does. */
export interface ServerThread {
  readonly server: string
  readonly thread: bigint
}

/** One connection with the settings that exactness needs. Not shared between two users. */
export class Session {
  /** The one server it is on. */
  readonly address: DatabaseAddress
  readonly #connection: Connection
  #lost: Error | undefined
  #packetBytesMax = 0
  #hasSequences: boolean | undefined
  #serverThread: ServerThread = { server: '', thread: 0n }
  #waitingSinceMs: number | undefined
  /** Told when the connection is given up: the connector itself may then answer nothing at all. */
  readonly #waiters = new Set<(error: Error) => void>()
  readonly #line: Line

  private constructor(connection: Connection, address: DatabaseAddress, line: Line) {
    this.address = address
    this.#line = line
    this.#connection = connection
    // Without a listener a lost connection would be an uncaught exception.
    connection.on('error', error => {
      this.#lost ??= error
    })
  }

  /**
   * @param address of several hosts the first: `hosts.ts` tries them in turn.
   * @param withinMs for whoever cannot wait as long as the service does.
   * @throws CountersinkError DATABASE_UNAVAILABLE (try again), DATABASE_UNFIT (wrong settings).
   */
  static async open(address: DatabaseAddress, withinMs = SET_UP_TIMEOUT_MS): Promise<Session> {
    const line: Line = { isGivenUp: false }
    const connection = await connectTo(address, line, withinMs)
    const session = new Session(connection, address, line)
    const timer = setTimeout(() => {
      session.#lost = databaseUnavailable(
        `it accepts connections and answers nothing for ${withinMs} ms`,
      )
      session.destroy()
    }, withinMs)
    try {
      if (isEncrypted(address)) await session.#assertEncrypted()
      await session.#setUp()
    } catch (cause) {
      const lost = session.#lost
      session.destroy()
      if (cause instanceof CountersinkError) throw cause
      if (lost !== undefined || isTransient(cause)) throw connectFailure(lost ?? toError(cause))
      throw databaseUnfit(
        `the session settings were refused: ${judgeSqlError(cause)?.reason ?? toError(cause).message}`,
        'Use MariaDB 10.5 or newer.',
        { cause },
      )
    } finally {
      clearTimeout(timer)
    }
    return session
  }

  /** The connector refuses a server without TLS; the server itself is asked all the same. */
  async #assertEncrypted(): Promise<void> {
    const [row] = await this.query<{ Value: string }>("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
    if (row !== undefined && row.Value !== '') return
    throw databaseUnfit(
      'the connection is not encrypted, although TLS is asked for',
      'Connect to a server that has TLS, without a proxy that ends it on the way.',
    )
  }

  async #setUp(): Promise<void> {
    const [about] = await this.query<{
      version: string
      comment: string
      bytes: bigint
      thread: bigint
      server: string
    }>(
      `SELECT @@version AS version, @@version_comment AS comment, @@max_allowed_packet AS bytes, CONNECTION_ID() AS thread,
              CONCAT_WS(':', @@hostname, @@port, @@server_id) AS server`,
    )
    if (about === undefined || !/mariadb/i.test(about.version)) {
      const told =
        about === undefined ? 'it tells no version' : `${about.version}, ${about.comment}`
      throw databaseUnfit(
        `it is ${/mysql/i.test(told) ? 'MySQL, ' : ''}not MariaDB (${told})`,
        'Point countersink at a MariaDB server.',
      )
    }
    this.#packetBytesMax = Number(about.bytes)
    this.#serverThread = { server: about.server, thread: about.thread }
    for (const statement of SET_STATEMENTS) await this.execute(statement)
    const [row] = await this.query<Record<string, string | null>>(READ_BACK)
    const wrong = wrongSetting(row ?? {})
    if (wrong === undefined) return
    throw databaseUnfit(
      `${wrong.name} is ${JSON.stringify(wrong.found)} although the session has set it to ${JSON.stringify(wrong.expected)}`,
      'Something between here and the server changes sessions: connect to the server itself, or let its proxy pass SET.',
    )
  }

  get isUsable(): boolean {
    return this.#lost === undefined && this.#connection.isValid()
  }

  /** The server's `max_allowed_packet`: a longer statement would end the connection. */
  get packetBytesMax(): number {
    return this.#packetBytesMax
  }

  /** How many rows, or values, of at most so many bytes one statement may carry. */
  rowsPerStatement(rowBytesMax: number): number {
    return Math.max(1, Math.floor(this.#packetBytesMax / 2 / rowBytesMax))
  }

  get serverThread(): ServerThread {
    return this.#serverThread
  }

  /** How long the statement that was sent last has been waiting for its answer; 0 for none. */
  get waitingMs(): number {
    return this.#waitingSinceMs === undefined ? 0 : performance.now() - this.#waitingSinceMs
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
      // No such engine, in one of the ways in which a server says so: lists do as well.
      if (judgeSqlError(error) === undefined || !this.isUsable) throw error
      return false
    }
  }

  /** Rows as objects: BIGINT is bigint, DECIMAL, SUM and DATETIME are strings, BINARY is Buffer. */
  async query<Row>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    return this.#answered(this.#connection.query(sql, valuesOf(values))) as Promise<Row[]>
  }

  /** Rows one by one with backpressure, for results of any length. */
  async *stream<Row>(sql: string, values: readonly unknown[] = []): AsyncGenerator<Row> {
    const rows = this.#connection.queryStream(sql, valuesOf(values))[Symbol.asyncIterator]()
    try {
      for (;;) {
        const { done, value } = await this.#answered(rows.next())
        if (done) return
        yield value as Row
      }
    } finally {
      await rows.return?.()
    }
  }

  /** The number of rows changed (an upsert counts 1 for a new row, 2 for a changed one). */
  async execute(sql: string, values: readonly unknown[] = []): Promise<number> {
    return changesOf(await this.#answered(this.#connection.query(sql, valuesOf(values))))
  }

  /**
   * The same of a statement that the server keeps, for the connection's life, from its first use on.
   * Values travel beside it as they are, a Buffer as bytes that the server does not look through.
   */
  async executePrepared(sql: string, values: readonly unknown[]): Promise<number> {
    return changesOf(await this.#answered(this.#connection.execute(sql, values as unknown[])))
  }

  /**
   * A statement for each of these rows of values, sent together: MariaDB's bulk protocol.
   *
   * @returns how many rows of the table were changed.
   */
  async changeEach(sql: string, rows: readonly (readonly unknown[])[]): Promise<number> {
    if (rows.length === 0) return 0
    // One number for all, however many packets they take.
    const batch = this.#connection.batch(withOneResult(sql), rows as unknown[][])
    return changesOf(await this.#answered(batch as Promise<unknown>))
  }

  /** The same where each row of values must change exactly one of the table. */
  async executeEach(sql: string, rows: readonly (readonly unknown[])[]): Promise<void> {
    const changed = await this.changeEach(sql, rows)
    if (changed === rows.length) return
    throw new CountersinkError(
      'DATABASE_FAILED',
      `MariaDB tells of ${changed} changes where ${rows.length} rows were written`,
      { advice: 'Nothing of it was committed. This is not expected: please report it.' },
    )
  }

  /** Nothing of the open transaction has been; without one it does nothing. @throws MariaDB's error. */
  async rollback(): Promise<void> {
    await this.#answered(this.#connection.rollback())
  }

  /**
   * The answer, or that the connection was given up. (A race with a promise that lives as long as the
   * connection would keep every answer as long.)
   */
  #answered<T>(answer: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#line.isGivenUp) reject(this.#lost)
      else {
        this.#waiters.add(reject)
        this.#waitingSinceMs = performance.now()
      }
      const end = (): void => {
        this.#waiters.delete(reject)
        this.#waitingSinceMs = undefined
      }
      answer.then(
        value => {
          end()
          resolve(value)
        },
        error => {
          end()
          reject(error)
        },
      )
    })
  }

  async close(): Promise<void> {
    await this.#connection.end().catch(() => {
      // It was lost already; the server rolls back what was open.
    })
  }

  /** At once, whatever is waited for. */
  destroy(): void {
    this.#lost ??= databaseUnavailable('the connection was given up')
    this.#line.isGivenUp = true
    for (const reject of this.#waiters) reject(this.#lost)
    this.#waiters.clear()
    this.#waitingSinceMs = undefined
    this.#connection.destroy()
  }
}

/** The connector's types do not know this option of a bulk statement. */
function withOneResult(sql: string): { readonly sql: string } {
  const options = { sql, fullResult: false }
  return options
}

/** With values, even none, the connector looks through the statement for their places. */
function valuesOf(values: readonly unknown[]): unknown[] | undefined {
  return values.length === 0 ? undefined : (values as unknown[])
}

function changesOf(result: unknown): number {
  return (result as { affectedRows?: number }).affectedRows ?? 0
}
