import { type DatabaseAddress, databaseAddress, Session } from '../parser/ledger/connection.ts'
import type { Config } from '../shared/config.ts'
import type { StatePaths } from '../shared/paths.ts'
import { startPrivateMariadb } from './private-mariadb.ts'
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
 * is started for it and stopped after it; with a database URL that database is used.
 *
 * @throws CountersinkError STATE_DIRECTORY_IN_USE when something runs, and what starting MariaDB throws.
 */
export async function withDatabaseAtRest<R>(
  paths: StatePaths,
  config: Config,
  use: (session: Session) => Promise<R>,
): Promise<R> {
  const lock = await takeStateLock(paths.supervisorLock, paths.supervisorStatus)
  try {
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
