/**
 * What a batch does to the totals, in chunks as one transaction moves them: the sums of its files that are
 * counted, merged, and of those that are taken back. Where it has both, only the difference of the two is
 * moved: a consumer with the same sum in both is not touched, and none is for a moment without its sum.
 */

import { setImmediate } from 'node:timers/promises'
import { PairBuffer, type PairChunk, PairTally } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import { type LedgerFile, isBack as takesBack } from '../file-rows.ts'
import { BlockSums } from '../recording/block-sums.ts'
import type { BatchKind, LedgerNames } from '../schema/tables.ts'
import { type MergedChunk, mergedChunks } from './merged-chunks.ts'

/** A recorded content, and which way a batch moves its sums. */
export interface Member extends LedgerFile {
  readonly isBack: boolean
}

/** Whether the batch takes it back, as a file: undone, what empties the totals adds. */
export function isReverting({ isBack, sign }: Pick<Member, 'isBack' | 'sign'>): boolean {
  return isBack === (Number(sign) === 1)
}

/** A batch of recorded contents. */
export interface StagedBatch {
  readonly id: Buffer
  readonly kind: BatchKind
  readonly files: readonly Member[]
}

/** A batch that counts files. */
export interface CountBatch {
  readonly id: Buffer
  readonly files: readonly LedgerFile[]
}

export function asStaged({ id, files }: CountBatch): StagedBatch {
  return { id, kind: 'count', files: toBeCounted(files) }
}

export function toBeCounted(files: readonly LedgerFile[]): Member[] {
  return files.map(file => ({ ...file, isBack: false }))
}

/** Files of a batch that has begun: their last posting is its. */
export function membersOf(files: readonly LedgerFile[]): Member[] {
  return files.map(file => ({ ...file, isBack: takesBack({ n: file.postings, sign: file.sign }) }))
}

/** Pairs to be added and to be taken, no consumer in both. Valid until the next one is asked for. */
export interface SignedChunk {
  /** The last consumer that it decides. */
  readonly to: bigint
  /** Of its files, before they were merged. */
  readonly inputPairs: number
  /** Added less taken. */
  readonly amount: bigint
  readonly plus: PairChunk
  readonly minus: PairChunk
}

export const NO_PAIRS: PairChunk = { ids: new BigUint64Array(0), amounts: new BigUint64Array(0) }

/** From behind `after` on, up to and with `to`. */
export async function* signedChunks(
  session: Session,
  names: LedgerNames,
  files: readonly Member[],
  pairsMax: number,
  after: bigint | null,
  to?: bigint,
): AsyncGenerator<SignedChunk> {
  const sumsOf = (isBack: boolean) =>
    files.filter(file => file.isBack === isBack).map(file => blockSums(session, names, file))
  const [plus, minus] = [sumsOf(false), sumsOf(true)]
  if (plus.length > 0 && minus.length > 0) {
    // As fine as they are packed: a chunk of one is not cut where the other's ends.
    const chunks = [plus, minus].map(sums => mergedChunks(sums, NETTED_AT_ONCE, after, to))
    yield* netted(chunks[0]!, chunks[1]!, pairsMax)
    return
  }
  const isBack = minus.length > 0
  for await (const chunk of mergedChunks(isBack ? minus : plus, pairsMax, after, to)) {
    const { inputPairs, amount } = chunk
    yield {
      ...{ to: chunk.ids[chunk.ids.length - 1]!, inputPairs },
      amount: isBack ? -amount : amount,
      plus: isBack ? NO_PAIRS : chunk,
      minus: isBack ? chunk : NO_PAIRS,
    }
  }
}

export function blockSums(session: Session, names: LedgerNames, file: LedgerFile): BlockSums {
  const { sequence, sha256, pairs } = file
  return new BlockSums(session, names, { sequence, sha256, pairs: Number(pairs ?? 0n) })
}

