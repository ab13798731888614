import type { Session } from '../connection.ts'
import { type LedgerNames, sqlTime } from '../schema/tables.ts'

/**
 * Which files' postings become part of the opening balance when the books are closed up to a time: those
 * of files on which nothing is under way, all of whose batches had ended before. Of such a file all
 * postings do, or none: so what stays open of a file can be taken back, and what is closed is whole.
 */

/**
 * A condition for a file `f`.
 *
 * @param before UTC, as SQL has it.
 * @param isRolled only what is in its hour, day and month: nothing comes there from the opening balance.
 *   What is on its way there never does: its sums are read for it.
 */
export function isFoldable(
  { posting, batch, rollup, meta }: LedgerNames,
  before: string,
  isRolled: boolean,
): string {
  const hasNone = (which: string): string => `NOT EXISTS
    (SELECT 1 FROM ${posting} q LEFT JOIN ${rollup} r ON r.n = q.rolled
      WHERE q.file_sequence = f.sequence AND (${which}))`
  const isChangingDays = 'q.day_before IS NOT NULL'
  const inItsPeriods = `(f.sign <> 1 OR (SELECT z.time_zone IS NULL FROM ${meta} z)
    OR ${hasNone(`NOT r.state <=> 'applied' OR ${isChangingDays}`)})`
  const notOnItsWay = hasNone(`r.state <> 'applied' OR ${isChangingDays}`)
  return `${isRolled ? inItsPeriods : notOnItsWay} AND f.state IN ('applied', 'reverted') AND f.pairs IS NOT NULL AND f.postings > 0
    AND NOT EXISTS (SELECT 1 FROM ${posting} q LEFT JOIN ${batch} e ON e.id = q.batch_id
                     WHERE q.file_sequence = f.sequence
                       AND (q.folded <> 0 OR NOT e.state <=> 'applied' OR e.ended_at >= '${before}'))`
}

/** What closing the books comes to. */
export interface Foldable {
  readonly files: number
  readonly postings: number
  /** Of the files that are counted: what was taken back leaves nothing. */
  readonly pairs: bigint
  readonly amount: bigint
  /** Changes when the files do. */
  readonly fingerprint: string
}

export async function readFoldable(
  session: Session,
  names: LedgerNames,
  before: string,
  isRolled: boolean,
): Promise<Foldable> {
  const counted = (what: string): string => `COALESCE(SUM(IF(f.state = 'applied', ${what}, 0)), 0)`
  const [row] = await session.query<Record<keyof Foldable, bigint | string>>(
    `SELECT COUNT(*) AS files, COALESCE(SUM(f.postings), 0) AS postings,
            ${counted('f.pairs')} AS pairs, ${counted('f.sign * f.amount')} AS amount,
            BIT_XOR(CRC32(CONCAT_WS(' ', f.sequence, f.postings, f.state))) AS fingerprint
       FROM ${names.file} f WHERE ${isFoldable(names, before, isRolled)}`,
  )
  const { files, postings, pairs, amount, fingerprint } = row!
  return {
    ...{ files: Number(files), postings: Number(postings), fingerprint: `${fingerprint}` },
    ...{ pairs: BigInt(pairs), amount: BigInt(amount) },
  }
}

/** The same with the bytes of blocks that are not needed any more once that is done. */
export async function readClosing(
  session: Session,
  names: LedgerNames,
  beforeMs: number,
): Promise<Foldable & { readonly bytes: number }> {
  const before = sqlTime(beforeMs)
  const foldable = await readFoldable(session, names, before, false)
  return { ...foldable, bytes: await bytesOf(session, names, before) }
}

async function bytesOf(session: Session, names: LedgerNames, before: string): Promise<number> {
  const [row] = await session.query<{ bytes: string | bigint }>(
    `SELECT COALESCE(SUM(LENGTH(s.block)), 0) AS bytes
       FROM ${names.file} f JOIN ${names.sums} s ON s.file_sequence = f.sequence
      WHERE ${isFoldable(names, before, false)}`,
  )
  return Number(row!.bytes)
}

export function isSameFoldable(one: Foldable, other: Foldable): boolean {
  return (
    one.files === other.files &&
    one.postings === other.postings &&
    one.pairs === other.pairs &&
    one.amount === other.amount &&
    one.fingerprint === other.fingerprint
  )
}
