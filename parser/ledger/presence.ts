/** Of the rows that an UPDATE should change, those that it did change. */
export type RowsFound = 'all' | 'some' | 'none'

/**
 * A guess whether the totals have rows for all ids of a piece of a chunk, from what was found there
 * before. A wrong guess costs time and nothing else: every UPDATE is counted, and what it does not
 * find is upserted. The state is a few kilobytes, whatever the number of consumers; ranges share
 * its slots.
 *
 * - Rows were missing: they were upserted, so they are there now. The UPDATE is tried again at once,
 *   but if it fails again in the same range, only after 1, 2, 4 … other pieces there.
 * - None of the rows was there: the ranges behind it are probably new too. They are upserted untried,
 *   one, then two, four …, until an UPDATE finds its rows again or the next batch begins.
 */
export class PresenceGuess {
  /** Pieces of a range that are still to be upserted before an UPDATE is tried again. */
  readonly #waits = new Uint8Array(SLOTS)
  /** How often in succession rows were missing in a range. */
  readonly #failures = new Uint8Array(SLOTS)
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

  /** Whether to try an UPDATE of the piece that begins with this id; to be asked once a piece. */
  expectsRows(idHigh: number, idLow: number): boolean {
    if (this.#untriedLeft > 0) {
      this.#untriedLeft -= 1
      return false
    }
    const slot = slotOf(idHigh, idLow)
    if (this.#waits[slot] === 0) return true
    this.#waits[slot]! -= 1
    return false
  }

  /** What the UPDATE has found of the rows it should change. */
  found(idHigh: number, idLow: number, rows: RowsFound): void {
    const slot = slotOf(idHigh, idLow)
    if (rows === 'none') {
      this.#untried = Math.min(Math.max(1, this.#untried * 2), WAIT_MAX)
      this.#untriedLeft = this.#untried
      return
    }
    this.#untried = 0
    if (rows === 'all') {
      this.#failures[slot] = 0
      return
    }
    const failures = Math.min(this.#failures[slot]! + 1, FAILURES_MAX)
    this.#failures[slot] = failures
    this.#waits[slot] = failures === 1 ? 0 : 2 ** (failures - 2)
  }
}

const SLOTS = 4_096
/** Ids of one slot: about as many as one statement takes. */
const SLOT_BITS = 13
const WAIT_MAX = 16
const FAILURES_MAX = 6

function slotOf(idHigh: number, idLow: number): number {
  return (
    ((idLow >>> SLOT_BITS) ^ (idHigh << (32 - SLOT_BITS)) ^ (idHigh >>> SLOT_BITS)) & (SLOTS - 1)
  )
}
