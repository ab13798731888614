import { type DigestFacts, type Evidence, NO_HASH, type QueueEntry, type Reason } from '../facts.ts'
import type { Sums } from '../sums/index.ts'

/** What reading a file has led to; the counting stage does it. */
export type Verdict =
  | {
      readonly kind: 'count'
      readonly entry: QueueEntry
      readonly digest: DigestFacts
      readonly sums: Sums
      readonly largestSum: bigint
    }
  | { readonly kind: 'duplicate'; readonly entry: QueueEntry; readonly digest: DigestFacts }
  | {
      readonly kind: 'quarantine'
      readonly entry: QueueEntry
      readonly digest: DigestFacts
      readonly reason: Reason
      readonly evidence: Evidence
      /** For its lines: whoever lets some be put aside may have counted this very content. */
      readonly isForItsLines?: boolean
      /** It was not in work/ when it was to be read. */
      readonly isMissing?: boolean
      /** What its sidecar advises, if not the usual. */
      readonly whatNow?: string
    }

/** Lets go of sums that nobody will count. */
export async function closeAll(verdicts: readonly Verdict[]): Promise<void> {
  for (const verdict of verdicts) if (verdict.kind === 'count') await verdict.sums.close()
}

/**
 * The facts of a file that could not be read to its end. It has a hash if it was read before; else
 * none is made up, also not from what was announced.
 */
export function nothingRead(entry: QueueEntry, startedAtMs: number): DigestFacts {
  return {
    sha256: entry.digest?.sha256 ?? NO_HASH,
    sizeBytes: entry.sizeBytes,
    lines: 0,
    amount: 0n,
    startedAtMs,
    endedAtMs: Date.now(),
  }
}
