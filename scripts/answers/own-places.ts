import type { StatePaths } from '../../shared/paths.ts'
import type { ContentTrail } from '../../shared/protocol.ts'
import { findRejects } from '../publishing/index.ts'
import { placeOf } from '../reports/index.ts'

/** Where this state directory has a file, and its bad lines, if it has them. */
export interface OwnPlaces {
  readonly place: string | undefined
  readonly rejects: string | undefined
}

export async function ownPlaces(trail: ContentTrail, paths: StatePaths): Promise<OwnPlaces> {
  const [rejects] = trail.sha256 === undefined ? [] : await findRejects(paths, trail.sha256)
  return { place: await placeOf(trail, paths), rejects: rejects?.path }
}
