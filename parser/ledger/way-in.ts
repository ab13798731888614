/**
 * The way to a server: its address, and a connection of the connector's with the options that exactness
 * needs. What a session is made of it is in `connection.ts`.
 */

import { connect } from 'node:net'
import {
  type Connection,
  type ConnectionConfig,
  createConnection,
  type StreamCallback,
} from 'mariadb'
import type { Config } from '../../shared/config.ts'
import { type DatabaseUrl, maskedUrl, parseDatabaseUrl } from '../../shared/database-url.ts'
import { CountersinkError, toError } from '../../shared/errors.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { databaseUnavailable, databaseUnfit, judgeSqlError, sqlNumber } from './sql-errors.ts'
import { tlsOptions } from './tls-options.ts'

/** Where MariaDB is: a URL, of one host or of several, or the private server's UNIX socket. */
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
 * @param line is held on to: once it is given up, nothing more is opened for this connection.
 * @throws CountersinkError DATABASE_UNAVAILABLE (try again), DATABASE_UNFIT (wrong settings).
 */
export async function connectTo(
  address: DatabaseAddress,
  line: Line,
  withinMs: number,
): Promise<Connection> {
  const where = await addressOptions(address, line)
  try {
    return await createConnection({
      ...where,
      connectTimeout: Math.min(CONNECT_TIMEOUT_MS, withinMs),
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
}

/** What the connector's sockets go by. */
export interface Line {
  isGivenUp: boolean
}

/**
 * When a connection is given up in the middle of a statement, the connector opens another one to KILL
 * it there. Where the server has lost it, or is another one by now, where its number may be somebody
 * else's, that fails with an error that nobody can catch: it would end the process. So it gets no socket.
 */
function socketTo(host: string, port: number, line: Line): (done: StreamCallback) => void {
  return done => {
    if (line.isGivenUp) return done(new Error('the connection was given up'))
    const socket = connect(port, host)
    socket.setNoDelay(true)
    done(undefined, socket)
  }
}

async function addressOptions(address: DatabaseAddress, line: Line): Promise<ConnectionConfig> {
  if ('socketPath' in address) {
    return { socketPath: address.socketPath, user: 'root', database: PRIVATE_DATABASE }
  }
  const { host, port, socketPath, user, password, database, tls } = partsOf(address.url)
  return {
    // Of a UNIX socket the connector wants to know the path; a server cannot lose that unseen.
    ...(socketPath === undefined
      ? { host, port, stream: socketTo(host, port, line) }
      : { socketPath }),
    ...{ user, password, database },
    ...(tls === undefined ? {} : { ssl: await tlsOptions(tls, host) }),
  }
}

export function isEncrypted(address: DatabaseAddress): boolean {
  return 'url' in address && partsOf(address.url).tls !== undefined
}

function partsOf(url: string): DatabaseUrl {
  const parsed = parseDatabaseUrl(url)
  if (!('wrong' in parsed)) return parsed
  throw new CountersinkError('CONFIG_INVALID', `${maskedUrl(url)}: ${parsed.wrong}`)
}

export function connectFailure(error: Error): CountersinkError {
  const judged = judgeSqlError(error)
  if (judged?.meaning === 'refused') {
    return databaseUnfit(
      `the connection is refused: ${judged.reason}`,
      'Check user, password, database and TLS (?ssl=verify-full&ca=FILE, and &cert=FILE&key=FILE where a certificate is demanded) in COUNTERSINK_DATABASE_URL.',
      { cause: error },
    )
  }
  const why = sqlNumber(error) > 0 && judged !== undefined ? judged.reason : error.message
  return databaseUnavailable(`MariaDB cannot be reached: ${why}`, error)
}
