import { formatCount } from '../../shared/numbers.ts'
import type { LedgerFile } from '../ledger/index.ts'
import type { Verdict } from '../reading/index.ts'

/** Of a content that has a row in the ledger: what becomes of that decides. */
export type Repeat = Extract<Verdict, { kind: 'duplicate' }> & {
  /** It has waited for what becomes of the row of another file. */
  readonly hasWaited?: boolean
}

/**
 * Files whose content has a row in the ledger that is not final: recorded and not counted yet, by us or
 * by somebody else. They wait here, with nothing but their hashes, until that is decided; what is to be
 * recorded after all is read again. They are in the journal as well: a stop or a crash forgets only that
 * they wait.
 *
 * A row that somebody has claimed and records no further is stalled, by this process's clock.
 */
export class UndecidedFiles {
  readonly #filesMax: number
  readonly #files: Repeat[] = []
  readonly #staging = new Map<bigint, Progress>()

  /** @param filesMax beyond so many nothing more should be taken. */
  constructor(filesMax: number) {
    this.#filesMax = filesMax
  }

  get isEmpty(): boolean {
    return this.#files.length === 0
  }

  get isFull(): boolean {
    return this.#files.length >= this.#filesMax
  }

  /** What they wait for; undefined: there are none. */
  get reason(): string | undefined {
    if (this.isEmpty) return undefined
    return `${formatCount(this.#files.length)} wait until whoever counts has counted their content`
  }

  add(verdict: Repeat): void {
    this.#files.push(verdict)
  }

  /** The first of them, which are then whoever's who takes them. */
  take(filesMax: number): Repeat[] {
    if (this.#files.length === 0) this.#staging.clear()
    return this.#files.splice(0, filesMax)
  }

  /** Whether somebody has claimed this content, and has recorded no more of it for so long. */
  isStalled({ sequence, attempt, recordedTo }: LedgerFile, forMs: number): boolean {
    const seen = this.#staging.get(sequence)
    if (seen?.attempt === attempt && seen.recordedTo === recordedTo) {
      return performance.now() - seen.sinceMs >= forMs
    }
    this.#staging.set(sequence, { attempt, recordedTo, sinceMs: performance.now() })
    return false
  }

  /** Its recording has come to its end: where files always wait, what is known of each would pile up. */
  forget({ sequence }: LedgerFile): void {
    this.#staging.delete(sequence)
  }
}

interface Progress {
  readonly attempt: number
  readonly recordedTo: bigint | null
  readonly sinceMs: number
}
