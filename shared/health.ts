/** What a process says of itself in a `pong`: how it is, what it waits for, what it has done. */
export type Health = ParserHealth | GeneratorHealth | ServingHealth

export interface Counts {
  readonly applied: number
  readonly duplicate: number
  readonly quarantined: number
  readonly reverted: number
  readonly held: number
  readonly bytes: number
  /** Of those counted: good lines, and bad ones that were put aside, if any. */
  readonly lines: number
  readonly rejectedLines?: number
}

interface CommonHealth {
  readonly pid: number
  readonly uptimeSeconds: number
  /** When work was last made durable or visibly advanced; milliseconds since 1970. */
  readonly lastProgressAtMs: number
  /** Mean delay of the event loop since the last ping. */
  readonly eventLoopDelayMs: number
}

export interface ParserHealth extends CommonHealth {
  readonly role: 'parser'
  readonly state: 'starting' | 'running' | 'paused' | 'stopping'
  /** Why it is paused, or what keeps it from starting. */
  readonly reason?: string
  readonly queue: { readonly files: number; readonly bytes: number }
  readonly reading?: {
    readonly name: string
    readonly positionBytes: number
    readonly sizeBytes: number
    /** What stands before was summed before a restart; it is only hashed again. */
    readonly resumedFromBytes: number
  }
  /** unfit: it answers, but is not the one, or not as, it must be; nothing is written to it. */
  readonly database: 'ready' | 'unavailable' | 'unfit'
  readonly databaseReason?: string
  /** Of several hosts the one in use, or used last. */
  readonly databaseHost?: string
  /** A statement that has not been answered for long. */
  readonly statement?: { readonly ageSeconds: number; readonly waitsFor: string }
  readonly sinceStart: Counts
  readonly ever: Counts
  /** How much was done since the start. Earlier parsers do not say, as of the next two. */
  readonly done?: WorkDone
  /** When the file was claimed that waits longest; absent if none waits. */
  readonly oldestClaimedAtMs?: number
  /** Whether this parser counts, or only records what another one counts. */
  readonly isCounter?: boolean
  /** The number of the newest processed record. */
  readonly processed: number
  /** Since the start; absent if there are none. */
  readonly sameNames?: SameNames
  /** The same. */
  readonly grewAfterwards?: GrewAfterwards
  /** What stands in the inbox now and is not taken; absent if there is nothing. */
  readonly leftInInbox?: LeftInInbox
  /** Why the inbox cannot be looked into now; absent if it can. */
  readonly inboxAway?: string
  /** What free room is lacking, so that nothing new is begun; absent if there is enough. */
  readonly noRoom?: string
  /** A batch that only a person can help to go on; absent if there is none. */
  readonly blockedBatch?: string
  /** Files that a person decides about; absent if there are none. */
  readonly held?: HeldFiles
  /** What was asked for and waits, as whoever counts knows it; absent if there is nothing. */
  readonly orders?: WaitingOrders
  /** Counted, and in no hour, day and month yet, as whoever counts knows it; absent if there is nothing. */
  readonly usage?: UsageUpkeep
  /** Settled, and still in work/; absent if there are none. */
  readonly unmoved?: UnmovedFiles
}

/** Files whose name was counted before with other content: both are in the totals. */
export interface SameNames {
  readonly files: number
  /** The newest of them, and with how many contents each name is in the totals. */
  readonly newest: readonly { readonly name: string; readonly contents: number }[]
}

/** Files that changed after they were counted: their outcome stands. */
export interface GrewAfterwards {
  readonly files: number
  /** The newest of them, and how they changed. */
  readonly newest: readonly { readonly name: string; readonly change: string }[]
}

/** What is not taken from the inbox: the first reasons, each with some names. */
export interface LeftInInbox {
  readonly files: number
  readonly reasons: readonly {
    readonly why: string
    readonly files: number
    readonly names: readonly string[]
  }[]
}

/** Files of any parser on this ledger that are counted, or not, once a person says so. */
export interface HeldFiles {
  readonly files: number
  /** Those that were held first, and since when. */
  readonly first: readonly {
    readonly name: string
    readonly sha256: string
    readonly sinceMs: number
  }[]
}

/** Orders that cannot be carried out yet. */
export interface WaitingOrders {
  readonly orders: number
  /** The first of them. */
  readonly first: readonly { readonly kind: string; readonly why: string }[]
}

/** What usage by time waits for. */
export interface UsageUpkeep {
  readonly postings: number
  /** Since the oldest of them was counted. */
  readonly ageSeconds: number
  /** What is wrong; absent if it is only a little behind. */
  readonly why?: string
}

/** Files whose outcome is final, and that cannot be moved to where it says. */
export interface UnmovedFiles {
  readonly files: number
  /** The first of them. */
  readonly first: readonly { readonly name: string; readonly why: string }[]
}

export interface GeneratorHealth extends CommonHealth {
  readonly role: 'generator'
  readonly state: 'writing' | 'waiting' | 'draining' | 'stopping'
  readonly reason?: string
  readonly connected: boolean
  /** Published, not yet reported as settled. */
  readonly unsettled: number
  readonly writing?: {
    readonly name: string
    readonly positionBytes: number
    readonly sizeBytes: number
  }
  readonly sinceStart: { readonly files: number; readonly bytes: number }
}

/** Upper ends of the buckets in which stages are told, behind the last of which there is one without end. */
export const STAGE_BOUNDS_MS = [
  5, 25, 100, 500, 1_000, 5_000, 15_000, 60_000, 300_000, 1_800_000,
] as const

export interface WorkDone {
  readonly claimed: number
  readonly batches: number
  /** Totals changed. */
  readonly pairs: number
  readonly stages: readonly StageFigures[]
}

export interface StageFigures {
  readonly stage: string
  readonly sumMs: number
  /** How many took no longer than each bound, and longer than the one before. */
  readonly buckets: readonly number[]
}

/** What answers programs and browsers. */
export interface ServingHealth extends CommonHealth {
  readonly role: 'serving'
  readonly state: 'starting' | 'serving' | 'stopping'
  /** Why it cannot listen, or cannot write its metrics. */
  readonly reason?: string
  /** Where it listens; absent: nowhere. */
  readonly address?: string
  readonly requests: number
}
