import type { PairChunk } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { databaseUnfit } from '../sql-errors.ts'

/**
 * Adds a chunk, or takes it, and, in the same transaction, reads some of its totals before and after: each must
 * have grown, or become less, by exactly its sum. For accounts that may not see triggers, which could change what is
 * written. Nothing is committed when one has not.
 *
 * @throws CountersinkError DATABASE_UNFIT, and what `add` throws
 */
export async function readBackAround<R>(
  session: Session,
  names: LedgerNames,
  chunk: PairChunk,
  sign: 1n | -1n,
  move: () => Promise<R>,
): Promise<R> {
  const samples = samplesOf(chunk)
  const before = await totalsOf(session, names, samples)
  const result = await move()
  const after = await totalsOf(session, names, samples)
  for (const { id, amount } of samples) {
    const expected = (before.get(id) ?? 0n) + sign * amount
    const found = after.get(id)
    if (found === expected) continue
    throw databaseUnfit(
      `${sign > 0n ? 'adding' : 'taking'} ${amount} ${sign > 0n ? 'to' : 'from'} consumer ${id} made ${found ?? 'nothing'} of ${before.get(id) ?? 'nothing'} in ${names.totals}`,
      'Something changes what is written, such as a trigger: drop it. Nothing of this was committed.',
    )
  }
  return result
}

interface Sample {
  readonly id: bigint
  readonly amount: bigint
}

const SAMPLES_MAX = 64

/** All pairs of a small chunk, else evenly spread ones, the first and the last among them. */
function samplesOf({ ids, amounts }: PairChunk): Sample[] {
  const count = Math.min(ids.length, SAMPLES_MAX)
  return Array.from({ length: count }, (_, i) => {
    const at = count === 1 ? 0 : Math.floor((i * (ids.length - 1)) / (count - 1))
    return { id: ids[at]!, amount: amounts[at]! }
  })
}

/** Locked, so that nobody else changes them in between. */
async function totalsOf(
  session: Session,
  names: LedgerNames,
  samples: readonly Sample[],
): Promise<ReadonlyMap<bigint, bigint>> {
  if (samples.length === 0) return new Map()
  const rows = await session.query<{ id: bigint; amount: bigint | string }>(
    `SELECT CAST(${names.id} AS UNSIGNED) AS id, COALESCE(${names.amount}, 0) AS amount
       FROM ${names.totals} WHERE ${names.id} IN (${samples.map(({ id }) => id).join(',')})
      ORDER BY ${names.id} FOR UPDATE`,
  )
  return new Map(rows.map(row => [BigInt(row.id), BigInt(row.amount)]))
}
