/**
 * A process of its own that adds one content to the totals twice, by the ledger of a build, and tells
 * what the second time took: the first has compiled the code.
 *
 *     apply-child DIST STATE_DIRECTORY SERVER_PID PAIRS
 */

import { type ApplyFigures, ROUNDS } from './apply-figures.ts'
import { importFrom, THIS_BUILD } from './builds.ts'
import { timed } from './paired.ts'
import { makeSumsOfLines } from './pairs-table.ts'
import { cpuSeconds } from './process-cpu.ts'

const [dist = THIS_BUILD.dist, directory = '', server = '', pairs = ''] = process.argv.slice(2)
const { readConfig } = await importFrom<typeof import('../../shared/config.ts')>(
  dist,
  'shared/config.js',
)
const { applyOnce, ledgerOf } = await importFrom<typeof import('./apply-once.ts')>(
  dist,
  'scripts/bench/apply-once.js',
)
const { statePaths } = await importFrom<typeof import('../../shared/paths.ts')>(
  dist,
  'shared/paths.js',
)
const address = { socketPath: statePaths(directory).mariadbSocket }
const ledger = ledgerOf({ config: readConfig({}), address })
await ledger.open()
const sums = makeSumsOfLines(Number(pairs))
for (let round = 1; round < ROUNDS; round += 1) await applyOnce(ledger, sums)
const before = { client: cpuSeconds('self'), server: cpuSeconds(Number(server)) }
const seconds = await timed(() => applyOnce(ledger, sums))
const figures: ApplyFigures = {
  seconds,
  clientCpuSeconds: cpuSeconds('self') - before.client,
  serverCpuSeconds: cpuSeconds(Number(server)) - before.server,
}
await ledger.close()
process.stdout.write(`${JSON.stringify(figures)}\n`)
