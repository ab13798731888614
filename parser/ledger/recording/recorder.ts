import { type Sums, startPacking } from '../../sums/index.ts'
import type { BatchFile } from '../batch.ts'
import type { LedgerFile } from '../file-rows.ts'
import type { LedgerConnection } from '../ledger-connection.ts'
import { Turns } from '../turns.ts'
import { type Recorded, type RecordOptions, recordOne, recordTogether } from './record.ts'
import { recordBegun } from './record-begun.ts'

/**
 * Writes the sums of contents down in the ledger, for whoever counts. Each call goes on through lost
 * connections and restarts of the server until it has succeeded, is known to have succeeded before, or
 * fails for good.
 */
export class Recorder {
  readonly #connection: LedgerConnection
  /** Packs one content after the other. */
  readonly #kernel = startPacking()
  readonly #turns = new Turns()

  constructor(connection: LedgerConnection) {
    this.#connection = connection
  }

  /**
   * Each of these contents, none twice, as its own: small ones together.
   *
   * @param mayTakeOver whether a row that somebody else has left half recorded is to be taken over.
   * @throws the signal's reason; what is not recorded then stays with whoever reads it next.
   */
  record(
    files: readonly BatchFile[],
    mayTakeOver: (row: LedgerFile) => boolean,
  ): Promise<Recorded[]> {
    return this.#turns.take(() => this.#record(files, mayTakeOver))
  }

  /** The same of a file that is in a batch already. @returns whether all of its sums are there now */
  recordBegun(row: LedgerFile, sums: Sums): Promise<boolean> {
    return this.#turns.take(() =>
      this.#connection.files.write(s => recordBegun(s, row, sums, this.#options)),
    )
  }

  async #record(
    files: readonly BatchFile[],
    mayTakeOver: (row: LedgerFile) => boolean,
  ): Promise<Recorded[]> {
    const results: Recorded[] = []
    for (const some of this.#together(files)) {
      const pairs = some.reduce((sum, { sums }) => sum + sums.pairs, 0)
      const areAll =
        pairs <= this.#connection.config.chunkPairsMax &&
        some.every(isPlain) &&
        (await this.#connection.files.write(s => recordTogether(s, some, this.#options)))
      for (const file of some) {
        results.push(
          areAll
            ? { kind: 'staged' }
            : await this.#connection.files.write(s =>
                recordOne(s, file, mayTakeOver, this.#options),
              ),
        )
      }
    }
    return results
  }

  /** As many in a row as make one transaction. */
  *#together(files: readonly BatchFile[]): Generator<BatchFile[]> {
    const { chunkPairsMax } = this.#connection.config
    let some: BatchFile[] = []
    let pairs = 0
    for (const file of files) {
      const isFull = pairs + file.sums.pairs > chunkPairsMax
      if (some.length > 0 && (isFull || !isPlain(file) || !some.every(isPlain))) {
        yield some
        some = []
        pairs = 0
      }
      some.push(file)
      pairs += file.sums.pairs
    }
    if (some.length > 0) yield some
  }

  get #options(): RecordOptions {
    const { names, instance, config } = this.#connection
    return {
      ...{ names, instance, kernel: this.#kernel, chunkPairsMax: config.chunkPairsMax },
      between: () => this.#connection.files.between(),
    }
  }
}

/** It waits for nothing but to be counted. */
function isPlain({ terms, heldBecause }: BatchFile): boolean {
  return heldBecause === undefined && terms?.supersedes === undefined
}
