import { rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { type DatabaseAddress, databaseAddress } from '../../parser/ledger/way-in.ts'
import { type Config, readConfig } from '../../shared/config.ts'
import { hasCode } from '../../shared/errors.ts'
import { type StatePaths, statePaths } from '../../shared/paths.ts'
import type { DatabaseServer } from './database.ts'
import { eventually } from './eventually.ts'
import { killProcess, processesOf, type Teardown } from './processes.ts'
import { makeScratchDirectory } from './scratch.ts'

/** A state directory, and the environment of all programs that work on it. */
export interface Site {
  readonly paths: StatePaths
  readonly env: Readonly<Record<string, string>>
  readonly config: Config
  readonly address: DatabaseAddress
}

/** As quick as is allowed, so that nothing in a test waits longer than it must. */
const QUICK = {
  COUNTERSINK_SCAN_INTERVAL_MS: '50',
  COUNTERSINK_QUIET_MS: '100',
  COUNTERSINK_RESERVE: '0',
  COUNTERSINK_MARIADB_POOL: '256MiB',
  COUNTERSINK_SEED: '7',
}

/**
 * A site of its own with a short path (sockets), gone at the end of the test; a process that then
 * still works on it is ended, and the test fails.
 *
 * @param server where its database is made; without one it is the private server of `up`.
 */
export async function makeSite(
  t: Teardown,
  server?: DatabaseServer,
  env: Readonly<Record<string, string>> = {},
): Promise<Site> {
  const dir = makeScratchDirectory('cs')
  t.teardown(() => removeSite(dir))
  const paths = statePaths(dir)
  await mkdir(paths.inbox)
  const all: Record<string, string> = { ...QUICK, ...env }
  if (server !== undefined) all.COUNTERSINK_DATABASE_URL = await server.createDatabase()
  const config = readConfig(all)
  return { paths, env: all, config, address: databaseAddress(config, paths) }
}

/** Another host: a state directory of its own that counts into the same database. */
export async function makeNeighbour(t: Teardown, site: Site): Promise<Site> {
  const dir = makeScratchDirectory('cs')
  t.teardown(() => removeSite(dir))
  const paths = statePaths(dir)
  await mkdir(paths.inbox)
  return { ...site, paths, address: databaseAddress(site.config, paths) }
}

const ENDING_MS = 15_000

async function removeSite(dir: string): Promise<void> {
  try {
    await eventually('all its processes have ended', () => processesOf(dir).length === 0, {
      withinMs: ENDING_MS,
    })
  } catch (cause) {
    const left = processesOf(dir)
    for (const { pid } of left) kill(pid)
    const commands = left.map(({ pid, command }) => `${pid}: ${command}`).join('\n')
    throw new Error(`processes were left on ${dir}:\n${commands}`, { cause })
  } finally {
    rmSync(dir, { recursive: true, force: true, maxRetries: 20 })
  }
}

function kill(pid: number): void {
  try {
    killProcess(pid)
  } catch (error) {
    if (!hasCode(error, 'ESRCH')) throw error
  }
}
