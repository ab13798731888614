/**
 * Makes files from recipes, with two long-lived threads:
 *
 *     format thread ──► ring of blocks ──► store thread: SHA-256, write ──► the file
 *
 * The main thread opens, paces, sets the disk to work now and then (through libuv's threads), syncs
 * and closes. None of it takes long there: pings and the parser are answered meanwhile.
 */

import assert from 'node:assert/strict'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { extname } from 'node:path'
import { crashPoint } from '../../shared/crash-points.ts'
import { closeQuietly, orIoFailed } from '../../shared/durable.ts'
import { CountersinkError, hasCode, ioFailed, toError } from '../../shared/errors.ts'
import { BlockRing, createRing } from './block-ring.ts'
import { MakerThread } from './maker-thread.ts'
import type { FormatJob, FormatResult, StoreJob, StoreResult } from './making-messages.ts'
import { type FileRecipe, fileSizeBytes } from './record-source.ts'

/** What is known of a file that has been made. */
export interface MadeFile {
  readonly sizeBytes: number
  /** Lower-case hex. */
  readonly sha256: string
  readonly lines: number
  readonly amount: bigint
}

export interface MakeOptions {
  /** Aborted: the file is given up, nothing is left of it. */
  readonly signal: AbortSignal
  /** Undefined: as fast as possible. */
  readonly pacer?: Pacing | undefined
  /** So many bytes have been handed to the kernel; told from time to time. */
  onProgress?(positionBytes: number): void
}

/** A rate to keep. */
export interface Pacing {
  /** The most to write at once. */
  readonly sliceBytes: number
  /** Resolves when so many bytes more may go, or when the signal is raised. */
  take(bytes: number, signal: AbortSignal): Promise<void>
}

/** Blocks that stay in the second-level cache of the core that fills and of the one that empties. */
const BLOCK_BYTES = 256 * 1024
const BLOCKS = 8
/**
 * Bytes after which the disk is set to work while the next are made: otherwise all the writing would
 * wait for the sync at the end, and a stop with it.
 */
const WRITE_BACK_BYTES = 16 * 2 ** 20
/** Bytes on their way to a disk that is slower than the rest; the rest waits then. */
const UNSYNCED_BYTES_MAX = 4 * WRITE_BACK_BYTES

export class FileMaker {
  readonly #format = new MakerThread<FormatJob, FormatResult>(sibling('format-worker'), 'format')
  readonly #store = new MakerThread<StoreJob, StoreResult>(sibling('store-worker'), 'store')
  readonly #shared = createRing(BLOCKS, BLOCK_BYTES)
  readonly #ring = new BlockRing(this.#shared)
  #busy = false

