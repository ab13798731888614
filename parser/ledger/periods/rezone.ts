/**
 * Another time zone: what is counted is brought from the days of the old one into those of the new one. Its
 * hours stay. What was rolled up before is gone through by sequence, some files at a time, each a roll-up of
 * its own that takes from the day before and adds to the day; what comes meanwhile goes by the new zone
 * already. `rezoned_to` says how far that is: a crash leaves the rest to whoever counts next. What is
 * part of the opening balance keeps the days of then.
 */

import { crashPoint } from '../../../shared/crash-points.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { Calendar } from '../../../shared/time-zone.ts'
import type { Session } from '../connection.ts'
import type { Fence } from '../counting/lease.ts'
import { fromSqlTime, type LedgerNames } from '../schema/tables.ts'
import { transaction } from '../transaction.ts'
import { MEMBER_LIMITS } from './members.ts'
import { type Move, movesOf, planOfMoves, type RolledFile } from './moves.ts'
import { insertRollUp, unlike } from './rollup-row.ts'

interface Options {
  readonly names: LedgerNames
  readonly lease: Fence
  readonly instance: Uint8Array
}

/** From now on days and months go by this time zone. Only when no roll-up is under way. */
export async function setTimeZone(
  session: Session,
  { from, to }: { from: string | null; to: string },
  { names, lease }: Options,
): Promise<void> {
  await transaction(session, async () => {
    await lease.fence(session)
    await session.execute(
      `UPDATE ${names.meta}
          SET time_zone = ?, zone_changes = zone_changes + ${from === null ? 0 : 1},
              rezoned_to = ${from === null ? 'NULL' : '0'}
        WHERE only_row = 1 AND time_zone <=> ?`,
      [to, from],
    )
  })
  crashPoint('U6-zone-set')
}

/** Files whose days are another, and how far they were looked for. */
export interface Rezoning {
  readonly moves: readonly Move[]
  readonly postings: readonly RezonedPosting[]
  readonly behind: bigint
  /** The last file that was looked at; null: there are no more behind it, and none whose day is another. */
  readonly to: bigint | null
}

interface RezonedPosting {
  readonly sequence: bigint
  readonly n: number
  readonly day: string
  readonly dayBefore: string
}

/** The next ones. @param behind the last file that was looked at. */
export async function chooseRezoned(
  session: Session,
  { posting, file }: LedgerNames,
  { timeZone, behind }: { timeZone: string; behind: bigint },
): Promise<Rezoning> {
  const calendar = new Calendar(timeZone)
  const rows = await session.query<Row>(
    `SELECT p.file_sequence AS sequence, p.n, p.day, f.name, f.sha256, f.pairs, f.amount,
            f.largest_sum AS largestSum, f.used_at AS usedAt
       FROM ${posting} p JOIN ${file} f ON f.sequence = p.file_sequence
      WHERE p.file_sequence > ? AND p.folded = 0 AND p.rolled IS NOT NULL AND p.n % 2 = 1
        AND NOT EXISTS (SELECT 1 FROM ${posting} q WHERE q.file_sequence = p.file_sequence
                           AND q.n = p.n + 1 AND q.rolled IS NOT NULL)
      ORDER BY p.file_sequence LIMIT ${MEMBER_LIMITS.postings}`,
    [behind],
  )
  const files: RolledFile[] = []
  const postings: RezonedPosting[] = []
  let [largest, pairs, to] = [0n, 0n, behind]
  const days = new Set<string>()
  for (const row of rows) {
    const { sequence, day: dayBefore } = row
    const day = calendar.dayOf(fromSqlTime(row.usedAt))
    if (day !== dayBefore) {
      largest += row.largestSum
      pairs += row.pairs
      days.add(day).add(dayBefore)
      const fits =
        largest <= U64_MAX && pairs <= MEMBER_LIMITS.pairs && days.size <= MEMBER_LIMITS.days
      if (!fits && files.length > 0) break
      const n = Number(row.n)
      files.push({ ...row, day, dayBefore, first: n, last: n })
      postings.push({ sequence, n, day, dayBefore })
    }
    to = sequence
  }
  const isEnd = rows.length < MEMBER_LIMITS.postings && to === (rows.at(-1)?.sequence ?? behind)
  const isNothing = files.length === 0
  return { moves: movesOf(files, true), postings, behind, to: isEnd && isNothing ? null : to }
}

/**
 * @returns whether a roll-up was begun; else it is only known how far they were looked for, or the books
 *   were closed over some of them since: they are to be chosen anew.
 */
export async function beginRezoning(
  session: Session,
  { moves, postings, behind, to }: Rezoning,
  { names, lease, instance }: Options,
): Promise<boolean> {
  const { posting, meta } = names
  const isBegun = await transaction<boolean>(session, async undo => {
    await lease.fence(session)
    if (postings.length === 0) {
      await session.execute(
        `UPDATE ${meta} SET rezoned_to = ? WHERE only_row = 1 AND rezoned_to = ?`,
        [to, behind],
      )
      return false
    }
    await insertRollUp(session, names, { ...planOfMoves(moves), instance, rezonesTo: to })
    const changed = await session.changeEach(
      `UPDATE ${posting} SET day_before = day, day = ?
        WHERE file_sequence = ? AND n = ? AND day = ? AND folded = 0`,
      postings.map(({ day, sequence, n, dayBefore }) => [day, sequence, n, dayBefore]),
    )
    if (changed !== postings.length) return undo(false)
    crashPoint('U1-before-commit')
    return true
  })
  if (isBegun) crashPoint('U1-begun')
  return isBegun
}

/** With the last chunk. */
export async function endRezoning(
  session: Session,
  { posting, meta }: LedgerNames,
  to: bigint,
): Promise<void> {
  await session.execute(
    `UPDATE ${posting} SET day_before = NULL
      WHERE file_sequence > (SELECT rezoned_to FROM ${meta}) AND file_sequence <= ?
        AND day_before IS NOT NULL`,
    [to],
  )
  const changed = await session.execute(
    `UPDATE ${meta} SET rezoned_to = ? WHERE only_row = 1 AND rezoned_to < ?`,
    [to, to],
  )
  if (changed !== 1) throw unlike(0n, 'the days of its files were made anew by somebody else')
}

interface Row {
  readonly sequence: bigint
  readonly name: string
  readonly n: number | bigint
  readonly day: string
  readonly sha256: Buffer
  readonly pairs: bigint
  readonly amount: string
  readonly largestSum: bigint
  readonly usedAt: string
}
