/**
 * The journal's environment, written to by its one living owner. What a commit promises:
 *
 * - It is durable when the call returns: `transactionSync` with `overlappingSync: false`. (lmdb-js
 *   3.5.6 with its default can report success for a commit whose last write failed, and after a
 *   failed one its asynchronous calls never settle; this combination throws.)
 * - It belongs to the living owner: opening raises an epoch, every commit checks it. A process that
 *   was replaced, or whose environment was deleted under it, ends (OWNERSHIP_LOST, JOURNAL_FAILED).
 * - Any other failure is JOURNAL_FAILED and ends the process: LMDB must not be used after one.
 */

import { statSync } from 'node:fs'
import { join } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import { CountersinkError } from '../../shared/errors.ts'
import { isJournalThere } from './damage.ts'
import { orJournalFailed } from './failure.ts'
import { newState } from './journal-state.ts'
import { allotLockFile } from './lock-file.ts'
import { afterEvent } from './queue-entry-states.ts'
import { decodeState, encodeState, type JournalState } from './records.ts'
import { numberKey } from './sealed-record.ts'
import { openTables, STATE_KEY, type Tables } from './tables.ts'
import { JournalView } from './views.ts'

/** LMDB at this directory, made when there is none. @throws CountersinkError JOURNAL_UNREADABLE */
export function openEnvironment(path: string): RootDatabase {
  isJournalThere(path)
  allotLockFile(path)
  return open({
    path,
    overlappingSync: false,
    maxDbs: 4,
    mapSize: 64 * 2 ** 20,
    encoding: 'binary',
    keyEncoding: 'binary',
    cache: false,
  })
}

export class OwnedJournal extends JournalView {
  readonly #root: RootDatabase
  readonly #dataPath: string
  readonly #inode: bigint
  readonly #recordedSequence: number
  #state: JournalState
  #firstUncommittedSequence: number
  /** Entries whose file has left work/: deleted with the next commit, which comes anyway. */
  #moved: number[] = []
  /** Whether there was nothing at this path, so that the index must be made from the ledger. */
  readonly isNew: boolean

  protected constructor(root: RootDatabase, path: string, nowMs: number) {
    const tables = openTables(root)
    super(tables)
    this.#root = root
    this.#dataPath = join(path, 'data.mdb')
    this.#inode = statSync(this.#dataPath, { bigint: true }).ino
    const record = tables.state.get(STATE_KEY)
    this.isNew = record === undefined
    const before = record === undefined ? newState() : decodeState(record)
    this.#recordedSequence = before.nextSequence
    this.#state = {
      ...before,
      epoch: before.epoch + 1,
      nextSequence: Math.max(before.nextSequence, nowMs),
    }
    orJournalFailed('start', () => {
      root.transactionSync(() => tables.state.putSync(STATE_KEY, encodeState(this.#state)))
    })
    this.#firstUncommittedSequence = this.isNew ? this.#state.nextSequence : before.nextSequence
  }

  get state(): JournalState {
    return this.#state
  }

  /**
   * The sequence for the next claim. Used up once a claim with it is committed or its file stands
   * in work/; see `skipSequences`.
   */
  get nextSequence(): number {
    return this.#state.nextSequence
  }

  /**
   * Files claimed under this sequence or a later one, before this start, are unknown here: if the
   * ledger has any, this journal is older than the ledger (restored from a backup).
   */
  get recordedSequence(): number {
    return this.#recordedSequence
  }

  /** Sequences from here on are in no commit; those below were given out in one. */
  get firstUncommittedSequence(): number {
    return this.#firstUncommittedSequence
  }

  /** Makes sure that sequences found in work/ are not given out again. In memory until a commit. */
  skipSequences(highest: number): void {
    const nextSequence = Math.max(this.#state.nextSequence, highest + 1)
    this.#state = { ...this.#state, nextSequence }
  }

  /**
   * To be called before files are moved: a parser that was replaced must not touch them. Costs no
   * commit; what happens right after it is caught by the commit that follows.
   *
   * @throws CountersinkError OWNERSHIP_LOST
   */
  assertOwner(): void {
    const record = this.tables.state.get(STATE_KEY)
    const epoch = record === undefined ? 0 : decodeState(record).epoch
    if (epoch === this.#state.epoch) return
    throw new CountersinkError(
      'OWNERSHIP_LOST',
      `another parser has taken over this state directory (epoch ${epoch}, mine is ${this.#state.epoch})`,
      { advice: 'Nothing was lost or counted twice. Run one parser per state directory.' },
    )
  }

  /** P8 is done: forgets the entry, durably with the next commit (a second move is harmless). */
  moved(sequence: number): void {
    this.#moved.push(sequence)
  }

  /** Makes the last moves durable and closes. */
  async close(): Promise<void> {
    if (this.#moved.length > 0) this.commit('close', (_tables, state) => state)
    await this.#root.close()
  }

  #forget(tables: Tables, sequence: number): void {
    afterEvent(sequence, this.progressOf(sequence), 'move')
    tables.queue.removeSync(numberKey(sequence))
  }

  /** All of the change, durably, or an error that ends the process; with it go the moves since the last one. */
  protected commit(
    what: string,
    change: (tables: Tables, state: JournalState) => JournalState,
  ): void {
    const moved = this.#moved
    orJournalFailed(what, () => {
      let next = this.#state
      this.#root.transactionSync(() => {
        this.assertOwner()
        for (const sequence of moved) this.#forget(this.tables, sequence)
        next = change(this.tables, this.#state)
        this.tables.state.putSync(STATE_KEY, encodeState(next))
      })
      this.#state = next
      this.#firstUncommittedSequence = next.nextSequence
      this.#moved = []
      this.#checkStillThere()
    })
  }

  /** A deleted environment goes on working for who has it open; nothing in it would be found again. */
  #checkStillThere(): void {
    const there = statSync(this.#dataPath, { bigint: true, throwIfNoEntry: false })
    if (there?.ino !== this.#inode) {
      throw new CountersinkError('JOURNAL_FAILED', `${this.#dataPath} was removed or replaced`)
    }
  }
}
