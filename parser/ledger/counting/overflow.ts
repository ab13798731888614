import type { Reason } from '../../facts.ts'
import type { Sums } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import { type LedgerNames, SCHEMA_VERSION, type TotalsRange } from '../schema/tables.ts'
import { databaseUnavailable } from '../sql-errors.ts'

/**
 * That no total passes its column is proved before a batch is committed, so that a file that would
 * make one overflow can be refused with nothing of it applied.
 *
 * The meta row keeps an upper bound of all totals: the largest at first contact, plus each batch's
 * largest sum. While that stays below the column's maximum, nothing can overflow, and nothing is
 * read. Otherwise the totals themselves are looked at.
 *
 * **Who locks it, and how long.** Whoever writes the bound locks the meta row and takes no other lock
 * until it commits: so writers wait for one another only as long as a commit takes, and never in a
 * circle. A batch of several transactions raises the bound in the one that begins it, a batch of one
 * right before its COMMIT, when it has all its other locks. That is early enough: its sums become
 * visible together with the raised bound, to those who lower it as well, and if others have raised it
 * too far meanwhile all is rolled back. Until then it has only *read* the row: that keeps the table
 * from being altered or made anew under it, and saves the work where the bound is passed already.
 *
 * Whoever reads the bound sees whose it is: a ledger that was replaced, or taken over by a newer
 * program, since it was looked at gets nothing.
 */
interface Limits {
  readonly names: LedgerNames
  readonly range: TotalsRange
}

/** Of what takes many queries: `between` is awaited before each. */
interface LongLimits extends Limits {
  readonly between: () => Promise<void>
}

/** Of one batch. */
interface BatchLimits extends Limits {
  /** The ledger's UUID. */
  readonly uuid: string
  /** All totals were looked at and fit: the bound need not prove it. */
  readonly checked: boolean
}

/** Whether the bound is likely to prove it: nothing is locked, and nothing changed. */
export async function seemsWithinBound(
  session: Session,
  largestSum: bigint,
  limits: BatchLimits,
): Promise<boolean> {
  const bound = await readBound(session, limits)
  return limits.checked || bound + largestSum <= limits.range.amountMax
}

/**
 * Raises the bound by the batch's largest sum. The meta row is locked from here to the transaction's
 * end, which must be near.
 *
 * @returns false, with nothing changed, when the bound would pass the column's maximum; if the
 *   totals were `checked` it stays at the maximum instead, and the next batch is looked at again.
 * @throws CountersinkError DATABASE_UNAVAILABLE when it is not the ledger that it was.
 */
export async function provenWithinBound(
  session: Session,
  largestSum: bigint,
  limits: BatchLimits,
): Promise<boolean> {
  const { names, range, checked } = limits
  const raised = (await readBound(session, limits, 'FOR UPDATE')) + largestSum
  if (raised > range.amountMax && !checked) return false
  await session.execute(`UPDATE ${names.meta} SET total_upper_bound = ? WHERE only_row = 1`, [
    (raised < range.amountMax ? raised : range.amountMax).toString(),
  ])
  return true
}

async function readBound(
  session: Session,
  { names, uuid }: BatchLimits,
  lock: 'FOR UPDATE' | '' = '',
): Promise<bigint> {
  const [meta] = await session.query<{ bound: string; uuid: string; version: number | bigint }>(
    `SELECT total_upper_bound AS bound, ledger_uuid AS uuid, schema_version AS version
       FROM ${names.meta} WHERE only_row = 1 ${lock}`,
  )
  if (meta?.uuid === uuid && Number(meta.version) <= SCHEMA_VERSION) return BigInt(meta.bound)
  throw databaseUnavailable(
    'the ledger is not the one that this batch began in: it is looked at anew',
  )
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
       (SELECT COALESCE(SUM(f.largest_sum), 0) FROM ${names.batch} b
          JOIN ${names.posting} p ON p.batch_id = b.id JOIN ${names.file} f ON f.sequence = p.file_sequence
         WHERE b.state <> 'applied'))
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
  readonly reason: Reason
}

export const IDS_PER_QUERY_MAX = 10_000
/** With a comma. */
export const ID_BYTES_MAX = 21

/** Reads the totals that a batch would change; the first file that makes one overflow is named. */
export async function findOverflow(
  session: Session,
  files: readonly { readonly sums: Sums; readonly largestSum: bigint }[],
  { names, range, between }: LongLimits,
): Promise<Overflow | undefined> {
  for (const [fileIndex, file] of files.entries()) {
    const earlier = files.slice(0, fileIndex)
    const earlierMax = earlier.reduce((sum, one) => sum + one.largestSum, 0n)
    const idsPerQuery = Math.min(IDS_PER_QUERY_MAX, session.rowsPerStatement(ID_BYTES_MAX))
    for await (const chunk of file.sums.chunks(idsPerQuery)) {
      await between()
      const totals = await totalsOf(session, chunk.ids, names)
      for (const [i, id] of chunk.ids.entries()) {
        const amount = chunk.amounts[i]!
        if (id > range.idMax) {
          const text = `consumer ${id} does not fit the id column, which ends at ${range.idMax}`
          return { fileIndex, reason: { code: 'ID_OUT_OF_RANGE', text } }
        }
        let sum = totals.get(id) ?? 0n
        if (sum + earlierMax + amount <= range.amountMax) continue
        await between()
        for (const one of earlier) sum += (await one.sums.find(id)) ?? 0n
        if (sum + amount <= range.amountMax) continue
        const text = `consumer ${id} stands at ${sum}; adding ${amount} would pass ${range.amountMax}`
        return { fileIndex, reason: { code: 'TOTAL_OVERFLOW', text } }
      }
    }
  }
  return undefined
}

/** Of these consumers; those that have none are left out. */
export async function totalsOf(
  session: Session,
  ids: Iterable<bigint>,
  names: LedgerNames,
): Promise<Map<bigint, bigint>> {
  const rows = await session.query<{ id: bigint; amount: bigint | string }>(
    `SELECT CAST(${names.id} AS UNSIGNED) AS id, COALESCE(${names.amount}, 0) AS amount
       FROM ${names.totals} WHERE ${names.id} IN (${[...ids].join(',') || 'NULL'})`,
  )
  return new Map(rows.map(row => [BigInt(row.id), BigInt(row.amount)]))
}
