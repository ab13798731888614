import { CountersinkError, toError } from '../shared/errors.ts'
import { fatal } from '../shared/lifecycle.ts'
import { createLog } from '../shared/log.ts'
import { runConfigured, type ServiceArguments, serviceArguments } from '../shared/service-main.ts'
import { startGenerator } from './generator.ts'

const given = readArguments()

await runConfigured('generator', given, ({ config, log }) => {
  const runId = process.env.COUNTERSINK_RUN_ID
  return startGenerator({ ...{ dir: given.dir, runId, log }, config })
})

function readArguments(): ServiceArguments {
  try {
    return serviceArguments()
  } catch (error) {
    fatal(
      createLog('generator'),
      new CountersinkError('USAGE', toError(error).message, {
        advice: 'Usage: main.js [--dir DIRECTORY] [--supervised]',
      }),
    )
  }
}
