import {
  type DatabaseAddress,
  databaseAddress,
  isOneOfSeveral,
  openSession,
  type Session,
  watchStatements,
} from '../../parser/ledger/index.ts'
import type { Config } from '../../shared/config.ts'
import { CountersinkError, hasCode, toError } from '../../shared/errors.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { StateLock } from '../state/index.ts'
import { type Asking, AT_TERMINAL, cannot, reach } from '../terminal/index.ts'
import { startPrivateMariadb } from './private-mariadb.ts'
import {
  assertServiceLedger,
  hasPrivateDatabase,
  type ServiceDatabase,
} from './service-database.ts'

/** Runs `use` with a session, which is closed after it. */
export async function withSession<R>(
  address: DatabaseAddress,
  use: (session: Session) => Promise<R>,
  { meanwhile, signal }: Pick<Asking, 'meanwhile' | 'signal'> = AT_TERMINAL,
  hostInUse?: string,
): Promise<R> {
  signal?.throwIfAborted()
  const session = await openSession(address, hostInUse)
  // A person at a terminal must not wait for ever for what will not answer.
  const watch = watchStatements(session, statement => {
    if (statement === undefined) return
    meanwhile(`MariaDB has not answered for ${statement.ageSeconds} s: ${statement.waitsFor}`)
  })
  const giveUp = (): void => session.destroy()
  signal?.addEventListener('abort', giveUp)
  try {
    return await use(session)
  } finally {
    signal?.removeEventListener('abort', giveUp)
    watch.stop()
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
  asking = AT_TERMINAL,
): Promise<R> {
  if (config.databaseUrl === '' && !hasPrivateDatabase(paths)) {
    throw cannot(
      `there is no private MariaDB in ${paths.mariadb}`,
      'Put it back if it was moved away. Start "countersink up" if there was none yet, or if it is lost.',
    )
  }
  const lock = await StateLock.take(paths.supervisorLock, paths.supervisorStatus)
  try {
    // One that nobody supervises does not hold the lock.
    const parser = await reach(paths, 'parser')
    if ('channel' in parser) parser.channel.close()
    if ('channel' in parser || parser.isThere) {
      const how = 'channel' in parser ? '' : `: ${parser.silentBecause}`
      throw new CountersinkError(
        'STATE_DIRECTORY_IN_USE',
        `a parser is at work in ${paths.dir}${how}`,
        { advice: 'Stop it first, or choose another directory with --dir.' },
      )
    }
    const server =
      config.databaseUrl === ''
        ? await startPrivateMariadb({
            dataDir: paths.mariadb,
            socketPath: paths.mariadbSocket,
            pidPath: paths.mariadbPid,
            logPath: `${paths.log}/mariadb.log`,
            poolBytes: config.mariadbPoolBytes,
          })
        : undefined
    try {
      return await withSession(databaseAddress(config, paths), use, asking)
    } finally {
      await server?.stop()
    }
  } finally {
    lock.release()
  }
}

/**
 * With the service's database as it runs, or the private one started for this, once it is certain that
 * its ledger is the service's.
 *
 * @throws CountersinkError STOPPED when it is another one, or there is none, and what is thrown above.
 */
export async function withServiceDatabase<R>(
  paths: StatePaths,
  service: ServiceDatabase,
  ask: (session: Session) => Promise<R>,
  asking = AT_TERMINAL,
): Promise<R> {
  const { config } = service
  const use = async (session: Session): Promise<R> => {
    await assertServiceLedger(session, paths, service)
    return ask(session)
  }
  try {
    const address = databaseAddress(config, paths)
    const inUse = isOneOfSeveral(address) ? await hostInUse(paths) : undefined
    return await withSession(address, use, asking, inUse)
  } catch (error) {
    asking.signal?.throwIfAborted()
    if (!hasCode(error, 'DATABASE_UNAVAILABLE') || config.databaseUrl !== '') throw error
    return await withDatabaseAtRest(paths, config, use, asking).catch((atRest: unknown) => {
      throw hasCode(atRest, 'STATE_DIRECTORY_IN_USE') ? away(error, toError(atRest)) : atRest
    })
  }
}

/** By the parser, if it lives and there are several. */
async function hostInUse(paths: StatePaths): Promise<string | undefined> {
  const reached = await reach(paths, 'parser')
  if (!('channel' in reached)) return undefined
  reached.channel.close()
  return reached.health.role === 'parser' ? reached.health.databaseHost : undefined
}

/** It is the service's to start it, which may be just what it does. */
function away(silence: unknown, inUse: Error): CountersinkError {
  return cannot(
    `the private MariaDB does not answer (${toError(silence).message}), and ${inUse.message}`,
    'Ask again in a moment; "countersink status" shows what runs.',
  )
}
