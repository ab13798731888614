import type { QueueEntry } from '../facts.ts'

/**
 * What is claimed and not yet settled, as far as it must be known without asking the journal: how
 * much it is, and which names and announced contents are on their way. Bounded by `queueFilesMax`.
 */
export class QueueTally {
  readonly #entries = new Map<number, Known>()
  readonly #newestByName = new Map<string, { sequence: number; sha256: string | undefined }>()
  /** By the first digits of the announced hash, which every question about a content has. */
  readonly #byHashStart = new Map<string, Set<number>>()
  #bytes = 0

  get files(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Entries are put here in the order of their claims. */
  get oldestClaimedAtMs(): number | undefined {
    const [oldest] = this.#entries.values()
    return oldest?.claimedAtMs
  }

  add(entry: QueueEntry): void {
    const { sequence, name, sizeBytes, claimedAtMs } = entry
    if (this.#entries.has(sequence)) return
    const sha256 = entry.expected?.sha256
    this.#entries.set(sequence, { name, sizeBytes, sha256, claimedAtMs })
    this.#newestByName.set(name, { sequence, sha256 })
    if (sha256 !== undefined) {
      const start = hashStart(sha256)
      const same = this.#byHashStart.get(start) ?? new Set()
      this.#byHashStart.set(start, same.add(sequence))
    }
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
    if (entry.sha256 === undefined) return
    const start = hashStart(entry.sha256)
    const same = this.#byHashStart.get(start)
    same?.delete(sequence)
    if (same?.size === 0) this.#byHashStart.delete(start)
  }

  /** Announced contents on their way whose hash begins so, two at the most. */
  contentsWith(prefix: string): Set<string> {
    const found = new Set<string>()
    for (const sequence of this.#byHashStart.get(hashStart(prefix)) ?? []) {
      const sha256 = this.#entries.get(sequence)?.sha256
      if (sha256?.startsWith(prefix)) found.add(sha256)
      if (found.size === 2) break
    }
    return found
  }

  /** A file that a look had found first is announced now. */
  announced(sequence: number, atMs: number): void {
    const entry = this.#entries.get(sequence)
    if (entry !== undefined) entry.announcedAtMs ??= atMs
  }

  /** When that was; since this start. */
  announcedAtMs(sequence: number): number | undefined {
    return this.#entries.get(sequence)?.announcedAtMs
  }

  /** The file of this name that is on its way, unless it is known to be of another content. */
  find(name: string, sha256: string): number | undefined {
    const newest = this.#newestByName.get(name)
    if (newest === undefined) return undefined
    return newest.sha256 === undefined || newest.sha256 === sha256 ? newest.sequence : undefined
  }
}

interface Known {
  readonly name: string
  readonly sizeBytes: number
  readonly sha256: string | undefined
  readonly claimedAtMs: number
  announcedAtMs?: number
}

function hashStart(sha256: string): string {
  return sha256.slice(0, 8)
}
