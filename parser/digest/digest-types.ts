/** What a digest is asked and what it answers. */

import assert from 'node:assert/strict'
import type { Rejected } from '../../shared/reject-limit.ts'
import type { Checkpoint } from '../facts.ts'
import { isRunName, type Sums } from '../sums/index.ts'
import type { BadLine } from './line-defects.ts'
import { TABLE_PAIRS_MAX } from './sum-kernel.ts'
import type { RejectJob } from './worker-messages.ts'

export interface Digest {
  /** 32 bytes. */
  readonly sha256: Uint8Array
  readonly sizeBytes: number
  /** Good lines; those before the bad one if there is one. */
  readonly lines: number
  /** Those of them that other threads have summed than the one that answers for the file. */
  readonly helpedLines: number
  /** Bad lines that were put aside, as far as they may be: their file then stands at `draftPath`. */
  readonly rejected: Rejected
  /** Whether the last byte is a line feed. True for an empty file. */
  readonly endsWithLineEnd: boolean
  readonly verdict: DigestVerdict
  /** Where the sum went on from a checkpoint; 0 if the whole file was parsed. */
  readonly resumedFromBytes: number
  /** Why the checkpoint that was given could not be used. */
  readonly checkpointDropped?: string
  /** So many first bytes of the file are not those that the checkpoint told of. */
  readonly changedPrefixBytes?: number
  /** The file's sums, sealed in the runs directory; undefined if they are in memory. */
  readonly runName?: string
  readonly hashMs: number
  readonly sumMs: number
  /**
   * To be called when no kept checkpoint of this file matters any more (P3 is durable): deletes
   * its runs, all but `runName`. Safe to repeat.
   */
  release(): Promise<void>
  /**
   * Closes the sums and deletes all runs of the file, also `runName`, and the draft of its rejects unless
   * it is good. Safe to repeat.
   */
  discard(): Promise<void>
}

export type DigestVerdict =
  | {
      readonly ok: true
      /** The sum of all lines' amounts: may be more than 64 bits. */
      readonly amount: bigint
      /** To be closed by the caller. */
      readonly sums: Sums
      /** 0 if there are no sums. */
      readonly largestSum: bigint
    }
  /** The first bad line, when more are bad than may be; else the one for which it is refused. */
  | { readonly ok: false; readonly bad: BadLine; readonly isOverLimit?: boolean }

export interface DigestOptions {
  /** Open for reading. Stays the caller's, who must not close it before the digest settles. */
  readonly fd: number
  /** The file's size. Bytes beyond it are not read. */
  readonly sizeBytes: number
  /** Consumers held in memory at once: beyond it, sums are sealed in a run and the table is emptied. */
  readonly pairsMax: number
  /** Sums of at most so many consumers stay in memory, if no run had to be written before. */
  readonly memoryPairsMax: number
  /** A checkpoint is made after each so many bytes of the file. */
  readonly checkpointBytes: number
  /** Exists; on a filesystem with room for 16 bytes a consumer, a few times over. */
  readonly runsDirectory: string
  /** The names of this file's runs begin with it, and it is the owner named in them. */
  readonly runsPrefix: string
  /** Lets bad lines be put aside; without it the first one is the verdict. */
  readonly rejects?: Omit<RejectJob, 'kept'> | undefined
  /** What the last `onCheckpoint` of an earlier digest of this file was given. */
  readonly resume?: Checkpoint
  /**
   * Makes a checkpoint durable: it counts as committed when this returns or resolves, and it alone
   * counts from then on. Calls come in order of position, never two at once, and none after the
   * digest has settled. Its failure fails the digest. Without it there are no checkpoints.
   */
  readonly onCheckpoint?: (checkpoint: Checkpoint) => void | Promise<void>
  /** Ends the digest within one read of each thread. Committed checkpoints stay usable. */
  readonly signal?: AbortSignal
  /**
   * Told, after each read, how far both threads have come, and now and then the same position
   * again while runs are merged. Goes back only when a checkpoint is dropped.
   */
  readonly onProgress?: (positionBytes: number) => void
}

/** The ranges of what a caller configures; beyond them is a fault of the caller. */
export function assertOptions(options: DigestOptions): void {
  const { sizeBytes, pairsMax, memoryPairsMax, checkpointBytes, runsPrefix } = options
  assertRange('sizeBytes', sizeBytes, 0, Number.MAX_SAFE_INTEGER - 1)
  assertRange('pairsMax', pairsMax, 1, TABLE_PAIRS_MAX)
  assertRange('memoryPairsMax', memoryPairsMax, 0, TABLE_PAIRS_MAX)
  assertRange('checkpointBytes', checkpointBytes, 1, Number.MAX_SAFE_INTEGER)
  const fits = isRunName(`${runsPrefix}.run`) && runsPrefix.length <= PREFIX_CHARACTERS_MAX
  assert(fits, `runsPrefix must be 1..${PREFIX_CHARACTERS_MAX} of A-Za-z0-9._-, got ${runsPrefix}`)
}

/** Leaves room for what tells a digest's runs apart. */
const PREFIX_CHARACTERS_MAX = 150

export function assertRange(name: string, value: number, min: number, max: number): void {
  const fits = Number.isSafeInteger(value) && value >= min && value <= max
  assert(fits, `${name} must be ${min}..${max}, got ${value}`)
}
