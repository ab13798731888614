import type { QueueEntry } from './journal/records.ts'

/**
 * What is claimed and not yet settled, as far as it must be known without asking the journal: how
 * much it is, and which names are on their way. Bounded by `queueFilesMax`.
 */
export class Backlog {
  readonly #entries = new Map<number, { name: string; sizeBytes: number }>()
  readonly #newestByName = new Map<string, { sequence: number; sha256: string | undefined }>()
  #bytes = 0

  get files(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#bytes
  }

  add(entry: QueueEntry): void {
    const { sequence, name, sizeBytes } = entry
    if (this.#entries.has(sequence)) return
    this.#entries.set(sequence, { name, sizeBytes })
    this.#newestByName.set(name, { sequence, sha256: entry.expected?.sha256 })
    this.#bytes += sizeBytes
  }

  remove(sequence: number): void {
    const entry = this.#entries.get(sequence)
    if (entry === undefined) return
    this.#entries.delete(sequence)
    this.#bytes -= entry.sizeBytes
    if (this.#newestByName.get(entry.name)?.sequence === sequence) {
      this.#newestByName.delete(entry.name)
    }
  }

  /** The file of this name that is on its way, unless it is known to be of another content. */
  find(name: string, sha256: string): number | undefined {
    const newest = this.#newestByName.get(name)
    if (newest === undefined) return undefined
    return newest.sha256 === undefined || newest.sha256 === sha256 ? newest.sequence : undefined
  }
}
