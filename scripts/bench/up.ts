import { readFileSync } from 'node:fs'
import type { SupervisorStatus } from '../state/index.ts'
import { builtFile, type Running, startProgram } from './programs.ts'
import type { Site } from './site.ts'
import { until } from './until.ts'
import type { Workspace } from './workspace.ts'

/** `countersink up` on a site whose own server is stopped, once its parser counts. */
export async function startUp(
  workspace: Workspace,
  site: Site,
  options: readonly string[],
): Promise<Running> {
  const args = [builtFile('../countersink'), 'up', '--dir', site.paths.dir, ...options]
  const up = startProgram(workspace, args, site.env)
  await until('the parser under `up` is ready', async () => {
    if (!up.isRunning()) throw new Error(`up ended: ${up.output()}`)
    return (await site.health())?.state === 'running' ? true : undefined
  })
  return up
}

/** What the supervisor says of its children; undefined before it says anything. */
export function readSupervisorStatus(site: Site): SupervisorStatus | undefined {
  try {
    return JSON.parse(readFileSync(site.paths.supervisorStatus, 'utf8')) as SupervisorStatus
  } catch {
    // Not there yet.
    return undefined
  }
}
