import { readFile } from 'node:fs/promises'
import { hasCode } from '../../shared/errors.ts'
import { isAlive } from '../../shared/lifecycle.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { placeOf } from '../../shared/state-directory.ts'

/** Its own states; see `supervisor-states.ts`. */
export type SupervisorState = 'starting' | 'running' | 'draining' | 'stopping' | 'stopped'
/** Those of a child; see `managed-process-states.ts`. */
export type ProcessState = 'starting' | 'running' | 'restarting' | 'stopping' | 'stopped' | 'failed'

/** What the supervisor tells of a child. */
export interface ProcessReport {
  readonly pid: number | undefined
  readonly state: ProcessState
  readonly startedAtMs: number | undefined
  readonly restarts: number
}

/** And of its MariaDB. */
export interface MariadbReport {
  readonly pid: number | undefined
  readonly restarts: number
  /** What it was given; undefined until it is known. */
  readonly memoryBytes: { readonly pool: number; readonly log: number } | undefined
}

/** What `run/supervisor.json` says; `status` and `ping` read it. */
export interface SupervisorStatus {
  readonly pid: number
  readonly startTime: string
  /** Of the state directory, as `placeOf` names it: in a copy of it, this file tells of the original. */
  readonly place: string
  readonly startedAtMs: number
  readonly state: SupervisorState
  readonly withGenerator: boolean
  readonly parser: ProcessReport | undefined
  readonly generator: ProcessReport | undefined
  readonly serving: ProcessReport | undefined
  readonly mariadb: MariadbReport | undefined
}

/**
 * What the supervisor of this directory says of itself, while it lives. One that a copied file tells of
 * is another directory's; and a file that is not JSON is nobody's.
 */
export async function readSupervisor(paths: StatePaths): Promise<SupervisorStatus | undefined> {
  try {
    const status = JSON.parse(await readFile(paths.supervisorStatus, 'utf8')) as SupervisorStatus
    return isAlive(status) && status.place === placeOf(paths.dir) ? status : undefined
  } catch (error) {
    if (error instanceof SyntaxError || hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
}
