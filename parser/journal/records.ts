/** How the history is kept: processed files, the index of contents, and what the journal knows of itself. */

import type { Outcome, ProcessedFile } from '../../shared/protocol.ts'
import { decodeTally, encodeTally, type TallyFields } from './queue-records.ts'
import { seal, unseal } from './sealed-record.ts'

/** What is known of one content; numbers are of processed records, 0 for none. */
export interface ContentRecord {
  /** The record that counted it. */
  readonly applied: number
  /** The newest record about it. */
  readonly last: number
  /** The queue entry that has claimed it (P3) and is not settled yet. */
  readonly claim: number
}

/** What the journal keeps about itself. */
export interface JournalState {
  /** Raised at each start: whoever finds another number has been replaced. */
  readonly epoch: number
  readonly nextSequence: number
  readonly nextNumber: number
  readonly ledgerUuid: string
  /** While a new journal is made from the ledger: the ledger's sequence up to which it is. */
  readonly rebuiltTo: bigint
  readonly applied: number
  readonly duplicate: number
  readonly quarantined: number
  readonly bytes: number
  readonly lines: number
  readonly reverted: number
  readonly held: number
  readonly rejectedLines: number
}

/** By their places in it; new ones are added behind. */
const OUTCOME_CODES: readonly Outcome[] = [
  ...(['applied', 'duplicate', 'quarantined', 'reverted', 'held'] as const),
]

/** Times are kept as offsets from the claim: a few bytes each instead of nine. */
export function encodeProcessed(file: ProcessedFile): Buffer {
  return seal([
    file.name,
    Buffer.from(file.sha256, 'hex'),
    file.sizeBytes,
    file.lines,
    file.amount,
    OUTCOME_CODES.indexOf(file.outcome),
    file.claimedAtMs,
    file.digestStartedAtMs - file.claimedAtMs,
    file.digestedAtMs - file.claimedAtMs,
    file.settledAtMs - file.claimedAtMs,
    file.reason,
    file.ledgerSequence,
    file.origin === undefined ? undefined : Buffer.from(file.origin, 'hex'),
    offsetOf(file.publishedAtMs, file),
    offsetOf(file.announcedAtMs, file),
    file.checkpoints && encodeTally(file.checkpoints),
    file.rejectedLines,
    offsetOf(file.usedAtMs, file),
  ])
}

function offsetOf(ms: number | undefined, { claimedAtMs }: ProcessedFile): number | undefined {
  return ms === undefined ? undefined : ms - claimedAtMs
}

export function decodeProcessed(number: number, record: Uint8Array): ProcessedFile {
  const [
    name,
    sha256,
    sizeBytes,
    lines,
    amount,
    outcome,
    claimed,
    started,
    digested,
    settled,
    why,
    ledgerSequence,
    origin,
    published,
    announced,
    checkpoints,
    rejectedLines,
    used,
  ] = unseal(record, 'a processed file') as [
    string,
    Uint8Array,
    number,
    number,
    string,
    number,
    number,
    number,
    number,
    number,
    string | undefined,
    // Records of older programs end here, or before.
    string | undefined,
    Uint8Array | undefined,
    number | undefined,
    number | undefined,
    TallyFields | undefined,
    number | undefined,
    number | undefined,
  ]
  return {
    number,
    name,
    sha256: Buffer.from(sha256).toString('hex'),
    sizeBytes,
    lines,
    ...(rejectedLines === undefined ? {} : { rejectedLines }),
    amount,
    outcome: OUTCOME_CODES[outcome]!,
    ...(why === undefined ? {} : { reason: why }),
    ...(ledgerSequence === undefined ? {} : { ledgerSequence }),
    ...(origin === undefined ? {} : { origin: Buffer.from(origin).toString('hex') }),
    ...(published === undefined ? {} : { publishedAtMs: claimed + published }),
    ...(announced === undefined ? {} : { announcedAtMs: claimed + announced }),
    ...(used === undefined ? {} : { usedAtMs: claimed + used }),
    ...(checkpoints === undefined ? {} : { checkpoints: decodeTally(checkpoints) }),
    claimedAtMs: claimed,
    digestStartedAtMs: claimed + started,
    digestedAtMs: claimed + digested,
    settledAtMs: claimed + settled,
  }
}

export function encodeContent(content: ContentRecord): Buffer {
  return seal([content.applied, content.last, content.claim])
}

export function decodeContent(record: Uint8Array): ContentRecord {
  const [applied, last, claim] = unseal(record, 'a content') as [number, number, number]
  return { applied, last, claim }
}

export function encodeState(state: JournalState): Buffer {
  return seal([
    state.epoch,
    state.nextSequence,
    state.nextNumber,
    state.ledgerUuid,
    state.rebuiltTo.toString(),
    state.applied,
    state.duplicate,
    state.quarantined,
    state.bytes,
    state.lines,
    state.reverted,
    state.held,
    state.rejectedLines,
  ])
}

export function decodeState(record: Uint8Array): JournalState {
  type Five = [number, number, number, number, number]
  type Later = number | undefined
  type Added = [reverted: Later, held: Later, rejectedLines: Later]
  // Those of older programs end before the last of these, or before all.
  type Fields = [number, number, number, string, string, ...Five, ...Added]
  const fields = unseal(record, 'the state') as Fields
  const [epoch, nextSequence, nextNumber, ledgerUuid, rebuiltTo] = fields
  return {
    epoch,
    nextSequence,
    nextNumber,
    ledgerUuid,
    rebuiltTo: BigInt(rebuiltTo),
    applied: fields[5],
    duplicate: fields[6],
    quarantined: fields[7],
    bytes: fields[8],
    lines: fields[9],
    reverted: fields[10] ?? 0,
    held: fields[11] ?? 0,
    rejectedLines: fields[12] ?? 0,
  }
}
