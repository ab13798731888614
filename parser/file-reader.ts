import { join } from 'node:path'
import type { Config } from '../shared/config.ts'
import { describeError, hasCode } from '../shared/errors.ts'
import { Bell, type Handoff } from '../shared/handoff.ts'
import type { Log } from '../shared/log.ts'
import { type StatePaths, workName } from '../shared/paths.ts'
import type { Digest, DigestWorkers } from './digest/digest.ts'
import { RunSums } from './digest/runs.ts'
import { SMALL_FILE_BYTES_MAX, type SmallFiles } from './digest/small-files.ts'
import type { DiskWatch } from './disk-watch.ts'
import type { Journal } from './journal/journal.ts'
import type { QueueEntry } from './journal/records.ts'
import { Judge } from './judge.ts'
import { nothingRead, type Verdict } from './verdict.ts'
import { openWorkFile, sameIdentity, type WorkFile } from './work-file.ts'

/** What is being read now, for `status`. */
export interface Reading {
  readonly name: string
  readonly positionBytes: number
  readonly sizeBytes: number
  /** The sums of what stands before were taken from a checkpoint; it is only hashed again. */
  readonly resumedFromBytes: number
}

/**
 * P2 and P3: takes claimed files in the order of their sequences, reads each to its end on one
 * descriptor, and hands the verdict on. Small files that wait together are read together.
 *
 * Nothing is said about a file before everything is known of it: hash, every line, the control
 * totals that came with it, that it did not change meanwhile, and that its content is new.
 *
 * A crash or a stop in mid-file leaves the entry `claimed` with its last checkpoint (P2): the next
 * start sums on from there. One after P3 leaves it `digested`: its sealed sums are opened again, or,
 * if they were held in memory only, the file is read again. A full disk is waited for, then the
 * file is begun again from its checkpoint.
 */
export class DigestStage {
  readonly #paths: StatePaths
  readonly #config: Config
  readonly #journal: Journal
  readonly #workers: DigestWorkers
  readonly #smallFiles: SmallFiles
  readonly #output: Handoff<Verdict>
  readonly #disk: DiskWatch
  readonly #onProgress: () => void
  readonly #log: Log
  readonly #judge: Judge
  readonly #bell = new Bell()
  #reading: Reading | undefined

  constructor(options: {
    paths: StatePaths
    config: Config
    journal: Journal
    workers: DigestWorkers
    smallFiles: SmallFiles
    output: Handoff<Verdict>
    disk: DiskWatch
    onProgress: () => void
    log: Log
  }) {
    this.#paths = options.paths
    this.#config = options.config
    this.#journal = options.journal
    this.#workers = options.workers
    this.#smallFiles = options.smallFiles
    this.#output = options.output
    this.#disk = options.disk
    this.#onProgress = options.onProgress
    this.#log = options.log
    this.#judge = new Judge(options.journal, options.config)
  }

  get reading(): Reading | undefined {
    return this.#reading
  }

  /** There are new entries in the journal. */
  wake(): void {
    this.#bell.ring()
  }

  /** The loop; ends when the signal is raised, abandoning the file in hand. */
  async run(signal: AbortSignal): Promise<void> {
    let from = 0
    while (!signal.aborted) {
      await this.#disk.room(signal)
      const entries = [...this.#journal.queuedFrom(from, TOGETHER_FILES_MAX)]
      const [entry] = entries
      if (entry === undefined || signal.aborted) {
        await this.#bell.wait(signal)
        continue
      }
      if (entry.stage === 'settling') {
        from = entry.sequence + 1
        continue
      }
      try {
        for (const verdict of await this.#readNext(entry, entries, signal)) {
          from = verdict.entry.sequence + 1
          if (!(await this.#output.put(verdict, signal)) && verdict.kind === 'count') {
            await verdict.sums.close()
          }
        }
      } catch (error) {
        if (hasCode(error, 'DISK_FULL')) {
          await this.#disk.foundFull(describeError(error), signal)
        } else if (!signal.aborted || error !== signal.reason) {
          throw error
        } else {
          this.#log.info('left in mid-file; the next start goes on', { name: entry.name })
        }
      } finally {
        this.#reading = undefined
      }
    }
  }

  /** Verdicts on the first file or, if they are small, on as many as can be read at once. */
  async #readNext(
    first: QueueEntry,
    entries: readonly QueueEntry[],
    signal: AbortSignal,
  ): Promise<Verdict[]> {
    const small = this.#smallOnes(entries)
    const pairsMax = Math.min(this.#config.pairsMax, this.#config.memoryPairsMax)
    const verdicts =
      small.length > 1 && pairsMax > 0 ? await this.#readTogether(small, pairsMax, signal) : []
    if (verdicts.length > 0) return verdicts
    return [(await this.#reopen(first, signal)) ?? (await this.#read(first, signal))]
  }

  /** Those at the beginning that nothing is known of yet and that are no trouble to read. */
  #smallOnes(entries: readonly QueueEntry[]): QueueEntry[] {
    let bytes = 0
    const end = entries.findIndex(({ stage, sizeBytes, checkpoint }) => {
      bytes += sizeBytes
      const isFresh = stage === 'claimed' && checkpoint === undefined
      return !isFresh || sizeBytes > SMALL_FILE_BYTES_MAX || bytes > TOGETHER_BYTES_MAX
    })
    return end === -1 ? [...entries] : entries.slice(0, end)
  }

  /**
   * Of files that are good and stay as they are: reading ends at the first one about which more is
   * to be said, which is then read by itself.
   */
  async #readTogether(
    entries: readonly QueueEntry[],
    pairsMax: number,
    signal: AbortSignal,
  ): Promise<Verdict[]> {
    const startedAtMs = Date.now()
    const digests = await this.#smallFiles.digest({
      paths: entries.map(({ sequence, name }) => join(this.#paths.work, workName(sequence, name))),
      pairsMax,
      signal,
    })
    this.#onProgress()
    return this.#judge.judge(
      digests.map((digest, i) => ({ entry: entries[i]!, digest, startedAtMs })),
    )
  }

  /** A file that was digested before a restart, from its sealed sums. */
  async #reopen(entry: QueueEntry, signal: AbortSignal): Promise<Verdict | undefined> {
    const { digest, runName } = entry
    if (entry.stage !== 'digested' || digest === undefined || runName === undefined)
      return undefined
    try {
      const sums = await RunSums.open(join(this.#paths.runs, runName))
      await sums.verify(signal)
      return { kind: 'count', entry, digest, sums, largestSum: sums.facts.largestSum }
    } catch (error) {
      if (!hasCode(error, 'RUN_UNREADABLE')) throw error
      this.#log.warn('sealed sums cannot be used; the file is read again', {
        name: entry.name,
        because: describeError(error),
      })
      return undefined
    }
  }

