/**
 * Which postings a roll-up takes, and how it begins: those of ended batches, oldest first, as many as their
 * sums cannot pass 64 bits, and as few days and hours as are written at once. Each is given the day that it
 * belongs to. Begun, it is the ledger's: a crash leaves it to whoever counts next.
 */

import { crashPoint } from '../../../shared/crash-points.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import type { Calendar } from '../../../shared/time-zone.ts'
import type { Session } from '../connection.ts'
import type { Fence } from '../counting/lease.ts'
import { fromSqlTime, type LedgerNames } from '../schema/tables.ts'
import { transaction } from '../transaction.ts'
import { hourOf, type Move, movesOf, planOfMoves, type RolledFile } from './moves.ts'
import { insertRollUp, unlike } from './rollup-row.ts'

export interface Members {
  readonly postings: readonly Posting[]
  readonly moves: readonly Move[]
}

interface Posting {
  readonly sequence: bigint
  readonly n: number
  readonly day: string
}

export interface MemberLimits {
  readonly postings: number
  readonly pairs: bigint
  readonly days: number
  readonly hours: number
}

export const MEMBER_LIMITS: MemberLimits = {
  postings: 4_096,
  /** Some ten thousand blocks. */
  pairs: 2n ** 27n,
  days: 64,
  hours: 512,
}

/** A condition for what waits to be rolled up: of a posting `p`, its batch `b` and its file `f`. */
export const UNROLLED = `p.folded = 0 AND p.rolled IS NULL AND b.state = 'applied'
  AND f.sign = 1 AND f.pairs IS NOT NULL`

/** undefined: nothing waits. */
export async function chooseMembers(
  session: Session,
  { posting, batch, file }: LedgerNames,
  calendar: Calendar,
  /** A condition for a posting `p`. */
  among: string,
  limits = MEMBER_LIMITS,
): Promise<Members | undefined> {
  const rows = await session.query<Row>(
    `SELECT p.file_sequence AS sequence, p.n, f.name, f.sha256, f.pairs, f.amount, f.largest_sum AS largestSum,
            f.used_at AS usedAt,
            (SELECT q.day FROM ${posting} q WHERE q.file_sequence = p.file_sequence AND q.n = p.n - 1
                AND q.rolled IS NOT NULL) AS dayThen
       FROM ${posting} p FORCE INDEX (by_rollup)
       JOIN ${batch} b ON b.id = p.batch_id JOIN ${file} f ON f.sequence = p.file_sequence
      WHERE ${UNROLLED} AND ${among} ORDER BY p.file_sequence, p.n LIMIT ${limits.postings}`,
  )
  const files: (RolledFile & { last: number })[] = []
  const postings: Posting[] = []
  const [days, hours] = [new Set<string>(), new Set<string>()]
  let [largest, pairs] = [0n, 0n]
  for (const row of rows) {
    const n = Number(row.n)
    const before = files.at(-1)
    if (before?.sequence === row.sequence) {
      before.last = n
      postings.push({ sequence: row.sequence, n, day: before.day })
      continue
    }
    // What takes something back leaves the day that it was brought into.
    const day = n % 2 === 0 ? row.dayThen : calendar.dayOf(fromSqlTime(row.usedAt))
    if (day === null) throw unlike(0n, `file ${row.sequence} was taken back and has no day`)
    largest += row.largestSum
    pairs += row.pairs
    days.add(day)
    hours.add(hourOf(row.usedAt))
    const fits =
      largest <= U64_MAX &&
      pairs <= limits.pairs &&
      days.size <= limits.days &&
      hours.size <= limits.hours
    if (!fits && files.length > 0) break
    files.push({ ...row, day, first: n, last: n })
    postings.push({ sequence: row.sequence, n, day })
  }
  if (postings.length === 0) return undefined
  return { postings, moves: movesOf(files, false) }
}

interface Row {
  readonly sequence: bigint
  readonly name: string
  readonly n: number | bigint
  readonly sha256: Buffer
  readonly pairs: bigint
  readonly amount: string
  readonly largestSum: bigint
  readonly usedAt: string
  readonly dayThen: string | null
}

/** @throws CountersinkError LEASE_LOST */
export async function beginRollUp(
  session: Session,
  { postings, moves }: Members,
  { names, lease, instance }: { names: LedgerNames; lease: Fence; instance: Uint8Array },
): Promise<void> {
  await transaction(session, async () => {
    await lease.fence(session)
    const plan = { ...planOfMoves(moves), instance, rezonesTo: null }
    const n = await insertRollUp(session, names, plan)
    await session.executeEach(
      `UPDATE ${names.posting} SET rolled = ?, day = ?
        WHERE file_sequence = ? AND n = ? AND folded = 0 AND rolled IS NULL`,
      postings.map(posting => [n, posting.day, posting.sequence, posting.n]),
    )
    crashPoint('U1-before-commit')
  })
  crashPoint('U1-begun')
}
