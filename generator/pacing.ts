import { setTimeout as sleep } from 'node:timers/promises'

/** A wait that somebody else can end early. A call between two waits is not lost. */
export class Wakeup {
  #called = false
  #end: (() => void) | undefined

  wake(): void {
    this.#called = true
    this.#end?.()
  }

  /** Until `wake()`, at most `ms`. One waiter at a time. */
  async wait(ms: number): Promise<void> {
    if (!this.#called) {
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, ms)
        this.#end = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.#end = undefined
    this.#called = false
  }
}

const SLICE_BYTES_MAX = 256 * 1024
const SLICE_BYTES_MIN = 4 * 1024
/** A slow stream moves about this often. */
const SLICES_PER_SECOND = 10

/** Keeps a stream of bytes at a rate; time that was spent waiting elsewhere is not made up for. */
export class Pacer {
  /** How much to write at once: at full speed what takes the event loop about a millisecond. */
  readonly sliceBytes: number
  readonly #rateBytes: number
  readonly #signal: AbortSignal
  #dueAtMs = 0

  /** `rateBytes` a second, 0 for no limit. After `signal`, nothing waits. */
  constructor(rateBytes: number, signal: AbortSignal) {
    this.#rateBytes = rateBytes
    this.#signal = signal
    this.sliceBytes =
      rateBytes === 0
        ? SLICE_BYTES_MAX
        : Math.min(
            Math.max(Math.ceil(rateBytes / SLICES_PER_SECOND), SLICE_BYTES_MIN),
            SLICE_BYTES_MAX,
          )
  }

  /** Resolves when these bytes may go; at once without a limit. */
  async take(bytes: number): Promise<void> {
    if (this.#rateBytes === 0) return
    const nowMs = performance.now()
    this.#dueAtMs = Math.max(this.#dueAtMs, nowMs) + (bytes * 1_000) / this.#rateBytes
    // Timers end late: what is due within one tick may go now.
    let leftMs = this.#dueAtMs - nowMs
    while (leftMs > 1 && !this.#signal.aborted) {
      await sleep(Math.min(leftMs, TIMER_MS_MAX), undefined, { signal: this.#signal }).catch(() => {
        // Aborted, which the loop's condition sees.
      })
      leftMs = this.#dueAtMs - performance.now()
    }
  }
}

/** Node's timers wrap around beyond 2^31-1 ms. */
const TIMER_MS_MAX = 2 ** 31 - 1
