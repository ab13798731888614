import { readFileSync } from 'node:fs'
import type { SupervisorStatus } from '../../scripts/state/supervisor-status.ts'
import { startCountersink } from './cli.ts'
import { eventually } from './eventually.ts'
import { pingParser } from './parser.ts'
import type { Program, Teardown } from './processes.ts'
import type { Site } from './state-dir.ts'

/** `countersink up` with everything it starts. */
export interface Up extends Program {
  /** What it says of itself: the pids of its children, their restarts. */
  status(): SupervisorStatus | undefined
}

export function spawnUp(t: Teardown, site: Site, ...args: string[]): Up {
  const program = startCountersink(t, site, 'up', ...args)
  return { ...program, status: () => readStatus(site, program.pid) }
}

/** The same, once its parser counts. */
export async function startUp(t: Teardown, site: Site, ...args: string[]): Promise<Up> {
  const up = spawnUp(t, site, ...args)
  await eventually('the parser under `up` is ready', async () => {
    if (!up.isRunning()) return true
    const pid = up.status()?.parser?.pid
    const health = await pingParser(site.paths)
    return health !== undefined && health.pid === pid && health.database === 'ready'
  })
  if (!up.isRunning()) throw new Error(`up ended at its start:\n${up.output()}`)
  return up
}

/** The pid of a child of `up`, once it has one that is not `other`. */
export function pidOf(
  up: Up,
  child: 'parser' | 'generator' | 'mariadb',
  other?: number,
): Promise<number> {
  return eventually(`${child} runs under up`, () => {
    const pid = up.status()?.[child]?.pid
    return pid !== undefined && pid !== other ? pid : undefined
  })
}

function readStatus(site: Site, pid: number): SupervisorStatus | undefined {
  try {
    const status = JSON.parse(readFileSync(site.paths.supervisorStatus, 'utf8')) as SupervisorStatus
    return status.pid === pid ? status : undefined
  } catch {
    // Not written yet.
    return undefined
  }
}
