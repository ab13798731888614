import { fileURLToPath } from 'node:url'
import type { StatePaths } from '../../shared/paths.ts'

export type ChildName = 'generator' | 'parser' | 'serving'

const ROOM_OF = { generator: 'generator', parser: 'parser', serving: 'scripts/serving' } as const

/**
 * Arguments of node with which a built child is started on a state directory.
 *
 * The small space for young objects bounds what garbage a thread gathers before it is collected:
 * with the default of 16 MiB a parser needs some 25 MiB more, and is no faster.
 */
export function childCommand(name: ChildName, paths: StatePaths): string[] {
  const file = fileURLToPath(new URL(`../../${ROOM_OF[name]}/main.js`, import.meta.url))
  return ['--enable-source-maps', '--max-semi-space-size=1', file, '--dir', paths.dir]
}
