/**
 * Writing a run, durably: under a tmp name in the same directory, synced, renamed, directory
 * synced. A crash before the rename leaves a hidden `.NAME.tmp`, one after it a run that nothing
 * names yet; both are swept by the next start (`sweepRuns`). A failure leaves no file.
 *
 * Two shells around one encoder: one that blocks, for worker threads, one that does not, for the
 * main thread.
 */

import { closeSync, constants, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { crashPoint } from '../../shared/crash-points.ts'
import { closeQuietly, syncDirectory } from '../../shared/durable.ts'
import { CountersinkError, hasCode, toError } from '../../shared/errors.ts'
import { RunEncoder } from './run-encoder.ts'
import type { RunFacts, RunLabel } from './run-format.ts'
import type { PairChunk } from './sums.ts'

/** A run's place, and the place where it is written. */
function pathsOf(directory: string, name: string): { path: string; tmp: string } {
  return { path: join(directory, name), tmp: join(directory, `.${name}.tmp`) }
}

/**
 * Writes a run of all pairs that `fill` puts, in ascending order; durable when it returns.
 * @throws CountersinkError DISK_FULL, IO_FAILED, or what `fill` throws; no file is left then
 */
export function writeRunSync(
  directory: string,
  name: string,
  label: RunLabel,
  fill: (put: (chunk: PairChunk) => void) => void,
): RunFacts {
  const { path, tmp } = pathsOf(directory, name)
  const encoder = new RunEncoder(label)
  let left = tmp
  crashPoint('P2-before-run-written')
  try {
    const fd = openSync(tmp, 'w', 0o600)
    try {
      fill(chunk => {
        for (let at = 0; at < chunk.ids.length; ) {
          at += encoder.add(chunk, at)
          if (encoder.isFull) writeAllSync(fd, encoder.positionBytes, encoder.take())
        }
      })
      writeAllSync(fd, encoder.positionBytes, encoder.takeLast())
      writeAllSync(fd, 0, encoder.header())
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    crashPoint('P2-run-synced')
    renameSync(tmp, path)
    left = path
    crashPoint('P2-run-renamed')
    syncDirectorySync(directory)
    return encoder.facts
  } catch (error: unknown) {
    rmSync(left, { force: true })
    throw writeFailure(path, error)
  }
}

function writeAllSync(fd: number, position: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, bytes.length - done, position + done)
  }
}

function syncDirectorySync(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** A run that is being written by the main thread. Ends by `seal` or by `abandon`. */
export class RunWriter {
  readonly #directory: string
  readonly #path: string
  readonly #tmp: string
  /** What there is to delete if it comes to nothing. */
  #left: string
  readonly #encoder: RunEncoder
  readonly #handle: FileHandle

  private constructor(directory: string, name: string, encoder: RunEncoder, handle: FileHandle) {
    const { path, tmp } = pathsOf(directory, name)
    this.#directory = directory
    this.#path = path
    this.#tmp = tmp
    this.#left = tmp
    this.#encoder = encoder
    this.#handle = handle
  }

  static async open(directory: string, name: string, label: RunLabel): Promise<RunWriter> {
    const { path, tmp } = pathsOf(directory, name)
    const encoder = new RunEncoder(label)
    crashPoint('P2-before-run-written')
    try {
      return new RunWriter(directory, name, encoder, await open(tmp, 'w', 0o600))
    } catch (error: unknown) {
      throw writeFailure(path, error)
    }
  }

  /** Takes the next pairs; they may be overwritten once this resolves. */
  async put(chunk: PairChunk): Promise<void> {
    for (let at = 0; at < chunk.ids.length; ) {
      at += this.#encoder.add(chunk, at)
      if (this.#encoder.isFull) {
        await this.#write(this.#encoder.positionBytes, this.#encoder.take())
      }
    }
  }

  /** Durable when it resolves. On failure the caller abandons it. */
  async seal(): Promise<RunFacts> {
    await this.#write(this.#encoder.positionBytes, this.#encoder.takeLast())
    await this.#write(0, this.#encoder.header())
    try {
      await this.#handle.sync()
      await this.#handle.close()
      crashPoint('P2-run-synced')
      await rename(this.#tmp, this.#path)
      this.#left = this.#path
      crashPoint('P2-run-renamed')
      await syncDirectory(this.#directory)
    } catch (error: unknown) {
      throw writeFailure(this.#path, error)
    }
    return this.#encoder.facts
  }

  /** Leaves no file. */
  async abandon(): Promise<void> {
    await closeQuietly(this.#handle) // a second close resolves as well
    await rm(this.#left, { force: true })
  }

  async #write(position: number, bytes: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < bytes.length; ) {
        const length = bytes.length - done
        done += (await this.#handle.write(bytes, done, length, position + done)).bytesWritten
      }
    } catch (error: unknown) {
      throw writeFailure(this.#path, error)
    }
  }
}

/** A failed system call as one of the family; everything else as it is. */
function writeFailure(path: string, error: unknown): Error {
  const cause = toError(error)
  if (hasCode(cause, 'ENOSPC', 'EDQUOT')) {
    return new CountersinkError('DISK_FULL', `no room to write a run in ${dirname(path)}`, {
      cause,
      advice: 'Make room on the filesystem of the state directory.',
    })
  }
  if (cause instanceof CountersinkError || !('syscall' in cause)) return cause
  return new CountersinkError('IO_FAILED', `writing ${path} failed: ${cause.message}`, { cause })
}
