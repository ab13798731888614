/**
 * Where the blocks of a roll-up's files are: first and last id and pairs of each, without their bytes. A few
 * dozen bytes a block, of some ten thousand blocks.
 */

import { CountersinkError, explainError, hasCode } from '../../../shared/errors.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { BlockDecoder, firstAfter, type IdRange, type PackedBlock } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import { BLOCK_COLUMNS, type BlockRow, blockOf } from '../recording/blocks.ts'
import type { LedgerNames } from '../schema/tables.ts'
import type { Move } from './moves.ts'

export interface FileBlock {
  readonly sequence: bigint
  readonly block: PackedBlock
}

/** The blocks of one file, ascending. */
interface Of {
  readonly first: BigUint64Array
  readonly last: BigUint64Array
  readonly pairs: Uint32Array
}

export class FileBlocks {
  readonly #files: ReadonlyMap<bigint, Of>

  private constructor(files: ReadonlyMap<bigint, Of>) {
    this.#files = files
  }

  /** @throws CountersinkError BLOCK_UNREADABLE where not all of a file is there. */
  static async read(
    session: Session,
    { sums }: LedgerNames,
    moves: readonly Move[],
  ): Promise<FileBlocks> {
    const files = new Map(moves.map(move => [move.sequence, move]))
    const sequences = [...files.keys()]
    const found = new Map<bigint, Row[]>()
    for (let at = 0; at < sequences.length; at += FILES_AT_ONCE) {
      const some = sequences.slice(at, at + FILES_AT_ONCE)
      const rows = session.stream<Row>(
        `SELECT file_sequence AS sequence, first_id AS first, last_id AS last, pairs FROM ${sums}
          WHERE file_sequence IN (${some.join(', ')}) ORDER BY file_sequence, first_id`,
      )
      for await (const row of rows) {
        const of = found.get(row.sequence)
        if (of === undefined) found.set(row.sequence, [row])
        else of.push(row)
      }
    }
    for (const [sequence, { name, pairs }] of files) {
      const there = found.get(sequence) ?? []
      const missing = pairs - there.reduce((sum, row) => sum + BigInt(row.pairs), 0n)
      if (missing !== 0n) {
        throw new CountersinkError('BLOCK_UNREADABLE', `${name}: ${missing} pairs are missing`)
      }
    }
    return new FileBlocks(
      new Map(
        [...found].map(([sequence, rows]) => [
          sequence,
          {
            first: BigUint64Array.from(rows, ({ first }) => first),
            last: BigUint64Array.from(rows, ({ last }) => last),
            pairs: Uint32Array.from(rows, ({ pairs }) => Number(pairs)),
          },
        ]),
      ),
    )
  }

  /** The least id behind this one; undefined: there is none. */
  firstBehind(after: bigint | undefined): bigint | undefined {
    let least: bigint | undefined
    for (const { first, last } of this.#files.values()) {
      const at = after === undefined ? 0 : firstAfter(last, after)
      if (at === last.length) continue
      const id = after === undefined || first[at]! > after ? first[at]! : after + 1n
      if (least === undefined || id < least) least = id
    }
    return least
  }

