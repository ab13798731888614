import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CountersinkError } from '../../shared/errors.ts'
import { formatBytes } from '../../shared/numbers.ts'
import { freeRoom } from '../../shared/room.ts'

/**
 * The directory that everything is made in, and the list of what has to be ended before it is
 * removed: programs first, newest first. Removed whatever happens, unless it is to be kept.
 */
export class Workspace {
  readonly dir: string
  readonly #keep: boolean
  #endings: (() => Promise<void>)[] = []
  #paths: string[] = []
  #made = 0
  #removing: Promise<void> | undefined

  private constructor(dir: string, keep: boolean) {
    this.dir = dir
    this.#keep = keep
  }

  /** @throws CountersinkError DISK_FULL when `neededBytes` are not free in `parent`. */
  static async make(parent: string, neededBytes: number, keep: boolean): Promise<Workspace> {
    const { freeBytes: free } = await freeRoom(parent)
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

  /** Whether `remove` was called. */
  get isRemoved(): boolean {
    return this.#removing !== undefined
  }

  /** A path for something new in here. */
  path(name: string): string {
    this.#made += 1
    const path = join(this.dir, `${this.#made}-${name}`)
    this.#paths.push(path)
    return path
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

  /** Ends everything that still runs, and removes what was made but for these paths. */
  async clear(except: ReadonlySet<string>): Promise<void> {
    await this.#endAll()
    if (this.#keep) return
    for (const path of this.#paths) if (!except.has(path)) await removeTree(path)
    this.#paths = this.#paths.filter(path => except.has(path))
  }

  remove(): Promise<void> {
    this.#removing ??= this.#remove()
    return this.#removing
  }

  async #remove(): Promise<void> {
    await this.#endAll()
    if (this.#keep) process.stderr.write(`kept: ${this.dir}\n`)
    else await removeTree(this.dir)
  }

  async #endAll(): Promise<void> {
    const endings = this.#endings.reverse()
    this.#endings = []
    for (const end of endings) {
      await end().catch(error => process.stderr.write(`while cleaning up: ${error}\n`))
    }
  }
}

/** Programs that were told to end may still have been writing into it. */
function removeTree(path: string): Promise<void> {
  return rm(path, { recursive: true, force: true, maxRetries: 20 })
}
