import { amountOf, type Batch, type CountResult, type Ledger, newBatchId } from '../ledger/index.ts'
import { batchFile, firstOfEachContent, type ReadFile } from '../recording/index.ts'
import { mergeSums } from '../sums/index.ts'

export interface Attempted {
  /** The files of the batch: the first of those that were offered. */
  readonly taken: readonly ReadFile[]
  /** `too large`: together they do not fit one transaction; nothing was written. */
  readonly result: CountResult | { readonly kind: 'too large' }
}

/**
 * Tries a batch of all these files in one transaction, or of as many as go together. When the server
 * refuses a row of it, a batch of half of them, and so on: in the end the file to blame is alone.
 *
 * @throws the signal's reason
 */
export async function attemptWhole(
  files: readonly ReadFile[],
  parts: { readonly ledger: Ledger; readonly chunkPairsMax: number; readonly signal: AbortSignal },
): Promise<Attempted> {
  const { ledger, chunkPairsMax, signal } = parts
  const offered = firstOfEachContent(files)
  const merged = await mergeSums(
    offered.map(file => file.sums),
    { pairsMax: chunkPairsMax, signal },
  )
  if (merged.kind === 'too many') return { taken: offered, result: { kind: 'too large' } }
  if (merged.kind === 'overflow') return attemptWhole(offered.slice(0, merged.source), parts)
  const members = offered.map(file => batchFile(file))
  const batch: Batch = {
    ...{ id: newBatchId(), files: members, sums: merged.sums },
    amount: amountOf(members),
  }
  const result = await ledger.counter.countWhole(batch)
  if (result.kind !== 'refused' || offered.length === 1) return { taken: offered, result }
  return attemptWhole(offered.slice(0, Math.ceil(offered.length / 2)), parts)
}
