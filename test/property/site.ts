import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type DatabaseAddress, databaseAddress } from '../../parser/ledger/way-in.ts'
import { type PrivateMariadb, startPrivateMariadb } from '../../scripts/mariadb/private-mariadb.ts'
import { type Config, readConfig } from '../../shared/config.ts'
import { type StatePaths, statePaths } from '../../shared/paths.ts'
import { makeScratchDirectory } from '../helpers/scratch.ts'
import { HistoryDatabase } from './database.ts'
import type { Beginning, Limits } from './plan.ts'

/** One MariaDB for all histories. */
export interface Server {
  readonly url: string
  stop(): Promise<void>
}

/** A state directory and tables of its own for one history. */
export interface HistorySite {
  readonly paths: StatePaths
  readonly env: Readonly<Record<string, string>>
  readonly config: Config
  readonly address: DatabaseAddress
  readonly database: HistoryDatabase
  remove(): Promise<void>
}

export async function startServer(): Promise<Server> {
  const dir = makeScratchDirectory('csh')
  const removeDir = (): void => rmSync(dir, { recursive: true, force: true, maxRetries: 20 })
  try {
    const paths = statePaths(dir)
    const server: PrivateMariadb = await startPrivateMariadb({
      dataDir: paths.mariadb,
      socketPath: paths.mariadbSocket,
      pidPath: paths.mariadbPid,
      logPath: join(paths.log, 'mariadb.log'),
    })
    return {
      url: `mariadb://root@localhost/countersink?socketPath=${encodeURIComponent(server.socketPath)}`,
      async stop() {
        await server.stop()
        removeDir()
      },
    }
  } catch (error) {
    removeDir()
    throw error
  }
}

/** The limits, and everything else as quick as is allowed. */
export function limitsAsEnv(limits: Limits): Record<string, string> {
  return {
    COUNTERSINK_SCAN_INTERVAL_MS: '50',
    COUNTERSINK_QUIET_MS: '100',
    COUNTERSINK_CUT_HOLD_MS: '150',
    COUNTERSINK_RESERVE: '0',
    COUNTERSINK_MARIADB_POOL: '256MiB',
    COUNTERSINK_PAIRS_MAX: String(limits.pairsMax),
    COUNTERSINK_MEMORY_PAIRS_MAX: String(Math.min(limits.memoryPairsMax, limits.pairsMax)),
    COUNTERSINK_CHECKPOINT: String(limits.checkpointBytes),
    COUNTERSINK_CHUNK_PAIRS_MAX: String(limits.chunkPairsMax),
    COUNTERSINK_BATCH_FILES_MAX: String(limits.batchFilesMax),
    COUNTERSINK_READERS: String(limits.readers),
    COUNTERSINK_TAKEOVER_MS: String(limits.takeoverMs),
  }
}

let made = 0

export async function makeHistorySite(server: Server, beginning: Beginning): Promise<HistorySite> {
  made += 1
  const name = `h${made}`
  const { limits } = beginning
  const env = {
    COUNTERSINK_DATABASE_URL: await HistoryDatabase.urlFor(server.url, name),
    COUNTERSINK_TOTALS_TABLE: `${name}_totals`,
    COUNTERSINK_TABLE_PREFIX: `${name}_`,
    ...limitsAsEnv(limits),
    ...beginning.settings,
  }
  const config = readConfig(env)
  const database = new HistoryDatabase(server.url, name, config, beginning)
  await database.prepare()
  const own = makeDirectory(config)
  return {
    ...{ ...own, env, config, database },
    async remove() {
      removeDirectory(own.paths)
      await database.remove()
    },
  }
}

/** One more host that counts into the same database. */
export function makeNeighbour(site: HistorySite): HistorySite {
  const own = makeDirectory(site.config)
  return { ...site, ...own, remove: async () => removeDirectory(own.paths) }
}

function makeDirectory(config: Config): Pick<HistorySite, 'paths' | 'address'> {
  const paths = statePaths(makeScratchDirectory('csh'))
  for (const path of [paths.inbox, paths.work, paths.parser, paths.runs]) {
    mkdirSync(path, { recursive: true, mode: 0o700 })
  }
  return { paths, address: databaseAddress(config, paths) }
}

function removeDirectory({ dir }: StatePaths): void {
  rmSync(dir, { recursive: true, force: true, maxRetries: 20 })
}
