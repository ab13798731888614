import { type DataFile, totalsOf } from '../helpers/files.ts'

/** What usage must be, found in the plainest way: by the calendar of the operating system's rules. */

export type Granularity = 'hour' | 'day' | 'month'

export interface Used extends DataFile {
  readonly usedAtMs: number
}

/** `2026-03-29 01:00:00` in UTC of an hour; `2026-03-29` of a day, there; the first of a month. */
export function periodOf(granularity: Granularity, usedAtMs: number, timeZone: string): string {
  if (granularity === 'hour') {
    return new Date(usedAtMs).toISOString().slice(0, 13).replace('T', ' ').concat(':00:00')
  }
  // Sweden writes them so.
  const day = new Date(usedAtMs).toLocaleDateString('sv-SE', { timeZone })
  return granularity === 'day' ? day : `${day.slice(0, 7)}-01`
}

/** By period and consumer, without what is nothing. */
export type Usage = ReadonlyMap<string, ReadonlyMap<bigint, bigint>>

export function usageOf(
  files: readonly Used[],
  granularity: Granularity,
  timeZone: string,
  keptFrom: string | undefined,
): Usage {
  const usage = new Map<string, Map<bigint, bigint>>()
  for (const file of files) {
    const period = periodOf(granularity, file.usedAtMs, timeZone)
    if (keptFrom !== undefined && period < keptFrom) continue
    const of = usage.get(period) ?? new Map<bigint, bigint>()
    usage.set(period, of)
    for (const [id, amount] of totalsOf([file])) {
      if (amount > 0n) of.set(id, (of.get(id) ?? 0n) + amount)
    }
  }
  return usage
}

/** A line for each, in order. */
export function linesOf(usage: Usage): string[] {
  return [...usage]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([period, of]) =>
      [...of].sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, sum]) => `${period} ${id} ${sum}`),
    )
}
