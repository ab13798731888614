import { TotalsWriter, type WriterLimits } from '../../../parser/ledger/adding/totals-writer.ts'
import type { Session } from '../../../parser/ledger/connection.ts'
import { ledgerNames } from '../../../parser/ledger/schema/tables.ts'
import type { DatabaseAddress } from '../../../parser/ledger/way-in.ts'
import type { PairChunk } from '../../../parser/sums/sums.ts'
import type { Teardown } from '../../shared/helpers.ts'
import { openSession, type Pairs } from './helpers.ts'

const BIGINTS = 'id BIGINT UNSIGNED PRIMARY KEY, amount BIGINT UNSIGNED NOT NULL'

export interface WriterScene {
  readonly session: Session
  readonly writer: TotalsWriter
  /** The statements of the last `add`, by their kinds. */
  readonly sent: string[]
  /** In a transaction of its own. */
  add(pairs: Pairs): Promise<void>
  totals(): Promise<Map<bigint, bigint | null>>
}

export interface WriterSceneOptions {
  readonly columns?: string
  readonly names?: { totalsTable: string; totalsIdColumn: string; totalsAmountColumn: string }
  readonly limits?: WriterLimits
  /** Is waited for before a statement of that kind is sent. */
  readonly before?: (kind: string | undefined) => unknown
}

/** A writer on a table of totals of its own. */
export async function openWriterScene(
  t: Teardown,
  address: DatabaseAddress,
  {
    columns = BIGINTS,
    names = { totalsTable: 'totals', totalsIdColumn: 'id', totalsAmountColumn: 'amount' },
    limits,
    before = () => {},
  }: WriterSceneOptions = {},
): Promise<WriterScene> {
  const session = await openSession(t, address)
  const n = ledgerNames({ ...names, tablePrefix: 'c_' })
  await session.execute(`CREATE TABLE ${n.totals} (${columns}) ENGINE=InnoDB`)
  const writer = new TotalsWriter(n, limits)
  const sent: string[] = []
  const { execute, executePrepared } = session
  const watch = async (sql: string): Promise<void> => {
    const kind = kindOf(sql)
    if (kind !== undefined) sent.push(kind)
    await before(kind)
  }
  session.execute = async (sql, values) => {
    await watch(sql)
    return execute.call(session, sql, values)
  }
  session.executePrepared = async (sql, values) => {
    await watch(sql)
    return executePrepared.call(session, sql, values)
  }
  return {
    ...{ session, writer, sent },
    async add(pairs) {
      sent.length = 0
      await session.execute('START TRANSACTION')
      await writer.add(session, chunkOf(pairs))
      await session.execute('COMMIT')
    },
    async totals() {
      const rows = await session.query<{ id: bigint; amount: bigint | string | null }>(
        `SELECT CAST(${n.id} AS UNSIGNED) AS id, ${n.amount} AS amount FROM ${n.totals}`,
      )
      return new Map(
        rows.map(({ id, amount }) => [BigInt(id), amount === null ? null : BigInt(amount)]),
      )
    },
  }
}

function kindOf(sql: string): string | undefined {
  if (sql.startsWith('INSERT')) {
    if (sql.includes(' LEFT JOIN ')) return 'FILL'
    return sql.includes(' FROM seq_0_to_') ? 'UPSERT' : 'LIST'
  }
  return /^(UPDATE|SAVEPOINT|ROLLBACK TO)/.exec(sql)?.[1]
}

/** Ids whose total is another, with both totals. */
export function differences<T>(found: Map<bigint, T>, expected: Map<bigint, T>): string[] {
  const ids = new Set([...found.keys(), ...expected.keys()])
  return [...ids].flatMap(id => {
    const [is, should] = [found.get(id), expected.get(id)]
    return is === should ? [] : [`${id}: ${is}, not ${should}`]
  })
}

export function chunkOf(pairs: Pairs): PairChunk {
  return {
    ids: BigUint64Array.from(pairs, ([id]) => id),
    amounts: BigUint64Array.from(pairs, ([, amount]) => amount),
  }
}

export function range(from: bigint, pairs: number, amount: bigint): Pairs {
  return Array.from({ length: pairs }, (_, i) => [from + BigInt(i), amount] as const)
}
