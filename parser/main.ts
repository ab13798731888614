import { parseArgs } from 'node:util'
import { configOf } from '../shared/config.ts'
import { defaultDirectory } from '../shared/config-places.ts'
import { runService } from '../shared/lifecycle.ts'
import { createLog } from '../shared/log.ts'
import { statePaths } from '../shared/paths.ts'
import { databaseAddress } from './ledger/index.ts'
import { Parser } from './parser.ts'

const { values } = parseArgs({
  options: {
    dir: { type: 'string', default: defaultDirectory(process.env) },
    supervised: { type: 'boolean' },
  },
})
const log = createLog('parser')

await runService(log, values.supervised ?? false, async () => {
  const paths = statePaths(values.dir)
  const config = configOf(paths.dir, process.env)
  return Parser.start({ paths, config, address: databaseAddress(config, paths), log })
})
