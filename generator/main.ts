import { parseArgs } from 'node:util'
import { configOf } from '../shared/config.ts'
import { defaultDirectory } from '../shared/config-places.ts'
import { CountersinkError, toError } from '../shared/errors.ts'
import { fatal, runService } from '../shared/lifecycle.ts'
import { createLog } from '../shared/log.ts'
import { statePaths } from '../shared/paths.ts'
import { startGenerator } from './generator.ts'

const log = createLog('generator')
const { dir, supervised } = readArguments()

await runService(log, supervised, () =>
  startGenerator({
    dir,
    config: configOf(statePaths(dir).dir, process.env),
    runId: process.env.COUNTERSINK_RUN_ID,
    log,
  }),
)

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
