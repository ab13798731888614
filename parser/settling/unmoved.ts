import { Bell } from '../../shared/handoff.ts'
import type { Log } from '../../shared/log.ts'
import type { UnmovedFiles } from '../../shared/protocol.ts'
import { loggedFile, type QueueEntry } from '../facts.ts'

/**
 * Settled files that cannot leave work/ (immutable, a name that the filesystem does not take). Their
 * outcome is in the journal and stands; they are tried again now and then, and at each start. Each is
 * told of. Beyond a number of them the others are only counted, and found again in the journal when
 * there is room among the first.
 */
export class Unmoved {
  readonly #log: Log
  readonly #files = new Map<number, { readonly entry: QueueEntry; readonly why: string }>()
  #others = 0

  constructor(log: Log) {
    this.#log = log
  }

  /** For `status`; undefined: none. */
  get report(): UnmovedFiles | undefined {
    const files = this.#files.size + this.#others
    if (files === 0) return undefined
    const first = [...this.#files.values()].slice(0, SHOWN_MAX)
    return { files, first: first.map(({ entry: { name }, why }) => ({ name, why })) }
  }

  /** @returns whether it is tried again. */
  add(entry: QueueEntry, why: string): boolean {
    const isKnown = this.#files.has(entry.sequence)
    if (!isKnown) {
      const file = loggedFile(entry, entry.digest)
      this.#log.warn('settled, but left in work/', { ...file, code: 'LEFT_IN_WORK', because: why })
    }
    if (isKnown || this.#files.size < FILES_MAX) {
      this.#files.set(entry.sequence, { entry, why })
      return true
    }
    this.#others += 1
    return false
  }

  remove(sequence: number): void {
    this.#files.delete(sequence)
  }

  /** The loop; ends when the signal is raised. */
  async run(signal: AbortSignal, ...again: Parameters<Unmoved['tryAgain']>): Promise<void> {
    const untilStopped = new Bell()
    while (!signal.aborted) {
      await untilStopped.wait(signal, RETRY_INTERVAL_MS)
      if (!signal.aborted) await this.tryAgain(...again)
    }
  }

  /** @param queue all that the journal has, in slices. */
  async tryAgain(
    move: (entries: readonly QueueEntry[]) => Promise<void>,
    queue: () => AsyncIterable<readonly QueueEntry[]>,
  ): Promise<void> {
    await move([...this.#files.values()].map(({ entry }) => entry))
    if (this.#others === 0 || this.#files.size === FILES_MAX) return
    this.#others = 0
    for await (const slice of queue()) {
      await move(slice.filter(one => one.stage === 'settling' && !this.#files.has(one.sequence)))
    }
  }
}

const FILES_MAX = 1_000
/** Names in `status`. */
const SHOWN_MAX = 10
const RETRY_INTERVAL_MS = 5_000
