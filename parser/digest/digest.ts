/**
 * The digest of a file: its SHA-256, and every line validated and added up per consumer.
 *
 *     digest ──► hash thread   SHA-256, then helps to sum ──────────────────────┐
 *            └─► sum thread    lines ► kernel ► window, table ► sorted sums, run ┴─► Digest
 *                                                      └► runs of what does not fit (sums/)
 *
 * P2: at fixed positions of a long file both threads tell what they know, which together is a
 * checkpoint (checkpoints.ts); a later digest of the file goes on from the last one. The sums then
 * go on where the line began that was cut; the hash begins anew, which is fast, and proves on its
 * way that the file still begins with what the checkpoint tells of.
 *
 * Both threads read the same descriptor at positions of their own. The main thread does nothing
 * for a file but pass messages: results come by transfer, not by copy. Everything behind
 * `DigestWorkers` may be replaced (another kernel, more threads, sums on disk); `Digest` stays.
 */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { extname } from 'node:path'
import type { MessagePort } from 'node:worker_threads'
import { CountersinkError, hasCode, toError } from '../../shared/errors.ts'
import type { Checkpoint } from '../facts.ts'
import { RunKeeper } from '../sums/index.ts'
import { unfitCheckpoint } from './checkpoint.ts'
import { digestOf } from './digest-result.ts'
import { assertOptions, assertRange, type Digest, type DigestOptions } from './digest-types.ts'
import { OneReading, PrefixChanged } from './one-reading.ts'
import { canNumberSegments, type Help, type NewTeam, newTeam } from './segment-board.ts'
import { SEGMENT_BYTES_MAX } from './sum-kernel.ts'
import type {
  HashEvent,
  HashJob,
  HashResult,
  HelpJob,
  HelpResult,
  SumEvent,
  SumJob,
  SumResult,
} from './worker-messages.ts'
import { WorkerThread } from './worker-thread.ts'

export type { PairChunk, Sums } from '../sums/index.ts'
export type { Digest, DigestOptions, DigestVerdict } from './digest-types.ts'
export type { BadLine, LineDefect } from './line-defects.ts'

/** How much each thread reads at once. @see DigestWorkersOptions.readBytes */
export const READ_BYTES = 1024 * 1024

/**
 * What the sums of files may take in memory: room for 10 million consumers of neighbouring ids, or for
 * nearly 3 million of any ids. Together with the rest of a process it stays below 256 MiB.
 */
export const SUM_BYTES_MAX = 96 * 1024 * 1024

export interface DigestWorkersOptions {
  /** How much each thread reads at once. @default READ_BYTES */
  readonly readBytes?: number
  /**
   * Threads that sum one large file together; the hash thread joins them when it is done. One of
   * them answers for the file. 0 is the default: `sumThreadsFor` this machine.
   */
  readonly sumThreads?: number
  /** What the sums of a file may take in memory, those of helpers not counted. @default SUM_BYTES_MAX */
  readonly sumBytesMax?: number
  /** The hash thread's main file, for tests. @default hash-worker */
  readonly hashWorkerUrl?: URL
  /** The sum thread's main file. @default sum-worker */
  readonly sumWorkerUrl?: URL
}

/** In reads: a smaller file is summed before a helper is there. */
const SHARED_READS_MIN = 4
const SUM_THREADS_MAX = 16

/**
 * How many threads sum together on so many processors: one is left for the hash, which takes
 * two thirds of the time that one sum thread takes, so that more than two have nothing to gain.
 */
export function sumThreadsFor(processors: number): number {
  return Math.min(Math.max(processors - 1, 1), 2)
}

/** Long-lived worker threads that digest one file at a time. */
export class DigestWorkers {
  readonly #readBytes: number
  readonly #sumBytesMax: number
  readonly #helpers: WorkerThread<HelpJob, never, HelpResult>[]
  readonly #hash: WorkerThread<HashJob, HashEvent, HashResult>
  readonly #sum: WorkerThread<SumJob, SumEvent, SumResult>
  #busy = false
  #closing: Promise<void> | undefined

