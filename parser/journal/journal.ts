/**
 * The parser's durable memory: what becomes of the queue, the index of contents, and what was
 * processed, at each step of a file. How that is committed, and by whom, is in `owned-journal.ts`.
 *
 * It is progress, queue and index, never the proof: MariaDB's ledger decides what has been counted,
 * and a deleted journal is rebuilt from it.
 */

import assert from 'node:assert/strict'
import type { Counts, Outcome, ProcessedFile } from '../../shared/protocol.ts'
import type { Checkpoint, CheckpointTally, DigestFacts, QueueEntry } from '../facts.ts'
import {
  claimContent,
  contentOf,
  letContentGo,
  recordContent,
  unlearnContent,
} from './content-index.ts'
import { orJournalFailed } from './failure.ts'
import { countIn, countOut } from './journal-state.ts'
import { OwnedJournal, openEnvironment } from './owned-journal.ts'
import { afterEvent, type EntryEvent } from './queue-entry-states.ts'
import { type EntryProgress, encodeQueueEntry } from './queue-records.ts'
import { encodeProcessed } from './records.ts'
import { numberKey } from './sealed-record.ts'
import { processedFile, type Settlement } from './settlement.ts'
import type { Tables } from './tables.ts'

export class Journal extends OwnedJournal {
  readonly #sinceStart = {
    ...{ applied: 0, duplicate: 0, quarantined: 0, reverted: 0, held: 0 },
    ...{ bytes: 0, lines: 0, rejectedLines: 0 },
  }

  /**
   * Opens the journal at this directory, creating it when there is none. The caller has its lock (see
   * `ownJournal`); an earlier owner that lives in spite of it ends at its next commit.
   *
   * @throws CountersinkError JOURNAL_FAILED, JOURNAL_UNREADABLE
   */
  static open(path: string, nowMs = Date.now()): Journal {
    return orJournalFailed('open', () => new Journal(openEnvironment(path), path, nowMs))
  }

  get sinceStart(): Counts {
    return this.#sinceStart
  }

  get ever(): Counts {
    const { applied, duplicate, quarantined, reverted, held, bytes, lines, rejectedLines } =
      this.state
    return { applied, duplicate, quarantined, reverted, held, bytes, lines, rejectedLines }
  }

  /** P1: the files stand in work/ under their sequences. */
  claim(entries: readonly QueueEntry[]): void {
    this.commit('claim', (tables, state) => {
      let { nextSequence } = state
      for (const entry of entries) {
        this.#bring(tables, entry, 'claim')
        nextSequence = Math.max(nextSequence, entry.sequence + 1)
      }
      return { ...state, nextSequence }
    })
  }

  /** P2: the runs up to here are durable. Of an entry that is settled by now it is nothing. */
  checkpoint(sequence: number, checkpoint: Checkpoint): void {
    this.commit('checkpoint', (tables, state) => {
      const entry = this.queued(sequence)
      if (entry === undefined) return state
      const isRead = entry.stage === 'claimed'
      const checkpoints = {
        count: (entry.checkpoints?.count ?? 0) + 1,
        ...{ lastAtMs: Date.now(), lastPositionBytes: checkpoint.positionBytes },
      }
      this.#bring(tables, isRead ? { ...entry, checkpoint } : entry, 'checkpoint', checkpoints)
      return state
    })
  }

  /**
   * P3: the contents of these entries are known, good and new, all in one commit. An entry claims
   * its content unless another has.
   */
  digested(
    files: readonly { entry: QueueEntry; digest: DigestFacts; runName: string | undefined }[],
  ): QueueEntry[] {
    const entries = files.map(
      ({ entry, digest, runName }): QueueEntry => ({
        ...entry,
        ...{ stage: 'digested', digest, runName },
        checkpoint: undefined,
      }),
    )
    this.commit('digest', (tables, state) => {
      for (const [i, entry] of entries.entries()) {
        this.#bring(tables, entry, 'digest')
        claimContent(tables, files[i]!.digest.sha256, entry.sequence)
      }
      return state
    })
    return entries
  }

  /**
   * The sealed sums of a digested file cannot be used: it is read again. What was found before is
   * kept, to be compared.
   */
  undigest(entry: QueueEntry): QueueEntry {
    const claimed: QueueEntry = { ...entry, ...{ stage: 'claimed', runName: undefined } }
    this.commit('undigest', (tables, state) => {
      this.#bring(tables, claimed, 'undigest')
      return state
    })
    return claimed
  }

  /**
   * P7: the outcomes are final. Records and indexes them in one commit, and leaves the entries
   * `settling` until their files have left work/ (`moved`).
   */
  settle(settlements: readonly Settlement[]): ProcessedFile[] {
    const files: ProcessedFile[] = []
    this.commit('settlement', (tables, state) => {
      let next = state
      for (const settlement of settlements) {
        const { entry, outcome, facts } = settlement
        if (outcome === 'quarantined') this.#letGo(tables, entry.sequence, facts.sha256)
        const { settledAtMs } = facts
        const settled = {
          ...{ ...entry, outcome, settledAtMs },
          ...{ checkpoint: undefined, runName: undefined },
        }
        const { checkpoints } = this.#bring(tables, settled, 'settle')
        const file = processedFile(settlement, next.nextNumber, checkpoints)
        files.push(file)
        this.#record(tables, file, entry.sequence)
        next = { ...countIn(next, file), nextNumber: file.number + 1 }
      }
      return next
    })
    for (const file of files) {
      this.#sinceStart[file.outcome] += 1
      if (file.outcome !== 'applied') continue
      this.#sinceStart.bytes += file.sizeBytes
      this.#sinceStart.lines += file.lines
      this.#sinceStart.rejectedLines += file.rejectedLines ?? 0
    }
    return files
  }

  /** First contact with a ledger: from now on only this one will do. */
  bindLedger(ledgerUuid: string): void {
    this.commit('ledger', (_tables, state) => ({ ...state, ledgerUuid }))
  }

  /**
   * Files that the ledger has counted and this journal does not know, into history and index.
   *
   * @param rebuiltTo how far the ledger has been gone through for a new journal, if it has.
   */
  learn(files: readonly Omit<ProcessedFile, 'number'>[], rebuiltTo?: bigint): void {
    this.commit('rebuild', (tables, state) => {
      let next = state
      for (const facts of files) {
        const file: ProcessedFile = { ...facts, number: next.nextNumber }
        this.#record(tables, file, 0)
        next = { ...countIn(next, file), nextNumber: file.number + 1 }
      }
      return { ...next, rebuiltTo: rebuiltTo ?? state.rebuiltTo }
    })
  }

  /** The file that has brought this content stands elsewhere in the ledger than when it was settled. */
  recast(sha256: Uint8Array, outcome: Outcome, reason: string | undefined): void {
    this.commit('outcome', (tables, state) => {
      const number = contentOf(tables, sha256)?.applied ?? 0
      const was = number === 0 ? undefined : this.processed(number)
      if (was === undefined || was.outcome === outcome) return state
      const { reason: _before, ...facts } = was
      const file = { ...facts, outcome, ...(reason === undefined ? {} : { reason }) }
      tables.processed.putSync(numberKey(number), encodeProcessed(file))
      return countIn(countOut(state, was), file)
    })
  }

  /** The ledger does not have this content, whatever the index says: it can be claimed again. */
  unlearn(sha256: Uint8Array): void {
    this.commit('index', (tables, state) => {
      unlearnContent(tables, sha256)
      return state
    })
  }

  /** A file that is not what it was found to be before claims that content no longer. */
  #letGo(tables: Tables, sequence: number, sha256: string): void {
    const known = this.queued(sequence)?.digest?.sha256
    if (known === undefined || Buffer.from(known).toString('hex') === sha256) return
    letContentGo(tables, known, sequence)
  }

  #record(tables: Tables, file: ProcessedFile, sequence: number): void {
    tables.processed.putSync(numberKey(file.number), encodeProcessed(file))
    const sha256 = Buffer.from(file.sha256, 'hex')
    // Also one that was taken back before it was settled, or is held: it is the file that has brought the content.
    const isItself = /^(reverted|held)$/.test(file.outcome) && file.ledgerSequence !== undefined
    const isApplied = file.outcome === 'applied' || isItself
    recordContent(tables, sha256, { number: file.number, isApplied, sequence })
  }

  /** Writes the entry, in the stage to which the event leads from where the journal has it. */
  #bring(
    tables: Tables,
    entry: QueueEntry,
    event: EntryEvent,
    newTally?: CheckpointTally,
  ): EntryProgress {
    const known = this.progressOf(entry.sequence)
    const stage = afterEvent(entry.sequence, known, event)
    assert(stage !== 'absent', `"${event}" leaves no entry`)
    // Who has an entry in hand need not know of the checkpoints that were made meanwhile.
    const checkpoints = newTally ?? known?.checkpoints
    const progress = { stage, checkpoints }
    tables.queue.putSync(numberKey(entry.sequence), encodeQueueEntry(entry, progress))
    return progress
  }
}
