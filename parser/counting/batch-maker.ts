/**
 * Makes batches: merges the sums of files, and keeps what a batch needs until it is applied.
 *
 * A batch of one chunk is applied in one transaction, so its sums may be in memory. A larger one is
 * sealed in a run file before it begins (P4): after a crash it is finished from there. The run
 * carries the batch's id in its name and in itself. A crash before P4 leaves a run that no batch in
 * the ledger asks for; the start sweeps it.
 */

import { crashPoint } from '../../shared/crash-points.ts'
import { amountOf, type Batch, type BatchFile, newBatchId } from '../ledger/index.ts'
import { deleteRun, mergeSums, sweepRuns } from '../sums/index.ts'

export class BatchMaker {
  readonly #runsDirectory: string
  readonly #chunkPairsMax: number

  constructor(options: { runsDirectory: string; chunkPairsMax: number }) {
    this.#runsDirectory = options.runsDirectory
    this.#chunkPairsMax = options.chunkPairsMax
  }

  /**
   * A batch of the first files of the list: of all of them, unless a consumer's merged sum would
   * pass 2^64; then of those before the file that would make it.
   *
   * @throws the signal's reason, CountersinkError DISK_FULL, RUN_UNREADABLE, IO_FAILED
   */
  async make(files: readonly BatchFile[], signal: AbortSignal, id = newBatchId()): Promise<Batch> {
    const [first] = files
    if (files.length === 1 && first !== undefined && first.sums.pairs <= this.#chunkPairsMax) {
      return { id, files, sums: first.sums, amount: first.amount }
    }
    crashPoint('P4-before-run-sealed')
    const merged = await mergeSums(
      files.map(file => file.sums),
      {
        memoryPairsMax: this.#chunkPairsMax,
        runsDirectory: this.#runsDirectory,
        runName: batchRunName(id),
        label: {
          kind: 'batch',
          owner: id.toString('hex'),
          members: files.map(file => file.sha256),
        },
        signal,
      },
    )
    crashPoint('P4-batch-run-sealed')
    if (!merged.ok) return this.make(files.slice(0, merged.source), signal, id)
    return { id, files, sums: merged.sums, amount: amountOf(files) }
  }

  /** The batch is applied, or was not begun: nothing of it is needed any more. */
  async release(batch: Batch): Promise<void> {
    if (sharesSums(batch)) return
    await batch.sums.close()
    await this.discardRun(batchRunName(batch.id))
  }

  /** The batch has begun and is not over: lets go of its sums here, and leaves its run. */
  async setAside(batch: Batch): Promise<void> {
    if (!sharesSums(batch)) await batch.sums.close()
  }

  /** Deletes a run that nothing durable needs. */
  async discardRun(name: string | undefined): Promise<void> {
    if (name !== undefined) await deleteRun(this.#runsDirectory, name)
  }

  /** Deletes all runs but these: for the start, once journal and ledger were asked. */
  async sweep(needed: ReadonlySet<string>): Promise<number> {
    return (await sweepRuns(this.#runsDirectory, needed)).length
  }
}

/** Its sums are those of its only file, and stay that file's. */
function sharesSums(batch: Batch): boolean {
  return batch.files.some(file => file.sums === batch.sums)
}

export function batchRunName(id: Uint8Array): string {
  return `batch-${Buffer.from(id).toString('hex')}.run`
}
