import { formatCount } from '../../shared/numbers.ts'
import type { Verdict } from '../reading/index.ts'

/** Of a content that seems to be counted, or to be in a batch: the ledger decides. */
export type Repeat = Extract<Verdict, { kind: 'duplicate' }>

/**
 * Files whose content is in a batch that is not in hand: somebody else's, or one that is blocked. They
 * wait here, with nothing but their hashes, until that is decided; what is to be counted after all is
 * read again. They are in the journal as well: a stop or a crash forgets only that they wait.
 */
export class UndecidedFiles {
  readonly #filesMax: number
  readonly #files: { readonly verdict: Repeat; readonly batchId: Buffer }[] = []

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
    return `${formatCount(this.#files.length)} wait until a batch is finished that has the same content`
  }

  add(verdict: Repeat, batchId: Buffer): void {
    this.#files.push({ verdict, batchId })
  }

  /** The first of them, which are then whoever's who takes them. */
  take(filesMax: number): Repeat[] {
    return this.#files.splice(0, filesMax).map(({ verdict }) => verdict)
  }

  /** Each batch once that files wait for. */
  batches(): Buffer[] {
    const byId = new Map(this.#files.map(({ batchId }) => [batchId.toString('hex'), batchId]))
    return [...byId.values()]
  }
}
