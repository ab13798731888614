/**
 * A log that keeps itself within 16 MiB: at 8 MiB it becomes `.1`, the former `.1` is dropped.
 *
 * It never throws, as no log is worth the end of what it tells of:
 *
 * - **open**: lines go into the file that has the name. One that was moved away or removed is left,
 *   and a new one made, within a second of writing, or at `reopen`.
 * - **away**: it cannot be opened or written (a full disk, a directory that is gone). That is said
 *   once, lines are lost and counted, and it is tried again once a second; the first line in the
 *   log then says how many are missing.
 *
 * A crash leaves all lines written so far: they are the kernel's at once.
 */

import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { describeError } from '../../shared/errors.ts'

const LOG_BYTES_MAX = 8 * 2 ** 20
/** How often a log that cannot be written is tried again, and one that can be is looked for. */
const LOOK_INTERVAL_MS = 1_000

export class LogFile {
  readonly #path: string
  readonly #onTrouble: (text: string) => void
  #fd: number | undefined
  #bytes = 0
  #lookedAtMs = Number.NEGATIVE_INFINITY
  #lostLines = 0
  #isToldOf = false

  /** @param onTrouble told, in a sentence, when it cannot be written, and when it can again. */
  constructor(path: string, onTrouble: (text: string) => void = () => {}) {
    this.#path = path
    this.#onTrouble = onTrouble
    this.reopen()
  }

  write(line: string): void {
    const written = this.#attempt(() => {
      this.#look()
      if (this.#fd === undefined) return false
      const bytes = Buffer.from(`${this.#gap()}${line}\n`)
      if (this.#bytes + bytes.length > LOG_BYTES_MAX) this.#rotate()
      this.#append(bytes)
      return true
    })
    if (!written) {
      this.#lostLines += 1
      return
    }
    if (this.#isToldOf) this.#onTrouble(`${this.#path} is written again`)
    this.#isToldOf = false
    this.#lostLines = 0
  }

  /** Leaves the file that is open for the one that has the name now: who moved it away says so. */
  reopen(): void {
    this.#attempt(() => {
      this.#open()
      return true
    })
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
    // A late line is not worth a file of its own.
    this.#lookedAtMs = Number.POSITIVE_INFINITY
  }

  /** What stands before the first line after some were lost. */
  #gap(): string {
    return this.#lostLines === 0 ? '' : `-- ${this.#lostLines} lines are missing here\n`
  }

  #look(): void {
    const nowMs = performance.now()
    if (nowMs - this.#lookedAtMs < LOOK_INTERVAL_MS) return
    this.#lookedAtMs = nowMs
    if (this.#fd === undefined || !isFileOf(this.#path, this.#fd)) this.#open()
  }

  #open(): void {
    const before = this.#fd
    this.#fd = undefined
    if (before !== undefined) closeSync(before)
    this.#lookedAtMs = performance.now()
    // Somebody who clears old logs away takes the directory with them at times.
    if (!existsSync(dirname(this.#path))) mkdirSync(dirname(this.#path), 0o700)
    const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants
    // A link or a FIFO under this name is somebody else's doing, and would be written to.
    const fd = openSync(this.#path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600)
    const stats = fstatSync(fd)
    if (!stats.isFile()) {
      closeSync(fd)
      throw new Error(`${this.#path} is not a regular file`)
    }
    this.#fd = fd
    this.#bytes = stats.size
  }

  #rotate(): void {
    renameSync(this.#path, `${this.#path}.1`)
    this.#open()
  }

  /** Whole or not at all: a full disk takes a part of a line, and the rest is tried next time. */
  #append(bytes: Buffer): void {
    for (let from = 0; from < bytes.length; ) {
      from += writeSync(this.#fd!, bytes, from)
    }
    this.#bytes += bytes.length
  }

  /** @returns whether it came to its end, and did what it should. */
  #attempt(action: () => boolean | undefined): boolean {
    try {
      return action() ?? true
    } catch (error) {
      if (!this.#isToldOf) {
        this.#isToldOf = true
        this.#onTrouble(
          `${this.#path} cannot be written, and lines are lost until it can: ${describeError(error)}`,
        )
      }
      return false
    }
  }
}

function isFileOf(path: string, fd: number): boolean {
  const there = statSync(path, { throwIfNoEntry: false })
  const open = fstatSync(fd)
  return there !== undefined && there.ino === open.ino && there.dev === open.dev
}
