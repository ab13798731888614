import { databaseAddress, examineDatabase } from '../../parser/ledger/index.ts'
import type { Config } from '../../shared/config.ts'
import type { Environment } from '../../shared/config-layers.ts'
import { type Finding, looked, notLookedAt, ofError, ok } from '../../shared/findings.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { nameOfDatabase } from '../../shared/remembered-ledger.ts'
import { isDataDirectory, serviceDatabase } from '../mariadb/index.ts'
import { refuseAnotherDatabase } from '../supervising/index.ts'
import type { AtWork } from './at-work.ts'

const WITHIN_MS = 4_500

/** The database that the service works with, or would. A private one that rests is not started. */
export async function examineServiceDatabase(
  paths: StatePaths,
  configured: Config | undefined,
  env: Environment,
  { supervisor, isParserThere, hostInUse, known }: AtWork,
): Promise<readonly Finding[]> {
  if (configured === undefined) return [notLookedAt('database', 'the configuration cannot be used')]
  const isAtWork = supervisor !== undefined || isParserThere
  let config = configured
  try {
    // A service at work has an environment of its own.
    if (isAtWork) config = (await serviceDatabase(paths, env)).config
    else await refuseAnotherDatabase(paths, config)
  } catch (error) {
    return [ofError('database', error)]
  }
  if (config.databaseUrl === '' && !isAtWork) {
    return [
      await looked('database', async () =>
        (await isDataDirectory(paths.mariadb))
          ? 'a private one, at rest'
          : 'a private one, made at the first start',
      ),
    ]
  }
  const address = databaseAddress(config, paths)
  const findings = await examineDatabase({
    ...{ address, config, known, hostInUse },
    withinMs: WITHIN_MS,
  })
  return [ok('configured database', nameOfDatabase(config)), ...findings]
}
