import type { ParserEvents } from '../shared/events.ts'
import { Bell } from '../shared/handoff.ts'
import type { StatePaths } from '../shared/paths.ts'
import { lackOfRoom, type Reserve } from '../shared/room.ts'

const INTERVAL_MS = 500

/** What the service writes to; each may be on a filesystem of its own. */
export function filledDirectories(
  paths: Pick<StatePaths, 'work' | 'journal' | 'runs' | 'rejects' | 'mariadb'>,
): readonly string[] {
  return [paths.work, paths.journal, paths.runs, paths.rejects, paths.mariadb]
}

/**
 * Keeps work away from a disk that is nearly full: LMDB must never be let run into that (a commit
 * there can crash the process), and nothing else should. While a directory has less free space, or
 * fewer free inodes, than the reserve, the parser takes nothing, begins no file and no batch; it says why, and goes on by
 * itself.
 */
export class DiskWatch {
  readonly #directories: readonly string[]
  readonly #reserve: Reserve
  readonly #events: ParserEvents
  readonly #bells = new Set<Bell>()
  #reason: string | undefined
  /** Whether it was told that work is paused. */
  #isTold = false
  #toldOfWrite: string | undefined

  constructor(options: { directories: readonly string[]; events: ParserEvents } & Reserve) {
    this.#directories = options.directories
    this.#reserve = options
    this.#events = options.events
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

  /** A write found no space, whatever the figures say: `room` waits for a look that finds some. */
  foundFull(reason: string): void {
    this.#reason = reason
    // Something that never fits would find this again and again.
    if (reason === this.#toldOfWrite) return
    this.#toldOfWrite = reason
    this.#isTold = true
    this.#events.emit('waiting', { for: 'room', because: reason })
  }

  async look(): Promise<void> {
    const found = await this.#findReason()
    this.#reason = found
    if (found !== undefined) {
      if (!this.#isTold) this.#events.emit('waiting', { for: 'room', because: found })
      this.#isTold = true
      return
    }
    if (this.#isTold) this.#events.emit('resumed', { for: 'room' })
    this.#isTold = false
    for (const bell of this.#bells) bell.ring()
  }

  async #findReason(): Promise<string | undefined> {
    for (const directory of this.#directories) {
      const lack = await lackOfRoom(directory, this.#reserve)
      if (lack !== undefined) return lack
    }
    return undefined
  }
}
