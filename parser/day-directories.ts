import { dirname } from 'node:path'
import { crashPoint } from '../shared/crash-points.ts'
import { makeDirectories, syncDirectories } from '../shared/durable.ts'
import { hasCode, systemReason, toError } from '../shared/errors.ts'
import { isThere } from '../shared/looks.ts'

/**
 * The directories of days, made when the first file of a day comes, and again if somebody removes one
 * meanwhile. Their names are synced before a file relies on them: once for each life of the process, as a
 * crash may have left one that is there and not synced. Empty ones stay.
 */
export class DayDirectories {
  readonly #durable = new Set<string>()

  /**
   * @param root the archive, below which the directory is.
   * @returns why nothing can go there: it is the trouble of the files that should; undefined: it is there
   * @throws CountersinkError IO_FAILED when a directory cannot be synced
   */
  async ready(root: string, directory: string): Promise<string | undefined> {
    if (this.#durable.has(directory) && isThere(directory)) return undefined
    try {
      await makeDirectories(directory)
    } catch (error) {
      const { cause } = toError(error)
      if (!isOfMaking(cause)) throw error
      return `${directory} cannot be made (${systemReason(cause)})`
    }
    crashPoint('P8-day-made')
    await syncDirectories(...above(directory, root))
    if (this.#durable.size >= DAYS_MAX) this.#durable.clear()
    this.#durable.add(directory)
    return undefined
  }
}

function isOfMaking(error: unknown): boolean {
  return (
    error instanceof Error &&
    'syscall' in error &&
    error.syscall === 'mkdir' &&
    !hasCode(error, 'EIO')
  )
}

function above(directory: string, root: string): string[] {
  const parent = dirname(directory)
  return directory === root ? [] : parent === root ? [root] : [parent, ...above(parent, root)]
}

/** Two archives, and the days of what a start finds settled. */
const DAYS_MAX = 64
