/**
 * How one loop tells another that there is work, without losing a call and without a queue that can
 * grow: a bell that stays rung until it is heard, and a bounded hand-over of items.
 */

/** A bell: `ring` before `wait` is not lost, many rings are heard once. */
export class Bell {
  #rung = false
  #wake: (() => void) | undefined

  ring(): void {
    this.#rung = true
    this.#wake?.()
  }

  /** Forgets a ring that nobody has heard. */
  hush(): void {
    this.#rung = false
  }

  /** Resolves when rung, after `timeoutMs`, or when the signal is raised; one waiter at a time. */
  async wait(signal: AbortSignal, timeoutMs?: number): Promise<void> {
    if (!this.#rung && !signal.aborted) {
      await new Promise<void>(resolve => {
        const wake = (): void => {
          clearTimeout(timer)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        const timer = timeoutMs === undefined ? undefined : setTimeout(wake, timeoutMs)
        this.#wake = wake
        signal.addEventListener('abort', wake)
      })
      this.#wake = undefined
    }
    this.#rung = false
  }
}

/** Items from one loop to the next; their weights on the way add up to `capacity` at the most. */
export class Handoff<T> {
  readonly #capacity: number
  readonly #weigh: (item: T) => number
  readonly #items: T[] = []
  readonly #filled = new Bell()
  readonly #emptied = new Bell()
  #weight = 0
  #isWoken = false

  /** An item heavier than the capacity goes through alone. */
  constructor(capacity: number, weigh: (item: T) => number = () => 1) {
    this.#capacity = capacity
    this.#weigh = weigh
  }

  /** Waits while it is full. false: the signal was raised first and the item was not taken. */
  async put(item: T, signal: AbortSignal): Promise<boolean> {
    const weight = this.#weigh(item)
    while (this.#items.length > 0 && this.#weight + weight > this.#capacity && !signal.aborted) {
      await this.#emptied.wait(signal)
    }
    if (signal.aborted) return false
    this.#items.push(item)
    this.#weight += weight
    this.#filled.ring()
    return true
  }

  /**
   * Waits until there is something, then takes all there is, `most` at the most. Empty: the signal
   * was raised, `timeoutMs` have passed, or it was woken.
   */
  async takeAll(most: number, signal: AbortSignal, timeoutMs?: number): Promise<T[]> {
    // A ring of what was taken without waiting is not heard as one of something new.
    if (this.#items.length === 0 && !this.#isWoken) {
      this.#filled.hush()
      await this.#filled.wait(signal, timeoutMs)
    }
    this.#isWoken = false
    if (signal.aborted) return []
    const items = this.#items.splice(0, most)
    this.#weight -= items.reduce((sum, item) => sum + this.#weigh(item), 0)
    // What is left must be heard by the next call, which may have missed its ring.
    if (this.#items.length > 0) this.#filled.ring()
    this.#emptied.ring()
    return items
  }

  get isEmpty(): boolean {
    return this.#items.length === 0
  }

  /** Whoever takes has something else to look after: a call of `takeAll` does not wait any longer. */
  wake(): void {
    this.#isWoken = true
    this.#filled.ring()
  }

  /** What nobody will take any more. */
  drain(): T[] {
    this.#weight = 0
    return this.#items.splice(0)
  }
}

/** A promise with its two ends in hand. (`Promise.withResolvers` is not in Node 20.) */
export function deferred(): {
  readonly promise: Promise<void>
  resolve(): void
  reject(error: Error): void
} {
  let settle!: { resolve: () => void; reject: (error: Error) => void }
  const promise = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject }
  })
  return { promise, ...settle }
}
