import { randomBytes } from 'node:crypto'
import type { Terms } from '../../shared/terms.ts'
import type { Sums } from '../sums/index.ts'

/** One content in a batch: what its row in the ledger says, and its own sums. */
export interface BatchFile {
  readonly sha256: Uint8Array
  /** With the parser's instance it says which work file this was, whatever happens to the journal. */
  readonly workSequence: number
  /** 16 bytes that name its publication; none: it is known by that work file. */
  readonly origin?: Uint8Array | undefined
  readonly name: string
  /** As the publication says itself. */
  readonly publishedAtMs?: number | undefined
  /** What was asked for with it. */
  readonly terms?: Terms | undefined
  /** Why a person decides first whether it is to be counted; none: nobody need be asked. */
  readonly heldBecause?: string | undefined
  readonly sizeBytes: number
  readonly lines: number
  /** Bad lines of it that were put aside; missing: none. */
  readonly rejectedLines?: number | undefined
  readonly amount: bigint
  readonly largestSum: bigint
  readonly claimedAtMs: number
  readonly digestedAtMs: number
  /** Kept until the batch has begun: should one file drop out, the others are merged anew. */
  readonly sums: Sums
}

/** What is added to the totals as one unit: one to many files, their sums merged. */
export interface Batch {
  /** 16 random bytes, made here: after a lost connection the ledger can be asked for exactly it. */
  readonly id: Buffer
  readonly files: readonly BatchFile[]
  readonly sums: Sums
  readonly amount: bigint
}

export function newBatchId(): Buffer {
  return randomBytes(16)
}

export function amountOf(files: readonly BatchFile[]): bigint {
  return files.reduce((total, file) => total + file.amount, 0n)
}
