import { parseArgs } from 'node:util'
import { type Config, configOf } from './config.ts'
import { defaultDirectory } from './config-places.ts'
import { LiveConfig, type Reload } from './config-reload.ts'
import { runService, type Service } from './lifecycle.ts'
import { createLog, type Log } from './log.ts'
import { earlyLogSettings } from './log-settings.ts'
import { type StatePaths, statePaths } from './paths.ts'

// What the main file of a child of the supervisor has in common with the others: where it works, its
// log, and a configuration that is read again on a hangup.

export interface ServiceArguments {
  readonly dir: string
  readonly supervised: boolean
}

/** Of this process. @throws TypeError for what it does not know */
export function serviceArguments(): ServiceArguments {
  return parseArgs({
    options: {
      dir: { type: 'string', default: defaultDirectory(process.env) },
      supervised: { type: 'boolean', default: false },
    },
  }).values
}

/** What a service is started with. */
export interface Configured {
  readonly paths: StatePaths
  /** In force: what can be taken over while it runs changes. */
  readonly config: Config
  readonly log: Log
}

/**
 * Runs a service to its end, and this process with it; see `runService`.
 *
 * @param onReload after the configuration was read again, whatever came of it; that is logged by then.
 */
export function runConfigured(
  name: string,
  { dir, supervised }: ServiceArguments,
  start: (given: Configured) => Promise<Service>,
  onReload: (reload: Reload) => void = () => {},
): Promise<never> {
  let live: LiveConfig | undefined
  const early = earlyLogSettings(dir, process.env)
  const log = createLog(name, undefined, () => live?.config ?? early)
  const startConfigured = async (): Promise<Service> => {
    const paths = statePaths(dir)
    live = new LiveConfig(() => configOf(paths.dir, process.env))
    return start({ paths, config: live.config, log })
  }
  return runService(log, supervised, startConfigured, () => {
    const reload = live?.reload()
    if (reload === undefined) return
    log[reload.isRefused ? 'warn' : 'notice'](reload.text)
    onReload(reload)
  })
}
