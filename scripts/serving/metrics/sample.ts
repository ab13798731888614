/** What a metric is. */

import type { Snapshot } from '../snapshot.ts'

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>
  readonly value: number
}

/** A histogram of one set of labels; bounds in the metric's unit. */
export interface Buckets {
  readonly labels: Readonly<Record<string, string>>
  /** How many were no larger than each bound and larger than the one before; at last those beyond. */
  readonly buckets: readonly number[]
  readonly sum: number
}

interface Described {
  readonly name: string
  readonly help: string
}

/** No samples: it is not known now, or there is none. */
export type Metric =
  | (Described & {
      readonly type: 'counter' | 'gauge'
      readonly of: (snapshot: Snapshot) => readonly Sample[]
    })
  | (Described & {
      readonly type: 'histogram'
      readonly bounds: readonly number[]
      readonly of: (snapshot: Snapshot) => readonly Buckets[]
    })
