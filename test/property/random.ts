/** A repeatable source of whole numbers of 0..bound-1. */
export type Below = (bound: number) => number

export function random64(below: Below): bigint {
  return (BigInt(below(2 ** 32)) << 32n) | BigInt(below(2 ** 32))
}

export function pick<T>(below: Below, items: readonly T[]): T {
  return items[below(items.length)]!
}

/** A moment of a life: so many bytes of log, or so many changes of names in work/ and runs/. */
export interface Moment {
  readonly of: 'log' | 'names'
  readonly after: number
}

const LOG_BYTES = 3_000
const NAME_CHANGES = 60

export function planMoment(below: Below): Moment {
  return below(2) === 0
    ? { of: 'log', after: below(LOG_BYTES) }
    : { of: 'names', after: below(NAME_CHANGES) }
}
