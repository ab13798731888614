import { CRASH_POINTS } from '../../shared/crash-points.ts'
import { seeded } from '../helpers/files.ts'
import { type PlannedFile, planFiles } from './contents.ts'
import type { HousePlan } from './house-plan.ts'
import { type Below, type Moment, planMoment } from './random.ts'

/** A history as data: made from a seed alone, so that it can be told, cut down and run again. */
export interface Plan {
  readonly kind: 'parsers'
  readonly seed: number
  readonly limits: Limits
  readonly files: readonly PlannedFile[]
  /** Those that come to a planned end; one more follows, which finishes everything. */
  readonly lives: readonly Life[]
}

/** Much smaller than anybody would set them, so that small files come to all of them. */
export interface Limits {
  readonly pairsMax: number
  readonly memoryPairsMax: number
  readonly checkpointBytes: number
  readonly chunkPairsMax: number
  readonly batchFilesMax: number
  /** Files read side by side. */
  readonly readers: number
}

/** What ends a life: a crash point at its n-th passing, or a signal at a moment. */
export type End =
  | { readonly point: string }
  | { readonly signal: 'SIGKILL' | 'SIGTERM'; readonly at: Moment }

export interface Life {
  readonly end: End
  /** A second parser is started on the same directory then. */
  readonly twin?: Moment
  /** It is stopped then, for a while. */
  readonly pause?: Moment
  /** What happens to the database under it, or after it. */
  readonly database?: DatabaseEvent
  /** What is deleted after it. */
  readonly lost: readonly ('journal' | 'runs')[]
}

/** The database is put back to what it was at a moment of this life, or is an empty one from then on. */
export interface DatabaseEvent {
  readonly what: 'restored' | 'replaced'
  readonly saved: Moment
  readonly at: Moment | 'afterwards'
}

const KILLS_MAX = 3
const PASSINGS_MAX = 6
const POINTS = CRASH_POINTS.filter(name => name.startsWith('P'))

export function planOf(seed: number): Plan {
  const below = seeded(seed)
  const limits = planLimits(below)
  const lives = Array.from({ length: below(KILLS_MAX + 1) }, () => planLife(below))
  const hasEvents = lives.some(({ database }) => database !== undefined)
  return {
    kind: 'parsers',
    seed,
    limits,
    lives,
    files: planFiles(below, limits, lives.length, !hasEvents),
  }
}

export function planLimits(below: Below): Limits {
  return {
    pairsMax: 1 + below(64),
    memoryPairsMax: below(33),
    checkpointBytes: 1_024 * (1 + below(64)),
    chunkPairsMax: 1 + below(32),
    batchFilesMax: 1 + below(5),
    readers: 1 + below(3),
  }
}

function planLife(below: Below): Life {
  const lost = (['journal', 'runs'] as const).filter(() => below(6) === 0)
  return {
    end: planEnd(below),
    ...(below(8) === 0 ? { twin: planMoment(below) } : {}),
    ...(below(8) === 0 ? { pause: planMoment(below) } : {}),
    ...(below(5) === 0 ? { database: planDatabaseEvent(below) } : {}),
    lost,
  }
}

function planDatabaseEvent(below: Below): DatabaseEvent {
  return {
    what: below(4) === 0 ? 'replaced' : 'restored',
    saved: planMoment(below),
    at: below(3) === 0 ? 'afterwards' : planMoment(below),
  }
}

function planEnd(below: Below): End {
  if (below(3) > 0) {
    // The first passings are the most different from each other.
    const passing = 1 + below(1 + below(PASSINGS_MAX))
    return { point: `${POINTS[below(POINTS.length)]}:${passing}` }
  }
  return { signal: below(3) === 0 ? 'SIGTERM' : 'SIGKILL', at: planMoment(below) }
}

/** In a few lines, for the report of a failure. */
export function describePlan({ seed, limits, files, ...plan }: Plan | HousePlan): string {
  const told = files.map(({ content, ...file }) => ({ ...file, bytes: content.length }))
  const list = (items: readonly unknown[]): string =>
    items.map(item => `\n  ${JSON.stringify(item)}`).join('')
  return `seed ${seed}, limits ${JSON.stringify(limits)}\nfiles:${list(told)}\n${plan.kind === 'house' ? `troubles:${list(plan.troubles)}` : `lives:${list(plan.lives)}`}`
}
