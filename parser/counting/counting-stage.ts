/**
 * P4 to P8: the only loop that speaks to MariaDB. Takes all verdicts that wait, merges the sums of
 * those to be counted into one batch, adds it to the totals, writes down why the others are not,
 * and settles the files. The deeper the queue, the larger the batch, and the fewer rows are
 * touched per file.
 *
 * Whether a content was counted before is decided by its row in the ledger. What the journal knows is
 * a hint that saves reading sums; where it was wrong the file is read again.
 *
 * Files whose content is being applied by somebody else, or is in a batch that is blocked, wait here,
 * without holding up others, until that is decided: with nothing but their hashes (what is to be
 * counted after all is read again), and when there are too many, nothing more is taken. A file for
 * whose batch there is no room steps back. A stop ends the batch in hand after the chunk in
 * hand, and keeps its run: the next start goes on from there. Verdicts are dropped then; their
 * entries are still in the journal.
 *
 * A file that has changed since it was read is quarantined instead; one that changed after it was
 * counted is written down as well.
 */

import { setImmediate } from 'node:timers/promises'
import { describeError, hasCode } from '../../shared/errors.ts'
import { Bell, type Handoff } from '../../shared/handoff.ts'
import type { Log } from '../../shared/log.ts'
import type { DiskWatch } from '../disk-watch.ts'
import { loggedFile, type QueueEntry, type Reason } from '../facts.ts'
import type { Journal } from '../journal/index.ts'
import type { Ledger, LedgerFile, Named } from '../ledger/index.ts'
import { changedAfterClaim, closeAll, type Verdict } from '../reading/index.ts'
import type { Ending, GrowthWatch, Settler } from '../settling/index.ts'
import { attemptBatch } from './batch-attempt.ts'
import type { BatchMaker } from './batch-maker.ts'
import type { BatchResumer } from './batch-resumer.ts'
import type { Refuser } from './refuser.ts'
import { type Repeat, UndecidedFiles } from './undecided-files.ts'

type Count = Extract<Verdict, { kind: 'count' }>

export class CountingStage {
  readonly #input: Handoff<Verdict>
  readonly #journal: Journal
  readonly #ledger: Ledger
  readonly #settler: Settler
  readonly #maker: BatchMaker
  readonly #resumer: BatchResumer
  readonly #refuser: Refuser
  readonly #disk: DiskWatch
  readonly #growth: GrowthWatch
  readonly #filesMax: number
  readonly #readAgain: (sequence: number) => void
  readonly #stepBack: (entry: QueueEntry, reason: string) => void
  readonly #onNamesakes: (names: ReadonlyMap<string, number>) => void
  readonly #log: Log
  readonly #undecided: UndecidedFiles

  constructor(options: {
    input: Handoff<Verdict>
    journal: Journal
    ledger: Ledger
    settler: Settler
    maker: BatchMaker
    resumer: BatchResumer
    refuser: Refuser
    disk: DiskWatch
    growth: GrowthWatch
    filesMax: number
    /** The sums of a file are needed after all. */
    readAgain: (sequence: number) => void
    /** There is no room to count a file: it is to be read again later. */
    stepBack: (entry: QueueEntry, reason: string) => void
    /** Names that were counted with more than one content, and how many. */
    onNamesakes: (names: ReadonlyMap<string, number>) => void
    log: Log
  }) {
    this.#input = options.input
    this.#journal = options.journal
    this.#ledger = options.ledger
    this.#settler = options.settler
    this.#maker = options.maker
    this.#resumer = options.resumer
    this.#refuser = options.refuser
    this.#disk = options.disk
    this.#growth = options.growth
    this.#filesMax = options.filesMax
    this.#readAgain = options.readAgain
    this.#stepBack = options.stepBack
    this.#onNamesakes = options.onNamesakes
    this.#log = options.log
    this.#undecided = new UndecidedFiles(options.filesMax * UNDECIDED_BATCHES_MAX)
  }

