/**
 * The trail of a content: all that journal and ledger have kept of its files on their way. What the
 * journal has is finer, what the ledger has decides, and each may be there without the other.
 */

import type { ContentState, ProcessedFile, QueuedFile, Sighted } from './records.ts'

/** What is asked for: contents whose hash begins so, or files of this name, as whoever brought them called them. */
export type TrailQuestion = {
  readonly kind: 'trail'
  readonly prefix?: string
  readonly name?: string
}

/** The answer: the trail if it is of one content, or else which files are meant. */
export interface TrailAnswer {
  readonly trail?: ContentTrail
  /** Newest first. */
  readonly several?: readonly TrailFile[]
  /** There are more than are told. */
  readonly hasMore?: boolean
  /** Why the ledger could not be asked, if it could not. */
  readonly ledgerSilentBecause?: string
}

/** One file that was brought, in short. */
export interface TrailFile {
  readonly name: string
  /** Missing: it was not read to its end. */
  readonly sha256?: string
  readonly state: 'waiting' | ContentState | SightingTrail['outcome']
  readonly atMs: number
  readonly sizeBytes?: number
}

export interface ContentTrail {
  /** Missing: its file is on its way, or was put aside, and was never read to its end. */
  readonly sha256?: string
  /** Files of it on their way, the earliest first; a few. */
  readonly queued: readonly QueuedTrail[]
  /** What the history has: the file that was counted, and the one that came last. */
  readonly settled: readonly ProcessedFile[]
  readonly ledger?: LedgerTrail
  /** Contents that mend it; the newest last, a few. */
  readonly mendedBy?: readonly OtherContent[]
  /** Files of it that were not counted, and what became of it afterwards, newest first; a few. */
  readonly sightings: readonly SightingTrail[]
  readonly sightingsCount: number
}

/** A file between claim and archive. */
export interface QueuedTrail extends QueuedFile {
  readonly sha256?: string
  readonly origin?: string
  readonly publishedAtMs?: number
  readonly announcedAtMs?: number
  readonly checkpoints?: NonNullable<ProcessedFile['checkpoints']>
  readonly digestStartedAtMs?: number
  readonly digestedAtMs?: number
}

/** The row of a content, and what has moved its sums. */
export interface LedgerTrail {
  readonly sequence: string
  readonly origin: string
  /** The parser that has claimed it. */
  readonly parser: string
  readonly workSequence: string
  readonly name: string
  readonly sizeBytes: number
  /** Good ones, and bad ones that were put aside. */
  readonly lines: number
  readonly rejectedLines?: number
  readonly amount: string
  /** Missing: counted before sums were kept. */
  readonly pairs?: number
  readonly state: ContentState
  readonly reason?: string
  /** How often writing its sums down was begun anew. */
  readonly attempts: number
  readonly publishedAtMs?: number
  /** When it was used; missing: when it was claimed. */
  readonly usedAtMs?: number
  readonly claimedAtMs: number
  readonly digestedAtMs: number
  readonly recordedAtMs?: number
  readonly countedAtMs?: number
  readonly revertedAtMs?: number
  /** The content that could not be counted, or not all of it, and that this one mends. */
  readonly mends?: OtherContent
  /** The content that it was counted in place of. */
  readonly supersedes?: OtherContent
  /** The one that was counted in its place, last. */
  readonly supersededBy?: OtherContent
  /** What was asked for it, the newest last; a few. */
  readonly orders: readonly OrderTrail[]
  readonly postings: readonly PostingTrail[]
}

export interface OtherContent {
  readonly sha256: string
  /** Missing: the ledger has no such content. */
  readonly name?: string
}

/** What somebody has asked for. */
export interface OrderTrail {
  readonly kind: string
  readonly state: 'waiting' | 'working' | 'done' | 'refused'
  readonly reason: string
  /** Why it waits or is refused, or what came of it. */
  readonly answer?: string
  readonly askedAtMs: number
  readonly endedAtMs?: number
}

export interface PostingTrail {
  /** Odd: counted; even: taken back. */
  readonly n: number
  readonly isFolded: boolean
  readonly batch: string
  /** Why, in the words of who has asked for it. */
  readonly reason?: string
  /** The rest is missing where the batch's row is. */
  readonly state?: 'unrecorded' | 'applying' | 'retreating' | 'blocked' | 'applied'
  /** The parser that began it. */
  readonly parser?: string
  readonly files?: number
  readonly begunAtMs?: number
  readonly endedAtMs?: number
}

export interface SightingTrail extends Sighted {
  readonly parser: string
  readonly workSequence: string
  readonly sha256?: string
}
