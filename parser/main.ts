import { parseArgs } from 'node:util'
import { readConfig } from '../shared/config.ts'
import { runService } from '../shared/lifecycle.ts'
import { createLog } from '../shared/log.ts'
import { statePaths } from '../shared/paths.ts'
import { databaseAddress } from './ledger/index.ts'
import { Parser } from './parser.ts'

const { values } = parseArgs({
  options: { dir: { type: 'string', default: 'var' }, supervised: { type: 'boolean' } },
})
const log = createLog('parser')

await runService(log, values.supervised ?? false, async () => {
  const paths = statePaths(values.dir)
  const config = readConfig(process.env)
  // Anew for each connection, so that a password can change without a restart.
  const address = () => databaseAddress(readConfig(process.env), paths)
  return Parser.start({ paths, config, address, log })
})
