/**
 * Reads claimed files to their ends, each on one descriptor, and judges them: with threads and memory
 * of its own, so that several can be at work side by side. Small files that wait together are read
 * together.
 *
 * Nothing is said about a file before everything is known of it: hash, every line, the control
 * totals that came with it, that it is what was claimed and did not change meanwhile, and that its
 * content is new.
 *
 * A crash or a stop in mid-file leaves the entry `claimed` with its last checkpoint (P2): the next
 * start sums on from there. One after P3 leaves it `digested`: its sealed sums are opened again, or,
 * if they were held in memory only, the file is read again. A file for whose sums the disk has no
 * room, or that cannot be opened for want of descriptors, is left with the same, for the caller to try
 * again later.
 */

import { join } from 'node:path'
import type { Config } from '../../shared/config.ts'
import { closeQuietly } from '../../shared/durable.ts'
import { describeError, explainError, hasCode } from '../../shared/errors.ts'
import type { ParserEventMap, ParserEvents } from '../../shared/events.ts'
import type { Log } from '../../shared/log.ts'
import { statsIfLookedAt } from '../../shared/looks.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { changeSinceClaim, changeSinceRead } from '../changes.ts'
import { SmallFiles } from '../digest/index.ts'
import type { DiskWatch } from '../disk-watch.ts'
import { loggedFile, type QueueEntry, type Reason } from '../facts.ts'
import type { Journal } from '../journal/index.ts'
import { RunSums } from '../sums/index.ts'
import {
  type DigestedFile,
  FileDigester,
  type FileDigesterOptions,
  type Reading,
  workPath,
} from './file-digester.ts'
import { Judge } from './judge.ts'
import { REOPENING } from './reopening-cases.ts'
import { smallOnes } from './small-ones.ts'
import { closeAll, nothingRead, type Verdict } from './verdict.ts'
import { isShortage, type WorkFile } from './work-file.ts'

/** How far the reading of some files has come. */
export interface FilesRead {
  /** Of the files in their order. */
  readonly verdicts: Verdict[]
  /** Those behind them: there was no room for the sums of the first, or no descriptor for it. */
  readonly left?: { readonly entries: readonly QueueEntry[]; readonly reason: string }
}

export interface FileReaderOptions extends FileDigesterOptions {
  readonly disk: DiskWatch
  /** Its content is known, and its row in the ledger decides: its sums are not needed. */
  readonly isDecidedByRow: (entry: QueueEntry) => boolean
}

export class FileReader {
  readonly #paths: StatePaths
  readonly #config: Config
  readonly #journal: Journal
  readonly #disk: DiskWatch
  readonly #events: ParserEvents
  readonly #log: Log
  readonly #isDecidedByRow: FileReaderOptions['isDecidedByRow']
  readonly #judge: Judge
  readonly #digester: FileDigester
  readonly #smallFiles = new SmallFiles()

  constructor(options: FileReaderOptions) {
    const { config } = options
    this.#paths = options.paths
    this.#config = config
    this.#journal = options.journal
    this.#disk = options.disk
    this.#events = options.events
    this.#log = options.log
    this.#isDecidedByRow = options.isDecidedByRow
    this.#judge = new Judge(options.journal, config)
    this.#digester = new FileDigester(options)
  }

  /** undefined: nothing, or small files. */
  get reading(): Reading | undefined {
    return this.#digester.reading
  }

