import { existsSync } from 'node:fs'
import { toError } from '../../shared/errors.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { StateLock } from '../state/index.ts'

const LOOK_INTERVAL_MS = 1_000

/** What may have become of it, found out within a second. */
export interface KeptLockEvents {
  /** Nobody else came in meanwhile. */
  onTakenAgain(text: string): void
  /** It is another's, or cannot be taken: nothing may go on here. */
  onLost(error: Error): void
  /** Who asks after its holder finds nothing: the file was removed. */
  onStatusGone(): void
}

/** The state lock, looked after for as long as something runs under it. */
export class KeptLock {
  readonly #paths: StatePaths
  readonly #events: KeptLockEvents
  readonly #lock: StateLock
  readonly #timer: NodeJS.Timeout

  /** @throws CountersinkError STATE_DIRECTORY_IN_USE */
  static async take(paths: StatePaths, events: KeptLockEvents): Promise<KeptLock> {
    const lock = await StateLock.take(paths.supervisorLock, paths.supervisorStatus)
    return new KeptLock(paths, events, lock)
  }

  private constructor(paths: StatePaths, events: KeptLockEvents, lock: StateLock) {
    this.#paths = paths
    this.#events = events
    this.#lock = lock
    this.#timer = setInterval(() => void this.#look(), LOOK_INTERVAL_MS)
  }

  /** Looks no more; it is held until it is released. */
  stopLooking(): void {
    clearInterval(this.#timer)
  }

  release(): void {
    this.stopLooking()
    this.#lock.release()
  }

  /** Somebody removed it, or put another in its place: nobody else may have come in meanwhile. */
  async #look(): Promise<void> {
    if (!existsSync(this.#paths.supervisorStatus)) this.#events.onStatusGone()
    if (this.#lock.isInPlace()) return
    try {
      await this.#lock.takeAgain()
      this.#events.onTakenAgain(
        `${this.#paths.supervisorLock} was removed or replaced; it is locked again`,
      )
    } catch (error) {
      this.#events.onLost(toError(error))
    }
  }
}
