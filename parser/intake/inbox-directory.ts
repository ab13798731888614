import {
  accessSync,
  constants,
  type Dir,
  type Dirent,
  mkdirSync,
  opendirSync,
  statSync,
} from 'node:fs'
import { hasCode, systemReason } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'

/**
 * The inbox as a directory, which is everybody's: somebody may remove it, put another one in its
 * place or deny it to us while we look.
 *
 * One that is gone is made again. One that cannot be opened is waited for, which is said in the log
 * once and in `status` for as long. Names are read on from where the last piece of a look ended.
 */
export class InboxDirectory {
  readonly #path: string
  readonly #log: Log
  #entries: Dir | undefined
  #identity: string | undefined
  #awayBecause: string | undefined

  constructor(path: string, log: Log) {
    this.#path = path
    this.#log = log
  }

  /** Why nothing is taken from it now; undefined: it is there. */
  get awayBecause(): string | undefined {
    return this.#awayBecause
  }

  /** Whether it is there; made again if it is not. Takes microseconds. */
  check(): boolean {
    try {
      const identity = this.#lookAtIt()
      // What is wrong with it may show only there.
      if (this.#awayBecause !== undefined) this.#open()
      this.#found(identity)
      return true
    } catch (error) {
      if (hasCode(error, 'ENOENT') && this.#make()) return true
      this.#missed(error)
      return false
    }
  }

  /** The next name of this look. */
  next(): Dirent | 'end' | 'away' {
    if (this.#entries === undefined && !this.check()) return 'away'
    for (let gone = 0; gone < NAMES_AT_ONCE; gone += 1) {
      try {
        const entry = this.#open().readSync()
        if (entry !== null) return entry
        this.#close()
        return 'end'
      } catch (error) {
        // Where names come without types each is looked at, and one may be gone by then.
        if (this.#entries !== undefined && hasCode(error, 'ENOENT')) continue
        this.#missed(error)
        return 'away'
      }
    }
    this.#close()
    return 'end'
  }

  #open(): Dir {
    this.#entries ??= opendirSync(this.#path, { bufferSize: NAMES_AT_ONCE })
    return this.#entries
  }

  #lookAtIt(): string {
    const stats = statSync(this.#path, { bigint: true })
    if (!stats.isDirectory()) throw new Error('it is not a directory')
    // Nothing can be taken from one that may not be written to.
    accessSync(this.#path, constants.R_OK | constants.W_OK | constants.X_OK)
    return `${stats.dev} ${stats.ino}`
  }

  #make(): boolean {
    try {
      mkdirSync(this.#path, 0o700)
      this.#log.warn('the inbox was gone; it is made again', { path: this.#path })
      this.#identity = undefined
      this.#found(this.#lookAtIt())
      return true
    } catch {
      // That it is not there is told of.
      return false
    }
  }

  #found(identity: string): void {
    const isOther = this.#identity !== undefined && this.#identity !== identity
    if (isOther) {
      this.#log.warn('another directory stands in the place of the inbox', { path: this.#path })
    } else if (this.#awayBecause !== undefined) {
      this.#log.notice('the inbox is there again', { path: this.#path })
    }
    if (isOther) this.#close()
    this.#identity = identity
    this.#awayBecause = undefined
  }

  #missed(error: unknown): void {
    const because = `the inbox cannot be used (${systemReason(error)})`
    if (because !== this.#awayBecause) {
      this.#log.warn('the inbox is away', { path: this.#path, because })
    }
    this.#awayBecause = because
    this.#close()
  }

  #close(): void {
    try {
      this.#entries?.closeSync()
    } catch {
      // Nothing is expected of it any more, and the number is released either way.
    }
    this.#entries = undefined
  }
}

const NAMES_AT_ONCE = 128
