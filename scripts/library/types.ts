/**
 * What the library is asked and what it answers: plain data. Amounts, totals and ids of consumers are
 * bigints. Times are numbers: milliseconds since 1970 (UTC), and their names end in `Ms`.
 */

import type { CountersinkError } from '../../shared/errors.ts'

/** Whose service, and how it is asked. */
export interface ServiceOptions {
  /** The state directory of the service, which must be there. */
  readonly stateDir: string
  /**
   * The settings of the service, as in its environment: `COUNTERSINK_DATABASE_URL` and so on. They stand
   * above the configuration file of the state directory. The process's own environment is not read.
   */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Gives up: an error STOPPED is thrown, whose cause is the signal's reason. */
  readonly signal?: AbortSignal
  /** Told what is waited for, or who has answered instead of whom. Nothing is told elsewhere. */
  readonly onNotice?: (text: string) => void
}

/** `reverted`: its content was counted and taken back. `held`: a person decides whether it is counted. */
export type Outcome = 'applied' | 'duplicate' | 'quarantined' | 'reverted' | 'held'

// --- publish ---------------------------------------------------------------------------------

export interface PublishOptions extends ServiceOptions {
  /** Paths; each is copied, and never touched. */
  readonly files: readonly string[]
  /** Until each is settled; false if not given. */
  readonly wait?: boolean
  /** How long at most; if not given, as long as a service runs. */
  readonly timeoutMs?: number
  /** So many bad lines of each are put aside, `10`, or such a share, `0.5%`; if not given, as configured. */
  readonly rejectLines?: string
  /** The content, 64 hex digits, that could not be counted, or not all of it, and that these mend. */
  readonly parent?: string
  /**
   * When what these tell of was used, which decides its hour, day and month: a Date, or a text with its zone
   * like `2026-01-31T23:59:59Z`; if not given, when they come.
   */
  readonly usedAt?: Date | string
}

export type Published =
  | {
      /** As it was named. */
      readonly file: string
      /** `queued`: it stands in the inbox, is not settled, or was not waited for. */
      readonly outcome: Outcome | 'queued'
      readonly sha256: string
      /** In the inbox. */
      readonly name: string
      readonly sizeBytes: number
      /** Why it was quarantined or is held, and where it is. */
      readonly reasons: readonly string[]
      /** Bad lines that were put aside of one that is `applied`. */
      readonly rejectedLines: number
      /** The file that they are in; undefined: there are none. */
      readonly rejects: string | undefined
    }
  | { readonly file: string; readonly outcome: 'refused'; readonly error: CountersinkError }

// --- check -----------------------------------------------------------------------------------

export interface CheckOptions extends ServiceOptions {
  /** A file that stands there, or at least 8 hex digits of a SHA-256. */
  readonly subject: string
}

export interface Checked {
  /** Of the content; as much as was given, where nothing is known of it. */
  readonly sha256: string
  readonly isCounted: boolean
  readonly state:
    | 'counted'
    | 'being-counted'
    | 'waiting'
    | 'held'
    /** It was counted and taken back. */
    | 'reverted'
    | 'refused'
    | 'never-seen'
    | 'ledger-lacks-it'
  /** What was done with it: when it was counted, or else last. */
  readonly file: SettledFile | undefined
}

/** The end of one file's way. */
export interface SettledFile {
  /** In the inbox; of one that another parser has counted, as it was published. */
  readonly name: string
  readonly sha256: string
  readonly sizeBytes: number
  /** Good ones. */
  readonly lines: number
  /** Bad ones that were put aside. */
  readonly rejectedLines: number
  readonly amount: bigint
  readonly outcome: Outcome
  readonly reason: string | undefined
  readonly claimedAtMs: number
  readonly settledAtMs: number
}

// --- totals ----------------------------------------------------------------------------------

export interface TotalsOptions extends ServiceOptions {
  /** Only this consumer. */
  readonly id?: bigint
  /** The largest, so many, largest first; not beside `id`. */
  readonly top?: number
}

export interface Total {
  readonly id: bigint
  readonly amount: bigint
}

// --- usage -----------------------------------------------------------------------------------

/** Without `id`, `top` and `each` it is of all consumers together; only one of them can be given. */
export interface UsageOptions extends ServiceOptions {
  /** Of this consumer. */
  readonly id?: bigint
  /** Of each period the largest, so many, largest first, equal ones by id. */
  readonly top?: number
  /** Of each period every consumer that has something there, by id. */
  readonly each?: boolean
  /** How long a period is; `day` if not given. Where such are not kept any more, longer ones are told. */
  readonly by?: 'hour' | 'day' | 'month'
  /**
   * The first of it, and where it ends: a Date, a text with its zone, or one like `2026-11-01` or
   * `2026-11-01T10:00` by the clocks of the ledger's time zone. If not given, 48 hours, 30 days or 12 months
   * before the end, and until now. A period that one of them falls into is told whole.
   */
  readonly from?: Date | string
  readonly to?: Date | string
  /** Told before the first line. */
  readonly onFacts?: (facts: UsageFacts) => void
}

/** What one period has. */
export interface Used {
  readonly fromMs: number
  /** Not in it any more. */
  readonly toMs: number
  /** undefined: all consumers together. */
  readonly id: bigint | undefined
  readonly amount: bigint
}

