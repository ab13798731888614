/**
 * The loop between claim and ledger: gives claimed files to readers, and hands the verdicts on.
 *
 * Large files and small ones go in two lines, each in the order of its sequences, so that nobody
 * waits behind a large file, however long it takes, who is done with in a moment. Equal contents are
 * equal in size, so they are in one line: the one claimed first is the one that is counted.
 *
 * A file for whose sums there is no room steps back, and is tried again after growing pauses; its
 * neighbours go on.
 *
 * A verdict that nobody takes yet holds up the readers behind it: what is read ahead is bounded by
 * their number and by the hand-over.
 */

import { availableParallelism } from 'node:os'
import { Bell, type Handoff } from '../../shared/handoff.ts'
import type { Log } from '../../shared/log.ts'
import { SUM_BYTES_MAX } from '../digest/index.ts'
import type { DiskWatch } from '../disk-watch.ts'
import { loggedFile, type QueueEntry } from '../facts.ts'
import type { Journal } from '../journal/index.ts'
import type { OwnDirectories } from '../own-directories.ts'
import type { Reading } from './file-digester.ts'
import { FileReader, type FileReaderOptions } from './file-reader.ts'
import { ReadingLine } from './reading-line.ts'
import { StepBack } from './step-back.ts'
import { closeAll, type Verdict } from './verdict.ts'

export class ReadingStage {
  readonly #journal: Journal
  readonly #disk: DiskWatch
  readonly #directories: OwnDirectories
  readonly #output: Handoff<Verdict>
  readonly #log: Log
  readonly #lines: readonly ReadingLine[]
  /** Sequences; no more than are queued. */
  readonly #decidedByRow = new Set<number>()
  readonly #steppedBack = new StepBack()
  readonly #bell = new Bell()

  constructor(
    options: Omit<FileReaderOptions, 'sumBytesMax' | 'isDecidedByRow'> & {
      readonly output: Handoff<Verdict>
    },
  ) {
    const { journal, config } = options
    this.#journal = journal
    this.#disk = options.disk
    this.#directories = options.directories
    this.#output = options.output
    this.#log = options.log
    const count = config.readers || readersFor(availableParallelism())
    const isDecidedByRow = ({ sequence }: QueueEntry): boolean => this.#decidedByRow.has(sequence)
    const line = (takes: (entry: QueueEntry) => boolean, sumBytesMax: number): ReadingLine =>
      new ReadingLine({
        ...{ journal, takes },
        readers: Array.from(
          { length: count },
          () => new FileReader({ ...options, isDecidedByRow, sumBytesMax }),
        ),
        onOver: () => this.#bell.ring(),
      })
    const isLarge = ({ sizeBytes }: QueueEntry): boolean => sizeBytes > SHORT_FILE_BYTES_MAX
    this.#lines = [
      line(isLarge, Math.floor(SUM_BYTES_MAX / count)),
      line(entry => !isLarge(entry), Math.floor(SHORT_SUM_BYTES_MAX / count)),
    ]
  }

  /** Of the first of the files that are being read, large ones before small ones. */
  get reading(): Reading | undefined {
    return this.#lines.map(({ reading }) => reading).find(one => one !== undefined)
  }

  /** Why files wait that others pass, for `status`. */
  get reason(): string | undefined {
    return this.#steppedBack.reason
  }

  /** There are new entries in the journal. */
  wake(): void {
    this.#bell.ring()
  }

  /** The ledger has a row of this digested content: the file is handed on without being read. */
  decidedByRow(sequence: number): void {
    this.#decidedByRow.add(sequence)
  }

  /** What was found out of a file is not enough after all. */
  readAgain(sequence: number): void {
    this.#decidedByRow.delete(sequence)
    const entry = this.#journal.queued(sequence)
    if (entry === undefined) return
    this.#lines.find(line => line.takes(entry))?.readAgain(sequence)
    this.#bell.ring()
  }

  /** There is no room to read this file: it is read again later. */
  #stepBack(entry: QueueEntry, reason: string): void {
    const isNew = this.#steppedBack.add(entry, reason)
    if (isNew) {
      const file = loggedFile(entry, entry.digest)
      this.#log.warn('a file waits for room', { ...file, because: reason })
    }
    this.#bell.ring()
  }

  /** It came to its end. */
  settled(sequence: number): void {
    this.#decidedByRow.delete(sequence)
    this.#steppedBack.forget(sequence)
  }

  /** The loop; ends when the signal is raised, abandoning the files in hand. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted) {
        await this.#disk.room(signal)
        if (this.#directories.reason !== undefined) await this.#directories.ready(signal)
        if (signal.aborted) break
        const due = this.#steppedBack.takeDue()
        if (due !== undefined) this.readAgain(due)
        let hasMoved = false
        for (const line of this.#lines) {
          if (await line.begin(signal)) hasMoved = true
          if (await this.#handOn(line, signal)) hasMoved = true
        }
        if (!hasMoved) await this.#bell.wait(signal, this.#steppedBack.dueInMs)
      }
    } catch (error) {
      if (!signal.aborted || error !== signal.reason) throw error
    }
    for (const files of this.#lines.flatMap(line => line.drain())) {
      const { verdicts } = await files.catch(error => {
        if (error !== signal.reason) throw error
        return { verdicts: [] }
      })
      await closeAll(verdicts)
    }
  }

  /** Ends all threads. */
  async close(): Promise<void> {
    await Promise.all(this.#lines.map(line => line.close()))
  }

  async #handOn(line: ReadingLine, signal: AbortSignal): Promise<boolean> {
    const files = await line.takeOver()
    if (files === undefined) return false
    for (const verdict of files.verdicts) {
      if (!(await this.#output.put(verdict, signal))) await closeAll([verdict])
    }
    const [first, ...others] = files.left?.entries ?? []
    if (files.left !== undefined && first !== undefined) this.#stepBack(first, files.left.reason)
    for (const { sequence } of others) this.readAgain(sequence)
    return true
  }
}

/**
 * How many files are read side by side where nothing is configured, in each line. One file keeps up to
 * three processors busy; the hash, which one thread makes from the first byte to the last, is what
 * several files gain from.
 */
export function readersFor(processors: number): number {
  return Math.min(Math.max(Math.floor(processors / 3), 1), 4)
}

/** Read in a few milliseconds. */
const SHORT_FILE_BYTES_MAX = 2 ** 20
/** Room for the sums of any file as short as that. */
const SHORT_SUM_BYTES_MAX = 16 * 2 ** 20
