import { assertDocumented } from './json-shape.ts'
import { type Ended, type Program, startProgram, type Teardown } from './processes.ts'
import type { Site } from './state-dir.ts'

/** Runs a command of the built command line on a site, to its end. What is JSON must be as documented. */
export async function countersink(
  t: Teardown,
  site: Site,
  command: string,
  ...args: string[]
): Promise<Ended> {
  const ended = await startCountersink(t, site, command, ...args).ended
  if (args.includes('--json')) await assertDocumented(command, ended)
  return ended
}

export function startCountersink(
  t: Teardown,
  site: Site,
  command: string,
  ...args: string[]
): Program {
  const { dir } = site.paths
  return startProgram(t, dir, ['scripts/countersink.js', command, '--dir', dir, ...args], site.env)
}

/** What a command printed with `--json`, a line an object. */
export function jsonLines(ended: Ended): Record<string, unknown>[] {
  return ended.stdout
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
}
