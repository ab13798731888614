import type { Config } from '../../../shared/config.ts'
import type { Session } from '../connection.ts'
import { ledgerNames } from '../schema/tables.ts'
import { escaped } from './like.ts'

/** One row of the totals. */
export interface Total {
  readonly id: bigint
  readonly amount: bigint
}

/** All totals, ascending by id, streamed. */
export async function* readTotals(session: Session, config: Config): AsyncGenerator<Total> {
  const n = ledgerNames(config)
  yield* rows(session, `SELECT ${columns(config)} FROM ${n.totals} ORDER BY ${n.id}`)
}

/** The largest totals first, equal ones by id. */
export async function* readTopTotals(
  session: Session,
  config: Config,
  top: number,
): AsyncGenerator<Total> {
  const n = ledgerNames(config)
  yield* rows(
    session,
    `SELECT ${columns(config)} FROM ${n.totals} ORDER BY ${n.amount} DESC, ${n.id} LIMIT ?`,
    [top],
  )
}

/** One consumer's total, or undefined when it has none. */
export async function readTotal(
  session: Session,
  config: Config,
  id: bigint,
): Promise<Total | undefined> {
  const n = ledgerNames(config)
  for await (const total of rows(
    session,
    `SELECT ${columns(config)} FROM ${n.totals} WHERE ${n.id} = ?`,
    [id],
  )) {
    return total
  }
  return undefined
}

/** The numbers that must agree: all decimal, exact. */
export interface Balance {
  readonly totalsAmount: bigint
  readonly openingAmount: bigint
  /** Sum over all contents that the ledger says are applied. */
  readonly ledgerAmount: bigint
  /** Sum over those of them whose name begins with one of the prefixes, and how many they are. */
  readonly namedAmount: bigint
  readonly namedFiles: number
  readonly batchesOpen: number
}

/** One consistent reading; undefined when there is no ledger yet. */
export async function readBalance(
  session: Session,
  config: Config,
  namePrefixes: readonly string[],
): Promise<Balance | undefined> {
  const n = ledgerNames(config)
  const [meta] = await session.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables
      WHERE table_schema = DATABASE() AND table_name = ?`,
    [`${config.tablePrefix}meta`],
  )
  if (meta === undefined) return undefined
  const named = namePrefixes.map(() => 'name LIKE ?').join(' OR ') || 'FALSE'
  const patterns = namePrefixes.map(likePrefix)
  // One statement is one snapshot, also under READ COMMITTED.
  const [row] = await session.query<Record<keyof Balance, string | bigint | null>>(
    `SELECT (SELECT SUM(${n.amount}) FROM ${n.totals}) AS totalsAmount,
            m.opening_amount AS openingAmount,
            (SELECT SUM(sign * amount) FROM ${n.file} WHERE state = 'applied') AS ledgerAmount,
            (SELECT SUM(sign * amount) FROM ${n.file} WHERE state = 'applied' AND (${named})) AS namedAmount,
            (SELECT COUNT(*) FROM ${n.file} WHERE state = 'applied' AND (${named})) AS namedFiles,
            (SELECT COUNT(*) FROM ${n.batch} WHERE state <> 'applied') AS batchesOpen
       FROM ${n.meta} m`,
    [...patterns, ...patterns],
  )
  if (row === undefined) return undefined
  return {
    totalsAmount: BigInt(row.totalsAmount ?? 0),
    openingAmount: BigInt(row.openingAmount ?? 0),
    ledgerAmount: BigInt(row.ledgerAmount ?? 0),
    namedAmount: BigInt(row.namedAmount ?? 0),
    namedFiles: Number(row.namedFiles ?? 0),
    batchesOpen: Number(row.batchesOpen ?? 0),
  }
}

/** Ids of narrower or signed columns come as numbers otherwise. */
function columns(config: Config): string {
  const n = ledgerNames(config)
  return `CAST(${n.id} AS UNSIGNED) AS id, COALESCE(${n.amount}, 0) AS amount`
}

async function* rows(
  session: Session,
  sql: string,
  values: readonly unknown[] = [],
): AsyncGenerator<Total> {
  for await (const row of session.stream<{ id: bigint; amount: bigint | string }>(sql, values)) {
    yield { id: BigInt(row.id), amount: BigInt(row.amount) }
  }
}

function likePrefix(prefix: string): string {
  return `${escaped(prefix)}%`
}