  get lastId(): bigint {
    let most = 0n
    for (const { last } of this.#files.values()) if (last.at(-1)! > most) most = last.at(-1)!
    return most
  }

  /** About how many pairs there are from one id up to another one. */
  pairsBetween(from: bigint, to: bigint): number {
    let all = 0
    for (const { first, last, pairs } of this.#files.values()) {
      for (let i = from === 0n ? 0 : firstAfter(last, from - 1n); i < last.length; i += 1) {
        if (first[i]! > to) break
        const [low, high] = [first[i]! < from ? from : first[i]!, last[i]! > to ? to : last[i]!]
        all += (pairs[i]! * (Number(high - low) + 1)) / (Number(last[i]! - first[i]!) + 1)
      }
    }
    return all
  }

  /** An id up to which there are about so many pairs from this one on. */
  idBehind(from: bigint, pairsWanted: number): bigint {
    const ends: { readonly id: bigint; readonly pairs: number }[] = []
    for (const { last, pairs } of this.#files.values()) {
      let passed = 0
      for (let i = from === 0n ? 0 : firstAfter(last, from - 1n); i < last.length; i += 1) {
        ends.push({ id: last[i]!, pairs: pairs[i]! })
        passed += pairs[i]!
        if (passed > pairsWanted) break
      }
    }
    ends.sort((a, b) => (a.id < b.id ? -1 : 1))
    let passed = 0
    for (const { id, pairs } of ends) {
      passed += pairs
      if (passed >= pairsWanted) return id
    }
    return this.lastId
  }

  /**
   * Reads all blocks of these files.
   *
   * @yields between two portions. @throws CountersinkError BLOCK_UNREADABLE
   */
  async *assertReadable(
    session: Session,
    names: LedgerNames,
    moves: readonly Move[],
  ): AsyncGenerator<void> {
    const files = new Map(moves.map(move => [move.sequence, move]))
    const decoder = BlockDecoder.alone()
    const all = { after: undefined, to: U64_MAX }
    for await (const portion of this.portions(session, names, [...files.keys()], all)) {
      for (const { sequence, block } of portion) {
        const file = files.get(sequence)!
        opening(file, () => decoder.unpack(file.sha256, block))
      }
      yield
    }
  }

  /**
   * The blocks of these files that have ids of a range, in portions of some megabytes.
   *
   * @throws CountersinkError BLOCK_UNREADABLE where one is gone.
   */
  async *portions(
    session: Session,
    { sums }: LedgerNames,
    sequences: readonly bigint[],
    { after, to }: IdRange,
  ): AsyncGenerator<FileBlock[]> {
    let wanted: string[] = []
    let blocks = 0
    const fetch = async (): Promise<FileBlock[]> => {
      const rows = await session.query<BlockRow & { sequence: bigint }>(
        `SELECT s.file_sequence AS sequence, ${BLOCK_COLUMNS} FROM ${sums} s
          WHERE ${wanted.join(' OR ')}`,
      )
      if (rows.length !== blocks) {
        throw new CountersinkError(
          'BLOCK_UNREADABLE',
          `of ${blocks} blocks of files ${blocks - rows.length} are gone`,
        )
      }
      ;[wanted, blocks] = [[], 0]
      return rows.map(row => ({ sequence: row.sequence, block: blockOf(row) }))
    }
    for (const sequence of sequences) {
      const { first, last } = this.#files.get(sequence) ?? NONE
      let at = after === undefined ? 0 : firstAfter(last, after)
      const end = firstAfter(first, to)
      while (at < end) {
        const some = Math.min(end - at, BLOCKS_AT_ONCE - blocks)
        wanted.push(
          `(s.file_sequence = ${sequence} AND s.first_id BETWEEN ${first[at]} AND ${first[at + some - 1]})`,
        )
        at += some
        blocks += some
        if (blocks === BLOCKS_AT_ONCE) yield await fetch()
      }
    }
    if (blocks > 0) yield await fetch()
  }
}

/** Runs what opens a block of a file. @throws CountersinkError BLOCK_UNREADABLE, which says of which */
export function opening<T>({ name }: Pick<Move, 'name'>, open: () => T): T {
  try {
    return open()
  } catch (error) {
    if (!hasCode(error, 'BLOCK_UNREADABLE')) throw error
    throw new CountersinkError('BLOCK_UNREADABLE', `${name}: ${explainError(error)}`, {
      cause: error,
    })
  }
}

interface Row {
  readonly sequence: bigint
  readonly first: bigint
  readonly last: bigint
  readonly pairs: bigint | number
}

const NONE: Of = {
  first: new BigUint64Array(0),
  last: new BigUint64Array(0),
  pairs: new Uint32Array(0),
}

const FILES_AT_ONCE = 500
const BLOCKS_AT_ONCE = 128
