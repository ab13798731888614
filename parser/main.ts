import { configOf } from '../shared/config.ts'
import { type Configured, runConfigured, serviceArguments } from '../shared/service-main.ts'
import type { Parser } from './parser.ts'

let parser: Parser | undefined

await runConfigured('parser', serviceArguments(), start, () => parser?.reconsider())

async function start({ paths, config, log }: Configured): Promise<Parser> {
  // Modules are loaded side by side, which takes descriptors. That there are enough was looked at by now.
  const { databaseAddress } = await import('./ledger/index.ts')
  const { Parser } = await import('./parser.ts')
  // Anew for each connection, so that a password can change without a restart. The private server is
  // the supervisor's, and goes with a restart only.
  const isPrivate = config.databaseUrl === ''
  const address = () =>
    databaseAddress(isPrivate ? config : configOf(paths.dir, process.env), paths)
  parser = await Parser.start({ paths, config, address, log })
  return parser
}
