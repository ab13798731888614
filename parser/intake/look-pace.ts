/**
 * When the next piece of a look into the inbox is due.
 *
 * After a piece that has found something the next one comes at once, after one that has not there is
 * a rest: a look that finds nothing takes a tenth of the time at the most, however many names there
 * are. Between two looks lies the interval, unless one is wished for earlier.
 */

import type { Config } from '../../shared/config.ts'

export class LookPace {
  readonly #pace: Pick<Config, 'scanIntervalMs'>
  #isWished = true
  #isLooking = false
  #begunMs = 0
  #nextMs = 0

  constructor(pace: Pick<Config, 'scanIntervalMs'>) {
    this.#pace = pace
  }

  /** In the middle of a look. */
  get isLooking(): boolean {
    return this.#isLooking
  }

  get isDue(): boolean {
    return performance.now() >= this.#nextMs || (this.#isWished && !this.#isLooking)
  }

  get pauseMs(): number {
    return this.isDue ? 0 : this.#nextMs - performance.now()
  }

  lookSoon(): void {
    this.#isWished = true
  }

  begin(): void {
    if (!this.#isLooking) this.#isWished = false
    this.#begunMs = performance.now()
  }

  /** @param isOver the look has come to its end. */
  end(found: number, isOver: boolean): void {
    const nowMs = performance.now()
    const restMs = found > 0 ? 0 : (nowMs - this.#begunMs) * RESTS_PER_PIECE
    this.#isLooking = !isOver
    this.#nextMs = nowMs + (isOver ? this.#pace.scanIntervalMs : restMs)
  }
}

const RESTS_PER_PIECE = 9
