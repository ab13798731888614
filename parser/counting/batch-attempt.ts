import { hasCode } from '../../shared/errors.ts'
import type { Batch, BatchFile, Ledger, LedgerResult } from '../ledger/index.ts'
import type { Verdict } from '../reading/index.ts'
import type { BatchMaker } from './batch-maker.ts'

type Count = Extract<Verdict, { kind: 'count' }>

export interface Attempted {
  /** The files of the batch: the first of those that were offered. */
  readonly taken: readonly Count[]
  readonly batch: Batch
  readonly result: LedgerResult
}

/**
 * Tries a batch of all these files, or of as many as go together. When the server refuses a row of
 * it, or the disk has no room for its sums, a batch of half of them, and so on: in the end the file
 * to blame is alone.
 *
 * The sums of a batch that is blocked stay in its run, and so do those of one that a stop or a lost
 * connection leaves in the middle: whoever resumes it ends it from there.
 *
 * @throws the signal's reason; CountersinkError DISK_FULL: there is no room for the first file alone
 */
export async function attemptBatch(
  files: readonly Count[],
  parts: { readonly ledger: Ledger; readonly maker: BatchMaker; readonly signal: AbortSignal },
): Promise<Attempted> {
  const { ledger, maker, signal } = parts
  const offered = firstOfEachContent(files)
  let batch: Batch
  try {
    batch = await maker.make(offered.map(batchFile), signal)
  } catch (error) {
    if (!hasCode(error, 'DISK_FULL') || offered.length === 1) throw error
    return attemptBatch(firstHalf(offered), parts)
  }
  const taken = offered.slice(0, batch.files.length)
  // Until the ledger says otherwise: it may have begun, and then its run is what it ends from.
  let isOver = false
  try {
    const result = await ledger.apply(batch)
    isOver = result.kind !== 'blocked'
    if (result.kind !== 'refused' || taken.length === 1) return { taken, result, batch }
  } finally {
    await (isOver ? maker.release(batch) : maker.setAside(batch))
  }
  return attemptBatch(firstHalf(taken), parts)
}

function firstHalf(files: readonly Count[]): readonly Count[] {
  return files.slice(0, Math.ceil(files.length / 2))
}

/** Equal contents of one batch: the first is counted, the others are duplicates of it later. */
function firstOfEachContent(counts: readonly Count[]): Count[] {
  const seen = new Set<string>()
  return counts.filter(({ digest }) => {
    const sha256 = Buffer.from(digest.sha256).toString('hex')
    return !seen.has(sha256) && seen.add(sha256)
  })
}

function batchFile({ entry, digest, sums, largestSum }: Count): BatchFile {
  return {
    sha256: digest.sha256,
    workSequence: entry.sequence,
    name: entry.name,
    sizeBytes: digest.sizeBytes,
    lines: digest.lines,
    amount: digest.amount,
    largestSum,
    claimedAtMs: entry.claimedAtMs,
    digestedAtMs: digest.endedAtMs,
    sums,
  }
}
