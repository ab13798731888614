import type { Session } from '../../parser/ledger/connection.ts'
import type { LedgerNames } from '../../parser/ledger/schema/tables.ts'
import { totalsOf } from '../helpers/files.ts'
import { type Granularity, linesOf, periodOf, type Used, usageOf } from './usage-model.ts'

const GRANULARITIES = ['hour', 'day', 'month'] as const

/** Where everything is rolled up, what stands in the tables against the model. */
export async function standingFaults(
  session: Session,
  names: LedgerNames,
  counted: readonly Used[],
  timeZone: string,
): Promise<string[]> {
  const keptFromAll = async (): Promise<(string | undefined)[]> => {
    const kept: (string | undefined)[] = []
    for (const granularity of GRANULARITIES) kept.push(await keptFrom(session, names, granularity))
    return kept
  }
  for (;;) {
    const kept = await keptFromAll()
    const faults: string[] = []
    for (const [i, granularity] of GRANULARITIES.entries()) {
      faults.push(...(await faultsOf(session, names, counted, timeZone, granularity, kept[i])))
    }
    // What is old may have been dropped meanwhile.
    if ((await keptFromAll()).join() === kept.join()) return faults
  }
}

async function faultsOf(
  session: Session,
  names: LedgerNames,
  counted: readonly Used[],
  timeZone: string,
  granularity: Granularity,
  kept: string | undefined,
): Promise<string[]> {
  const faults: string[] = []
  const usage = usageOf(counted, granularity, timeZone, kept)
  const say = (what: string, found: string, wanted: string): void => {
    if (found !== wanted) faults.push(`${granularity}s: ${what} ${found}, must be ${wanted}`)
  }
  if (granularity !== 'hour') {
    const rows = await session.query<{ period: string; id: bigint; amount: string }>(
      `SELECT DATE_FORMAT(period_start, '%Y-%m-%d') AS period, id, amount
         FROM ${granularity === 'day' ? names.usage_day : names.usage_month}
        WHERE amount <> 0 ${kept === undefined ? '' : `AND period_start >= '${kept}'`}
        ORDER BY period_start, id`,
    )
    const lines = rows.map(({ period, id, amount }) => `${period} ${id} ${amount}`)
    say('rows', lines.join('\n'), linesOf(usage).join('\n'))
  }
  const sums = await session.query<{ period: string; amount: string }>(
    `SELECT DATE_FORMAT(period_start, '%Y-%m-%d${granularity === 'hour' ? ' %H:%i:%s' : ''}') AS period, amount
       FROM ${names.usage} WHERE granularity = '${granularity}' AND amount <> 0 ORDER BY period_start`,
  )
  const sumOf = (of: ReadonlyMap<bigint, bigint>): bigint =>
    [...of.values()].reduce((sum, one) => sum + one, 0n)
  const wanted = [...usage]
    .map(([period, of]) => `${period} ${sumOf(of)}`)
    .filter(line => !line.endsWith(' 0'))
    .sort()
  say('sums', sums.map(({ period, amount }) => `${period} ${amount}`).join('\n'), wanted.join('\n'))
  const [row] = await session.query<{ dropped: string }>(
    `SELECT dropped FROM ${names.period} WHERE granularity = '${granularity}'`,
  )
  const older = counted.filter(
    ({ usedAtMs }) => kept !== undefined && periodOf(granularity, usedAtMs, timeZone) < kept,
  )
  const dropped = older.reduce((sum, file) => sum + sumOf(totalsOf([file])), 0n)
  say('dropped are', `${row?.dropped}`, `${dropped}`)
  return faults
}

/** As the model writes periods; undefined: nothing was dropped. */
export async function keptFrom(
  session: Session,
  { period }: LedgerNames,
  granularity: Granularity,
): Promise<string | undefined> {
  const [row] = await session.query<{ kept: string | null }>(
    `SELECT DATE_FORMAT(kept_from, '%Y-%m-%d${granularity === 'hour' ? ' %H:%i:%s' : ''}') AS kept
       FROM ${period} WHERE granularity = '${granularity}'`,
  )
  return row?.kept ?? undefined
}
