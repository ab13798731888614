import { Problem } from './problem.ts'

/**
 * Lets so many in at a time and a bounded number wait in turn; whoever comes beyond is told to come later. So
 * readers, however many, cost the database and the parser no more than a few.
 */
export class Gate {
  readonly #atOnceMax: number
  readonly #waitingMax: number
  #inside = 0
  readonly #waiting = new Set<() => void>()

  constructor(atOnceMax: number, waitingMax: number) {
    this.#atOnceMax = atOnceMax
    this.#waitingMax = waitingMax
  }

  /** @throws Problem BUSY; the signal's reason, when that is raised while it waits. */
  async run<T>(signal: AbortSignal, action: () => Promise<T>): Promise<T> {
    if (this.#inside >= this.#atOnceMax) await this.#turn(signal)
    else this.#inside += 1
    try {
      signal.throwIfAborted()
      return await action()
    } finally {
      const [next] = this.#waiting
      // A place is handed on: nobody slips in between.
      if (next === undefined) this.#inside -= 1
      else next()
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    if (this.#waiting.size >= this.#waitingMax) {
      throw new Problem(503, 'BUSY', `${this.#waiting.size} others wait for the same already`)
    }
    return new Promise((resolve, reject) => {
      const goOn = (): void => {
        this.#waiting.delete(goOn)
        signal.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = (): void => {
        this.#waiting.delete(goOn)
        reject(signal.reason)
      }
      signal.addEventListener('abort', giveUp, { once: true })
      this.#waiting.add(goOn)
    })
  }
}
