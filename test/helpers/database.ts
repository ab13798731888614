import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { Session } from '../../parser/ledger/connection.ts'
import { startPrivateMariadb } from '../../scripts/mariadb/private-mariadb.ts'
import { hasCode } from '../../shared/errors.ts'
import { statePaths } from '../../shared/paths.ts'
import { killProcess, type Teardown } from './processes.ts'
import { makeScratchDirectory } from './scratch.ts'
import type { Site } from './state-dir.ts'

/** One MariaDB for all tests of a file, with a database of its own for each. */
export interface DatabaseServer {
  /** @returns the URL of a new, empty database. */
  createDatabase(): Promise<string>
  /** Ends it as a power cut would; `start` then brings it back on the same data. */
  kill(): Promise<void>
  start(): Promise<void>
}

/** Starts a real server in a directory of its own; stopped at the end of the test file. */
export async function startDatabaseServer(t: Teardown): Promise<DatabaseServer> {
  const dir = makeScratchDirectory('cs')
  t.teardown(() => rmSync(dir, { recursive: true, force: true, maxRetries: 20 }))
  let server = await startServer(dir)
  t.teardown(() => server.stop())
  const { socketPath } = server
  let made = 0
  return {
    async createDatabase() {
      made += 1
      const name = `test${made}`
      const session = await Session.open({ socketPath })
      try {
        await session.execute(`CREATE DATABASE ${name}`)
      } finally {
        await session.close()
      }
      return `mariadb://root@localhost/${name}?socketPath=${encodeURIComponent(socketPath)}`
    },
    async kill() {
      killProcess(server.pid)
      await server.exited
    },
    async start() {
      server = await startServer(dir)
    },
  }
}

/** Looks into a site's database; the private one is started for it when it does not run. */
export async function withSession<R>(
  site: Site,
  use: (session: Session) => Promise<R>,
): Promise<R> {
  try {
    return await useSession(site, use)
  } catch (error) {
    if (!hasCode(error, 'DATABASE_UNAVAILABLE') || site.config.databaseUrl !== '') throw error
  }
  const server = await startServer(site.paths.dir)
  try {
    return await useSession(site, use)
  } finally {
    await server.stop()
  }
}

async function useSession<R>(site: Site, use: (session: Session) => Promise<R>): Promise<R> {
  const session = await Session.open(site.address)
  try {
    return await use(session)
  } finally {
    await session.close()
  }
}

function startServer(dir: string) {
  const paths = statePaths(dir)
  return startPrivateMariadb({
    dataDir: paths.mariadb,
    socketPath: paths.mariadbSocket,
    pidPath: paths.mariadbPid,
    logPath: join(paths.log, 'mariadb.log'),
  })
}
