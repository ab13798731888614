import { resolveConfig } from '../../shared/config.ts'
import type { Environment } from '../../shared/config-layers.ts'
import { configPlace } from '../../shared/config-places.ts'
import type { Finding } from '../../shared/findings.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { lookWhoIsAtWork } from './at-work.ts'
import { examineServiceDatabase } from './database.ts'
import { examineMachine } from './machine.ts'
import { examinePlace, whyDenied } from './place.ts'
import { examineSettings } from './settings.ts'

/** Everything, in the order in which a start comes to it. */
export async function examine(paths: StatePaths, env: Environment): Promise<readonly Finding[]> {
  const resolved = resolveConfig(paths.dir, env)
  const { config } = resolved
  const denied = await whyDenied(paths)
  // The configuration stands there, too.
  if (denied !== undefined) return [denied]
  const atWork = await lookWhoIsAtWork(paths)
  const findings = await Promise.all([
    examineSettings(resolved, configPlace(paths.dir, env).path),
    examinePlace(paths, config?.databaseUrl === ''),
    examineMachine(paths, config, atWork.supervisor?.pid),
    atWork.findings,
    examineServiceDatabase(paths, config, env, atWork),
  ])
  return findings.flat()
}
