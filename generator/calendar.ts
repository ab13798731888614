/**
 * When what a generated file tells of was used: on one of the last days before the stream began, so that
 * whoever begins sees a month at once. The files are spread over the days evenly, however many there are; of
 * a day more of them are from the afternoon than from the night. Seed and number of a file decide it, so the
 * same file has the same time after any restart.
 */

import { Sfc32 } from './making/index.ts'

/**
 * Milliseconds since 1970.
 *
 * @param endMs the last of these days ends here, and the others at midnight, UTC.
 */
export function usedAtOf(file: {
  readonly seed: bigint
  readonly number: number
  readonly days: number
  readonly endMs: number
}): number {
  const { seed, number, days, endMs } = file
  const whereBegun = new Sfc32(`calendar ${seed}`).fraction()
  const day = Math.floor(((whereBegun + number * GOLDEN) % 1) * days)
  const lastDayMs = endMs - (endMs % DAY_MS)
  const dayMs = lastDayMs - day * DAY_MS
  const lengthMs = day === 0 ? endMs - lastDayMs : DAY_MS
  const chance = new Sfc32(`used ${seed} ${number}`)
  for (;;) {
    const usedAtMs = dayMs + Math.floor(chance.fraction() * lengthMs)
    if (chance.fraction() <= busyness(usedAtMs)) return usedAtMs
  }
}

/** From a quarter at three in the night to all at three in the afternoon, UTC. */
function busyness(ms: number): number {
  const hour = (ms % DAY_MS) / HOUR_MS
  return 0.625 - 0.375 * Math.cos(((hour - 3) / 24) * 2 * Math.PI)
}

/** Its multiples lie as far from one another as any. */
const GOLDEN = (Math.sqrt(5) - 1) / 2
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
