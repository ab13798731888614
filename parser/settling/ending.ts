import type { StageDurations } from '../../shared/events.ts'
import { boundedReason, type Outcome } from '../../shared/protocol.ts'
import type { DigestFacts, Evidence, QueueEntry } from '../facts.ts'
import type { Settlement } from '../journal/index.ts'

/** The end of one file's way, as whoever decides knows it. */
export interface Ending {
  readonly entry: QueueEntry
  readonly outcome: Outcome
  readonly digest: DigestFacts
  readonly reason?: string
  readonly evidence?: Evidence
  /** What the sidecar advises, if not what it advises for a file of which nothing was counted. */
  readonly whatNow?: string
  readonly ledgerSequence?: bigint | undefined
  /** When its batch was begun to be made, and had ended; if that was in this process. */
  readonly counting?: { readonly startedAtMs: number; readonly endedAtMs: number }
}

/** Its file has left work/ in this moment. */
export function stagesOf({ entry, digest, counting }: Ending): StageDurations {
  const { startedAtMs, endedAtMs } = digest
  return {
    queuedMs: startedAtMs - entry.claimedAtMs,
    readMs: endedAtMs - startedAtMs,
    ...(counting === undefined
      ? {}
      : {
          waitedMs: counting.startedAtMs - endedAtMs,
          countMs: counting.endedAtMs - counting.startedAtMs,
        }),
    settleMs: Date.now() - (counting?.endedAtMs ?? endedAtMs),
  }
}

/**
 * As the journal keeps it.
 *
 * @param announcedLaterMs when it was announced, of a file that a look had found first.
 */
export function settlementOf(
  { entry, outcome, digest, reason, ledgerSequence }: Ending,
  announcedLaterMs: number | undefined,
): Settlement {
  const { origin, publishedAtMs, announcedAtMs = announcedLaterMs } = entry.provenance ?? {}
  return {
    entry: { ...entry, digest, provenance: { origin, publishedAtMs, announcedAtMs } },
    outcome,
    facts: {
      sha256: Buffer.from(digest.sha256).toString('hex'),
      sizeBytes: digest.sizeBytes,
      lines: digest.lines,
      ...(digest.rejectedLines ? { rejectedLines: digest.rejectedLines } : {}),
      amount: digest.amount.toString(),
      ...(reason === undefined ? {} : { reason: boundedReason(reason) }),
      ...(ledgerSequence === undefined ? {} : { ledgerSequence: ledgerSequence.toString() }),
      digestStartedAtMs: digest.startedAtMs,
      digestedAtMs: digest.endedAtMs,
      settledAtMs: Date.now(),
    },
  }
}
