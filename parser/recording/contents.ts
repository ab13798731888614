import { nameAsPublished } from '../facts.ts'
import type { BatchFile } from '../ledger/index.ts'
import type { ReadFile } from './decider.ts'

/** Of equal contents the first is counted; the others turn out to be its duplicates. */
export function firstOfEachContent(files: readonly ReadFile[]): ReadFile[] {
  const seen = new Set<string>()
  return files.filter(({ digest }) => {
    const sha256 = Buffer.from(digest.sha256).toString('hex')
    return !seen.has(sha256) && seen.add(sha256)
  })
}

/** A file as the ledger is told of it. */
export function batchFile(
  { entry, digest, sums, largestSum }: ReadFile,
  heldBecause?: string,
): BatchFile {
  return {
    sha256: digest.sha256,
    workSequence: entry.sequence,
    origin: entry.provenance?.origin,
    name: nameAsPublished(entry, digest),
    publishedAtMs: entry.provenance?.publishedAtMs,
    terms: entry.terms,
    heldBecause,
    sizeBytes: digest.sizeBytes,
    lines: digest.lines,
    rejectedLines: digest.rejectedLines,
    amount: digest.amount,
    largestSum,
    claimedAtMs: entry.claimedAtMs,
    digestedAtMs: digest.endedAtMs,
    sums,
  }
}
