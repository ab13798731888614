/**
 * The digest of a file: its SHA-256, and every line validated and added up per consumer.
 *
 *     digest ──► hash thread   SHA-256 ──────────────────────────────────┐
 *            └─► sum thread    lines ► line parser ► table ► sorted sums ┴─► Digest
 *
 * Both threads read the same descriptor at positions of their own. The main thread does nothing
 * for a file but pass messages: results come by transfer, not by copy. Everything behind
 * `DigestWorkers` may be replaced (another kernel, more threads, sums on disk); `Digest` stays.
 */

import assert from 'node:assert/strict'
import { extname } from 'node:path'
import { CountersinkError, toError } from '../../shared/errors.ts'
import type { BadLine } from './line-defects.ts'
import { PIECE_BYTES_MAX } from './line-parser.ts'
import { TABLE_PAIRS_MAX } from './sum-table.ts'
import { MemorySums, type Sums } from './sums.ts'
import type { HashResult, Job, SumJob, SumResult } from './worker-messages.ts'
import { JobCancelled, WorkerThread } from './worker-thread.ts'

export type { BadLine, LineDefect } from './line-defects.ts'
export type { PairChunk, Sums } from './sums.ts'

/** How much each thread reads at once. @see DigestWorkersOptions.readBytes */
export const READ_BYTES = 1024 * 1024

export interface Digest {
  /** 32 bytes. */
  readonly sha256: Uint8Array
  readonly sizeBytes: number
  /** Good lines; those before the bad one if there is one. */
  readonly lines: number
  /** Whether the last byte is a line feed. True for an empty file. */
  readonly endsWithLineEnd: boolean
  readonly verdict: Verdict
  readonly hashMs: number
  readonly sumMs: number
}

export type Verdict =
  | {
      readonly ok: true
      /** The sum of all lines' amounts: may be more than 64 bits. */
      readonly amount: bigint
      /** To be closed by the caller. */
      readonly sums: Sums
      /** 0 if there are no sums. */
      readonly largestSum: bigint
    }
  | { readonly ok: false; readonly bad: BadLine }

export interface DigestOptions {
  /** Open for reading. Stays the caller's, who must not close it before the digest settles. */
  readonly fd: number
  /** The file's size. Bytes beyond it are not read. */
  readonly sizeBytes: number
  /** More distinct consumers than this are a verdict of TOO_MANY_CONSUMERS. */
  readonly pairsMax: number
  /** Ends the digest within one read of each thread. */
  readonly signal?: AbortSignal
  /** Told, after each read, how far both threads have come. Never goes back. */
  readonly onProgress?: (positionBytes: number) => void
}

export interface DigestWorkersOptions {
  /** How much each thread reads at once. @default READ_BYTES */
  readonly readBytes?: number
  /** The hash thread's main file, for tests. @default hash-worker */
  readonly hashWorkerUrl?: URL
  /** The sum thread's main file. @default sum-worker */
  readonly sumWorkerUrl?: URL
}

/** Two long-lived worker threads that digest one file at a time. */
export class DigestWorkers {
  readonly #readBytes: number
  readonly #hash: WorkerThread<Job, HashResult>
  readonly #sum: WorkerThread<SumJob, SumResult>
  #busy = false
  #closing: Promise<void> | undefined

  constructor(options: DigestWorkersOptions = {}) {
    const { readBytes = READ_BYTES } = options
    assertRange('readBytes', readBytes, 1, PIECE_BYTES_MAX)
    this.#readBytes = readBytes
    this.#hash = new WorkerThread(options.hashWorkerUrl ?? siblingUrl('hash-worker'), 'hash')
    this.#sum = new WorkerThread(options.sumWorkerUrl ?? siblingUrl('sum-worker'), 'sum')
  }

