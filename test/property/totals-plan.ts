import { U64_MAX } from '../../shared/limits.ts'
import type { Totals } from '../helpers/files.ts'
import { type Below, pick, random64 } from './random.ts'

/** The largest numbers that a table of totals takes. */
export interface Room {
  readonly idMax: bigint
  readonly amountMax: bigint
}

/** The table of totals as somebody has made it before there is a ledger: with rows, or with less room. */
export interface TotalsPlan extends Room {
  readonly idType: string
  readonly amountType: string
  /** It is partitioned by id, and no partition takes rows from this one on. */
  readonly endsAt?: bigint | undefined
  /** null: a row without an amount. */
  readonly rows: ReadonlyMap<bigint, bigint | null>
}

/** What the program makes if nothing is there. */
export const OWN_ROOM: Room = { idMax: U64_MAX, amountMax: U64_MAX }

const ROWS_MAX = 40
const SMALL_IDS = 100

/** A column that sums of many lines, of large amounts, or none at all pass; the last takes wide ones, signed. */
const DECIMAL_DIGITS = [7, 19, 38]

/** @returns undefined: there is none. */
export function planTotals(below: Below): TotalsPlan | undefined {
  if (below(3) > 0) return undefined
  const digits = below(2) === 0 ? undefined : pick(below, DECIMAL_DIGITS)
  const amountMax = digits === undefined ? U64_MAX : 10n ** BigInt(digits) - 1n
  const isNarrow = below(5) === 0
  const endsAt = below(5) === 0 ? 1n + BigInt(below(2 * SMALL_IDS)) : undefined
  const idMax = endsAt !== undefined ? endsAt - 1n : isNarrow ? 2n ** 32n - 1n : U64_MAX
  const place = (id: bigint): bigint => (id > idMax ? idMax : id)
  const rows = new Map<bigint, bigint | null>()
  for (let left = below(ROWS_MAX + 1); left > 0; left -= 1) {
    const wanted = below(4) === 0 ? random64(below) : BigInt(below(SMALL_IDS))
    const amount = below(6) === 0 ? random64(below) : BigInt(below(1_000_000))
    rows.set(place(wanted), amount > amountMax ? amountMax : amount)
  }
  if (below(4) === 0) rows.set(place(BigInt(below(SMALL_IDS))), null)
  const wide = place(BigInt(below(SMALL_IDS)))
  if (digits === 38) rows.set(wide, below(2) === 0 ? -5n : 2n ** 70n + 3n)
  return {
    ...{ idMax, amountMax, endsAt, rows },
    idType: isNarrow ? 'INT UNSIGNED' : 'BIGINT UNSIGNED',
    amountType: digits === undefined ? 'BIGINT UNSIGNED' : `DECIMAL(${digits},0)`,
  }
}

export function openingOf(plan: TotalsPlan | undefined): Totals {
  return new Map([...(plan?.rows ?? [])].map(([id, amount]) => [id, amount ?? 0n]))
}
