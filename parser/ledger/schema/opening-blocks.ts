/**
 * The blocks of an opening balance: the same as those of a content, under a sequence that none can have.
 */

import { createHash } from 'node:crypto'
import { U64_MAX } from '../../../shared/limits.ts'
import { BlockEncoder, startPacking } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import { type FileBlock, insertBlocks } from '../recording/blocks.ts'
import type { LedgerNames } from './tables.ts'

/** Under which its blocks stand: far above any that a content gets. */
export function openingSequence(generation: bigint): bigint {
  return U64_MAX - generation
}

/** Stands for the hash of a content in the checksums of its blocks. */
export function openingSeed(ledgerUuid: string, generation: bigint): Buffer {
  return createHash('sha256').update(`countersink opening ${ledgerUuid} ${generation}`).digest()
}

/** Of those that are taken at first contact each attempt has one at random up to here. */
export const GENERATIONS = 2 ** 40

/** Those that close the books have one from here up to twice as many: they are whoever counts'. */
export const CLOSING_GENERATIONS = { from: GENERATIONS + 1, to: 2 * GENERATIONS } as const

/** A content's sequence stays far below. */
export const OPENING_SEQUENCE_MIN = U64_MAX - BigInt(CLOSING_GENERATIONS.to)

/** Writes blocks inside the caller's transaction. */
export class OpeningWriter {
  readonly #session: Session
  readonly #names: LedgerNames
  readonly #generation: bigint
  readonly #encoder: BlockEncoder
  readonly #ids = new BigUint64Array(PAIRS_AT_ONCE)
  readonly #amounts = new BigUint64Array(PAIRS_AT_ONCE)
  #pairs = 0
  #waiting: FileBlock[] = []
  #waitingWide: string[] = []
  blocks = 0
  wide = 0

  constructor(
    session: Session,
    names: LedgerNames,
    { ledgerUuid, generation }: { readonly ledgerUuid: string; readonly generation: bigint },
  ) {
    this.#session = session
    this.#names = names
    this.#generation = generation
    this.#encoder = new BlockEncoder(startPacking(), openingSeed(ledgerUuid, generation))
  }

  /** @returns whether more may be added before `write`. */
  add(id: bigint, amount: bigint): boolean {
    this.#ids[this.#pairs] = id
    this.#amounts[this.#pairs] = amount
    this.#pairs += 1
    if (this.#pairs === PAIRS_AT_ONCE) this.#pack()
    return this.#waiting.length < BLOCKS_AT_ONCE
  }

  /** The same of what is no pair of unsigned numbers of 64 bits. */
  addWide(id: bigint, amount: bigint): boolean {
    this.wide += 1
    this.#waitingWide.push(`(${this.#generation}, ${id}, ${amount})`)
    return this.#waitingWide.length < WIDE_AT_ONCE
  }

  async write(): Promise<void> {
    await this.#writeBlocks()
    await this.#writeWide()
  }

  async end(): Promise<void> {
    this.#pack()
    for (const block of this.#encoder.end()) this.#put(block)
    await this.write()
  }

  #pack(): void {
    const ids = this.#ids.subarray(0, this.#pairs)
    const amounts = this.#amounts.subarray(0, this.#pairs)
    for (const block of this.#encoder.add({ ids, amounts })) this.#put(block)
    this.#pairs = 0
  }

  #put(block: FileBlock['block']): void {
    this.#waiting.push({ fileSequence: openingSequence(this.#generation), block })
    this.blocks += 1
  }

  async #writeBlocks(): Promise<void> {
    const blocks = this.#waiting
    this.#waiting = []
    if (blocks.length === 0) return
    await insertBlocks(this.#session, this.#names, blocks)
  }

  async #writeWide(): Promise<void> {
    const rows = this.#waitingWide
    this.#waitingWide = []
    if (rows.length === 0) return
    await this.#session.execute(
      `INSERT INTO ${this.#names.opening_wide} (generation, id, amount) VALUES ${rows.join(', ')}`,
    )
  }
}

const PAIRS_AT_ONCE = 4_096
const BLOCKS_AT_ONCE = 64
/** Of some 80 bytes at most. */
const WIDE_AT_ONCE = 1_000

/** The one that is the opening balance; undefined: none was taken yet. */
export async function namedGeneration(
  session: Session,
  { meta }: LedgerNames,
): Promise<bigint | undefined> {
  const [row] = await session.query<{ generation: bigint | null }>(
    `SELECT opening_generation AS generation FROM ${meta} WHERE only_row = 1`,
  )
  return row?.generation ?? undefined
}
