/** Of the rows that an UPDATE should change, those that it did change: at least half of them, or fewer. */
export type RowsFound = 'most' | 'few'

/**
 * A guess whether the totals have rows for the ids of a piece of a chunk, from what was found in the
 * pieces before it. A wrong guess costs time and nothing else: every UPDATE is counted, and what it
 * does not find is inserted. From about half of the rows on, UPDATE and INSERT together take less time
 * than an upsert.
 *
 * Fewer were there: the ranges behind are probably new too. They are upserted untried, one, then two,
 * four …, until an UPDATE finds its rows again or the next batch begins.
 */
export class PresenceGuess {
  #untriedLeft = 0
  #untried = 0
  /** The first id of the last chunk. */
  #lastHigh = 0
  #lastLow = 0

  /** A chunk begins with this id: with the first of a batch, nothing is known of what is behind it. */
  startChunk(idHigh: number, idLow: number): void {
    const isBehind = idHigh > this.#lastHigh || (idHigh === this.#lastHigh && idLow > this.#lastLow)
    if (!isBehind) this.#untriedLeft = this.#untried = 0
    this.#lastHigh = idHigh
    this.#lastLow = idLow
  }

  /** Whether to try an UPDATE of the next piece; to be asked once a piece, in order. */
  expectsRows(): boolean {
    if (this.#untriedLeft === 0) return true
    this.#untriedLeft -= 1
    return false
  }

  /** What the UPDATE has found of the rows it should change. */
  found(rows: RowsFound): void {
    this.#untried = rows === 'most' ? 0 : Math.min(Math.max(1, this.#untried * 2), UNTRIED_MAX)
    this.#untriedLeft = this.#untried
  }
}

const UNTRIED_MAX = 16
