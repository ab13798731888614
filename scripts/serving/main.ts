import { parseArgs } from 'node:util'
import { configOf } from '../../shared/config.ts'
import { defaultDirectory } from '../../shared/config-places.ts'
import { LiveConfig } from '../../shared/config-reload.ts'
import { runService } from '../../shared/lifecycle.ts'
import { createLog } from '../../shared/log.ts'
import { earlyLogSettings } from '../../shared/log-settings.ts'
import { statePaths } from '../../shared/paths.ts'
import { Serving } from './serving.ts'

const { values } = parseArgs({
  options: {
    dir: { type: 'string', default: defaultDirectory(process.env) },
    supervised: { type: 'boolean' },
  },
})

let live: LiveConfig | undefined
const early = earlyLogSettings(values.dir, process.env)
const log = createLog('serving', undefined, () => live?.config ?? early)
let serving: Serving | undefined

await runService(log, values.supervised ?? false, start, () => {
  const reload = live?.reload()
  if (reload === undefined) return
  log[reload.isRefused ? 'warn' : 'notice'](reload.text)
  if (!reload.isRefused) serving?.readTokenAgain()
})

async function start(): Promise<Serving> {
  const paths = statePaths(values.dir)
  live = new LiveConfig(() => configOf(paths.dir, process.env))
  const { config } = live
  serving = await Serving.start({ paths, config, env: process.env, log, isSupervised: true })
  return serving
}
