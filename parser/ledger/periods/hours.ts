/**
 * What is written of an hour: its consumers' usage as packed blocks, like those of a content. What is added
 * and taken is put on the blocks in which those consumers stand, or beside which they belong; these are
 * packed anew, and the others stay as they are. A sum beyond 64 bits has the rest in a row of its own.
 */

import { U64_MAX } from '../../../shared/limits.ts'
import type { KernelExports } from '../../kernel/index.ts'
import {
  Accumulators,
  BlockEncoder,
  firstAfter,
  PACKED_PAIRS_MAX,
  type PackedBlock,
  type PairChunk,
} from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import { BLOCK_COLUMNS, type BlockRow, blockOf, insertPacked } from '../recording/blocks.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { hourSeed } from './hour-seed.ts'
import { unlike } from './rollup-row.ts'

/** Consumers of a chunk. */
export const CHUNK_ROWS_MAX = 2 ** 17

/** What is added to consumers of an hour, and what is taken; none is in both. */
export interface Change {
  readonly plus: PairChunk
  readonly minus: PairChunk
}

export class HourWriter {
  readonly #names: LedgerNames
  readonly #kernel: KernelExports
  readonly #window = new Accumulators(ROWS_MAX, 1)

  constructor(names: LedgerNames, kernel: KernelExports) {
    this.#names = names
    this.#kernel = kernel
  }

  /**
   * Within the caller's transaction.
   *
   * @throws CountersinkError USAGE_UNLIKE when more is to be taken than there is; BLOCK_UNREADABLE
   */
  async change(session: Session, hour: string, change: Change): Promise<void> {
    const touched = idsOf(change)
    if (touched.length === 0) return
    const stretches = stretchesOf(touched, await this.#standing(session, hour, touched))
    for (const stretch of stretches) await this.#pack(session, hour, stretch, change)
  }

  /** The blocks that may be touched, without their bytes. */
  async #standing(session: Session, hour: string, touched: BigUint64Array): Promise<Standing[]> {
    const { usage_block } = this.#names
    const rows = await session.query<Standing>(
      `SELECT first_id AS firstId, last_id AS lastId, pairs FROM ${usage_block}
        WHERE period_start = ? AND first_id <= ?
          AND first_id >= COALESCE((SELECT MAX(d.first_id) FROM ${usage_block} d
                                     WHERE d.period_start = ? AND d.first_id <= ?), 0)
        ORDER BY first_id`,
      [hour, touched.at(-1)!, hour, touched[0]!],
    )
    return rows.map(({ firstId, lastId, pairs }) => ({ firstId, lastId, pairs: Number(pairs) }))
  }

  async #pack(session: Session, hour: string, stretch: Stretch, change: Change): Promise<void> {
    const { usage_block } = this.#names
    const seed = hourSeed(hour)
    const old = await this.#read(session, hour, stretch)
    const wide = await this.#readWide(session, hour, stretch)
    const window = this.#window
    const [plus, minus] = [within(change.plus, stretch), within(change.minus, stretch)]
    begin(window, seed, old, [plus.ids, minus.ids])
    for (const block of old) window.putBlock(0, seed, block, EVERYTHING)
    for (const { id, amount } of wide) window.putOne(0, BigInt(id), BigInt(amount))
    window.putPairs(0, plus)
    window.putPairs(0, minus, true)
    if (window.pairs(0, 'below').ids.length > 0) {
      throw unlike(0n, `the hour ${hour} UTC has less of a consumer than is to be taken from it`)
    }
    const encoder = new BlockEncoder(this.#kernel, seed)
    const blocks = encoder.add(window.pairs(0, 'above'))
    blocks.push(...encoder.end())
    if (old.length > 0) {
      await session.execute(
        `DELETE FROM ${usage_block} WHERE period_start = ? AND first_id BETWEEN ? AND ?`,
        [hour, old[0]!.firstId, old.at(-1)!.firstId],
      )
    }
    await insertPacked(
      session,
      `${usage_block} (period_start`,
      blocks.map(block => ({ key: hour, block })),
    )
    await this.#writeWide(session, hour, stretch, wide.length > 0)
  }

  async #read(session: Session, hour: string, { old }: Stretch): Promise<PackedBlock[]> {
    if (old.length === 0) return []
    const rows = await session.query<BlockRow>(
      `SELECT ${BLOCK_COLUMNS} FROM ${this.#names.usage_block} s
        WHERE s.period_start = ? AND s.first_id BETWEEN ? AND ? ORDER BY s.first_id`,
      [hour, old[0]!.firstId, old.at(-1)!.firstId],
    )
    return rows.map(blockOf)
  }

  #readWide(session: Session, hour: string, { from, to }: Stretch): Promise<WideRow[]> {
    return session.query<WideRow>(
      `SELECT id, amount FROM ${this.#names.usage_wide} WHERE period_start = ? AND id BETWEEN ? AND ?`,
      [hour, from, to],
    )
  }

  async #writeWide(
    session: Session,
    hour: string,
    { from, to }: Stretch,
    hasSome: boolean,
  ): Promise<void> {
    const { usage_wide } = this.#names
    if (hasSome) {
      await session.execute(
        `DELETE FROM ${usage_wide} WHERE period_start = ? AND id BETWEEN ? AND ?`,
        [hour, from, to],
      )
    }
    for (const { id, amount } of this.#window.wide(0)) {
      await session.execute(
        `INSERT INTO ${usage_wide} (period_start, id, amount) VALUES (?, ?, ?)`,
        [hour, id, String(amount - U64_MAX)],
      )
    }
  }
}

