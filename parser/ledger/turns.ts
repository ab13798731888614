import { deferred } from '../../shared/handoff.ts'

/**
 * Gives actions their turn, one at a time, in the order in which they ask. A long one may let those
 * that wait go first whenever it holds nothing that they could be in the way of.
 */
export class Turns {
  #last: Promise<void> = Promise.resolve()
  #waiting = 0
  /** Of whoever has the turn. */
  #end = (): void => {}

  /** Runs it once those before it have ended. @throws what it throws */
  async take<T>(action: () => Promise<T>): Promise<T> {
    await this.#begin()
    try {
      return await action()
    } finally {
      this.#end()
    }
  }

  /** For whoever has the turn: goes on behind those that wait now. */
  async giveWay(): Promise<void> {
    if (this.#waiting === 0) return
    const turn = this.#begin()
    this.#end()
    await turn
  }

  async #begin(): Promise<void> {
    const before = this.#last
    const { promise, resolve } = deferred()
    this.#last = promise
    this.#waiting += 1
    await before
    this.#waiting -= 1
    this.#end = resolve
  }
}
