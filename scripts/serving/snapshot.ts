/** All that metrics, readiness and status are made of, as of one moment. */

import type { Config } from '../../shared/config.ts'
import { hasCode } from '../../shared/errors.ts'
import type { StatePaths } from '../../shared/paths.ts'
import type { GeneratorHealth, ParserHealth, ServingHealth } from '../../shared/protocol.ts'
import { type FreeRoom, freeRoom } from '../../shared/room.ts'
import { type LastProof, readLastProof } from '../answers/index.ts'
import { readSupervisor, type SupervisorStatus } from '../state/index.ts'
import { reach, type Silence } from '../terminal/index.ts'

export interface Snapshot {
  readonly atMs: number
  readonly supervisor: SupervisorStatus | undefined
  readonly parser: ParserHealth | Silence
  readonly generator: GeneratorHealth | Silence
  readonly serving: ServingHealth
  readonly room: FreeRoom | undefined
  readonly reserveBytes: number
  readonly lastProof: LastProof | undefined
}

export async function takeSnapshot(
  paths: StatePaths,
  config: Config,
  serving: () => ServingHealth,
): Promise<Snapshot> {
  const [supervisor, parser, generator, room] = await Promise.all([
    readSupervisor(paths),
    healthOf<ParserHealth>(paths, 'parser'),
    healthOf<GeneratorHealth>(paths, 'generator'),
    freeRoom(paths.dir).catch(error => {
      if (hasCode(error, 'ENOENT')) return undefined
      throw error
    }),
  ])
  return {
    ...{ atMs: Date.now(), supervisor, parser, generator, serving: serving(), room },
    ...{ reserveBytes: config.reserveBytes, lastProof: readLastProof(paths) },
  }
}

async function healthOf<H extends { readonly role: 'parser' | 'generator' }>(
  paths: StatePaths,
  name: H['role'],
): Promise<H | Silence> {
  const reached = await reach(paths, name)
  if ('silentBecause' in reached) return reached
  reached.channel.close()
  return reached.health as unknown as H
}
