import type { BatchFile, PairChunk } from './batch.ts'
import type { Session } from './connection.ts'
import type { LedgerNames, TotalsRange } from './schema/tables.ts'

/**
 * That no total passes its column is proved before a batch begins, so that a file that would make
 * one overflow can be refused with nothing of it applied.
 *
 * The meta row keeps an upper bound of all totals: the largest at first contact, plus each batch's
 * largest sum. While that stays below the column's maximum, nothing can overflow, and nothing is
 * read. Otherwise the totals themselves are looked at.
 */
interface Limits {
  readonly names: LedgerNames
  readonly range: TotalsRange
}

/**
 * Raises the bound by the batch's largest sum, inside the transaction that begins the batch.
 *
 * @returns false, with nothing changed, when the bound would pass the column's maximum; if the
 *   totals were `checked` it stays at the maximum instead, and the next batch is looked at again.
 */
export async function provenWithinBound(
  session: Session,
  largestSum: bigint,
  { names, range, checked }: Limits & { readonly checked: boolean },
): Promise<boolean> {
  const [meta] = await session.query<{ bound: string }>(
    `SELECT total_upper_bound AS bound FROM ${names.meta} WHERE only_row = 1 FOR UPDATE`,
  )
  const raised = BigInt(meta?.bound ?? 0) + largestSum
  if (raised > range.amountMax && !checked) return false
  await session.execute(`UPDATE ${names.meta} SET total_upper_bound = ? WHERE only_row = 1`, [
    (raised < range.amountMax ? raised : range.amountMax).toString(),
  ])
  return true
}

/**
 * Lowers the bound to what the totals and the open batches really allow.
 *
 * @returns whether a batch with this largest sum is proved to fit now.
 */
export async function tightenBound(
  session: Session,
  largestSum: bigint,
  { names, range }: Limits,
): Promise<boolean> {
  await session.execute('START TRANSACTION')
  await session.query(`SELECT 1 FROM ${names.meta} WHERE only_row = 1 FOR UPDATE`)
  await session.execute(
    `UPDATE ${names.meta} SET total_upper_bound = LEAST(CAST(? AS DECIMAL(38,0)),
       (SELECT COALESCE(MAX(${names.amount}), 0) FROM ${names.totals}) +
       (SELECT COALESCE(SUM(largest_sum), 0) FROM ${names.file} WHERE state = 'applying'))
     WHERE only_row = 1`,
    [range.amountMax.toString()],
  )
  await session.execute('COMMIT')
  const [meta] = await session.query<{ bound: string }>(
    `SELECT total_upper_bound AS bound FROM ${names.meta} WHERE only_row = 1`,
  )
  return BigInt(meta?.bound ?? 0) + largestSum <= range.amountMax
}

/** A file that would make a total pass its column. */
export interface Overflow {
  readonly fileIndex: number
  readonly reason: string
}

const IDS_PER_QUERY_MAX = 10_000
/** With a comma. */
const ID_BYTES_MAX = 21

/** Reads the totals that a batch would change; the first file that makes one overflow is named. */
export async function findOverflow(
  session: Session,
  files: readonly BatchFile[],
  { names, range }: Limits,
): Promise<Overflow | undefined> {
  for (const [fileIndex, file] of files.entries()) {
    const earlier = files.slice(0, fileIndex)
    const earlierMax = earlier.reduce((sum, one) => sum + one.largestSum, 0n)
    const idsPerQuery = Math.min(IDS_PER_QUERY_MAX, session.rowsPerStatement(ID_BYTES_MAX))
    for await (const chunk of file.sums.chunks(idsPerQuery)) {
      const totals = await totalsOf(session, chunk, names)
      for (const [i, id] of chunk.ids.entries()) {
        const amount = chunk.amounts[i]!
        if (id > range.idMax) {
          const reason = `ID_OUT_OF_RANGE: consumer ${id} does not fit the id column, which ends at ${range.idMax}`
          return { fileIndex, reason }
        }
        let sum = totals.get(id) ?? 0n
        if (sum + earlierMax + amount <= range.amountMax) continue
        for (const one of earlier) sum += (await one.sums.find(id)) ?? 0n
        if (sum + amount <= range.amountMax) continue
        const reason = `TOTAL_OVERFLOW: consumer ${id} stands at ${sum}; adding ${amount} would pass ${range.amountMax}`
        return { fileIndex, reason }
      }
    }
  }
  return undefined
}

async function totalsOf(
  session: Session,
  chunk: PairChunk,
  names: LedgerNames,
): Promise<Map<bigint, bigint>> {
  const rows = await session.query<{ id: bigint; amount: bigint | string }>(
    `SELECT CAST(${names.id} AS UNSIGNED) AS id, COALESCE(${names.amount}, 0) AS amount
       FROM ${names.totals} WHERE ${names.id} IN (${chunk.ids.join(',')})`,
  )
  return new Map(rows.map(row => [BigInt(row.id), BigInt(row.amount)]))
}
