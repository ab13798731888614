/**
 * The reject file of a file that is still being read: it grows as bad lines are met, in their order.
 *
 * A checkpoint tells how far it has come (`KeptRejects`), after that much of it was synced: a crash
 * leaves at least that, and perhaps rows behind it, which are cut off when the reading goes on from
 * there. Should it be gone or be another, everything is read again. There is none before the first bad
 * line; that of a file that is not to be counted is removed (`Digest.discard`, `RejectFiles.drop`). Whose it is, the head
 * says once the hash is known (`sealDraft`).
 */

import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { crashPoint } from '../../../shared/crash-points.ts'
import { CountersinkError, hasCode, toError } from '../../../shared/errors.ts'
import {
  type RejectedLine,
  rejectHead,
  rejectRow,
  rejectTail,
} from '../../../shared/reject-file.ts'
import type { KeptRejects } from '../../facts.ts'

/** How far a draft has come. */
type DraftAt = Pick<KeptRejects, 'draftBytes' | 'draftCrc'>

export class RejectDraft {
  readonly #path: string
  readonly #head: Buffer
  #fd: number | undefined
  #rows = ''
  #sizeBytes: number
  /** Of the rows alone: what the head says may be known already. */
  #crc = 0

  constructor(path: string, name: string) {
    this.#path = path
    this.#head = Buffer.from(rejectHead(name))
    this.#sizeBytes = this.#head.length
  }

  /** Goes on behind what a checkpoint tells of. @throws CountersinkError RUN_UNREADABLE, IO_FAILED */
  goOnFrom({ draftBytes, draftCrc }: DraftAt): void {
    try {
      this.#fd = openSync(this.#path, constants.O_RDWR | constants.O_NOFOLLOW)
      if (fstatSync(this.#fd).size < draftBytes) throw unreadable(this.#path, 'it was cut')
      if (this.#crcTo(this.#fd, draftBytes) !== draftCrc) {
        throw unreadable(this.#path, 'it is not what it was')
      }
      ftruncateSync(this.#fd, draftBytes)
    } catch (error: unknown) {
      if (!('syscall' in toError(error)) || hasCode(error, 'EIO')) throw this.#failure(error)
      throw unreadable(this.#path, toError(error).message)
    }
    this.#sizeBytes = draftBytes
    this.#crc = draftCrc
    this.#write(this.#fd, this.#head, 0)
  }

  add(line: RejectedLine): void {
    this.#rows += rejectRow(line)
    if (this.#rows.length >= ROWS_CHARACTERS) this.#flush()
  }

  /** Makes all rows durable. */
  sync(): DraftAt {
    this.#flush()
    if (this.#fd !== undefined) this.#or(() => fsyncSync(this.#fd!))
    return { draftBytes: this.#sizeBytes, draftCrc: this.#crc }
  }

  /** The last row, and all durable. */
  finish(lines: number, bytes: number): void {
    this.#rows += rejectTail(lines, bytes)
    this.sync()
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }

  #flush(): void {
    if (this.#rows === '') return
    this.#fd ??= this.#begin()
    const bytes = Buffer.from(this.#rows, 'latin1')
    this.#rows = ''
    this.#write(this.#fd, bytes, this.#sizeBytes)
    this.#sizeBytes += bytes.length
    this.#crc = crc32(bytes, this.#crc)
  }

  #begin(): number {
    const { O_RDWR, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants
    return this.#or(() => {
      const fd = openSync(this.#path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600)
      this.#write(fd, this.#head, 0)
      syncDirectory(dirname(this.#path))
      crashPoint('P2-reject-draft-begun')
      return fd
    })
  }

  #write(fd: number, bytes: Uint8Array, position: number): void {
    this.#or(() => {
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(fd, bytes, done, bytes.length - done, position + done)
      }
    })
  }

  #crcTo(fd: number, endBytes: number): number {
    const buffer = Buffer.alloc(2 ** 16)
    let crc = 0
    for (let at = this.#head.length; at < endBytes; ) {
      const got = readSync(fd, buffer, 0, Math.min(buffer.length, endBytes - at), at)
      if (got === 0) break
      crc = crc32(buffer.subarray(0, got), crc)
      at += got
    }
    return crc
  }

  #or<T>(action: () => T): T {
    try {
      return action()
    } catch (error: unknown) {
      throw this.#failure(error)
    }
  }

  #failure(error: unknown): Error {
    const cause = toError(error)
    if (cause instanceof CountersinkError || !('syscall' in cause)) return cause
    if (hasCode(cause, 'ENOSPC', 'EDQUOT')) {
      return new CountersinkError('DISK_FULL', `no room to write rejects in ${this.#path}`, {
        cause,
        advice: 'Make room on the filesystem of the state directory.',
      })
    }
    const message = `writing ${this.#path} failed: ${cause.message}`
    return new CountersinkError('IO_FAILED', message, { cause })
  }
}

/** As of a run of the same checkpoint: that is dropped. */
function unreadable(path: string, why: string): CountersinkError {
  return new CountersinkError('RUN_UNREADABLE', `rejects ${path}: ${why}`)
}

/** What is written at once. */
const ROWS_CHARACTERS = 2 ** 18

function syncDirectory(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
