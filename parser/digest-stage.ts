import { availableParallelism } from 'node:os'
import { Bell, type Handoff } from '../shared/handoff.ts'
import { SUM_BYTES_MAX } from './digest/digest.ts'
import type { DiskWatch } from './disk-watch.ts'
import { closeAll, FileReader, type FileReaderOptions, type Reading } from './file-reader.ts'
import type { Journal } from './journal/journal.ts'
import type { QueueEntry } from './journal/records.ts'
import type { Verdict } from './verdict.ts'

/** What one reader has in hand. */
interface Going {
  readonly reader: FileReader
  readonly verdicts: Promise<Verdict[]>
  state: 'going' | 'over' | 'failed'
}

/**
 * The loop between claim and ledger: gives claimed files to readers in the order of their sequences,
 * as many files at a time as there are readers, and hands the verdicts on in the same order.
 *
 * A verdict that nobody takes yet holds up the readers behind it: what is read ahead is bounded by
 * their number and by the hand-over.
 */
export class DigestStage {
  readonly #journal: Journal
  readonly #disk: DiskWatch
  readonly #output: Handoff<Verdict>
  readonly #readers: readonly FileReader[]
  readonly #bell = new Bell()
  /** In the order of the files. */
  readonly #going: Going[] = []
  /** What stands before this sequence is read, or being read. */
  #from = 0
  /** Sequences before it that are to be read once more. */
  readonly #again: number[] = []

  constructor(
    options: Omit<FileReaderOptions, 'sumBytesMax'> & { readonly output: Handoff<Verdict> },
  ) {
    this.#journal = options.journal
    this.#disk = options.disk
    this.#output = options.output
    const readers = options.config.readers || readersFor(availableParallelism())
    const sumBytesMax = Math.floor(SUM_BYTES_MAX / readers)
    this.#readers = Array.from(
      { length: readers },
      () => new FileReader({ ...options, sumBytesMax }),
    )
  }

  /** Of the first of the files that are being read. */
  get reading(): Reading | undefined {
    return this.#going.map(({ reader }) => reader.reading).find(one => one !== undefined)
  }

  /** There are new entries in the journal. */
  wake(): void {
    this.#bell.ring()
  }

  /** What was found out of a file is not enough after all. */
  readAgain(sequence: number): void {
    this.#again.push(sequence)
    this.#bell.ring()
  }

  /** The loop; ends when the signal is raised, abandoning the files in hand. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted) {
        await this.#disk.room(signal)
        if (signal.aborted) break
        const reader = this.#idleReader()
        const entries = reader === undefined ? [] : this.#nextFor(reader)
        if (reader !== undefined && entries.length > 0) {
          this.#begin(reader, entries, signal)
        } else if (this.#going[0]?.state === 'over') {
          await this.#handOn(await this.#going.shift()!.verdicts, signal)
        } else {
          // A failure does not wait for its turn: it ends the process.
          await this.#going.find(({ state }) => state === 'failed')?.verdicts
          await this.#bell.wait(signal)
        }
      }
    } catch (error) {
      if (!signal.aborted || error !== signal.reason) throw error
    }
    for (const { verdicts } of this.#going.splice(0)) {
      await closeAll(
        await verdicts.catch(error => {
          if (error !== signal.reason) throw error
          return []
        }),
      )
    }
  }

  /** Ends all threads. */
  async close(): Promise<void> {
    await Promise.all(this.#readers.map(reader => reader.close()))
  }

  #idleReader(): FileReader | undefined {
    return this.#readers.find(one => !this.#going.some(({ reader }) => reader === one))
  }

  /** What is best read next in one go; none if nothing waits. */
  #nextFor(reader: FileReader): QueueEntry[] {
    for (;;) {
      const again = this.#again.shift()
      if (again !== undefined) {
        const entry = this.#journal.queued(again)
        if (entry !== undefined) return [entry]
        continue
      }
      const waiting = [...this.#journal.queuedFrom(this.#from, TOGETHER_FILES_MAX)]
      const first = waiting.findIndex(({ stage }) => stage !== 'settling')
      if (first !== -1) {
        const entries = waiting.slice(first)
        return entries.slice(0, reader.portionOf(entries))
      }
      if (waiting.length === 0) return []
      // Of these nothing is to be read any more.
      this.#from = waiting.at(-1)!.sequence + 1
    }
  }

  #begin(reader: FileReader, entries: readonly QueueEntry[], signal: AbortSignal): void {
    this.#from = Math.max(this.#from, entries.at(-1)!.sequence + 1)
    const verdicts = reader.read(entries, signal)
    const going: Going = { reader, verdicts, state: 'going' }
    this.#going.push(going)
    const endIn = (state: Going['state']) => (): void => {
      going.state = state
      this.#bell.ring()
    }
    verdicts.then(endIn('over'), endIn('failed'))
  }

  async #handOn(verdicts: readonly Verdict[], signal: AbortSignal): Promise<void> {
    for (const verdict of verdicts) {
      if (!(await this.#output.put(verdict, signal))) await closeAll([verdict])
    }
  }
}

/**
 * How many files are read side by side where nothing is configured. One file keeps up to three
 * processors busy; the hash, which one thread makes from the first byte to the last, is what several
 * files gain from.
 */
export function readersFor(processors: number): number {
  return Math.min(Math.max(Math.floor(processors / 3), 1), 4)
}

/** At most so many files are looked at, and read, in one go. */
const TOGETHER_FILES_MAX = 512