  /** The loop; ends when the signal is raised. */
  async run(signal: AbortSignal): Promise<void> {
    let lookAgainMs = 0
    try {
      while (!signal.aborted) {
        const verdicts = await this.#take(signal)
        await this.#disk.room(signal)
        if (signal.aborted) {
          await closeAll(verdicts)
          break
        }
        await this.#bringToEnd(verdicts, signal)
        if (performance.now() < lookAgainMs) continue
        lookAgainMs = performance.now() + LOOK_INTERVAL_MS
        await this.#lookAtOthers(signal)
        for (const growth of this.#growth.takeUnwritten()) await this.#ledger.sightGrowth(growth)
      }
    } catch (error) {
      // When the signal is raised the ledger ends between two chunks, and no longer waits for a
      // database that is away.
      if (!signal.aborted || error !== signal.reason) throw error
    }
    await closeAll(this.#input.drain())
  }

  /** What the files wait for whose content is in a batch that is not in hand; undefined: none does. */
  get reason(): string | undefined {
    return this.#undecided.reason
  }

  /** Nothing as long as too many files are undecided: whoever hands on waits then. */
  async #take(signal: AbortSignal): Promise<Verdict[]> {
    if (!this.#undecided.isFull) {
      return this.#input.takeAll(this.#filesMax, signal, LOOK_INTERVAL_MS)
    }
    await new Bell().wait(signal, LOOK_INTERVAL_MS)
    return []
  }

  /** At files that wait for a batch which is not in hand, and at batches that stand still. */
  async #lookAtOthers(signal: AbortSignal): Promise<void> {
    if (!this.#undecided.isEmpty) await this.#lookAtUndecided(signal)
    await this.#resumer.retryBlocked(signal)
  }

  async #bringToEnd(verdicts: readonly Verdict[], signal: AbortSignal): Promise<void> {
    const counts: Count[] = []
    const repeats: Repeat[] = []
    const endings: Ending[] = []
    for (const verdict of verdicts) {
      if (verdict.kind === 'count') counts.push(verdict)
      else if (verdict.kind === 'duplicate') repeats.push(verdict)
      else endings.push(await this.#refuser.quarantine(verdict))
    }
    await this.#settler.settle(endings)
    await this.#decide(repeats)
    await this.#countAll(counts, signal)
  }

  async #countAll(counts: Count[], signal: AbortSignal): Promise<void> {
    while (counts.length > 0) {
      try {
        await this.#countSome(counts, signal)
      } catch (error) {
        if (!hasCode(error, 'DISK_FULL')) {
          await closeAll(counts)
          throw error
        }
        // The first was tried by itself in the end.
        const alone = counts.shift()!
        await closeAll([alone])
        this.#disk.foundFull(describeError(error))
        this.#stepBack(alone.entry, describeError(error))
      }
    }
  }

  /** Brings at least one of the files to an end, and takes it off the list. */
  async #countSome(counts: Count[], signal: AbortSignal): Promise<void> {
    const changed = await this.#takeChanged(counts)
    if (changed.length > 0) return this.#end(changed)
    const hinted = counts.filter(({ digest }) => this.#isHinted(digest.sha256))
    if (hinted.length > 0) {
      remove(counts, hinted)
      counts.push(...(await this.#decide(hinted)))
      return
    }
    const startedAtMs = Date.now()
    const { taken, result, batch } = await attemptBatch(counts, {
      ledger: this.#ledger,
      maker: this.#maker,
      signal,
    })
    const counting = { startedAtMs, endedAtMs: Date.now() }
    switch (result.kind) {
      case 'applied':
        remove(counts, taken)
        await this.#end(
          taken.map(count => ({
            verdict: count,
            ending: {
              ...count,
              ...{ outcome: 'applied' as const, counting },
              ledgerSequence: result.sequences.get(hexOf(count.digest.sha256)),
            },
          })),
        )
        this.#onNamesakes(await this.#ledger.namesakesOf(taken.map(named)))
        return
      case 'overflow':
        return await this.#quarantine(counts, taken[result.fileIndex]!, result.reason)
      case 'refused':
        return await this.#quarantine(counts, taken[0]!, result.reason)
      case 'claimed':
        remove(counts, taken)
        counts.push(...(await this.#decide(taken)))
        return
      case 'blocked':
        this.#resumer.noteBlocked(batch.id, result.reason)
        remove(counts, taken)
        for (const verdict of taken) await this.#setAside(verdict, batch.id)
        return
    }
  }

  /** Those that are not any more what was read. */
  async #takeChanged(counts: Count[]): Promise<Finished[]> {
    const changed: Finished[] = []
    for (const [i, count] of [...counts].entries()) {
      if (i > 0 && i % LOOKED_AT_ONCE_MAX === 0) await setImmediate()
      const change = this.#settler.changeSinceRead(count)
      if (change === undefined) continue
      remove(counts, [count])
      const ending = await this.#refuser.quarantine({
        ...count,
        ...{ kind: 'quarantine', ...changedAfterClaim(change) },
      })
      changed.push({ verdict: count, ending })
    }
    return changed
  }

