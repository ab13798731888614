/**
 * The digest of many small files at once: each is opened, read whole, hashed, validated and added
 * up from one buffer, in one thread, and all are answered for in one message. For a file of a few
 * kilobytes, messages, descriptors and turns of the event loop take many times as long as that.
 *
 * Only of files about which nothing more is to be said: it ends before the first that is not there,
 * not a regular file, too large, changed while it was read, has a bad line or too many consumers.
 * That one and those behind it are left to `DigestWorkers`, which has the answer to each of these.
 */

import { extname } from 'node:path'
import { CountersinkError } from '../../shared/errors.ts'
import type { FileIdentity } from '../../shared/file-identity.ts'
import { NOTHING_REJECTED } from '../../shared/reject-limit.ts'
import { MemorySums } from '../sums/index.ts'
import type { Digest } from './digest-types.ts'
import { JobCancelled, WorkerThread } from './worker-thread.ts'

/** Larger files are not small. */
export const SMALL_FILE_BYTES_MAX = 128 * 1024

export interface SmallFilesJob {
  readonly paths: readonly string[]
  readonly fileBytesMax: number
  /** Consumers of one file. */
  readonly pairsMax: number
}

/** What the thread answers about a file. */
export interface SmallFile {
  /** Before its first byte was read and after its last. */
  readonly identity: FileIdentity
  readonly sha256: Uint8Array
  readonly sizeBytes: number
  readonly lines: number
  readonly amount: bigint
  readonly largestSum: bigint
  readonly endsWithLineEnd: boolean
  readonly ids: BigUint64Array<ArrayBuffer>
  readonly amounts: BigUint64Array<ArrayBuffer>
}

export interface SmallDigest extends Digest {
  readonly identity: FileIdentity
}

/** A long-lived worker thread; started by the first small files. */
export class SmallFiles {
  readonly #thread: WorkerThread<SmallFilesJob, never, SmallFile[]>

  constructor(
    workerUrl = new URL(`./threads/small-worker${extname(import.meta.url)}`, import.meta.url),
  ) {
    this.#thread = new WorkerThread(workerUrl, 'small')
  }

  /**
   * Digests of the first of these files, in order; fewer than there are paths when one is not good,
   * none when that is the first. The sums of all are in memory: the caller bounds how much is asked
   * for. A second call before the first has settled is a fault of the caller.
   *
   * Rejects with the signal's reason, STOPPED (`close`) or IO_FAILED (the thread died).
   */
  async digest(options: {
    readonly paths: readonly string[]
    /** Consumers of one file; one with more is not small. */
    readonly pairsMax: number
    readonly signal: AbortSignal
  }): Promise<SmallDigest[]> {
    const { paths, pairsMax, signal } = options
    signal.throwIfAborted()
    const cancel = () => this.#thread.cancel()
    signal.addEventListener('abort', cancel, { once: true })
    try {
      const job = { paths, pairsMax, fileBytesMax: SMALL_FILE_BYTES_MAX }
      return (await this.#thread.run(job, IGNORED)).map(smallDigestOf)
    } catch (error: unknown) {
      if (!(error instanceof JobCancelled)) throw error
      signal.throwIfAborted()
      throw new CountersinkError('STOPPED', 'the digest is closed', { cause: error })
    } finally {
      signal.removeEventListener('abort', cancel)
    }
  }

  /** Ends the thread. Safe to repeat. */
  close(): Promise<void> {
    return this.#thread.close()
  }
}

/** The thread says nothing before it answers. */
const IGNORED = { onPosition() {}, onEvent() {} }

function smallDigestOf(file: SmallFile): SmallDigest {
  const { identity, sha256, sizeBytes, lines, endsWithLineEnd, amount, largestSum } = file
  const sums = new MemorySums(file.ids, file.amounts)
  return {
    ...{ identity, sha256, sizeBytes, lines, endsWithLineEnd },
    verdict: { ok: true, amount, sums, largestSum },
    resumedFromBytes: 0,
    helpedLines: 0,
    rejected: NOTHING_REJECTED,
    hashMs: 0,
    sumMs: 0,
    release: async () => {},
    discard: () => sums.close(),
  }
}