  /**
   * Digests one file; a second call before the first has settled is a fault of the caller.
   * However it settles, neither thread reads the descriptor any more, and both are ready for the
   * next file.
   *
   * Rejects with the signal's reason, or with FILE_CHANGED (shorter than `sizeBytes`), IO_FAILED
   * (not readable, or a thread died) or STOPPED (`close`). A bad line is not an error but a
   * verdict; the hash is complete all the same.
   */
  async digest(options: DigestOptions): Promise<Digest> {
    assertRange('sizeBytes', options.sizeBytes, 0, Number.MAX_SAFE_INTEGER)
    assertRange('pairsMax', options.pairsMax, 1, TABLE_PAIRS_MAX)
    assert(!this.#busy, 'a digest is under way')
    options.signal?.throwIfAborted()
    this.#throwIfClosed()
    const cancel = () => this.#cancel()
    this.#busy = true
    options.signal?.addEventListener('abort', cancel, { once: true })
    try {
      return await this.#runBoth(options)
    } finally {
      options.signal?.removeEventListener('abort', cancel)
      this.#busy = false
    }
  }

  /** Ends both threads; a running digest rejects with STOPPED. Safe to repeat. */
  close(): Promise<void> {
    this.#closing ??= Promise.all([this.#hash.close(), this.#sum.close()]).then(() => {})
    return this.#closing
  }

  async #runBoth({ fd, sizeBytes, pairsMax, signal, onProgress }: DigestOptions): Promise<Digest> {
    const job = { fd, sizeBytes, readBytes: this.#readBytes }
    const progress = new SlowerOfTwo(sizeBytes, onProgress)
    // The first failure counts; it also ends the other thread's work.
    let failure: Error | undefined
    const fail = (error: unknown) => {
      if (!(error instanceof JobCancelled)) failure ??= toError(error)
      this.#cancel()
      return undefined
    }
    const [hash, sum] = await Promise.all([
      this.#hash.run(job, at => progress.hashAt(at)).catch(fail),
      this.#sum
        .run({ ...job, pairsMax }, at => progress.sumAt(at))
        .then(result => {
          progress.sumAt(sizeBytes) // a bad line ends its reading early
          return result
        }, fail),
    ])
    signal?.throwIfAborted()
    this.#throwIfClosed()
    if (failure !== undefined) throw failure
    assert(hash !== undefined && sum !== undefined)
    const { sha256, endsWithLineEnd, hashMs } = hash
    const { lines, sumMs } = sum
    const verdict = verdictOf(sum)
    return { sha256, sizeBytes, lines, endsWithLineEnd, verdict, hashMs, sumMs }
  }

  #cancel(): void {
    this.#hash.cancel()
    this.#sum.cancel()
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) throw new CountersinkError('STOPPED', 'the digest is closed')
  }
}

function verdictOf({ verdict }: SumResult): Verdict {
  if (!verdict.ok) return verdict
  const { amount, ids, amounts, largestSum } = verdict
  return { ok: true, amount, sums: new MemorySums(ids, amounts), largestSum }
}

/** Reports the position of the thread that is behind, whenever it has moved. */
class SlowerOfTwo {
  readonly #sizeBytes: number
  readonly #report: ((positionBytes: number) => void) | undefined
  #hashBytes = 0
  #sumBytes = 0
  #reportedBytes = 0

  constructor(sizeBytes: number, report: ((positionBytes: number) => void) | undefined) {
    this.#sizeBytes = sizeBytes
    this.#report = report
  }

  hashAt(positionBytes: number): void {
    this.#hashBytes = positionBytes
    this.#tell()
  }

  sumAt(positionBytes: number): void {
    this.#sumBytes = positionBytes
    this.#tell()
  }

  #tell(): void {
    const position = Math.min(this.#hashBytes, this.#sumBytes, this.#sizeBytes)
    if (position <= this.#reportedBytes) return
    this.#reportedBytes = position
    this.#report?.(position)
  }
}

function assertRange(name: string, value: number, min: number, max: number): void {
  const fits = Number.isSafeInteger(value) && value >= min && value <= max
  assert(fits, `${name} must be ${min}..${max}, got ${value}`)
}

/** The sources run as they are (.ts) and built (.js): a thread's file is of the same kind. */
function siblingUrl(name: string): URL {
  return new URL(`./${name}${extname(import.meta.url)}`, import.meta.url)
}
