import { randomBytes } from 'node:crypto'

/** Consecutive pairs of consumer id and sum, ascending by id; both arrays have one length. */
export interface PairChunk {
  readonly ids: BigUint64Array
  readonly amounts: BigUint64Array
}

/** Sums per consumer in ascending order of id, wherever they are kept. */
export interface PairSource {
  readonly pairs: number
  /** From the first pair on, at most `pairsMax` at a time; can be called again to start over. */
  chunks(pairsMax: number): Iterable<PairChunk> | AsyncIterable<PairChunk>
  /** Releases what holds the pairs. */
  close(): Promise<void>
}

/** One content in a batch: what its row in the ledger says. */
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
}

/** What is added to the totals as one unit. */
export interface Batch {
  /** 16 random bytes, made here: after a lost connection the ledger can be asked for exactly it. */
  readonly id: Buffer
  readonly files: readonly BatchFile[]
  readonly sums: PairSource
  readonly amount: bigint
}

export function batchOf(files: readonly BatchFile[], sums: PairSource): Batch {
  const amount = files.reduce((total, file) => total + file.amount, 0n)
  return { id: randomBytes(16), files, sums, amount }
}
