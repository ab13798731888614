import { readFile } from 'node:fs/promises'
import { hasCode } from '../../shared/errors.ts'
import { isAlive } from '../../shared/lifecycle.ts'
import type { StatePaths } from '../../shared/paths.ts'

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
  readonly startedAtMs: number
  readonly state: SupervisorState
  readonly withGenerator: boolean
  readonly parser: ProcessReport | undefined
  readonly generator: ProcessReport | undefined
  readonly mariadb: MariadbReport | undefined
}

/** What the supervisor of this directory says of itself, while it lives. */
export async function readSupervisor(paths: StatePaths): Promise<SupervisorStatus | undefined> {
  let text: string
  try {
    text = await readFile(paths.supervisorStatus, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
  const status = JSON.parse(text) as SupervisorStatus
  return isAlive(status) ? status : undefined
}
