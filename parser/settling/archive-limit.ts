import { readdir, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { archiveDirectories, parseArchivedName } from '../../shared/archive.ts'
import { describeError, hasCode } from '../../shared/errors.ts'
import type { Fields, Log } from '../../shared/log.ts'
import { statsIfLookedAt } from '../../shared/looks.ts'
import { parseSettledName } from '../../shared/paths.ts'

/**
 * Keeps the archive of disposable files (those that their maker declared so: generated ones) within
 * a number of bytes, by deleting the oldest. Files that came from elsewhere are archived in another
 * directory, which nothing here ever looks at.
 */
export class ArchiveLimit {
  readonly #directory: string
  readonly #bytesMax: number
  readonly #log: Log
  /** Oldest first, named from the directory on. */
  readonly #files: { name: string; sizeBytes: number }[] = []
  #bytes = 0

  private constructor(directory: string, bytesMax: number, log: Log) {
    this.#directory = directory
    this.#bytesMax = bytesMax
    this.#log = log
  }

  /**
   * Learns what stands in the directory, oldest first by when it was moved in, and brings it within the
   * limit. What cannot be deleted is told of and left.
   *
   * @throws the system's error if the directory cannot be read
   */
  static async open(directory: string, bytesMax: number, log: Log): Promise<ArchiveLimit> {
    const limit = new ArchiveLimit(directory, bytesMax, log)
    const found = []
    for await (const day of archiveDirectories(directory)) {
      for (const entry of await readdir(join(directory, day))) {
        const name = join(day, entry)
        // What else stands there, or cannot be looked at, is none of ours.
        const stats = statsIfLookedAt(join(directory, name))
        if (!stats?.isFile()) continue
        found.push({ name, sizeBytes: Number(stats.size), changedNs: stats.ctimeNs })
      }
    }
    found.sort((a, b) => Number(a.changedNs - b.changedNs))
    for (const { name, sizeBytes } of found) limit.#push(name, sizeBytes)
    await limit.#enforce()
    return limit
  }

  /** A file was just moved in. */
  async added(name: string, sizeBytes: number): Promise<void> {
    this.#push(name, sizeBytes)
    await this.#enforce()
  }

  #push(name: string, sizeBytes: number): void {
    this.#files.push({ name, sizeBytes })
    this.#bytes += sizeBytes
  }

  async #enforce(): Promise<void> {
    while (this.#files.length > FILES_MAX || this.#bytes > this.#bytesMax) {
      const oldest = this.#files.shift()
      if (oldest === undefined) return
      this.#bytes -= oldest.sizeBytes
      try {
        await rm(join(this.#directory, oldest.name))
      } catch (error) {
        if (!hasCode(error, 'ENOENT')) {
          // What others have done to it is its own trouble; the next start finds it again.
          this.#log.warn('left in the archive beyond the limit: it cannot be deleted', {
            ...named(oldest.name),
            because: describeError(error),
          })
          continue
        }
      }
      this.#log.info('deleted from the archive: the limit is reached', named(oldest.name))
    }
  }
}

/** Its name there has the first digits of its hash, which is all that is known of it here. */
function named(name: string): Fields {
  const { hashPrefix } = parseArchivedName(basename(name)) ?? parseSettledName(name) ?? {}
  return { name, sha256: hashPrefix }
}

/** Also a bound on the list above. */
const FILES_MAX = 10_000