/** What the files move, before they are merged. */
export function planOf(files: readonly Member[]): { pairs: bigint; amount: bigint } {
  return {
    pairs: files.reduce((sum, { pairs }) => sum + (pairs ?? 0n), 0n),
    amount: files.reduce(
      (sum, { amount, isBack }) => (isBack ? sum - BigInt(amount) : sum + BigInt(amount)),
      0n,
    ),
  }
}

/** A side's chunks, pair by pair, and how much of it was passed. */
class Side {
  readonly #chunks: AsyncGenerator<MergedChunk>
  #chunk: MergedChunk | undefined
  #at = 0

  constructor(chunks: AsyncGenerator<MergedChunk>) {
    this.#chunks = chunks
  }

  /** @returns whether there is a pair. */
  async fill(): Promise<boolean> {
    while (this.#chunk === undefined || this.#at === this.#chunk.ids.length) {
      const { done, value } = await this.#chunks.next()
      if (done) return false
      this.#chunk = value
      this.#at = 0
    }
    return true
  }

  get isAtEnd(): boolean {
    return this.#chunk === undefined || this.#at === this.#chunk.ids.length
  }

  get id(): bigint {
    return this.#chunk!.ids[this.#at]!
  }

  get amount(): bigint {
    return this.#chunk!.amounts[this.#at]!
  }

  advance(): void {
    this.#at += 1
  }

  async close(): Promise<void> {
    await this.#chunks.return(undefined)
  }
}

/** One file on each side: so pairs that were merged are as many as were in it. */
async function* netted(
  plus: AsyncGenerator<MergedChunk>,
  minus: AsyncGenerator<MergedChunk>,
  pairsMax: number,
): AsyncGenerator<SignedChunk> {
  const [added, taken] = [new Side(plus), new Side(minus)]
  const out = { plus: new PairBuffer(pairsMax), minus: new PairBuffer(pairsMax) }
  let inputPairs = 0
  let ids = 0
  let to = 0n
  const chunk = (): SignedChunk => {
    const parts = { plus: out.plus.chunk(), minus: out.minus.chunk() }
    const amount = sumOf(parts.plus) - sumOf(parts.minus)
    return { to, inputPairs, amount, ...parts }
  }
  let sliceEndMs = performance.now() + SLICE_MS
  try {
    for (;;) {
      const hasAdded = await added.fill()
      const hasTaken = await taken.fill()
      if (!hasAdded && !hasTaken) break
      while (ids < pairsMax && !(hasAdded && added.isAtEnd) && !(hasTaken && taken.isAtEnd)) {
        const isAdded = hasAdded && (!hasTaken || added.id <= taken.id)
        const isTaken = hasTaken && (!hasAdded || taken.id <= added.id)
        to = isAdded ? added.id : taken.id
        const [more, less] = [isAdded ? added.amount : 0n, isTaken ? taken.amount : 0n]
        // One that is new makes a row, also with a sum of zero.
        if (more > less || !isTaken) put(out.plus, to, more - less)
        else if (less > more) put(out.minus, to, less - more)
        if (isAdded) added.advance()
        if (isTaken) taken.advance()
        inputPairs += (isAdded ? 1 : 0) + (isTaken ? 1 : 0)
        ids += 1
      }
      if (ids === pairsMax) {
        yield chunk()
        out.plus.pairs = out.minus.pairs = inputPairs = ids = 0
      }
      if (performance.now() < sliceEndMs) continue
      await setImmediate()
      sliceEndMs = performance.now() + SLICE_MS
    }
    if (ids > 0) yield chunk()
  } finally {
    await Promise.all([added.close(), taken.close()])
  }
}

function put(buffer: PairBuffer, id: bigint, amount: bigint): void {
  buffer.ids[buffer.pairs] = id
  buffer.amounts[buffer.pairs] = amount
  buffer.pairs += 1
}

/** May be more than 64 bits. */
function sumOf(chunk: PairChunk): bigint {
  const tally = new PairTally()
  if (!tally.add(chunk)) throw new Error('the ids of a chunk do not ascend')
  return tally.amount
}

const NETTED_AT_ONCE = 16_384
/** How long the event loop may have to wait for the netting. */
const SLICE_MS = 5
