import type { AckOutcome, Announce, ProcessedFile } from '../../shared/protocol.ts'
import type { Journal } from '../journal/index.ts'
import type { QueueTally } from './queue-tally.ts'

/** What an announcer is told, and what else is known. */
export interface AnnounceResult {
  readonly outcome: AckOutcome
  readonly reason?: string
  /** The claimed file: the announcer hears when it is settled. */
  readonly sequence?: number
  /** It was settled before: the announcer hears at once. */
  readonly settled?: ProcessedFile
}

/**
 * What an announcer is told of a file that has left the inbox already: claimed by an earlier
 * announcement or by a look, or settled long ago.
 */
export class EarlierAcks {
  readonly #queue: QueueTally
  readonly #journal: Journal

  constructor({ queue, journal }: { queue: QueueTally; journal: Journal }) {
    this.#queue = queue
    this.#journal = journal
  }

  hint(sha256: string): 'known' | 'accepted' {
    const applied = this.#journal.content(Buffer.from(sha256, 'hex'))?.applied ?? 0
    return applied > 0 ? 'known' : 'accepted'
  }

  onItsWay({ name, sha256 }: Announce): AnnounceResult | undefined {
    const sequence = this.#queue.find(name, sha256)
    if (sequence === undefined) return undefined
    this.#queue.announced(sequence, Date.now())
    return { outcome: this.hint(sha256), sequence }
  }

  settled({ name, sha256 }: Announce): AnnounceResult | undefined {
    const content = this.#journal.content(Buffer.from(sha256, 'hex'))
    const last = this.#journal.processed(content?.last ?? 0)
    const settled =
      last?.name === name ? last : (this.#journal.processed(content?.applied ?? 0) ?? last)
    return settled === undefined ? undefined : { outcome: 'known', settled }
  }
}
