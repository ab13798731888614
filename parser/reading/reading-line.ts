import { setImmediate } from 'node:timers/promises'
import type { QueueEntry } from '../facts.ts'
import type { Journal } from '../journal/index.ts'
import type { Reading } from './file-digester.ts'
import type { FileReader, FilesRead } from './file-reader.ts'

/** What one reader has in hand. */
interface Going {
  readonly reader: FileReader
  readonly files: Promise<FilesRead>
  state: 'going' | 'over' | 'failed'
}

/**
 * Files of one kind on their way through readers, in the order of their sequences: read side by
 * side, given out in turn. The queue is walked in slices, with the event loop free in between.
 */
export class ReadingLine {
  readonly #journal: Journal
  readonly #readers: readonly FileReader[]
  readonly #takes: (entry: QueueEntry) => boolean
  readonly #onOver: () => void
  /** In the order of the files. */
  readonly #going: Going[] = []
  /** What stands before this sequence is read, being read, or another line's. */
  #from = 0
  /** Sequences before it that are to be read once more. */
  readonly #again: number[] = []

  constructor(options: {
    journal: Journal
    readers: readonly FileReader[]
    /** Whether a file is of this line. */
    takes: (entry: QueueEntry) => boolean
    /** A reader has come to an end. */
    onOver: () => void
  }) {
    this.#journal = options.journal
    this.#readers = options.readers
    this.#takes = options.takes
    this.#onOver = options.onOver
  }

  /** Of the first of the files that are being read. */
  get reading(): Reading | undefined {
    return this.#going.map(({ reader }) => reader.reading).find(one => one !== undefined)
  }

  takes(entry: QueueEntry): boolean {
    return this.#takes(entry)
  }

  readAgain(sequence: number): void {
    this.#again.push(sequence)
  }

  /** Gives an idle reader what is next; false: there is no reader, or nothing to read. */
  async begin(signal: AbortSignal): Promise<boolean> {
    const reader = this.#readers.find(one => !this.#going.some(({ reader }) => reader === one))
    const entries = reader === undefined ? [] : await this.#nextFor(reader)
    if (reader === undefined || entries.length === 0 || signal.aborted) return false
    const files = reader.read(entries, signal)
    const going: Going = { reader, files, state: 'going' }
    this.#going.push(going)
    const endIn = (state: Going['state']) => (): void => {
      going.state = state
      this.#onOver()
    }
    files.then(endIn('over'), endIn('failed'))
    return true
  }

  /**
   * What is next in turn, if its reading is over.
   *
   * @throws what any reader failed of: that does not wait for its turn, it ends the process.
   */
  async takeOver(): Promise<FilesRead | undefined> {
    await this.#going.find(({ state }) => state === 'failed')?.files
    return this.#going[0]?.state === 'over' ? this.#going.shift()!.files : undefined
  }

  /** What is in hand when nobody wants it any more. */
  drain(): Promise<FilesRead>[] {
    return this.#going.splice(0).map(({ files }) => files)
  }

  async close(): Promise<void> {
    await Promise.all(this.#readers.map(reader => reader.close()))
  }

  /** What is best read next in one go; none if nothing waits. */
  async #nextFor(reader: FileReader): Promise<QueueEntry[]> {
    for (let again = this.#again.shift(); again !== undefined; again = this.#again.shift()) {
      const entry = this.#journal.queued(again)
      if (entry !== undefined && entry.stage !== 'settling') return [entry]
    }
    for (;;) {
      const slice = [...this.#journal.queuedFrom(this.#from, TOGETHER_FILES_MAX)]
      const mine = slice.filter(entry => entry.stage !== 'settling' && this.#takes(entry))
      const entries = mine.slice(0, mine.length === 0 ? 0 : reader.portionOf(mine))
      const last = entries.at(-1) ?? slice.at(-1)
      if (last === undefined) return []
      this.#from = last.sequence + 1
      if (entries.length > 0) return entries
      await setImmediate()
    }
  }
}

/** At most so many files are looked at, and read, in one go. */
const TOGETHER_FILES_MAX = 512
