import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { freeBytes } from '../../shared/durable.ts'
import { CountersinkError } from '../../shared/errors.ts'
import { formatBytes } from '../../shared/numbers.ts'

/**
 * The directory that everything is made in, and the list of what has to be ended before it is
 * removed: programs first, newest first. Removed whatever happens, unless it is to be kept.
 */
export class Workspace {
  readonly dir: string
  readonly #keep: boolean
  readonly #endings: (() => Promise<void>)[] = []
  #made = 0
  #removing: Promise<void> | undefined

  private constructor(dir: string, keep: boolean) {
    this.dir = dir
    this.#keep = keep
  }

  /** @throws CountersinkError DISK_FULL when `neededBytes` are not free in `parent`. */
  static async make(parent: string, neededBytes: number, keep: boolean): Promise<Workspace> {
    const free = await freeBytes(parent)
    if (free < neededBytes) {
      throw new CountersinkError(
        'DISK_FULL',
        `${parent} has ${formatBytes(free)} free; the benchmark needs ${formatBytes(neededBytes)}`,
        { advice: 'Name another place with --dir, or run -- --quick, or fewer rows with --only.' },
      )
    }
    // Short: the paths of sockets may be no longer than about a hundred bytes.
    return new Workspace(await mkdtemp(join(parent, 'csbench')), keep)
  }

  /** A path for something new in here. */
  path(name: string): string {
    this.#made += 1
    return join(this.dir, `${this.#made}-${name}`)
  }

  /** What `end` ends is ended with the workspace at the latest. @returns that, to be called before. */
  whenRemoved(end: () => Promise<void>): () => Promise<void> {
    let ended: Promise<void> | undefined
    const once = () => {
      ended ??= end()
      return ended
    }
    this.#endings.push(once)
    return once
  }

  remove(): Promise<void> {
    this.#removing ??= this.#remove()
    return this.#removing
  }

  async #remove(): Promise<void> {
    for (const end of this.#endings.reverse()) {
      await end().catch(error => process.stderr.write(`while cleaning up: ${error}\n`))
    }
    if (this.#keep) process.stderr.write(`kept: ${this.dir}\n`)
    else await rm(this.dir, { recursive: true, force: true, maxRetries: 20 })
  }
}