/** What is told, as of one moment. */
export interface UsageFacts {
  /** Of the periods that are told: longer than was asked for where those are not kept any more. */
  readonly by: 'hour' | 'day' | 'month'
  /** Of days and months. */
  readonly timeZone: string
  readonly fromMs: number
  readonly toMs: number
  readonly asOfMs: number
  /** undefined: nothing is rolled up yet. */
  readonly rolledUpAtMs: number | undefined
  /** Of this time; what they have brought is among the amounts. */
  readonly filesNotRolledUp: number
  /** The time zone has changed, and days and months are being made anew. */
  readonly isRezoning: boolean
  /** undefined: all that there ever were. */
  readonly hoursKeptFromMs: number | undefined
  readonly daysKeptFromMs: number | undefined
  readonly monthsKeptFromMs: number | undefined
}

// --- verify ----------------------------------------------------------------------------------

export interface VerifyOptions extends ServiceOptions {
  /** Consumer by consumer. */
  readonly full?: boolean
  /** Of all that differ, so many are named; 10,000 if not given. */
  readonly differencesMax?: number
  /** With `full`: from 0 to 1. */
  readonly onProgress?: (share: number) => void
}

export interface Verified {
  /** undefined: it cannot be said, for the reason in `unknownBecause`. */
  readonly addsUp: boolean | undefined
  /** undefined: the tables are not what they must be. */
  readonly sums:
    | {
        readonly opening: bigint
        readonly counted: bigint
        readonly totals: bigint
        readonly files: number
        /** Bad lines of these that were put aside. */
        readonly rejectedLines: number
        readonly batchesOpen: number
      }
    | undefined
  readonly findings: readonly { readonly check: string; readonly text: string }[]
  /** Without `full` there are none. */
  readonly differences: readonly {
    readonly id: bigint
    /** undefined: it has none. */
    readonly total: bigint | undefined
    readonly expected: bigint
  }[]
  readonly differencesCount: number
  readonly unknownBecause: string | undefined
}

// --- explain ---------------------------------------------------------------------------------

export interface ExplainFileOptions extends ServiceOptions {
  /** A file that stands there, a name, or at least 8 hex digits of a SHA-256. */
  readonly subject: string
}

export type ExplainedFile =
  | {
      readonly kind: 'content'
      readonly name: string
      /** undefined: it was not read to its end. */
      readonly sha256: string | undefined
      readonly isCounted: boolean
      /** In words, with the reason. */
      readonly outcome: string
      /** Where this state directory has its file now; undefined: not where it was put, or another has it. */
      readonly path: string | undefined
      readonly steps: readonly {
        readonly step: string
        readonly atMs: number
        readonly note: string | undefined
      }[]
      /** In the history: the file that was counted, and the last one. */
      readonly settled: readonly SettledFile[]
      /** Its files that were not counted, the newest few. */
      readonly sightings: readonly {
        readonly name: string
        readonly outcome: 'duplicate' | 'quarantined' | 'refused' | 'grew' | 'reverted' | 'held'
        readonly reason: string
        readonly atMs: number
      }[]
      /** Why MariaDB could not be asked. */
      readonly ledgerSilentBecause: string | undefined
    }
  /** Newest first. */
  | { readonly kind: 'several'; readonly files: readonly NamedFile[]; readonly hasMore: boolean }
  | { readonly kind: 'inbox'; readonly name: string; readonly sha256: string | undefined }
  | {
      readonly kind: 'unknown'
      /** Other files that came under the name of the one that stands there. */
      readonly namesakes: readonly NamedFile[]
    }

export interface NamedFile {
  readonly name: string
  readonly sha256: string | undefined
  readonly state:
    | 'waiting'
    | 'staging'
    | 'staged'
    | 'applying'
    | 'applied'
    | 'refused'
    | 'reverting'
    | 'reverted'
    | 'held'
    | 'duplicate'
    | 'quarantined'
    | 'grew'
  readonly atMs: number
}

export interface ExplainConsumerOptions extends ServiceOptions {
  readonly consumer: bigint
  /** Postings from then on, and before then, are told one by one. */
  readonly sinceMs?: number
  readonly untilMs?: number
}

export interface ExplainedConsumer {
  readonly kind: 'consumer'
  readonly id: bigint
  /** What stood there at first contact; undefined: not known of single consumers. */
  readonly opening: bigint | undefined
  /** In the order in which they were counted; those in the period. */
  readonly postings: readonly {
    /** When its batch had ended; of one that has not, when it had begun. */
    readonly atMs: number
    readonly isBatchOpen: boolean
    /** Below zero: taken back. */
    readonly amount: bigint
    readonly runningTotal: bigint
    readonly name: string
    readonly sha256: string
    /** What has asked for it: `undo`, `supersede`, `reset`; undefined: it was simply counted. */
    readonly order: string | undefined
    /** Of whoever asked, perhaps empty; undefined: nobody did. */
    readonly reason: string | undefined
  }[]
  /** Of all, whenever they were. */
  readonly postingsCount: number
  /** What they make, on top of the opening. */
  readonly expected: bigint
  /** undefined: it has none. */
  readonly total: bigint | undefined
  /** undefined: the opening is not known. */
  readonly addsUp: boolean | undefined
}
