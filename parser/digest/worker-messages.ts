/** What passes between the digest and its worker threads. Both sides import this file only. */

import type { ErrorCode } from '../../shared/errors.ts'
import type { Rejected, RejectLimit } from '../../shared/reject-limit.ts'
import type { KeptRejects } from '../facts.ts'
import type { BadLine } from './line-defects.ts'
import type { Help, Team } from './segment-board.ts'

/** One file's worth of work. A worker does one at a time and answers each with one outcome. */
export interface Job {
  /** Shared with others and not owned: read at explicit positions, never closed. */
  readonly fd: number
  readonly sizeBytes: number
  /** How much is read at once. */
  readonly readBytes: number
  /** Where reading begins. */
  readonly startBytes: number
  /** Both threads tell what they know at each multiple of this that lies inside the file … */
  readonly checkpointBytes: number
  /** … and behind the checkpoint that the digest goes on from (0 if there is none). */
  readonly resumedBytes: number
}

export interface HashJob extends Job {
  /** Starts at 0, and tells the hash also at `resumedBytes`. */
  readonly startBytes: 0
  /** Where the first line begins that is summed. */
  readonly sumStartBytes: number
  /** How to help with the sums afterwards; undefined if the file is too small for that. */
  readonly help: Help | undefined
}

/** Helping with the sums and nothing else. */
export interface HelpJob extends Job {
  readonly startBytes: 0
  readonly sumStartBytes: number
  readonly help: Help
}

export type HelpResult = undefined

export interface SumJob extends Job {
  /** What sums may take in memory; the same in each job of a thread. */
  readonly sumBytesMax: number
  /** Undefined if the file is too small for that. */
  readonly team: Team | undefined
  readonly pairsMax: number
  readonly memoryPairsMax: number
  readonly runsDirectory: string
  readonly runsPrefix: string
  /** What the names of new runs begin with. */
  readonly runNamesFrom: string
  /** What is known of the lines before `startBytes`. */
  readonly lines: number
  readonly amount: bigint
  readonly runs: readonly string[]
  /** How bad lines are put aside; undefined: the first is the end. */
  readonly rejects: RejectJob | undefined
}

export interface RejectJob {
  readonly limit: RejectLimit
  /** Where the reject file grows. */
  readonly draftPath: string
  /** Of the file, as it came. */
  readonly name: string
  /** Of the lines before `startBytes`. */
  readonly kept: KeptRejects | undefined
}

/** The hash of the file's first bytes. */
export interface HashEvent {
  readonly kind: 'prefix'
  readonly positionBytes: number
  readonly sha256: Uint8Array
}

/** The sums' part of a checkpoint. */
export interface SumPart {
  readonly positionBytes: number
  readonly resumeBytes: number
  readonly lines: number
  readonly amount: bigint
  readonly runs: readonly string[]
  readonly rejects?: KeptRejects | undefined
}

export type SumEvent =
  | ({ readonly kind: 'checkpoint' } & SumPart)
  /** The runs in use are these from now on; others are not needed here any more. */
  | { readonly kind: 'runs'; readonly runs: readonly string[] }
  /** A long step is going on. */
  | { readonly kind: 'alive' }

export interface HashResult {
  readonly sha256: Uint8Array
  readonly endsWithLineEnd: boolean
  readonly hashMs: number
}

export interface SumResult {
  readonly lines: number
  /** Those of them that other threads have summed. */
  readonly helpedLines: number
  /** Bad ones that were put aside; none if the file is not to be counted. */
  readonly rejected: Rejected
  readonly verdict: SumVerdict
  readonly sumMs: number
}

export type SumVerdict =
  | {
      readonly ok: true
      readonly amount: bigint
      readonly largestSum: bigint
      readonly sums:
        | {
            readonly ids: BigUint64Array<ArrayBuffer>
            readonly amounts: BigUint64Array<ArrayBuffer>
          }
        | { readonly runName: string }
    }
  | { readonly ok: false; readonly bad: BadLine; readonly isOverLimit?: boolean }

/**
 * Two shared 32-bit words. A worker in its loop takes no messages, so these are all that reaches
 * it: whether the job is given up (not 0), and how many checkpoints are done with.
 */
export type ControlWords = Int32Array
export const CONTROL_CANCELLED = 0
export const CONTROL_CHECKPOINTS = 1
export const CONTROL_WORDS = 2

/** A thread that is so many checkpoints ahead of what is done with waits. */
export const CHECKPOINTS_AHEAD_MAX = 4

export interface JobMessage<J extends object> {
  readonly job: J
  readonly control: ControlWords
}

export type WorkerMessage<E, R> =
  | { readonly kind: 'progress'; readonly positionBytes: number }
  | { readonly kind: 'event'; readonly event: E }
  | { readonly kind: 'done'; readonly result: R }
  | { readonly kind: 'cancelled' }
  /** The error's parts: a cloned Error loses its code. `errno` is the system's name of the cause. */
  | {
      readonly kind: 'failed'
      readonly code: ErrorCode
      readonly message: string
      readonly advice: string | undefined
      readonly errno: string | undefined
    }
