import { serviceDatabase } from '../../mariadb/index.ts'
import { readSupervisor } from '../../state/index.ts'
import { cannot } from '../../terminal/index.ts'
import type { Ground } from '../route.ts'

/** The command line would start the private MariaDB for its question; a reader of a page must not. */
export async function refuseAtRest({ paths, asking }: Ground): Promise<void> {
  const { config } = await serviceDatabase(paths, asking.env)
  if (config.databaseUrl !== '' || (await readSupervisor(paths)) !== undefined) return
  throw cannot('the private MariaDB does not run', 'Start the service: countersink up.')
}
