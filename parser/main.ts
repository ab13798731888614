import { parseArgs } from 'node:util'
import { configOf } from '../shared/config.ts'
import { defaultDirectory } from '../shared/config-places.ts'
import { LiveConfig } from '../shared/config-reload.ts'
import { runService } from '../shared/lifecycle.ts'
import { createLog } from '../shared/log.ts'
import { earlyLogSettings } from '../shared/log-settings.ts'
import { statePaths } from '../shared/paths.ts'
import type { Parser } from './parser.ts'

const { values } = parseArgs({
  options: {
    dir: { type: 'string', default: defaultDirectory(process.env) },
    supervised: { type: 'boolean' },
  },
})

let live: LiveConfig | undefined
const early = earlyLogSettings(values.dir, process.env)
const log = createLog('parser', undefined, () => live?.config ?? early)
let parser: Parser | undefined

await runService(log, values.supervised ?? false, start, () => {
  const reload = live?.reload()
  if (reload === undefined) return
  log[reload.isRefused ? 'warn' : 'notice'](reload.text)
  parser?.reconsider()
})

async function start(): Promise<Parser> {
  // Modules are loaded side by side, which takes descriptors. That there are enough was looked at by now.
  const { databaseAddress } = await import('./ledger/index.ts')
  const { Parser } = await import('./parser.ts')
  const paths = statePaths(values.dir)
  live = new LiveConfig(() => configOf(paths.dir, process.env))
  const { config } = live
  // Anew for each connection, so that a password can change without a restart. The private server is
  // the supervisor's, and goes with a restart only.
  const isPrivate = config.databaseUrl === ''
  const address = () =>
    databaseAddress(isPrivate ? config : configOf(paths.dir, process.env), paths)
  parser = await Parser.start({ paths, config, address, log })
  return parser
}