  /** How many of these entries, the first of them at least, are best read in one go. */
  portionOf(entries: readonly QueueEntry[]): number {
    return Math.max(1, smallOnes(entries, this.#smallPairsMax).length)
  }

  /**
   * Verdicts on these files, in their order: on all, unless there is no room for the sums of one.
   * A second call before the first has settled is a fault of the caller.
   *
   * Rejects with the signal's reason, or with what ends the process.
   */
  async read(entries: readonly QueueEntry[], signal: AbortSignal): Promise<FilesRead> {
    const verdicts: Verdict[] = []
    try {
      while (verdicts.length < entries.length) {
        const next = await this.#readNext(entries.slice(verdicts.length), signal)
        verdicts.push(...next)
        for (const verdict of next) this.#events.emit('digested', digested(verdict))
      }
      return { verdicts }
    } catch (error) {
      if ((hasCode(error, 'DISK_FULL') || isShortage(error)) && !signal.aborted) {
        if (!isShortage(error)) this.#disk.foundFull(describeError(error))
        return {
          verdicts,
          left: { entries: entries.slice(verdicts.length), reason: describeError(error) },
        }
      }
      await closeAll(verdicts)
      if (signal.aborted && error === signal.reason) {
        const { name } = entries[verdicts.length]!
        this.#log.info('left in mid-file; the next start goes on', { name })
      }
      throw error
    } finally {
      this.#digester.done()
    }
  }

  /** Ends its threads. */
  async close(): Promise<void> {
    await Promise.all([this.#digester.close(), this.#smallFiles.close()])
  }

  /** Verdicts on the first file or, if they are small, on as many as can be read at once. */
  async #readNext(entries: readonly QueueEntry[], signal: AbortSignal): Promise<Verdict[]> {
    const small = smallOnes(entries, this.#smallPairsMax)
    const verdicts = small.length > 1 ? await this.#readTogether(small, signal) : []
    if (verdicts.length > 0) return verdicts
    const first = entries[0]!
    if (first.digest !== undefined && this.#isDecidedByRow(first)) {
      return [{ kind: 'duplicate', entry: first, digest: first.digest }]
    }
    return [(await this.#reopen(first, signal)) ?? (await this.#read(first, signal))]
  }

  /** Consumers of a file whose sums wait in memory. */
  get #smallPairsMax(): number {
    return Math.min(this.#config.pairsMax, this.#config.memoryPairsMax)
  }

  /**
   * Of files that are good, what was claimed, and stay as they are: reading ends at the first one
   * about which more is to be said, which is then read by itself.
   */
  async #readTogether(entries: readonly QueueEntry[], signal: AbortSignal): Promise<Verdict[]> {
    const startedAtMs = Date.now()
    const digests = await this.#smallFiles.digest({
      paths: entries.map(entry => workPath(this.#paths, entry)),
      pairsMax: this.#smallPairsMax,
      signal,
    })
    const changed = digests.findIndex(
      (digest, i) => changeSinceClaim(entries[i]!, digest, digest.identity) !== undefined,
    )
    const others = changed === -1 ? [] : digests.splice(changed)
    for (const digest of others) await digest.discard()
    return this.#judge.judge(
      digests.map((digest, i) => ({
        ...{ entry: entries[i]!, startedAtMs },
        read: { digest, identity: digest.identity },
      })),
    )
  }

  /** A file that was digested before a restart, from its sealed sums; see `reopening-cases.ts`. */
  async #reopen(entry: QueueEntry, signal: AbortSignal): Promise<Verdict | undefined> {
    const { digest, runName } = entry
    if (entry.stage !== 'digested' || digest === undefined) return undefined
    const stats = statsIfLookedAt(workPath(this.#paths, entry))
    const change = stats && changeSinceRead(entry, digest, stats)
    const file = stats === undefined ? 'gone' : change === undefined ? 'the same' : 'changed'
    if (change !== undefined) {
      this.#log.warn('a digested file has changed and is read again', {
        ...loggedFile(entry, digest),
        ...{ code: 'FILE_CHANGED', change },
      })
    }
    // Opening a run reads it whole: only where it would be used.
    if (runName === undefined || REOPENING[file].usable !== 'use') return undefined
    const sums = await this.#openSums(entry, runName, signal)
    const run = sums === undefined ? 'unusable' : 'usable'
    if (sums === undefined || REOPENING[file][run] !== 'use') return undefined
    return { kind: 'count', entry, digest, sums, largestSum: sums.facts.largestSum }
  }

  async #openSums(
    entry: QueueEntry,
    runName: string,
    signal: AbortSignal,
  ): Promise<RunSums | undefined> {
    try {
      return await RunSums.openVerified(join(this.#paths.runs, runName), signal)
    } catch (error) {
      if (!hasCode(error, 'RUN_UNREADABLE')) throw error
      const because = describeError(error)
      this.#log.warn('sealed sums cannot be used; the file is read again', {
        ...loggedFile(entry, entry.digest),
        because,
      })
      return undefined
    }
  }

  async #read(queued: QueueEntry, signal: AbortSignal): Promise<Verdict> {
    // Digested before, but the sums are gone: everything about it is found out again.
    const entry = queued.stage === 'digested' ? this.#journal.undigest(queued) : queued
    const startedAtMs = Date.now()
    let file: WorkFile | undefined
    let reason: Reason = {
      code: 'WORK_FILE_MISSING',
      text: 'somebody took the claimed file out of work/',
    }
    let isMissing = true
    try {
      file = await this.#digester.open(entry, signal)
    } catch (error) {
      if (!hasCode(error, 'FILE_UNFIT')) throw error
      reason = unfit(error)
      isMissing = false
    }
    const unread = (why: Reason, isMissing: boolean): Verdict => ({
      ...{ kind: 'quarantine', entry, digest: nothingRead(entry, startedAtMs), reason: why },
      ...{ evidence: {}, isMissing },
    })
    if (file === undefined) return unread(reason, isMissing)
    let read: DigestedFile | undefined
    try {
      read = await this.#digester.digest(entry, file, signal)
    } catch (error) {
      if (!hasCode(error, 'FILE_UNFIT')) throw error
      return unread(unfit(error), false)
    } finally {
      await closeQuietly(file.handle)
    }
    const [verdict] = await this.#judge.judge([{ entry, read, startedAtMs }])
    return verdict!
  }
}

function digested({ kind, entry, digest }: Verdict): ParserEventMap['digested'][0] {
  const { name, sequence, claimedAtMs } = entry
  const { sizeBytes, startedAtMs, endedAtMs } = digest
  return {
    ...{ name, sequence, sizeBytes, verdict: kind },
    queuedMs: startedAtMs - claimedAtMs,
    readMs: endedAtMs - startedAtMs,
  }
}

function unfit(error: unknown): Reason {
  return { code: 'FILE_UNFIT', text: explainError(error) }
}
