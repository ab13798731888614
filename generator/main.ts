import { parseArgs } from 'node:util'
import { configOf } from '../shared/config.ts'
import { defaultDirectory } from '../shared/config-places.ts'
import { LiveConfig } from '../shared/config-reload.ts'
import { CountersinkError, toError } from '../shared/errors.ts'
import { fatal, runService, type Service } from '../shared/lifecycle.ts'
import { createLog, type LogSettings } from '../shared/log.ts'
import { earlyLogSettings } from '../shared/log-settings.ts'
import { statePaths } from '../shared/paths.ts'
import { startGenerator } from './generator.ts'

let live: LiveConfig | undefined
let early: LogSettings | undefined
const log = createLog('generator', undefined, () => live?.config ?? early)
const { dir, supervised } = readArguments()
early = earlyLogSettings(dir, process.env)

await runService(log, supervised, start, () => {
  const reload = live?.reload()
  if (reload !== undefined) log[reload.isRefused ? 'warn' : 'notice'](reload.text)
})

function start(): Promise<Service> {
  live = new LiveConfig(() => configOf(statePaths(dir).dir, process.env))
  const runId = process.env.COUNTERSINK_RUN_ID
  return startGenerator({ ...{ dir, runId, log }, config: live.config })
}

function readArguments(): { dir: string; supervised: boolean } {
  try {
    return parseArgs({
      options: {
        dir: { type: 'string', default: defaultDirectory(process.env) },
        supervised: { type: 'boolean', default: false },
      },
    }).values
  } catch (error) {
    fatal(
      log,
      new CountersinkError('USAGE', toError(error).message, {
        advice: 'Usage: main.js [--dir DIRECTORY] [--supervised]',
      }),
    )
  }
}
