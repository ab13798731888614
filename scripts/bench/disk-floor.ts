import {
  closeSync,
  constants,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

const PAGE_BYTES = 4_096
/** What one claim changes in the journal. */
const PAGES = 5
const FILE_PAGES = 256

/**
 * What an acknowledgement rests on and nothing else, as the disk takes it without a parser: a file
 * renamed and its directory synced, some pages written and synced, one page written through.
 */
export class DiskFloor {
  readonly #directories: readonly [string, string]
  readonly #pages: number
  readonly #through: number
  readonly #page = Buffer.alloc(PAGE_BYTES, 1)
  #times = 0

  constructor(directory: string) {
    this.#directories = [join(directory, 'from'), join(directory, 'to')]
    for (const path of this.#directories) mkdirSync(path, { recursive: true })
    writeFileSync(join(this.#directories[0], 'file'), 'x')
    const path = join(directory, 'pages')
    this.#pages = openSync(path, 'w+', 0o600)
    writeSync(this.#pages, Buffer.alloc(FILE_PAGES * PAGE_BYTES))
    fsyncSync(this.#pages)
    this.#through = openSync(path, constants.O_RDWR | constants.O_DSYNC)
  }

  /** Milliseconds that it takes once. */
  takeMs(): number {
    const [from, to] = this.#times % 2 === 0 ? this.#directories : [...this.#directories].reverse()
    const startedMs = performance.now()
    renameSync(join(from!, 'file'), join(to!, 'file'))
    const directory = openSync(to!, constants.O_RDONLY | constants.O_DIRECTORY)
    fsyncSync(directory)
    closeSync(directory)
    for (let i = 0; i < PAGES; i += 1) {
      const page = 1 + (((this.#times * PAGES + i) * 7) % (FILE_PAGES - 1))
      writeSync(this.#pages, this.#page, 0, PAGE_BYTES, page * PAGE_BYTES)
    }
    fdatasyncSync(this.#pages)
    writeSync(this.#through, this.#page, 0, PAGE_BYTES, 0)
    this.#times += 1
    return performance.now() - startedMs
  }

  close(): void {
    closeSync(this.#pages)
    closeSync(this.#through)
  }
}
