import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { makeDirectories } from '../../shared/durable.ts'
import { CountersinkError } from '../../shared/errors.ts'
import { type KernelLock, tryKernelLock } from '../../shared/kernel-lock.ts'

/** One supervisor per state directory; also held by a command that starts the private server. */
export class StateLock {
  readonly #lockPath: string
  readonly #statusPath: string
  #lock: KernelLock
  #taking: Promise<void> | undefined

  private constructor(lockPath: string, statusPath: string, lock: KernelLock) {
    this.#lockPath = lockPath
    this.#statusPath = statusPath
    this.#lock = lock
  }

  /** @throws CountersinkError STATE_DIRECTORY_IN_USE, STATE_DIRECTORY_UNFIT */
  static async take(lockPath: string, statusPath: string): Promise<StateLock> {
    return new StateLock(lockPath, statusPath, await take(lockPath, statusPath))
  }

  /** Whether it still keeps others out. */
  isInPlace(): boolean {
    return this.#lock.isInPlace()
  }

  /**
   * Once its file was removed or replaced: the one that has the name now is locked as well. Who asks
   * again meanwhile shares the outcome: a lock of our own would keep out ourselves.
   *
   * @throws CountersinkError STATE_DIRECTORY_IN_USE when somebody else has locked that one.
   */
  takeAgain(): Promise<void> {
    this.#taking ??= this.#takeNext().finally(() => {
      this.#taking = undefined
    })
    return this.#taking
  }

  async #takeNext(): Promise<void> {
    const before = this.#lock
    this.#lock = await take(this.#lockPath, this.#statusPath)
    before.release()
  }

  release(): void {
    this.#lock.release()
  }
}

async function take(lockPath: string, statusPath: string): Promise<KernelLock> {
  await makeDirectories(dirname(lockPath))
  const lock = await tryKernelLock(lockPath, 'exclusive')
  if (lock === undefined) throw await inUse(lockPath, statusPath)
  return lock
}

async function inUse(lockPath: string, statusPath: string): Promise<CountersinkError> {
  const owner = await readFile(statusPath, 'utf8')
    .then(text => {
      const pid: unknown = JSON.parse(text)?.pid
      return typeof pid === 'number' ? ` (pid ${pid})` : ''
    })
    // Whoever holds it has not written it yet, or is a command that never does.
    .catch(() => '')
  return new CountersinkError(
    'STATE_DIRECTORY_IN_USE',
    `a countersink is at work in ${dirname(dirname(lockPath))} already${owner}`,
    { advice: 'Stop it first, or choose another directory with --dir.' },
  )
}
