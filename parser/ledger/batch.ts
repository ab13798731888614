import { randomBytes } from 'node:crypto'

/** Consecutive pairs of consumer id and sum, ascending by id; both arrays have one length. */
export interface PairChunk {
  readonly ids: BigUint64Array
  readonly amounts: BigUint64Array
}

/** Sums per consumer in ascending order of id, wherever they are kept. */
export interface PairSource {
  readonly pairs: number
  /**
   * At most `pairsMax` at a time, from the first pair behind the id `after`, or from the first.
   * Can be called again to start over. A chunk is valid until the next one is asked for.
   */
  chunks(pairsMax: number, after?: bigint | null): AsyncIterable<PairChunk>
  /** The sum of one consumer. */
  find(id: bigint): Promise<bigint | undefined>
  /** Releases what holds the pairs. */
  close(): Promise<void>
}

/** One content in a batch: what its row in the ledger says, and its own sums. */
export interface BatchFile {
  readonly sha256: Uint8Array
  /** With the parser's instance it says which work file this was, whatever happens to the journal. */
  readonly workSequence: number
  readonly name: string
  readonly sizeBytes: number
  readonly lines: number
  readonly amount: bigint
  readonly largestSum: bigint
  readonly claimedAtMs: number
  readonly digestedAtMs: number
  /** Kept until the batch has begun: should one file drop out, the others are merged anew. */
  readonly sums: PairSource
}

/** What is added to the totals as one unit: one to many files, their sums merged. */
export interface Batch {
  /** 16 random bytes, made here: after a lost connection the ledger can be asked for exactly it. */
  readonly id: Buffer
  readonly files: readonly BatchFile[]
  readonly sums: PairSource
  readonly amount: bigint
}

export function newBatchId(): Buffer {
  return randomBytes(16)
}

export function amountOf(files: readonly BatchFile[]): bigint {
  return files.reduce((total, file) => total + file.amount, 0n)
}
