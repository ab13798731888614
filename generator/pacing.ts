import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Pacing } from './making/index.ts'

const SLICE_BYTES_MAX = 256 * 1024
const SLICE_BYTES_MIN = 4 * 1024
/** A slow stream moves about this often. */
const SLICES_PER_SECOND = 10

/** Keeps a stream of bytes at a rate; time that was spent waiting elsewhere is not made up for. */
export class Pacer implements Pacing {
  /** How much to write at once: a tenth of a second's worth, within bounds. */
  readonly sliceBytes: number
  readonly #rateBytes: number
  #dueAtMs = 0

  /** `rateBytes` a second, at least 1. */
  constructor(rateBytes: number) {
    assert(rateBytes > 0, 'no rate is no pacer')
    this.#rateBytes = rateBytes
    this.sliceBytes = Math.min(
      Math.max(Math.ceil(rateBytes / SLICES_PER_SECOND), SLICE_BYTES_MIN),
      SLICE_BYTES_MAX,
    )
  }

  /** Resolves when these bytes may go, or when the signal is raised. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const nowMs = performance.now()
    this.#dueAtMs = Math.max(this.#dueAtMs, nowMs) + (bytes * 1_000) / this.#rateBytes
    // Timers end late: what is due within one tick may go now.
    let leftMs = this.#dueAtMs - nowMs
    while (leftMs > 1 && !signal.aborted) {
      await sleep(Math.min(leftMs, TIMER_MS_MAX), undefined, { signal }).catch(() => {
        // Aborted, which the loop's condition sees.
      })
      leftMs = this.#dueAtMs - performance.now()
    }
  }
}

/** Node's timers wrap around beyond 2^31-1 ms. */
const TIMER_MS_MAX = 2 ** 31 - 1
