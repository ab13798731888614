/** How files on their way are kept: entries of the queue. Fields are added at the end; older records end before. */

import { CountersinkError } from '../../shared/errors.ts'
import type { Outcome } from '../../shared/protocol.ts'
import { parseTerms, type TermsFields, termsFields } from '../../shared/terms.ts'
import type { Checkpoint, CheckpointTally, DigestFacts, Provenance, QueueEntry } from '../facts.ts'
import { seal, unseal } from './sealed-record.ts'

/** How far an entry has come: all that an event must know of it. */
export type EntryProgress = Pick<QueueEntry, 'stage' | 'checkpoints'>

/** @param progress takes the place of what the entry says itself. */
export function encodeQueueEntry(entry: QueueEntry, progress: EntryProgress = entry): Buffer {
  const { expected, digest } = entry
  return seal([
    entry.name,
    entry.sizeBytes,
    entry.claimedAtMs,
    expected && [expected.sha256, expected.sizeBytes, expected.lines, expected.amount?.toString()],
    entry.manifestProblem,
    entry.disposable,
    progress.stage,
    digest && encodeDigest(digest),
    entry.outcome,
    entry.checkpoint && encodeCheckpoint(entry.checkpoint),
    entry.runName,
    entry.isPlain,
    entry.identity && [entry.identity.ino.toString(), entry.identity.mtimeNs.toString()],
    entry.provenance && encodeProvenance(entry.provenance),
    progress.checkpoints && encodeTally(progress.checkpoints),
    entry.terms && termsFields(entry.terms),
    entry.settledAtMs,
  ])
}

type QueueEntryFields = [
  string,
  number,
  number,
  [string, number, number | undefined, string | undefined] | undefined,
  string | undefined,
  boolean,
  QueueEntry['stage'],
  DigestFields | undefined,
  Outcome | undefined,
  CheckpointFields | undefined,
  string | undefined,
  // Entries of older programs end here, or two further on.
  boolean | undefined,
  [string, string] | undefined,
  ProvenanceFields | undefined,
  TallyFields | undefined,
  TermsFields | undefined,
  number | undefined,
]

export function decodeProgress(record: Uint8Array): EntryProgress {
  const fields = unseal(record, 'a queue entry') as QueueEntryFields
  return { stage: fields[6], checkpoints: fields[14] && decodeTally(fields[14]) }
}

export function decodeQueueEntry(sequence: number, record: Uint8Array): QueueEntry {
  const fields = unseal(record, 'a queue entry') as QueueEntryFields
  const [name, sizeBytes, claimedAtMs, expected, manifestProblem, disposable, stage] = fields
  const identity = fields[12]
  return {
    sequence,
    name,
    sizeBytes,
    claimedAtMs,
    expected: expected && {
      sha256: expected[0],
      sizeBytes: expected[1],
      lines: expected[2],
      amount: expected[3] === undefined ? undefined : BigInt(expected[3]),
    },
    manifestProblem,
    disposable,
    ...(fields[13] === undefined ? {} : { provenance: decodeProvenance(fields[13]) }),
    isPlain: fields[11] ?? (expected === undefined && manifestProblem === undefined),
    identity: identity && { ino: BigInt(identity[0]), mtimeNs: BigInt(identity[1]) },
    stage,
    digest: fields[7] && decodeDigest(fields[7]),
    outcome: fields[8],
    ...(fields[16] === undefined ? {} : { settledAtMs: fields[16] }),
    checkpoint: fields[9] && decodeCheckpoint(fields[9]),
    ...(fields[14] === undefined ? {} : { checkpoints: decodeTally(fields[14]) }),
    ...(fields[15] === undefined ? {} : { terms: parseTerms(fields[15], garbled) }),
    runName: fields[10],
  }
}

type CheckpointFields = [
  number,
  Uint8Array,
  number,
  number,
  string,
  string[],
  // Those of older programs end here.
  [number, number, number, number] | undefined,
]

function encodeCheckpoint(checkpoint: Checkpoint): CheckpointFields {
  const { positionBytes, prefixSha256, resumeBytes, lines, amount, runs, rejects } = checkpoint
  return [
    positionBytes,
    prefixSha256,
    resumeBytes,
    lines,
    amount.toString(),
    [...runs],
    rejects && [rejects.lines, rejects.bytes, rejects.draftBytes, rejects.draftCrc],
  ]
}

function decodeCheckpoint(fields: CheckpointFields): Checkpoint {
  const [positionBytes, prefixSha256, resumeBytes, lines, amount, runs, kept] = fields
  const checkpoint = {
    positionBytes,
    prefixSha256,
    resumeBytes,
    lines,
    amount: BigInt(amount),
    runs,
  }
  if (kept === undefined) return checkpoint
  const [rejectedLines, bytes, draftBytes, draftCrc] = kept
  return { ...checkpoint, rejects: { lines: rejectedLines, bytes, draftBytes, draftCrc } }
}

type ProvenanceFields = [Uint8Array | undefined, number | undefined, number | undefined]

function encodeProvenance(provenance: Provenance): ProvenanceFields {
  return [provenance.origin, provenance.publishedAtMs, provenance.announcedAtMs]
}

function decodeProvenance([origin, publishedAtMs, announcedAtMs]: ProvenanceFields): Provenance {
  return { origin: origin && Buffer.from(origin), publishedAtMs, announcedAtMs }
}

/** Those of older programs end before the last. */
type DigestFields = [Uint8Array, number, number, string, number, number, number | undefined]

function encodeDigest(digest: DigestFacts): DigestFields {
  return [
    digest.sha256,
    digest.sizeBytes,
    digest.lines,
    digest.amount.toString(),
    digest.startedAtMs,
    digest.endedAtMs,
    digest.rejectedLines,
  ]
}

function decodeDigest(fields: DigestFields): DigestFacts {
  const [sha256, sizeBytes, lines, amount, startedAtMs, endedAtMs, rejectedLines] = fields
  const facts = { sha256, sizeBytes, lines, amount: BigInt(amount), startedAtMs, endedAtMs }
  return rejectedLines === undefined ? facts : { ...facts, rejectedLines }
}

export type TallyFields = [number, number, number]

export function encodeTally({ count, lastAtMs, lastPositionBytes }: CheckpointTally): TallyFields {
  return [count, lastAtMs, lastPositionBytes]
}

export function decodeTally([count, lastAtMs, lastPositionBytes]: TallyFields): CheckpointTally {
  return { count, lastAtMs, lastPositionBytes }
}

function garbled(why: string): CountersinkError {
  return new CountersinkError(
    'JOURNAL_UNREADABLE',
    `a queue entry in the journal cannot be read: ${why}`,
  )
}
