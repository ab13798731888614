import { type DatabaseAddress, databaseAddress, Session } from '../parser/ledger/connection.ts'
import { askOnce } from '../shared/channel.ts'
import type { Config } from '../shared/config.ts'
import { CountersinkError } from '../shared/errors.ts'
import type { StatePaths } from '../shared/paths.ts'
import { cannot } from './cli.ts'
import { startPrivateMariadb } from './private-mariadb.ts'
import { hasPrivateDatabase } from './service-database.ts'
import { takeStateLock } from './state-lock.ts'

/** Runs `use` with a session, which is closed after it. */
export async function withSession<R>(
  address: DatabaseAddress,
  use: (session: Session) => Promise<R>,
): Promise<R> {
  const session = await Session.open(address)
  try {
    return await use(session)
  } finally {
    await session.close()
  }
}

/**
 * The same while nothing runs in the state directory, which is locked meanwhile. The private MariaDB
 * is started for it and stopped after it, and never made; with a database URL that database is used.
 *
 * @throws CountersinkError STOPPED when there is no private MariaDB, STATE_DIRECTORY_IN_USE when
 * something runs, and what starting MariaDB throws.
 */
export async function withDatabaseAtRest<R>(
  paths: StatePaths,
  config: Config,
  use: (session: Session) => Promise<R>,
): Promise<R> {
  if (config.databaseUrl === '' && !hasPrivateDatabase(paths)) {
    throw cannot(
      `there is no private MariaDB in ${paths.mariadb}`,
      'Put it back if it was moved away. Start "countersink up" if there was none yet, or if it is lost.',
    )
  }
  const lock = await takeStateLock(paths.supervisorLock, paths.supervisorStatus)
  try {
    // One that nobody supervises does not hold the lock.
    if (await askOnce(paths.parserSocket, async () => true)) {
      throw new CountersinkError('STATE_DIRECTORY_IN_USE', `a parser is at work in ${paths.dir}`, {
        advice: 'Stop it first, or choose another directory with --dir.',
      })
    }
    const server =
      config.databaseUrl === ''
        ? await startPrivateMariadb({
            dataDir: paths.mariadb,
            socketPath: paths.mariadbSocket,
            pidPath: paths.mariadbPid,
            logPath: `${paths.log}/mariadb.log`,
          })
        : undefined
    try {
      return await withSession(databaseAddress(config, paths), use)
    } finally {
      await server?.stop()
    }
  } finally {
    await lock.release()
  }
}
