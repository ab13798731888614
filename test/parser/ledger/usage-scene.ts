import { readUsage, type UsageQuestion } from '../../../parser/ledger/asking/usage.ts'
import type { Session } from '../../../parser/ledger/connection.ts'
import { hourSeed } from '../../../parser/ledger/periods/hour-seed.ts'
import type { WindowLimits } from '../../../parser/ledger/proving/totals-window.ts'
import { type BlockRow, blockOf } from '../../../parser/ledger/recording/blocks.ts'
import {
  type Granularity,
  type LedgerNames,
  ledgerNames,
} from '../../../parser/ledger/schema/tables.ts'
import { packPlainly, unpackPlainly } from '../../../parser/sums/index.ts'
import type { Config } from '../../../shared/config.ts'
import { U64_MAX } from '../../../shared/limits.ts'

// What rolls postings up, in the plainest way: everything is read, added up and written anew.

/** A start of a period as its rows have it, told by other means than the program's. */
export function startAt(by: Granularity, timeZone: string, ms: number): string {
  if (by === 'hour') return `${new Date(ms).toISOString().slice(0, 13).replace('T', ' ')}:00:00`
  const format = DAYS.get(timeZone) ?? new Intl.DateTimeFormat('sv-SE', { timeZone })
  DAYS.set(timeZone, format)
  const day = format.format(ms)
  return by === 'day' ? day : `${day.slice(0, 7)}-01`
}

const DAYS = new Map<string, Intl.DateTimeFormat>()

export async function keepUsage(session: Session, n: LedgerNames, timeZone: string): Promise<void> {
  await session.execute(`UPDATE ${n.meta} SET time_zone = ?`, [timeZone])
}

/**
 * Of all that is counted and not rolled up.
 *
 * @param cursorId it stops behind this consumer, and is under way.
 */
export async function rollUp(
  session: Session,
  n: LedgerNames,
  timeZone: string,
  cursorId?: bigint,
): Promise<void> {
  const to = cursorId ?? U64_MAX
  const state = cursorId === undefined ? 'applied' : 'applying'
  const [last] = await session.query<{ n: bigint }>(
    `SELECT COALESCE(MAX(n), 0) + 1 AS n FROM ${n.rollup}`,
  )
  const number = last!.n
  await session.execute(
    `INSERT INTO ${n.rollup} (n, instance, state, cursor_id, pairs_planned, pairs_applied,
       amount_planned, amount_applied, begun_at, ended_at)
     VALUES (?, REPEAT('i', 16), '${state}', ?, 0, 0, 0, 0, UTC_TIMESTAMP(3), IF(? = 'applied', UTC_TIMESTAMP(3), NULL))`,
    [number, cursorId ?? null, state],
  )
  const postings = await session.query<PostingRow>(
    `SELECT p.file_sequence AS sequence, p.n, f.sha256, f.used_at AS usedAt FROM ${n.posting} p
       JOIN ${n.file} f ON f.sequence = p.file_sequence JOIN ${n.batch} b ON b.id = p.batch_id
      WHERE p.folded = 0 AND p.rolled IS NULL AND f.sign = 1 AND b.state = 'applied'`,
  )
  const hours = new Map<string, Map<bigint, bigint>>()
  for (const posting of postings) {
    const usedAtMs = Date.parse(`${posting.usedAt.replace(' ', 'T')}Z`)
    const day = startAt('day', timeZone, usedAtMs)
    await session.execute(
      `UPDATE ${n.posting} SET rolled = ?, day = ? WHERE file_sequence = ? AND n = ?`,
      [number, day, posting.sequence, posting.n],
    )
    for (const [id, sum] of await pairsOf(session, n, posting)) {
      if (id > to) continue
      const amount = Number(posting.n) % 2 === 1 ? sum : -sum
      const hour = startAt('hour', timeZone, usedAtMs)
      const ids = hours.get(hour) ?? new Map<bigint, bigint>()
      hours.set(hour, ids.set(id, (ids.get(id) ?? 0n) + amount))
      for (const by of ['day', 'month'] as const) {
        const start = startAt(by, timeZone, usedAtMs)
        await session.execute(
          `INSERT INTO ${by === 'day' ? n.usage_day : n.usage_month} VALUES (?, ?, ?)
             ON DUPLICATE KEY UPDATE amount = amount + VALUES(amount)`,
          [start, id, `${amount}`],
        )
        await addUp(session, n, by, start, amount)
      }
      await addUp(session, n, 'hour', hour, amount)
    }
  }
  for (const [hour, ids] of hours) await addToHour(session, n, hour, ids)
}

