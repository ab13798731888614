/**
 * One reading of a file by both threads, as the main thread sees it: what they tell becomes progress,
 * runs and checkpoints; the first failure counts, and ends the other thread's work.
 *
 * A crash leaves what the last committed checkpoint names, and runs that nobody names.
 */

import { toError } from '../../shared/errors.ts'
import type { Checkpoint } from '../facts.ts'
import type { RunKeeper } from '../sums/index.ts'
import { Checkpoints } from './checkpoints.ts'
import type { DigestOptions } from './digest-types.ts'
import { SlowerOfTwo } from './slower-of-two.ts'
import type { HashEvent, HashResult, SumEvent, SumResult } from './worker-messages.ts'
import { JobCancelled, type JobListener } from './worker-thread.ts'

/** What the checkpoint told of is not the beginning of this file. */
export class PrefixChanged extends Error {
  constructor(positionBytes: number) {
    super(`the first ${positionBytes} bytes of the file are not those of the checkpoint`)
  }
}

export interface ReadingFrom {
  readonly options: DigestOptions
  /** What the sums go on from. */
  readonly resume: Checkpoint | undefined
  /** What tells what the file begins with, though it may be of no other use any more. */
  readonly known: Checkpoint | undefined
  readonly runs: RunKeeper
}

/** What it has the threads do. */
export interface ThreadsAtWork {
  /** So many checkpoints are done with: they may be as much further ahead. */
  settleCheckpoints(count: number): void
  /** They give up this file. */
  cancel(): void
}

export class OneReading {
  readonly #from: ReadingFrom
  readonly #threads: ThreadsAtWork
  readonly #progress: SlowerOfTwo
  readonly #checkpoints: Checkpoints
  #failure: Error | undefined
  #changedPrefixBytes: number | undefined

  constructor(from: ReadingFrom, threads: ThreadsAtWork) {
    const { options, runs } = from
    this.#from = from
    this.#threads = threads
    this.#progress = new SlowerOfTwo(options.sizeBytes, options.onProgress)
    this.#checkpoints = new Checkpoints({
      runs,
      signal: options.signal,
      onCheckpoint: options.onCheckpoint ?? (() => {}),
      onSettled: count => threads.settleCheckpoints(count),
      onFailure: error => this.failed(error),
    })
  }

  /** A beginning that was read before a restart, and is not there any more. */
  get changedPrefixBytes(): number | undefined {
    return this.#changedPrefixBytes
  }

  readonly hashListener: JobListener<HashEvent> = {
    onPosition: at => this.#progress.hashAt(at),
    onEvent: event => this.#hashTold(event),
  }

  readonly sumListener: JobListener<SumEvent> = {
    onPosition: at => this.#progress.sumAt(at),
    onEvent: event => {
      if (event.kind === 'checkpoint') this.#checkpoints.addSumPart(event)
      else if (event.kind === 'runs') this.#from.runs.use(event.runs)
      else this.#progress.alive()
    },
  }

  readonly failed = (error: unknown): undefined => {
    if (!(error instanceof JobCancelled)) this.#failure ??= toError(error)
    // At once: what the threads still tell may rest on a checkpoint that is not this file's.
    void this.#checkpoints.stop()
    this.#threads.cancel()
  }

  hashed(result: HashResult): HashResult {
    this.#progress.hashAt(this.#from.options.sizeBytes)
    return result
  }

  async summed(result: SumResult): Promise<SumResult> {
    this.#progress.sumAt(this.#from.options.sizeBytes) // a bad line ends its reading early …
    if (result.verdict.ok) return result
    this.#from.runs.use([])
    await this.#checkpoints.stop() // … and then the hash thread must not wait for it
    this.#threads.settleCheckpoints(CHECKPOINTS_UNLIMITED)
    return result
  }

  /** Both have ended: nothing is committed any more. @throws the signal's reason */
  async end(): Promise<void> {
    await this.#checkpoints.stop()
    this.#from.options.signal?.throwIfAborted()
  }

  /** @throws the first failure */
  throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  #hashTold(event: HashEvent): void {
    const { known, resume } = this.#from
    if (event.positionBytes !== known?.positionBytes) {
      this.#checkpoints.addHashPart(event)
      return
    }
    if (Buffer.compare(event.sha256, known.prefixSha256) === 0) return
    if (resume !== undefined) {
      this.failed(new PrefixChanged(event.positionBytes))
      return
    }
    this.#changedPrefixBytes = event.positionBytes
    // Whoever goes on after a crash must find this out again.
    void this.#checkpoints.stop()
    this.#threads.settleCheckpoints(CHECKPOINTS_UNLIMITED)
  }
}

/** Lets a thread pass any number of checkpoints. */
const CHECKPOINTS_UNLIMITED = 2 ** 31 - 1
