/** What the service answers, as far as this page shows it. Ids and amounts are digits; times are ISO, UTC. */

export interface Process {
  readonly state: string
  readonly pid: number | null
  readonly uptimeSeconds: number | null
  readonly restarts?: number
  readonly reason?: string
  readonly eventLoopDelayMs?: number
}

export interface Counts {
  readonly applied: number
  readonly duplicate: number
  readonly quarantined: number
  readonly reverted: number
  readonly held: number
  readonly bytes: number
  readonly lines: number
  readonly rejectedLines?: number
}

export interface Status {
  readonly answeredBy: 'parser' | 'journal' | null
  readonly supervisor: Process
  readonly parser: Process
  readonly generator: Process & { readonly connected?: boolean; readonly unsettled?: number }
  /** Missing: the supervisor keeps none. */
  readonly serving?: Process & { readonly address?: string }
  readonly queue: { readonly files: number; readonly bytes: number } | null
  readonly reading: {
    readonly name: string
    readonly positionBytes: number
    readonly sizeBytes: number
  } | null
  readonly database: {
    readonly kind: string
    readonly remembered: string | null
    readonly state: string
    readonly reason?: string
    readonly host?: string
    readonly statement?: { readonly ageSeconds: number; readonly waitsFor: string }
    readonly pid?: number | null
    readonly restarts?: number
  }
  readonly sinceStart: Counts | null
  readonly ever: Counts | null
  readonly sameNames: {
    readonly files: number
    readonly newest: readonly { readonly name: string; readonly contents: number }[]
  } | null
  readonly grewAfterwards: {
    readonly files: number
    readonly newest: readonly { readonly name: string; readonly change: string }[]
  } | null
  readonly leftInInbox: {
    readonly files: number
    readonly reasons: readonly {
      readonly why: string
      readonly files: number
      readonly names: readonly string[]
    }[]
  } | null
  readonly inboxAway: string | null
  readonly held: {
    readonly files: number
    readonly first: readonly {
      readonly name: string
      readonly sha256: string
      readonly since: string
    }[]
  } | null
  readonly orders: {
    readonly orders: number
    readonly first: readonly { readonly kind: string; readonly why: string }[]
  } | null
  readonly unmoved: {
    readonly files: number
    readonly first: readonly { readonly name: string; readonly why: string }[]
  } | null
  readonly lastProgressAt: string | null
}

export const OUTCOMES = ['applied', 'duplicate', 'quarantined', 'reverted', 'held'] as const

export interface SettledFile {
  readonly sha256: string
  readonly size: number
  readonly lines: number
  readonly rejectedLines?: number
  readonly amount: string
  readonly outcome: string
  readonly name: string
  readonly time: string
  readonly reason?: string
}

/** `next`: what to ask for with `after` to go on; null at the end. */
export interface Files {
  /** Of the day that is asked for. */
  readonly timeZone: string
  readonly files: readonly SettledFile[]
  readonly next: string | null
}

export type Granularity = 'hour' | 'day' | 'month'

export interface Usage {
  readonly by: Granularity
  readonly asked: Granularity
  readonly timeZone: string
  readonly from: string
  readonly to: string
  readonly asOf: string
  readonly rolledUpAt: string | null
  readonly filesNotRolledUp: number
  readonly rezoning: boolean
  readonly periods: readonly UsagePeriod[]
}

export interface UsagePeriod {
  /** `2026-11-01T10:00+01:00`, `2026-11-01` or `2026-11`, by the ledger's clocks. */
  readonly period: string
  readonly start: string
  readonly amount: string
}

export interface Posting {
  readonly time: string
  readonly amount: string
  readonly runningTotal: string
  readonly name: string
  readonly sha256: string
  readonly beingCounted: boolean
  readonly order?: string
  readonly reason?: string
}

export interface Consumer {
  readonly opening: { readonly amount: string | null }
  readonly totalNow: string | null
  readonly postings: readonly Posting[]
  readonly next: string | null
  /** With the last page. */
  readonly total?: {
    readonly postings: number
    readonly expected: string
    readonly total: string | null
    readonly difference: string | null
    readonly addsUp: boolean | null
  }
}

export interface Step {
  readonly step: string
  readonly time: string
  readonly tookMs?: number
  readonly note?: string
}

export interface Other {
  readonly sha256: string
  readonly name?: string
}

export interface ContentTrail {
  readonly kind: 'content'
  readonly name: string
  readonly sha256: string | null
  readonly counted: boolean
  readonly outcome: string
  readonly path?: string
  readonly steps: readonly Step[]
  readonly settled: readonly SettledFile[]
  readonly sightings: readonly {
    readonly name: string
    readonly time: string
    readonly outcome: string
    readonly reason: string
  }[]
  readonly sightingsCount: number
  readonly ledger?: {
    readonly size: number
    readonly lines: number
    readonly amount: string
    readonly consumers: string | null
    readonly rejectedLines?: number
    readonly mends?: Other
    readonly supersedes?: Other
    readonly supersededBy?: Other
  }
  readonly mendedBy?: readonly Other[]
}

/** A prefix of a hash may be that of several, or of one that has only just come. */
export type FileAnswer =
  | ContentTrail
  | {
      readonly kind: 'several'
      readonly files: readonly {
        readonly name: string
        readonly time: string
        readonly state: string
        readonly sha256?: string
      }[]
    }
  | { readonly kind: 'inbox'; readonly name: string; readonly size?: number }

export interface Refused {
  readonly entry: string
  readonly name: string
  readonly size: number
  readonly reason: string | null
  readonly sha256?: string
  readonly time?: string
  readonly whatNow?: string
  readonly badLine?: {
    readonly line: number
    readonly offset: number
    readonly byte?: number
    readonly text?: string
  }
}

export interface Quarantine {
  readonly files: readonly Refused[]
  readonly next: string | null
}

export interface LastProof {
  readonly at: string
  readonly result: {
    readonly full: boolean
    readonly addsUp: boolean | null
    readonly totals: string | null
    readonly opening: string | null
    readonly counted: string | null
    readonly files: number | null
    readonly findings: number
    readonly differences: number | null
  }
  readonly findings: readonly { readonly check: string; readonly text: string }[]
}
