/** What a supervisor is told by whoever runs one. */

import type { Config } from '../../shared/config.ts'
import type { Level } from '../../shared/log.ts'
import type { StatePaths } from '../../shared/paths.ts'
import type { childCommand } from './child-command.ts'

export interface SupervisorOptions {
  readonly paths: StatePaths
  readonly config: Config
  /** For the children: the configuration as environment variables. */
  readonly env: NodeJS.ProcessEnv
  readonly withGenerator: boolean
  /** Why the configuration, as it stands now, would end a child that is started with it. */
  readonly whyUnfit?: () => string | undefined
  /** How a child is started, if not as it was built. */
  readonly childCommand?: typeof childCommand
  readonly onState?: () => void
  /** Something the person at the terminal should know. */
  readonly onNotice: (text: string) => void
  /** Each line of each log, its own and the children's, as it is written; without its end. */
  readonly onLine?: (written: string, level: Level) => void
}
