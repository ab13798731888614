import type { StatePaths } from '../../shared/paths.ts'
import { hasPrivateDatabase, type ServiceDatabase, serviceDatabase } from '../mariadb/index.ts'
import { AT_TERMINAL, cannot, whatToDoFirst } from '../terminal/index.ts'

/** Of a service that may have totals. @throws CountersinkError STOPPED when it cannot have any yet. */
export async function totalsDatabase(
  paths: StatePaths,
  { env } = AT_TERMINAL,
): Promise<ServiceDatabase> {
  const service = await serviceDatabase(paths, env)
  if (service.config.databaseUrl !== '' || hasPrivateDatabase(paths)) return service
  throw cannot(`there are no totals in ${paths.dir} yet`, await whatToDoFirst(paths))
}
