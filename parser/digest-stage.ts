import { join } from 'node:path'
import type { Config } from '../shared/config.ts'
import { crashPoint } from '../shared/crash-points.ts'
import { describeError, hasCode } from '../shared/errors.ts'
import { Bell, type Handoff } from '../shared/handoff.ts'
import type { Log } from '../shared/log.ts'
import { type StatePaths, workName } from '../shared/paths.ts'
import type { Digest, DigestWorkers } from './digest/digest.ts'
import { RunSums } from './digest/runs.ts'
import type { DiskWatch } from './disk-watch.ts'
import type { Journal } from './journal/journal.ts'
import type { DigestFacts, QueueEntry } from './journal/records.ts'
import { nothingRead, objectionTo, type Verdict } from './verdict.ts'
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
 * descriptor, and hands the verdict on.
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
  readonly #output: Handoff<Verdict>
  readonly #disk: DiskWatch
  readonly #onProgress: () => void
  readonly #log: Log
  readonly #bell = new Bell()
  #reading: Reading | undefined

  constructor(options: {
    paths: StatePaths
    config: Config
    journal: Journal
    workers: DigestWorkers
    output: Handoff<Verdict>
    disk: DiskWatch
    onProgress: () => void
    log: Log
  }) {
    this.#paths = options.paths
    this.#config = options.config
    this.#journal = options.journal
    this.#workers = options.workers
    this.#output = options.output
    this.#disk = options.disk
    this.#onProgress = options.onProgress
    this.#log = options.log
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
      const [entry] = this.#journal.queuedFrom(from, 1)
      if (entry === undefined || signal.aborted) {
        await this.#bell.wait(signal)
        continue
      }
      if (entry.stage === 'settling') {
        from = entry.sequence + 1
        continue
      }
      try {
        const verdict = (await this.#reopen(entry, signal)) ?? (await this.#read(entry, signal))
        from = entry.sequence + 1
        if (!(await this.#output.put(verdict, signal)) && verdict.kind === 'count') {
          await verdict.sums.close()
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
      return await this.#judge(entry, digest, startedAtMs)
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

  async #judge(
    entry: QueueEntry,
    digest: Digest | undefined,
    startedAtMs: number,
  ): Promise<Verdict> {
    if (digest === undefined) {
      return {
        kind: 'quarantine',
        entry,
        digest: nothingRead(entry, startedAtMs),
        reason: 'FILE_CHANGED: it changed twice while it was read',
        evidence: {},
      }
    }
    const facts: DigestFacts = {
      sha256: digest.sha256,
      sizeBytes: digest.sizeBytes,
      lines: digest.lines,
      amount: digest.verdict.ok ? digest.verdict.amount : 0n,
      startedAtMs,
      endedAtMs: Date.now(),
    }
    const objection = objectionTo(entry, digest, facts, this.#config)
    if (objection !== undefined || !digest.verdict.ok) {
      await digest.discard()
      const { reason, evidence } = objection ?? { reason: 'unreadable', evidence: {} }
      return { kind: 'quarantine', entry, digest: facts, reason, evidence }
    }
    const { sums, largestSum } = digest.verdict
    if ((this.#journal.content(digest.sha256)?.applied ?? 0) > 0) {
      await digest.discard()
      return { kind: 'duplicate', entry, digest: facts }
    }
    crashPoint('P3-before-digest-journalled')
    const digested = this.#journal.digested(entry, facts, digest.runName)
    crashPoint('P3-digest-journalled')
    await digest.release()
    this.#onProgress()
    return { kind: 'count', entry: digested, digest: facts, sums, largestSum }
  }
}

/** A file that changes is read once more; if it changes again, somebody is still writing it. */
const READINGS_MAX = 2
