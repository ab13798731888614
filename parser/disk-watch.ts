import { existsSync } from 'node:fs'
import { freeBytes } from '../shared/durable.ts'
import { Bell } from '../shared/handoff.ts'
import type { Log } from '../shared/log.ts'
import { formatBytes } from '../shared/numbers.ts'

const INTERVAL_MS = 500

/**
 * Keeps work away from a disk that is nearly full: LMDB must never be let run into that (a commit
 * there can crash the process), and nothing else should. While a directory has less free space than
 * the reserve, the parser takes nothing, begins no file and no batch; it says why, and goes on by
 * itself.
 */
export class DiskWatch {
  readonly #directories: readonly string[]
  readonly #reserveBytes: number
  readonly #log: Log
  readonly #bells = new Set<Bell>()
  #reason: string | undefined

  constructor(options: { directories: readonly string[]; reserveBytes: number; log: Log }) {
    this.#directories = options.directories
    this.#reserveBytes = options.reserveBytes
    this.#log = options.log
  }

  /** Why nothing new is begun now. */
  get reason(): string | undefined {
    return this.#reason
  }

  /** The loop; ends when the signal is raised. */
  async run(signal: AbortSignal): Promise<void> {
    const untilStopped = new Bell()
    while (!signal.aborted) {
      await this.look()
      await untilStopped.wait(signal, INTERVAL_MS)
    }
  }

  /** Waits until there is room, or the signal is raised. */
  async room(signal: AbortSignal): Promise<void> {
    const bell = new Bell()
    this.#bells.add(bell)
    while (this.#reason !== undefined && !signal.aborted) await bell.wait(signal)
    this.#bells.delete(bell)
  }

  /** A write found no space, whatever the figures say: waits for a look that finds room. */
  async foundFull(reason: string, signal: AbortSignal): Promise<void> {
    this.#log.warn('paused', { because: reason })
    this.#reason = reason
    await this.room(signal)
  }

  async look(): Promise<void> {
    const found = await this.#findReason()
    // Read after the wait: a write may have found the disk full meanwhile.
    const before = this.#reason
    this.#reason = found
    if (before === undefined && this.#reason !== undefined) {
      this.#log.warn('paused', { because: this.#reason })
    } else if (before !== undefined && this.#reason === undefined) {
      this.#log.info('goes on: there is room again')
      for (const bell of this.#bells) bell.ring()
    }
  }

  async #findReason(): Promise<string | undefined> {
    for (const directory of this.#directories) {
      if (!existsSync(directory)) continue
      const free = await freeBytes(directory)
      if (free >= this.#reserveBytes) continue
      return `${formatBytes(free)} free in ${directory}, ${formatBytes(this.#reserveBytes)} are kept in reserve`
    }
    return undefined
  }
}