interface Standing {
  readonly firstId: bigint
  readonly lastId: bigint
  readonly pairs: number
}

/** Consumers that are packed together, and the blocks in which some of them stand, one behind the other. */
interface Stretch {
  readonly old: readonly Standing[]
  readonly from: bigint
  readonly to: bigint
}

interface WideRow {
  readonly id: bigint
  readonly amount: string
}

/**
 * Each consumer goes to the block that begins last before it, or to the first one. Blocks that stand side
 * by side are packed together, as many as there is room for, and small ones beside them: so pieces do not
 * pile up.
 */
function stretchesOf(touched: BigUint64Array, standing: readonly Standing[]): Stretch[] {
  if (standing.length === 0) return [{ old: [], from: touched[0]!, to: touched.at(-1)! }]
  const stretches: Stretch[] = []
  let open: { old: Standing[]; from: bigint; to: bigint; rows: number } | undefined
  let at = 0
  for (const [i, block] of standing.entries()) {
    const next = standing[i + 1]
    const end = next === undefined ? touched.length : firstAfter(touched, next.firstId - 1n)
    const some = touched.subarray(at, end)
    at = end
    const rows = block.pairs + some.length
    if (open !== undefined && (open.rows + rows > ROWS_MAX || !isPacked(block, some))) {
      stretches.push(open)
      open = undefined
    }
    if (open === undefined && some.length === 0) continue
    open ??= { old: [], from: least(block.firstId, some[0]), to: 0n, rows: 0 }
    open.old.push(block)
    open.rows += rows
    open.to = most(block.lastId, some.at(-1))
  }
  if (open !== undefined) stretches.push(open)
  return stretches
}

function isPacked({ pairs }: Standing, touched: BigUint64Array): boolean {
  return touched.length > 0 || pairs < SMALL_PAIRS
}

function least(a: bigint, b: bigint | undefined): bigint {
  return b !== undefined && b < a ? b : a
}

function most(a: bigint, b: bigint | undefined): bigint {
  return b !== undefined && b > a ? b : a
}

function begin(
  window: Accumulators,
  seed: Uint8Array,
  old: readonly PackedBlock[],
  more: readonly BigUint64Array[],
): void {
  const filled = [...more].filter(ids => ids.length > 0)
  const firsts = [...old.map(({ firstId }) => firstId), ...filled.map(ids => ids[0]!)]
  const lasts = [...old.map(({ lastId }) => lastId), ...filled.map(ids => ids.at(-1)!)]
  const first = firsts.reduce((a, b) => (b < a ? b : a))
  const last = lasts.reduce((a, b) => (b > a ? b : a))
  if (last - first < BigInt(window.rowsMax)) {
    window.beginDense(first, Number(last - first) + 1)
    return
  }
  const all = [...old.map(block => window.idsOf(seed, block)), ...filled]
  const ids = new BigUint64Array(all.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const some of all) {
    ids.set(some, at)
    at += some.length
  }
  ids.sort()
  let count = 0
  for (let i = 0; i < ids.length; i += 1) {
    if (i === 0 || ids[i] !== ids[count - 1]) ids[count++] = ids[i]!
  }
  window.begin(ids.subarray(0, count))
}

/** All that are touched, ascending. */
function idsOf({ plus, minus }: Change): BigUint64Array {
  if (minus.ids.length === 0) return plus.ids
  const ids = new BigUint64Array(plus.ids.length + minus.ids.length)
  ids.set(plus.ids)
  ids.set(minus.ids, plus.ids.length)
  return ids.sort()
}

function within({ ids, amounts }: PairChunk, { from, to }: Stretch): PairChunk {
  const first = from === 0n ? 0 : firstAfter(ids, from - 1n)
  const end = firstAfter(ids, to)
  return { ids: ids.subarray(first, end), amounts: amounts.subarray(first, end) }
}

const EVERYTHING = { after: undefined, to: U64_MAX }
/** A stretch takes at least one block, and all consumers of a chunk. */
const ROWS_MAX = CHUNK_ROWS_MAX + 4 * PACKED_PAIRS_MAX
/** Packed together with what stands beside it. */
const SMALL_PAIRS = 512
