/** What is told of files and contents over the socket. */

/** `reverted`: its content was counted and taken back. `held`: a person decides whether it is counted. */
export const OUTCOMES = ['applied', 'duplicate', 'quarantined', 'reverted', 'held'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** Where the ledger has a content. */
export const CONTENT_STATES = [
  ...(['staging', 'staged', 'applying', 'applied', 'refused'] as const),
  ...(['reverting', 'reverted', 'held'] as const),
] as const
export type ContentState = (typeof CONTENT_STATES)[number]

/** What is kept of a processed file; times are milliseconds since 1970. */
export interface ProcessedFile {
  readonly number: number
  readonly name: string
  readonly sha256: string
  readonly sizeBytes: number
  /** Good ones. */
  readonly lines: number
  /** Bad ones that were put aside; missing: none. */
  readonly rejectedLines?: number
  readonly amount: string
  readonly outcome: Outcome
  readonly reason?: string
  /** Of the ledger's row that counts it, decimal; journals of earlier versions do not know it. */
  readonly ledgerSequence?: string
  /** The publication that it came with, in hex; without: it is known by the work file that it became. */
  readonly origin?: string
  readonly publishedAtMs?: number
  /** When what it tells of was used; without: when it was claimed. */
  readonly usedAtMs?: number
  /** Also of one that a look had found before; without: it never was. */
  readonly announcedAtMs?: number
  readonly checkpoints?: {
    readonly count: number
    readonly lastAtMs: number
    readonly lastPositionBytes: number
  }
  readonly claimedAtMs: number
  readonly digestStartedAtMs: number
  readonly digestedAtMs: number
  readonly settledAtMs: number
}

/** The answer to `newest` and `after`. */
export interface ProcessedPage {
  readonly files: readonly ProcessedFile[]
  /** More follows from here: the next `before` (newest) or `number` (after). */
  readonly next?: number
  /** The journal has not been compared with the ledger yet: some may be missing. */
  readonly isProvisional?: boolean
}

/** A file between claim and archive. */
export interface QueuedFile {
  readonly sequence: number
  readonly name: string
  readonly sizeBytes: number
  readonly stage: 'claimed' | 'digested' | 'settling'
  readonly claimedAtMs: number
  /** How far its last checkpoint is: a restart sums on from there. */
  readonly checkpointBytes?: number
  /** The file that keeps its sums, once it is digested, unless they are in memory. */
  readonly runName?: string
}

/** The answer to `queue`: the files that wait, in the order of their claims. */
export interface QueuePage {
  readonly queued: readonly QueuedFile[]
  /** More follows: the next `after`. */
  readonly next?: number
}

/** The answer to `inbox`: what is known of a name there. Neither: it was not met yet, or has gone. */
export interface InboxAnswer {
  /** Why it stays. */
  readonly left?: string
  /** What it has to wait for until it is taken, without anybody's doing. */
  readonly waits?: string
}

/** The answer to `content`: the contents whose hash begins with the prefix, two at the most. */
export interface ContentAnswer {
  readonly matches: readonly ContentMatch[]
  /** Why the ledger could not be asked, if it could not: what is not known here may still be there. */
  readonly ledgerSilentBecause?: string
}

/** A file that was not counted, or has changed since, as the ledger has it, by whichever parser. */
export interface Sighted {
  readonly name: string
  readonly outcome: 'duplicate' | 'quarantined' | 'refused' | 'grew' | 'reverted' | 'held'
  readonly reason: string
  readonly atMs: number
}

export interface ContentMatch {
  readonly sha256: string
  /** The record that counted it in the totals. */
  readonly applied?: ProcessedFile
  /** Otherwise: the last that was done with it … */
  readonly last?: ProcessedFile
  /** … and whether a file of this content is on its way. */
  readonly waiting?: boolean
  /** Of one that nobody has counted: why a parser, maybe another one, did not; by the ledger. */
  readonly sighted?: Sighted
  /** What the ledger says, if it was asked: it decides. */
  readonly ledger?: ContentState | 'absent'
}
