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

/** Items from one loop to the next, at most `capacity` on the way. */
export class Handoff<T> {
  readonly #capacity: number
  readonly #items: T[] = []
  readonly #filled = new Bell()
  readonly #emptied = new Bell()

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** Waits while it is full. false: the signal was raised first and the item was not taken. */
  async put(item: T, signal: AbortSignal): Promise<boolean> {
    while (this.#items.length >= this.#capacity && !signal.aborted) {
      await this.#emptied.wait(signal)
    }
    if (signal.aborted) return false
    this.#items.push(item)
    this.#filled.ring()
    return true
  }

  /** Waits while it is empty. undefined: the signal was raised first. */
  async take(signal: AbortSignal): Promise<T | undefined> {
    while (this.#items.length === 0 && !signal.aborted) await this.#filled.wait(signal)
    if (signal.aborted) return undefined
    const item = this.#items.shift()
    this.#emptied.ring()
    return item
  }

  /** What nobody will take any more. */
  drain(): T[] {
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
