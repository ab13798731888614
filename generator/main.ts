import { parseArgs } from 'node:util'
import { configOf } from '../shared/config.ts'
import { defaultDirectory } from '../shared/config-places.ts'
import { LiveConfig } from '../shared/config-reload.ts'
import { CountersinkError, toError } from '../shared/errors.ts'
import { fatal, runService, type Service } from '../shared/lifecycle.ts'
import { createLog } from '../shared/log.ts'
import { statePaths } from '../shared/paths.ts'
import { startGenerator } from './generator.ts'

const log = createLog('generator')
const { dir, supervised } = readArguments()

let live: LiveConfig | undefined

await runService(log, supervised, start, () => {
  const reload = live?.reload()
  if (reload !== undefined) log[reload.isRefused ? 'warn' : 'info'](reload.text)
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