  /** Starts the threads before there is a file to make, for whoever takes the time of the first. */
  async start(): Promise<void> {
    await Promise.all([this.#format.start(), this.#store.start()])
  }

  /**
   * The file of a recipe, complete and synced at `path`, where nothing may stand before; its name is
   * not synced. undefined: given up. One at a time.
   *
   * @throws CountersinkError IO_FAILED, or the system's ENOSPC or EDQUOT when the disk is full while
   * writing. However it ends, nothing is left unless the file is complete; what stood there is
   * left alone.
   */
  async make(
    path: string,
    recipe: FileRecipe,
    options: MakeOptions,
  ): Promise<MadeFile | undefined> {
    let handle: FileHandle | undefined
    let made: MadeFile | undefined
    try {
      const opened = await open(path, 'wx', 0o600)
      handle = opened
      const written = await this.write(opened, recipe, options)
      if (written !== undefined) {
        crashPoint('G1-before-tmp-synced')
        await orIoFailed(`sync of ${path}`, () => opened.sync())
      }
      made = written
    } catch (error) {
      if (error instanceof CountersinkError || hasCode(error, 'ENOSPC', 'EDQUOT')) throw error
      throw ioFailed(`write of ${path}`, error)
    } finally {
      if (handle !== undefined) {
        await closeQuietly(handle)
        if (made === undefined) await rm(path, { force: true })
      }
    }
    return made
  }

  /**
   * The first part of `make`: all records are handed to the kernel, through a handle that is nobody
   * else's meanwhile. Settles only when neither thread nor disk is busy with it any more.
   */
  async write(
    handle: FileHandle,
    recipe: FileRecipe,
    { signal, pacer, onProgress }: MakeOptions,
  ): Promise<MadeFile | undefined> {
    assert(!this.#busy, 'one file at a time')
    if (signal.aborted) return undefined
    this.#busy = true
    const ring = this.#ring
    const sizeBytes = fileSizeBytes(recipe)
    ring.begin()
    let failure: Error | undefined
    const ended = new AbortController()
    const giveUp = (): void => {
      ring.giveUp()
      ended.abort()
    }
    const fail = (error: unknown): undefined => {
      failure ??= toError(error)
      giveUp()
    }
    signal.addEventListener('abort', giveUp, { once: true })

    const allowance = new Allowance(ring, pacer === undefined ? sizeBytes : 0)
    const writeBack = new WriteBack(handle, allowance)
    const pacing = pacer && pace(pacer, sizeBytes, allowance, ended.signal).catch(fail)
    const blockBytes = Math.min(pacer?.sliceBytes ?? BLOCK_BYTES, BLOCK_BYTES)
    const [formatted, stored] = await Promise.all([
      this.#format.run({ ring: this.#shared, recipe, blockBytes }).catch(fail),
      this.#store
        .run({ ring: this.#shared, fd: handle.fd }, () => {
          const positionBytes = ring.storedBytes
          void writeBack.reached(positionBytes).catch(fail)
          onProgress?.(positionBytes)
        })
        .catch(fail),
    ])
    signal.removeEventListener('abort', giveUp)
    ended.abort()
    await pacing
    await writeBack.idle().catch(fail)
    this.#busy = false
    if (failure !== undefined) throw failure
    if (formatted === undefined || stored === undefined) return undefined
    assert.equal(ring.storedBytes, sizeBytes)
    return { sizeBytes, ...stored, ...formatted }
  }

  /** Ends the threads, and a file that is being made with IO_FAILED. */
  async close(): Promise<void> {
    this.#ring.giveUp()
    await Promise.all([this.#format.close(), this.#store.close()])
  }
}

/** How much may be stored by now: what the rate allows, and what the disk keeps up with. */
class Allowance {
  readonly #ring: BlockRing
  #pacedBytes: number
  #syncedBytes = 0

  constructor(ring: BlockRing, pacedBytes: number) {
    this.#ring = ring
    this.#pacedBytes = pacedBytes
    this.#tell()
  }

  paced(bytes: number): void {
    this.#pacedBytes = bytes
    this.#tell()
  }

  synced(bytes: number): void {
    this.#syncedBytes = bytes
    this.#tell()
  }

  #tell(): void {
    this.#ring.allow(Math.min(this.#pacedBytes, this.#syncedBytes + UNSYNCED_BYTES_MAX))
  }
}

async function pace(
  pacer: Pacing,
  sizeBytes: number,
  allowance: Allowance,
  ended: AbortSignal,
): Promise<void> {
  for (let bytes = 0; bytes < sizeBytes && !ended.aborted; ) {
    const slice = Math.min(pacer.sliceBytes, sizeBytes - bytes)
    await pacer.take(slice, ended)
    bytes += slice
    allowance.paced(bytes)
  }
}

/** Sets the disk to work on what has been written, in pieces, one at a time. */
class WriteBack {
  readonly #handle: FileHandle
  readonly #allowance: Allowance
  #running: Promise<void> | undefined
  #syncedBytes = 0

  constructor(handle: FileHandle, allowance: Allowance) {
    this.#handle = handle
    this.#allowance = allowance
  }

  /** So much has been written. Rejects with IO_FAILED when the disk could not take it. */
  async reached(positionBytes: number): Promise<void> {
    if (this.#running !== undefined) return
    if (positionBytes - this.#syncedBytes < WRITE_BACK_BYTES) return
    this.#running = orIoFailed('sync of a file being written', () => this.#handle.datasync())
    try {
      await this.#running
      this.#syncedBytes = positionBytes
      this.#allowance.synced(positionBytes)
    } finally {
      this.#running = undefined
    }
  }

  /** The disk is not at work any more. */
  async idle(): Promise<void> {
    await this.#running
  }
}

function sibling(name: string): URL {
  return new URL(`./${name}${extname(import.meta.url)}`, import.meta.url)
}
