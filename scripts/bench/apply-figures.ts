/** What `apply-child` tells of its last round. */
export interface ApplyFigures {
  readonly seconds: number
  /** Of that process. */
  readonly clientCpuSeconds: number
  readonly serverCpuSeconds: number
}

/** How often it adds the same sums; the last time is measured. */
export const ROUNDS = 2