  async #quarantine(counts: Count[], guilty: Count, reason: Reason): Promise<void> {
    remove(counts, [guilty])
    const ending = await this.#refuser.quarantine({
      ...guilty,
      ...{ kind: 'quarantine', reason, evidence: {} },
    })
    await this.#end([{ verdict: guilty, ending }])
  }

  /** Whether the journal calls this content counted. */
  #isHinted(sha256: Uint8Array): boolean {
    return (this.#journal.content(sha256)?.applied ?? 0) > 0
  }

  /**
   * What the ledger's rows say of contents that seem to be there already: our own work before a crash,
   * somebody else's, or nothing at all.
   *
   * @returns those that nobody has counted and whose sums are here: they are to be counted.
   */
  async #decide<T extends Count | Repeat>(verdicts: readonly T[]): Promise<Extract<T, Count>[]> {
    if (verdicts.length === 0) return []
    const rows = await this.#ledger.findAll(verdicts.map(({ digest }) => digest.sha256))
    const finished: Finished[] = []
    const free: Count[] = []
    for (const verdict of verdicts) {
      const row = rows.get(hexOf(verdict.digest.sha256))
      if (row?.state === 'applying') {
        await this.#setAside(verdict, row.batchId)
      } else if (row !== undefined) {
        finished.push({ verdict, ending: await this.#endingOf(verdict, row) })
      } else {
        if (this.#isHinted(verdict.digest.sha256)) {
          this.#log.warn('the journal calls a content counted that the ledger does not have', {
            ...loggedFile(verdict.entry, verdict.digest),
            code: 'NOT_IN_LEDGER',
          })
          this.#journal.unlearn(verdict.digest.sha256)
        }
        if (verdict.kind === 'count') free.push(verdict)
        else this.#readAgain(verdict.entry.sequence)
      }
    }
    await this.#end(finished)
    return free as Extract<T, Count>[]
  }

  /** It waits for the end of a batch. Sealed sums stay where they are, others are made again. */
  async #setAside(verdict: Count | Repeat, batchId: Buffer): Promise<void> {
    const { entry, digest } = verdict
    this.#undecided.add({ kind: 'duplicate', entry, digest }, batchId)
    await closeAll([verdict])
  }

  /** At as many as fit into one question, in turn. */
  async #lookAtUndecided(signal: AbortSignal): Promise<void> {
    await this.#decide(this.#undecided.take(this.#filesMax))
    for (const batchId of this.#undecided.batches()) {
      await this.#resumer.takeOverIfStalled(batchId, signal)
    }
  }

  async #endingOf(verdict: Count | Repeat, row: LedgerFile): Promise<Ending> {
    const { entry } = verdict
    if (this.#ledger.isThisWorkFile(row, entry.sequence)) {
      return { ...verdict, outcome: 'applied', ledgerSequence: row.sequence }
    }
    const change = this.#settler.changeSinceRead(verdict)
    if (change === undefined) return this.#refuser.duplicate(verdict, row)
    return this.#refuser.quarantine({
      ...verdict,
      ...{ kind: 'quarantine', ...changedAfterClaim(change) },
    })
  }

  async #end(finished: readonly Finished[]): Promise<void> {
    await this.#settler.settle(finished.map(({ ending }) => ending))
    await closeAll(finished.map(({ verdict }) => verdict))
    for (const { verdict } of finished) await this.#maker.discardRun(verdict.entry.runName)
  }
}

interface Finished {
  readonly verdict: Count | Repeat
  readonly ending: Ending
}

/** Files looked at, each in microseconds, before others on the event loop get a turn. */
const LOOKED_AT_ONCE_MAX = 16

/** Undecided files beyond so many full batches hold up everything. */
const UNDECIDED_BATCHES_MAX = 4

/** How often it is asked whether a batch has ended that files wait for. */
const LOOK_INTERVAL_MS = 500

function named({ entry: { name, expected }, digest: { sha256 } }: Count): Named {
  return { name, sha256, byHand: expected === undefined }
}

function hexOf(sha256: Uint8Array): string {
  return Buffer.from(sha256).toString('hex')
}

function remove(list: Count[], some: readonly Count[]): void {
  const gone = new Set(some)
  list.splice(0, list.length, ...list.filter(one => !gone.has(one)))
}
