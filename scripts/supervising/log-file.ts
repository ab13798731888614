/**
 * A log that keeps itself within two files: one that has grown to its limit becomes `.old`, and the
 * `.old` before it is dropped. With a limit of 0 somebody else sees to that, and also with another they
 * may: no name that logrotate gives is ever touched.
 *
 * It never throws, as no log is worth the end of what it tells of:
 *
 * - **open**: lines go to the end of the file that has the name, also after it was cut to nothing. One
 *   that was moved away or removed is left, and a new one made, within a second of writing, or at
 *   `reopen`; lines until then are in the file that was moved.
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

/** How often a log that cannot be written is tried again, and one that can be is looked for. */
const LOOK_INTERVAL_MS = 1_000

export interface LogFileOptions {
  /** Where it is put aside; 0: never. */
  readonly bytesMax: number
  /** Told, in a sentence, when it cannot be written, and when it can again. */
  readonly onTrouble: (text: string) => void
  /** How a line of the log's own is written; without a line end. */
  readonly remark: (text: string) => string
}

export class LogFile {
  readonly #path: string
  readonly #options: LogFileOptions
  #fd: number | undefined
  #bytes = 0
  #lookedAtMs = Number.NEGATIVE_INFINITY
  #lostLines = 0
  #isToldOf = false

  constructor(path: string, options: LogFileOptions) {
    this.#path = path
    this.#options = options
    this.reopen()
  }

  /** @param line without its end. */
  write(line: string): void {
    let isWritten = false
    this.#attempt(() => {
      this.#look()
      if (this.#fd === undefined) return
      const bytes = Buffer.from(`${this.#gap()}${line}\n`)
      if (this.#isFullWith(bytes.length)) this.#rotate()
      this.#append(bytes)
      isWritten = true
    })
    if (!isWritten) {
      this.#lostLines += 1
      return
    }
    this.#lostLines = 0
    if (!this.#isToldOf) return
    // Before it is told: that may be another line of this very log.
    this.#isToldOf = false
    this.#options.onTrouble(`${this.#path} is written again`)
  }

  /** Leaves the file that is open for the one that has the name now: who moved it away says so. */
  reopen(): void {
    this.#attempt(() => this.#open())
  }

  close(): void {
    this.#attempt(() => this.#leave())
    // A late line is not worth a file of its own.
    this.#lookedAtMs = Number.POSITIVE_INFINITY
  }

  /** What stands before the first line after some were lost. */
  #gap(): string {
    if (this.#lostLines === 0) return ''
    return `${this.#options.remark(`${this.#lostLines} lines are missing here`)}\n`
  }

  #look(): void {
    const nowMs = performance.now()
    if (nowMs - this.#lookedAtMs < LOOK_INTERVAL_MS) return
    this.#lookedAtMs = nowMs
    if (this.#fd === undefined || !isFileOf(this.#path, this.#fd)) this.#open()
  }

  #open(): void {
    this.#leave()
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

  #leave(): void {
    const before = this.#fd
    this.#fd = undefined
    if (before !== undefined) closeSync(before)
  }

  /** It may have been cut to nothing since it was looked at. */
  #isFullWith(moreBytes: number): boolean {
    const { bytesMax } = this.#options
    if (bytesMax === 0 || this.#bytes + moreBytes <= bytesMax) return false
    this.#bytes = fstatSync(this.#fd!).size
    return this.#bytes > 0 && this.#bytes + moreBytes > bytesMax
  }

  #rotate(): void {
    // What stands there now may be another already, which is not full.
    if (isFileOf(this.#path, this.#fd!)) renameSync(this.#path, `${this.#path}.old`)
    this.#open()
  }

  /** Whole or not at all: a full disk takes a part of a line, and the rest is tried next time. */
  #append(bytes: Buffer): void {
    for (let from = 0; from < bytes.length; ) {
      from += writeSync(this.#fd!, bytes, from)
    }
    this.#bytes += bytes.length
  }

  #attempt(action: () => void): void {
    try {
      action()
    } catch (error) {
      if (!this.#isToldOf) {
        this.#isToldOf = true
        this.#options.onTrouble(
          `${this.#path} cannot be written, and lines are lost until it can: ${describeError(error)}`,
        )
      }
    }
  }
}

/** What cannot be looked at is another: to open it then tells why. */
function isFileOf(path: string, fd: number): boolean {
  try {
    const there = statSync(path)
    const open = fstatSync(fd)
    return there.ino === open.ino && there.dev === open.dev
  } catch {
    return false
  }
}
