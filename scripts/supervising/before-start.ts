/** What whoever runs a supervisor sees to before it starts. */

import type { Config } from '../../shared/config.ts'
import { CountersinkError, describeError } from '../../shared/errors.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { shellWord } from '../../shared/printable.ts'
import { PRIVATE_DATABASE, readRememberedLedger } from '../../shared/remembered-ledger.ts'
import { SETTINGS } from '../../shared/settings.ts'
import type { Supervisor } from './supervisor.ts'

/**
 * A service that has lost its environment must not begin with an empty private MariaDB. With a URL it
 * goes on: the server may have moved, and the parser looks whether the ledger is the same.
 *
 * @throws CountersinkError USAGE
 */
export async function refuseAnotherDatabase(paths: StatePaths, config: Config): Promise<void> {
  if (config.databaseUrl !== '') return
  const remembered = await readRememberedLedger(paths.rememberedLedger)
  if (remembered === undefined || remembered.database === PRIVATE_DATABASE) return
  throw new CountersinkError(
    'USAGE',
    `${paths.dir} works with the database ${remembered.database}, and ${SETTINGS.databaseUrl.variable} is not set: set it, or choose another directory with --dir`,
    { mend: [`export ${SETTINGS.databaseUrl.variable}=${shellWord(remembered.database)}`] },
  )
}

/**
 * A service is not its terminal's: whoever read its output may go, and a hangup means that the logs
 * were moved away, or that the configuration has changed. A fault of ours that nothing has caught still ends in order what was started.
 */
export function outliveTheTerminal(
  supervisor: Pick<Supervisor, 'note' | 'reopenLogs' | 'fail'>,
  onHangup: () => void = () => {},
): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.once('error', error => {
      supervisor.note(`nobody reads what is printed any more: ${describeError(error)}`)
      stream.on('error', () => {
        // Said once.
      })
    })
  }
  process.on('SIGHUP', () => {
    supervisor.reopenLogs()
    onHangup()
  })
  process.on('uncaughtException', error => supervisor.fail(error))
}