  constructor(options: DigestWorkersOptions = {}) {
    const { readBytes = READ_BYTES } = options
    assertRange('sumThreads', options.sumThreads ?? 0, 0, SUM_THREADS_MAX)
    const sumThreads = options.sumThreads || sumThreadsFor(availableParallelism())
    assertRange('readBytes', readBytes, 1, SEGMENT_BYTES_MAX)
    this.#readBytes = readBytes
    this.#sumBytesMax = options.sumBytesMax ?? SUM_BYTES_MAX
    this.#hash = new WorkerThread(options.hashWorkerUrl ?? siblingUrl('hash-worker'), 'hash')
    this.#sum = new WorkerThread(options.sumWorkerUrl ?? siblingUrl('sum-worker'), 'sum')
    this.#helpers = Array.from(
      { length: sumThreads - 1 },
      (_, i) => new WorkerThread(siblingUrl('help-worker'), `help-${i + 1}`),
    )
  }

  /**
   * Digests one file; a second call before the first has settled is a fault of the caller.
   * However it settles, neither thread reads the descriptor any more, and both are ready for the
   * next file.
   *
   * A checkpoint to resume from that turns out not to be this file's, or whose runs cannot be
   * read, is dropped, and the file digested from its start.
   *
   * Rejects with the signal's reason, with what `onCheckpoint` threw, or with FILE_CHANGED (shorter
   * than `sizeBytes`, or other lines when some are read again), DISK_FULL, RUN_UNREADABLE (a run of
   * this very digest), IO_FAILED (not readable, a run not writable, or a thread died) or STOPPED
   * (`close`). A bad line is not an error but a verdict, the same whatever the limits are; the hash
   * is complete all the same.
   */
  async digest(options: DigestOptions): Promise<Digest> {
    assertOptions(options)
    assert(!this.#busy, 'a digest is under way')
    options.signal?.throwIfAborted()
    this.#throwIfClosed()
    const cancel = () => this.#cancel()
    const runs = new RunKeeper(options.runsDirectory, options.resume?.runs ?? [])
    this.#busy = true
    options.signal?.addEventListener('abort', cancel, { once: true })
    try {
      return await this.#resumeOrStart(options, runs)
    } catch (error: unknown) {
      runs.use([])
      throw error
    } finally {
      options.signal?.removeEventListener('abort', cancel)
      await runs.settled()
      this.#busy = false
    }
  }

  /** Ends all threads; a running digest rejects with STOPPED. Safe to repeat. */
  close(): Promise<void> {
    this.#closing ??= Promise.all(this.#threads.map(thread => thread.close())).then(() => {})
    return this.#closing
  }

  async #resumeOrStart(options: DigestOptions, runs: RunKeeper): Promise<Digest> {
    const { resume } = options
    if (resume === undefined) return await this.#runBoth(options, undefined, runs)
    const unfit = unfitCheckpoint(resume, options.sizeBytes, options.rejects !== undefined)
    if (unfit !== undefined) {
      return { ...(await this.#runBoth(options, undefined, runs)), checkpointDropped: unfit }
    }
    try {
      return await this.#runBoth(options, resume, runs)
    } catch (error: unknown) {
      const isOfAnother = error instanceof PrefixChanged || hasCode(error, 'FILE_CHANGED')
      if (!isOfAnother && !hasCode(error, 'RUN_UNREADABLE')) throw error
      runs.use([])
      const checkpointDropped = toError(error).message
      return { ...(await this.#runBoth(options, undefined, runs, resume)), checkpointDropped }
    }
  }

  /** `known`: what tells what the file begins with, though it may be of no other use any more. */
  async #runBoth(
    options: DigestOptions,
    resume: Checkpoint | undefined,
    runs: RunKeeper,
    known = resume,
  ): Promise<Digest> {
    const reading = new OneReading(
      { options, resume, known, runs },
      {
        settleCheckpoints: count => this.#settleCheckpoints(count),
        cancel: () => this.#cancel(),
      },
    )
    const team = this.#team(options, resume)
    const hashJob = this.#hashJob(options, resume, known)
    const hashing = this.#hash.run(
      { ...hashJob, help: team?.helps[0] },
      reading.hashListener,
      portsOf(team?.helps[0]),
    )
    const helping = this.#helpers.map((helper, i) => {
      const help = team?.helps[i + 1]
      if (help === undefined) return undefined
      const listener = { onPosition() {}, onEvent() {} }
      return helper.run({ ...hashJob, help }, listener, portsOf(help)).catch(reading.failed)
    })
    runs.use(resume?.runs ?? [])
    const summing = this.#sum.run(
      { ...this.#sumJob(options, resume, known), team: team?.lead },
      reading.sumListener,
      [...(team?.lead.ports ?? [])],
    )
    const [hash, sum] = await Promise.all([
      hashing.then(result => reading.hashed(result), reading.failed),
      summing.then(result => reading.summed(result), reading.failed),
    ])
    await Promise.all(helping)
    await reading.end()
    this.#throwIfClosed()
    reading.throwIfFailed()
    assert(hash !== undefined && sum !== undefined)
    const digest = await digestOf(options, resume, runs, hash, sum)
    const { changedPrefixBytes } = reading
    return changedPrefixBytes === undefined ? digest : { ...digest, changedPrefixBytes }
  }

  /** Who sums a file together; undefined if one thread does. */
  #team(options: DigestOptions, resume: Checkpoint | undefined): NewTeam | undefined {
    const bytes = options.sizeBytes - (resume?.resumeBytes ?? 0)
    const isLarge = bytes >= this.#readBytes * SHARED_READS_MIN
    if (!isLarge || !canNumberSegments(bytes, this.#readBytes, options.checkpointBytes)) {
      return undefined
    }
    return newTeam(1 + this.#helpers.length)
  }

  #hashJob(options: DigestOptions, resume: Checkpoint | undefined, known = resume) {
    const { fd, sizeBytes, onCheckpoint } = options
    return {
      fd,
      sizeBytes,
      readBytes: this.#readBytes,
      startBytes: 0 as const,
      sumStartBytes: resume?.resumeBytes ?? 0,
      // None lies inside the file if nobody commits them.
      checkpointBytes: onCheckpoint === undefined ? sizeBytes + 1 : options.checkpointBytes,
      resumedBytes: known?.positionBytes ?? 0,
    }
  }

  #sumJob(options: DigestOptions, resume: Checkpoint | undefined, known: Checkpoint | undefined) {
    const { pairsMax, memoryPairsMax, runsDirectory, runsPrefix, rejects } = options
    return {
      ...this.#hashJob(options, resume, known),
      startBytes: resume?.resumeBytes ?? 0,
      sumBytesMax: this.#sumBytesMax,
      pairsMax,
      memoryPairsMax,
      runsDirectory,
      runsPrefix,
      runNamesFrom: `${runsPrefix}-${randomBytes(6).toString('hex')}`,
      lines: resume?.lines ?? 0,
      amount: resume?.amount ?? 0n,
      runs: resume?.runs ?? [],
      rejects: rejects && { ...rejects, kept: resume?.rejects },
    }
  }

  #settleCheckpoints(count: number): void {
    this.#hash.settleCheckpoints(count)
    this.#sum.settleCheckpoints(count)
  }

  #cancel(): void {
    for (const thread of this.#threads) thread.cancel()
  }

  get #threads() {
    return [this.#hash, this.#sum, ...this.#helpers]
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) throw new CountersinkError('STOPPED', 'the digest is closed')
  }
}

function portsOf(help: Help | undefined): MessagePort[] {
  return help === undefined ? [] : [help.port]
}

/** The sources run as they are (.ts) and built (.js): a thread's file is of the same kind. */
function siblingUrl(name: string): URL {
  return new URL(`./threads/${name}${extname(import.meta.url)}`, import.meta.url)
}