  async #read(queued: QueueEntry, signal: AbortSignal): Promise<Verdict> {
    // Digested before, but the sums are gone: everything about it is found out again.
    const entry = queued.stage === 'digested' ? this.#journal.undigest(queued) : queued
    const startedAtMs = Date.now()
    let file: WorkFile | undefined
    let reason = 'WORK_FILE_MISSING: somebody took the claimed file out of work/'
    try {
      file = await openWorkFile(join(this.#paths.work, workName(entry.sequence, entry.name)))
    } catch (error) {
      if (!hasCode(error, 'FILE_UNFIT')) throw error
      reason = describeError(error)
    }
    if (file === undefined) {
      return {
        kind: 'quarantine',
        entry,
        digest: nothingRead(entry, startedAtMs),
        reason,
        evidence: {},
      }
    }
    try {
      const digest = await this.#digestUnchanged(entry, file, signal)
      const [verdict] = await this.#judge.judge([{ entry, digest, startedAtMs }])
      this.#onProgress()
      return verdict!
    } finally {
      await file.handle.close()
    }
  }

  /** undefined: it changed while it was read, twice. */
  async #digestUnchanged(
    entry: QueueEntry,
    file: WorkFile,
    signal: AbortSignal,
  ): Promise<Digest | undefined> {
    for (let reading = 1; reading <= READINGS_MAX; reading += 1) {
      const before = await file.identity()
      const digest = await this.#digest(entry, file.handle.fd, Number(before.size), signal)
      if (digest !== undefined) {
        if (sameIdentity(before, await file.identity())) return digest
        await digest.discard()
      }
      this.#log.warn('the file changed while it was read', { name: entry.name, reading })
    }
    return undefined
  }

  /** undefined: it became shorter while it was read. */
  async #digest(
    entry: QueueEntry,
    fd: number,
    sizeBytes: number,
    signal: AbortSignal,
  ): Promise<Digest | undefined> {
    const { name, sequence } = entry
    const resume = this.#journal.queued(sequence)?.checkpoint
    const resumedFromBytes = resume?.resumeBytes ?? 0
    this.#reading = { name, positionBytes: 0, sizeBytes, resumedFromBytes }
    if (resume !== undefined) {
      this.#log.info('goes on from a checkpoint', { name, resumedFromBytes, sizeBytes })
    }
    try {
      const digest = await this.#workers.digest({
        ...{ fd, sizeBytes, signal },
        pairsMax: this.#config.pairsMax,
        memoryPairsMax: this.#config.memoryPairsMax,
        checkpointBytes: this.#config.checkpointBytes,
        runsDirectory: this.#paths.runs,
        runsPrefix: workName(sequence, 'sums'),
        ...(resume === undefined ? {} : { resume }),
        onCheckpoint: checkpoint => {
          this.#journal.checkpoint(sequence, checkpoint)
          this.#onProgress()
        },
        onProgress: positionBytes => {
          this.#reading = { name, positionBytes, sizeBytes, resumedFromBytes }
          this.#onProgress()
        },
      })
      if (digest.checkpointDropped !== undefined) {
        this.#log.warn('a checkpoint was dropped', { name, because: digest.checkpointDropped })
      }
      return digest
    } catch (error) {
      if (hasCode(error, 'FILE_CHANGED')) return undefined
      throw error
    }
  }
}

/** A file that changes is read once more; if it changes again, somebody is still writing it. */
const READINGS_MAX = 2

/** Files that are read together are at most so large in all, and at most so many. */
const TOGETHER_BYTES_MAX = 2 * 1024 * 1024
const TOGETHER_FILES_MAX = 512
