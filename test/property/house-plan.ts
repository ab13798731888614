import { seeded } from '../helpers/files.ts'
import { type PlannedFile, planFiles } from './contents.ts'
import { type Limits, planLimits } from './plan.ts'
import { type Below, pick } from './random.ts'

/** A history of the whole house: `up` with its own MariaDB, while what is around it fails. */
export interface HousePlan {
  readonly kind: 'house'
  readonly seed: number
  readonly limits: Limits
  readonly files: readonly PlannedFile[]
  /** One after the other. */
  readonly troubles: readonly PlannedTrouble[]
}

export interface PlannedTrouble {
  readonly what: Trouble
  /** So many changes of names in work/ and runs/ after the one before; or when nothing is left to do. */
  readonly afterNames: number
}

export const TROUBLES = [
  'MariaDB and the parser die',
  'MariaDB dies',
  'the parser dies',
  'everything dies',
  'the terminal hangs up',
  'the logs are moved away',
  'the logs cannot be written',
  'the socket is removed',
  'the disk is full',
] as const

export type Trouble = (typeof TROUBLES)[number]

const TROUBLES_MAX = 4
const NAME_CHANGES = 25

export function housePlanOf(seed: number): HousePlan {
  const below = seeded(seed)
  const limits = planLimits(below)
  const troubles = Array.from({ length: 1 + below(TROUBLES_MAX) }, () => planTrouble(below))
  return {
    kind: 'house',
    seed,
    limits,
    files: planFiles(below, limits, 0, { namesRepeat: true }),
    troubles,
  }
}

function planTrouble(below: Below): PlannedTrouble {
  return { what: pick(below, TROUBLES), afterNames: below(NAME_CHANGES) }
}
