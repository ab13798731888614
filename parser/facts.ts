/**
 * What is said of a file on its way through the parser: plain data that travels from room to room, and
 * belongs to none of them. What each room makes of it, and how the journal keeps it, is its own affair.
 */

import type { FileIdentity } from '../shared/file-identity.ts'
import { givenName } from '../shared/paths.ts'
import type { Outcome } from '../shared/protocol.ts'
import type { Terms } from '../shared/terms.ts'

/** The control totals that came with a file, from its manifest or its announcement. */
export interface Expected {
  readonly sha256: string
  readonly sizeBytes: number
  readonly lines: number | undefined
  readonly amount: bigint | undefined
}

/** What is known of how a file came to be here. */
export interface Provenance {
  /** 16 bytes that name its publication; none: it came without, and its claim makes them. */
  readonly origin: Uint8Array | undefined
  readonly publishedAtMs: number | undefined
  /** When the announcement came for which it was claimed; none: a look has found it. */
  readonly announcedAtMs: number | undefined
}

/** What reading a file to its end has shown. */
export interface DigestFacts {
  /** `NO_HASH` if the file was never read to its end. */
  readonly sha256: Uint8Array
  readonly sizeBytes: number
  readonly lines: number
  readonly amount: bigint
  readonly startedAtMs: number
  readonly endedAtMs: number
}

/** Stands for the hash of a file that has none; no content is known to have it. */
export const NO_HASH: Uint8Array = new Uint8Array(32)

export function hasHash({ sha256 }: Pick<DigestFacts, 'sha256'>): boolean {
  return sha256.some(byte => byte !== 0)
}

/**
 * A file between claim and archive.
 *
 * - **claimed** (P1): it stands in work/, nothing is known of its content.
 * - **digested** (P3): its content is known, good, new, and claimed by this entry.
 * - **settling** (P7): its outcome is final and recorded; only its move out of work/ may be missing.
 */
export interface QueueEntry {
  readonly sequence: number
  readonly name: string
  readonly sizeBytes: number
  readonly claimedAtMs: number
  readonly expected: Expected | undefined
  /** Why the manifest that came with it cannot be used. */
  readonly manifestProblem: string | undefined
  readonly disposable: boolean
  /** None: an earlier program has claimed it. */
  readonly provenance?: Provenance | undefined
  /** What its manifest asks for. */
  readonly terms?: Terms | undefined
  /** It came without a manifest. */
  readonly isPlain: boolean
  /**
   * As it was when it was claimed, if it is plain; from P3 on, as it was when it was read. Its size
   * is `sizeBytes`.
   */
  readonly identity: Pick<FileIdentity, 'ino' | 'mtimeNs'> | undefined
  readonly stage: 'claimed' | 'digested' | 'settling'
  /** Of a `claimed` one: what was found when it was read before; its sums are lost. */
  readonly digest: DigestFacts | undefined
  readonly outcome: Outcome | undefined
  /** Of a `settling` one; none: an earlier program has settled it, and its place is that one's. */
  readonly settledAtMs?: number | undefined
  /** P2: how far its reading has come, while it is `claimed`. */
  readonly checkpoint: Checkpoint | undefined
  /** All that were made so far, also once none is needed any more. The journal counts them itself. */
  readonly checkpoints?: CheckpointTally | undefined
  /** The sealed sums of a `digested` file, unless they are held in memory only. */
  readonly runName: string | undefined
}

/**
 * Everything known of a file's first bytes: enough to go on without parsing them again.
 * It holds for a file whose first `positionBytes` bytes have this hash, and for no other.
 */
export interface Checkpoint {
  /** How much of the file was read: k · checkpointBytes. */
  readonly positionBytes: number
  /** The hash of the file's first `positionBytes` bytes. */
  readonly prefixSha256: Uint8Array
  /** Where the line begins that was cut at `positionBytes`: there the sum goes on. */
  readonly resumeBytes: number
  /** Good lines before `resumeBytes`. */
  readonly lines: number
  /** The sum of their amounts, and of all pairs in the runs. */
  readonly amount: bigint
  /** Names in the runs directory, oldest first: together the sums of those lines. */
  readonly runs: readonly string[]
}

/** The checkpoints of a file, together. */
export interface CheckpointTally {
  readonly count: number
  readonly lastAtMs: number
  readonly lastPositionBytes: number
}

/** Why a file is not counted: a code for programs, words for people. */
export interface Reason {
  readonly code: string
  readonly text: string
}

/** As it is kept and shown. */
export function reasonText({ code, text }: Reason): string {
  return `${code}: ${text}`
}

/** As its maker called it: without what was put behind its name on its way into the inbox. */
export function nameAsPublished(
  { name }: Pick<QueueEntry, 'name'>,
  { sha256 }: Pick<DigestFacts, 'sha256'>,
): string {
  return givenName(name, hexOf(sha256))
}

/** Whether the ledger means a file of this name: earlier versions kept the one that it had in the inbox. */
export function isKeptAs(
  name: string,
  kept: { readonly name: string; readonly sha256: Uint8Array | null },
): boolean {
  return kept.name === name || kept.name === givenName(name, hexOf(kept.sha256 ?? NO_HASH))
}

/** How the log names a file: with its hash, once it was read to its end. */
export function loggedFile(
  { name }: Pick<QueueEntry, 'name'>,
  digest: Pick<DigestFacts, 'sha256'> | undefined,
): { readonly name: string; readonly sha256: string | undefined } {
  const isRead = digest !== undefined && hasHash(digest)
  return { name, sha256: isRead ? Buffer.from(digest.sha256).toString('hex') : undefined }
}

/** Why a file is where it is, for the person who looks into quarantine/. */
export type Evidence = Readonly<Record<string, unknown>>

/** A file that changed after its content was counted, and how. */
export interface Growth {
  readonly name: string
  readonly sha256: Uint8Array
  readonly reason: string
  readonly seenAtMs: number
}

/** A content's hash as people and files have it. */
export function hexOf(sha256: Uint8Array): string {
  return Buffer.from(sha256).toString('hex')
}
