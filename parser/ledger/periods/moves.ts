/**
 * What a roll-up does to periods: of each of its files one move, into its hour, day and month or out of
 * them. Postings of a file that cancel each other move nothing. A file whose day is made anew moves twice,
 * out of the day before and into the new one, and its hour stays.
 *
 * All of it is told by the postings, where it was written down when the roll-up began: whoever goes on with
 * it moves the same, whatever his rules of time zones say.
 */

import type { Session } from '../connection.ts'
import type { LedgerNames } from '../schema/tables.ts'
import type { RollUp } from './rollup-row.ts'

export interface Move {
  readonly sequence: bigint
  readonly name: string
  readonly sha256: Buffer
  readonly pairs: bigint
  readonly amount: bigint
  /** In UTC, as `2026-01-31 23:00:00`; undefined: its hour is not touched. */
  readonly hour: string | undefined
  readonly day: string
  readonly isTaken: boolean
}

/** Postings of one file, one behind the other. */
export interface RolledFile {
  readonly sequence: bigint
  readonly name: string
  readonly sha256: Buffer
  readonly pairs: bigint
  readonly amount: string | bigint
  readonly usedAt: string
  readonly day: string
  readonly dayBefore?: string | null
  /** The first and the last posting. */
  readonly first: number | bigint
  readonly last: number | bigint
}

export function movesOf(files: readonly RolledFile[], isRezoning: boolean): Move[] {
  return files.flatMap((file): Move[] => {
    const { sequence, name, sha256, day } = file
    const common = {
      sequence,
      name,
      sha256,
      pairs: BigInt(file.pairs),
      amount: BigInt(file.amount),
    }
    if (isRezoning) {
      return [
        { ...common, hour: undefined, day: file.dayBefore!, isTaken: true },
        { ...common, hour: undefined, day, isTaken: false },
      ]
    }
    const [first, last] = [Number(file.first), Number(file.last)]
    if (first % 2 !== last % 2) return []
    return [{ ...common, hour: hourOf(file.usedAt), day, isTaken: first % 2 === 0 }]
  })
}

/** Pairs of all moves, and what they add less what they take. */
export function planOfMoves(moves: readonly Move[]): { pairs: bigint; amount: bigint } {
  let [pairs, amount] = [0n, 0n]
  for (const move of moves) {
    pairs += move.pairs
    amount += move.isTaken ? -move.amount : move.amount
  }
  return { pairs, amount }
}

/** The moves of a roll-up that has begun. */
export async function readMoves(
  session: Session,
  { posting, file, meta }: LedgerNames,
  { n, rezonesTo }: RollUp,
): Promise<Move[]> {
  const isRezoning = rezonesTo !== null
  const rows = await session.query<RolledFile>(
    `SELECT p.file_sequence AS sequence, f.name, f.sha256, f.pairs, f.amount, f.used_at AS usedAt,
            MIN(p.day) AS day, MIN(p.day_before) AS dayBefore, MIN(p.n) AS first, MAX(p.n) AS last
       FROM ${posting} p ${isRezoning ? '' : 'FORCE INDEX (by_rollup)'}
       JOIN ${file} f ON f.sequence = p.file_sequence
      WHERE p.folded = 0 AND ${
        isRezoning
          ? `p.file_sequence > (SELECT rezoned_to FROM ${meta}) AND p.file_sequence <= ${rezonesTo}
             AND p.day_before IS NOT NULL`
          : `p.rolled = ${n}`
      }
      GROUP BY p.file_sequence`,
  )
  return movesOf(rows, isRezoning)
}

/** The hour in which a time of usage is. */
export function hourOf(usedAt: string): string {
  return `${usedAt.slice(0, 13)}:00:00`
}
