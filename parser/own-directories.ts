import { accessSync, constants, statSync } from 'node:fs'
import { makeDirectories } from '../shared/durable.ts'
import { CountersinkError, hasCode, systemReason, toError } from '../shared/errors.ts'
import type { ParserEvents } from '../shared/events.ts'
import { Bell } from '../shared/handoff.ts'
import type { Log } from '../shared/log.ts'
import type { StatePaths } from '../shared/paths.ts'
import { renameTrouble, requireRenamesBetween } from '../shared/renames-between.ts'

/**
 * The directories behind the inbox. They are ours, but somebody may remove one, mount something on it
 * or put something else in its place while we run: one that is gone is made again, durably; what is no
 * directory is told of once, is in `status`, and is waited for, as is work/ under another mount. Nothing
 * is claimed, read, missed or settled meanwhile, so nothing is lost. (What cannot go to one other directory is
 * that file's trouble: it stays in work/.)
 */
export class OwnDirectories {
  readonly #paths: readonly string[]
  readonly #events: ParserEvents
  readonly #work: string
  readonly #settled: readonly string[]
  readonly #runs: string
  readonly #log: Log
  #reason: string | undefined

  constructor(paths: StatePaths, events: ParserEvents, log: Log) {
    this.#paths = [...movedBetween(paths).slice(1), paths.runs]
    this.#events = events
    this.#work = paths.work
    this.#runs = paths.runs
    const { archive, duplicate, quarantine, reverted, held } = paths
    this.#settled = [archive, duplicate, quarantine, reverted, held]
    this.#log = log
  }

  /** Why nothing can be claimed or settled now; undefined: they are all there. */
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
    reason ??= this.#workIsAway()
    if (reason !== undefined && reason !== this.#reason) {
      this.#events.emit('waiting', { for: 'directory', because: reason })
    } else if (reason === undefined && this.#reason !== undefined) {
      this.#events.emit('resumed', { for: 'directory' })
    }
    this.#reason = reason
    return reason === undefined
  }

  /** Nothing can be moved anywhere from it: then what stands there is none of what was claimed. */
  #workIsAway(): string | undefined {
    const work = this.#work
    try {
      const troubles = this.#settled.map(path => renameTrouble(work, path))
      if (troubles.includes(undefined)) return undefined
      return `${work} and the directories that files go to from it ${troubles[0]}`
    } catch (error) {
      // One has just gone: the next look says so, and this one must not say that all is well.
      return `${work} cannot be tried: ${toError(error).message}`
    }
  }

  async #trouble(path: string): Promise<string | undefined> {
    try {
      if (statSync(path, { throwIfNoEntry: false }) === undefined) {
        await makeDirectories(path)
        this.#log.warn('a directory was gone; it is made again', { path })
      }
      if (!statSync(path).isDirectory()) return `${path} is not a directory`
      // No sums can be kept without it.
      if (path === this.#runs) accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK)
      return undefined
    } catch (error) {
      return `${path} cannot be used: ${systemReason(error)}`
    }
  }
}

/**
 * Made where they are not.
 *
 * @throws CountersinkError STATE_DIRECTORY_UNFIT when something else stands in the place of one.
 */
export async function makeOwnDirectories(...paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    try {
      await makeDirectories(path)
    } catch (error) {
      const { cause } = toError(error)
      if (!hasCode(cause, 'EEXIST', 'ENOENT', 'ENOTDIR', 'ELOOP')) throw error
      throw new CountersinkError(
        'STATE_DIRECTORY_UNFIT',
        `${path} cannot be made a directory (${systemReason(cause)})`,
        { cause, advice: 'Move away what stands there; a link must lead to a directory.' },
      )
    }
  }
}

const INTERVAL_MS = 1_000

/** Files are renamed between the first, the second, and each of the others. */
function movedBetween(paths: StatePaths): string[] {
  const { inbox, work, archive, archiveDisposable, quarantine, duplicate, reverted, held } = paths
  return [inbox, work, archive, archiveDisposable, quarantine, duplicate, reverted, held]
}

/**
 * Renames work within one mount of one filesystem only, so each is tried at the start.
 *
 * @param isThere before a start some may still have to be made.
 * @throws CountersinkError STATE_DIRECTORY_UNFIT
 */
export function requireOneMount(
  paths: StatePaths,
  isThere: (path: string) => boolean = () => true,
): void {
  for (const path of movedBetween(paths).filter(isThere)) {
    if (path !== paths.work && isThere(paths.work)) requireRenamesBetween(path, paths.work)
  }
}
