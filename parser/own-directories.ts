import { statSync } from 'node:fs'
import { makeDirectories } from '../shared/durable.ts'
import { toError } from '../shared/errors.ts'
import { Bell } from '../shared/handoff.ts'
import type { Log } from '../shared/log.ts'
import type { StatePaths } from '../shared/paths.ts'
import { requireRenamesBetween } from '../shared/renames-between.ts'

/**
 * The directories behind the inbox. They are ours, but somebody may remove one or put something else
 * in its place while we run: one that is gone is made again, durably; what is no directory is told of
 * once, is in `status`, and is waited for. Nothing is settled meanwhile, so nothing is lost.
 */
export class OwnDirectories {
  readonly #paths: readonly string[]
  readonly #log: Log
  #reason: string | undefined

  constructor(paths: StatePaths, log: Log) {
    this.#paths = [...movedBetween(paths).slice(1), paths.runs]
    this.#log = log
  }

  /** Why nothing can be settled now; undefined: they are all there. */
  get reason(): string | undefined {
    return this.#reason
  }

  /** The loop; ends when the signal is raised. */
  async run(signal: AbortSignal): Promise<void> {
    const untilStopped = new Bell()
    while (!signal.aborted) {
      await this.#look()
      await untilStopped.wait(signal, INTERVAL_MS)
    }
  }

  /** Waits until they are all there. Rejects with the signal's reason. */
  async ready(signal: AbortSignal): Promise<void> {
    const untilStopped = new Bell()
    while (!(await this.#look())) {
      await untilStopped.wait(signal, INTERVAL_MS)
      signal.throwIfAborted()
    }
  }

  async #look(): Promise<boolean> {
    let reason: string | undefined
    for (const path of this.#paths) reason ??= await this.#trouble(path)
    if (reason !== undefined && reason !== this.#reason) {
      this.#log.error('nothing is settled until a directory is there again', { because: reason })
    } else if (reason === undefined && this.#reason !== undefined) {
      this.#log.info('all directories are there again')
    }
    this.#reason = reason
    return reason === undefined
  }

  async #trouble(path: string): Promise<string | undefined> {
    try {
      if (statSync(path, { throwIfNoEntry: false }) === undefined) {
        await makeDirectories(path)
        this.#log.warn('a directory was gone; it is made again', { path })
      }
      return statSync(path).isDirectory() ? undefined : `${path} is not a directory`
    } catch (error) {
      return `${path} cannot be used: ${toError(error).message}`
    }
  }
}

const INTERVAL_MS = 1_000

/** Files are renamed between the first, the second, and each of the others. */
function movedBetween(paths: StatePaths): string[] {
  const { inbox, work, archive, archiveDisposable, quarantine, duplicate } = paths
  return [inbox, work, archive, archiveDisposable, quarantine, duplicate]
}

/**
 * Renames work within one mount of one filesystem only, so each is tried at the start.
 *
 * @throws CountersinkError STATE_DIRECTORY_UNFIT
 */
export function requireOneMount(paths: StatePaths): void {
  for (const path of movedBetween(paths)) {
    if (path !== paths.work) requireRenamesBetween(path, paths.work)
  }
}
