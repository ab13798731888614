import { crc32 } from 'node:zlib'
import { Packr, Unpackr } from 'msgpackr'
import { CountersinkError } from '../../shared/errors.ts'
import type { Outcome, ProcessedFile } from '../../shared/protocol.ts'
import { parseTerms, type TermsFields, termsFields } from '../../shared/terms.ts'
import type { Checkpoint, CheckpointTally, DigestFacts, Provenance, QueueEntry } from '../facts.ts'

/**
 * How the journal's records look on disk: `version u8 | crc32 u32 | msgpack array`.
 *
 * The checksum is written and checked by us: a page that a disk or a crash garbled must be noticed
 * here, not as a wrong number. Arrays instead of maps, because a record is kept for every content
 * ever processed. A reader refuses versions it does not know.
 */
const RECORD_VERSION = 1
const HEADER_BYTES = 5

const packr = new Packr({ useRecords: false })
const unpackr = new Unpackr({ useRecords: false })

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

type TallyFields = [number, number, number]

function encodeTally({ count, lastAtMs, lastPositionBytes }: CheckpointTally): TallyFields {
  return [count, lastAtMs, lastPositionBytes]
}

function decodeTally([count, lastAtMs, lastPositionBytes]: TallyFields): CheckpointTally {
  return { count, lastAtMs, lastPositionBytes }
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

/** Keys of numbers sort as the numbers do. */
export function numberKey(number: number): Buffer {
  const key = Buffer.allocUnsafe(6)
  key.writeUIntBE(number, 0, 6)
  return key
}

export function keyNumber(key: Uint8Array): number {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).readUIntBE(0, 6)
}

/** What is missing at the end takes no room. */
function seal(fields: readonly unknown[]): Buffer {
  let used = fields.length
  while (used > 0 && fields[used - 1] === undefined) used -= 1
  const payload = packr.pack(used === fields.length ? fields : fields.slice(0, used))
  const record = Buffer.allocUnsafe(HEADER_BYTES + payload.length)
  record.writeUInt8(RECORD_VERSION, 0)
  record.writeUInt32BE(crc32(payload), 1)
  payload.copy(record, HEADER_BYTES)
  return record
}

function garbled(why: string): CountersinkError {
  return new CountersinkError(
    'JOURNAL_UNREADABLE',
    `a queue entry in the journal cannot be read: ${why}`,
  )
}

function unseal(record: Uint8Array, what: string): unknown {
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength)
  const unreadable = (why: string): CountersinkError =>
    new CountersinkError('JOURNAL_UNREADABLE', `${what} in the journal cannot be read: ${why}`, {
      advice:
        'Stop countersink, move parser/journal away and start again: it is rebuilt from MariaDB.',
    })
  if (bytes.length <= HEADER_BYTES) throw unreadable(`it has ${bytes.length} bytes`)
  const version = bytes.readUInt8(0)
  if (version !== RECORD_VERSION) {
    throw unreadable(`its version is ${version}, this program knows ${RECORD_VERSION}`)
  }
  // A copy: LMDB's memory is only valid until the next transaction, and msgpackr aliases binary.
  const payload = Buffer.from(bytes.subarray(HEADER_BYTES))
  if (crc32(payload) !== bytes.readUInt32BE(1)) throw unreadable('its checksum is wrong')
  return unpackr.unpack(payload)
}
