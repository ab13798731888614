/**
 * What can be asked, as rows of data: from a row come the answering, its place in the OpenAPI document, and
 * what a test holds its answers against.
 */

import type { StatePaths } from '../../shared/paths.ts'
import type { Shape } from '../command-table/index.ts'
import type { Asking } from '../terminal/index.ts'
import type { Given, Params } from './params.ts'
import type { Snapshot } from './snapshot.ts'

/** Whose time an answer takes; of each kind a few are answered at a time. */
export type Cost = 'nothing' | 'parser' | 'trail' | 'consumer' | 'usage' | 'directory'

/** What answers are made from. */
export interface Ground {
  readonly paths: StatePaths
  readonly asking: Asking
  readonly snapshot: () => Promise<Snapshot>
  /** Of days, as far as no ledger is asked: that of the settings. */
  readonly timeZone: () => string
}

export interface Route {
  /** `/api/v1/files/{sha256}` */
  readonly path: string
  readonly summary: string
  readonly cost: Cost
  readonly params: Params
  readonly answer: Shape
  /** Those besides 200 that belong to it. */
  readonly problems: readonly number[]
  run(given: Record<string, unknown>, ground: Ground): Promise<object>
}

export function route<const P extends Params>(
  row: Omit<Route, 'params' | 'run'> & {
    readonly params: P
    run(given: Given<P>, ground: Ground): Promise<object>
  },
): Route {
  return row as unknown as Route
}