async function addUp(
  session: Session,
  n: LedgerNames,
  by: Granularity,
  start: string,
  amount: bigint,
): Promise<void> {
  await session.execute(
    `INSERT INTO ${n.usage} VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE amount = amount + VALUES(amount)`,
    [by, start, `${amount}`],
  )
}

/** Its blocks are made anew; sums of more than 64 bits leave the rest outside. */
async function addToHour(
  session: Session,
  n: LedgerNames,
  hour: string,
  more: ReadonlyMap<bigint, bigint>,
): Promise<void> {
  const seed = hourSeed(hour)
  const sums = new Map<bigint, bigint>(more)
  const add = (id: bigint, amount: bigint) => sums.set(id, (sums.get(id) ?? 0n) + amount)
  const rows = await session.query<BlockRow>(
    `SELECT first_id AS firstId, last_id AS lastId, pairs, amount, crc, block FROM ${n.usage_block} WHERE period_start = ?`,
    [hour],
  )
  for (const row of rows) {
    const { ids, amounts } = unpackPlainly(seed, blockOf(row))
    for (const [i, id] of ids.entries()) add(id, amounts[i]!)
  }
  const wide = await session.query<{ id: bigint; amount: string }>(
    `SELECT id, amount FROM ${n.usage_wide} WHERE period_start = ?`,
    [hour],
  )
  for (const { id, amount } of wide) add(id, BigInt(amount))
  for (const table of [n.usage_block, n.usage_wide]) {
    await session.execute(`DELETE FROM ${table} WHERE period_start = ?`, [hour])
  }
  const pairs = [...sums].filter(([, sum]) => sum !== 0n).sort(([a], [b]) => (a < b ? -1 : 1))
  const packed = pairs.map(([id, sum]) => [id, sum > U64_MAX ? U64_MAX : sum] as const)
  const ids = BigUint64Array.from(packed, ([id]) => id)
  const amounts = BigUint64Array.from(packed, ([, sum]) => sum)
  // A block for every three, so that there are several.
  for (let at = 0; at < ids.length; at += 3) {
    const some = { ids: ids.subarray(at, at + 3), amounts: amounts.subarray(at, at + 3) }
    for (const { firstId, lastId, pairs, amount, crc, bytes } of packPlainly(seed, some)) {
      await session.execute(`INSERT INTO ${n.usage_block} VALUES (?, ?, ?, ?, ?, ?, ?)`, [
        ...[hour, firstId, lastId, pairs, `${amount}`, crc, Buffer.from(bytes)],
      ])
    }
  }
  for (const [id, sum] of pairs) {
    if (sum <= U64_MAX) continue
    await session.execute(`INSERT INTO ${n.usage_wide} VALUES (?, ?, ?)`, [
      ...[hour, id, `${sum - U64_MAX}`],
    ])
  }
}

async function pairsOf(
  session: Session,
  n: LedgerNames,
  { sequence, sha256 }: PostingRow,
): Promise<[bigint, bigint][]> {
  const rows = await session.query<BlockRow>(
    `SELECT first_id AS firstId, last_id AS lastId, pairs, amount, crc, block FROM ${n.sums} WHERE file_sequence = ?`,
    [sequence],
  )
  return rows.flatMap(row => {
    const { ids, amounts } = unpackPlainly(sha256, blockOf(row))
    return Array.from(ids, (id, i): [bigint, bigint] => [id, amounts[i]!])
  })
}

export interface Told {
  readonly by: Granularity
  readonly fromMs: number
  readonly toMs: number
  readonly filesNotRolledUp: number
  /** Start of a period, consumer, amount. */
  readonly lines: readonly (readonly [start: string, id: bigint | undefined, amount: bigint])[]
}

export async function askUsage(
  session: Session,
  config: Config,
  question: UsageQuestion,
  limits?: WindowLimits,
): Promise<Told | undefined> {
  return readUsage(
    session,
    config,
    question,
    async account => {
      const lines: [string, bigint | undefined, bigint][] = []
      for await (const { period, id, amount } of account.lines()) {
        lines.push([period.start, id, amount])
      }
      const { by, fromMs, toMs, filesNotRolledUp } = account
      return { by, fromMs, toMs, filesNotRolledUp, lines }
    },
    limits,
  )
}

export { ledgerNames }

interface PostingRow {
  readonly sequence: bigint
  readonly n: bigint
  readonly sha256: Buffer
  readonly usedAt: string
}
