/**
 * When a child that dies is started again, and when it is given up. What counts is how often it has
 * died lately without anything durable being done between: never how often in a life of years.
 *
 * - The first time it comes back at once, then after pauses that double from 200 ms to ten seconds.
 * - Ten deaths within ten minutes, with no progress between them, are the end: the next start would
 *   not be different.
 */
export class Deaths {
  #atMs: number[] = []

  /** @returns the pause before the next start in ms; undefined: it is given up. */
  note(): number | undefined {
    const nowMs = performance.now()
    this.#atMs = [...this.#atMs.filter(atMs => nowMs - atMs < WINDOW_MS), nowMs]
    const deaths = this.#atMs.length
    if (deaths > DEATHS_MAX) return undefined
    return deaths === 1 ? 0 : Math.min(PAUSE_MAX_MS, 200 * 2 ** (deaths - 2))
  }

  /** It has made something durable: earlier deaths no longer count. */
  forget(): void {
    this.#atMs = []
  }
}

const DEATHS_MAX = 10
const WINDOW_MS = 10 * 60_000
export const PAUSE_MAX_MS = 10_000
