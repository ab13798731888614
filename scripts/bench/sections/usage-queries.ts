import {
  hourSeed,
  ledgerNames,
  readUsage,
  type Session,
  type UsageQuestion,
} from '../../../parser/ledger/index.ts'
import { BlockEncoder, startPacking } from '../../../parser/sums/index.ts'
import { formatCount } from '../../../shared/numbers.ts'
import { ledgerOf } from '../apply-once.ts'
import { type Bench, PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { timed } from '../paired.ts'
import { judge, mustEqual } from '../row.ts'
import { Site } from '../site.ts'
import { medianOf, spreadOf } from '../statistics.ts'

const HOURS = 14 * 24
const DAYS = 30
const MONTH_HOURS = 30 * 24
/** The end of all that is asked for. */
const END_MS = Date.UTC(2026, 10, 1)
const HOUR_MS = 3_600_000
const MAX_MS = { consumer: 60, top: 500, sums: 50 }
const BLOCKS_AT_ONCE = 32

/** Questions about usage by time, beside very many consumers: what they take on a connection that is open. */
export const usageQueries: Section = {
  name: 'usage-queries',
  summary: 'one consumer, the largest of a day, the sums of a month, by time',
  diskBytes: ({ usageConsumers }) => usageConsumers * 3_500 + PRIVATE_MARIADB_BYTES,
  async run(bench) {
    const { usageConsumers: consumers } = bench.scale
    const site = await Site.make(bench.workspace)
    const ledger = ledgerOf(site)
    await ledger.open()
    await ledger.close()
    await site.withSession(async session => {
      await fill(bench, site, session, consumers)
      const ask = (question: Pick<UsageQuestion, 'of' | 'by'>, hours: number) =>
        lines(session, site, question, hours)
      const of = { id: BigInt(consumers >> 1) }
      const beside = `beside ${formatCount(consumers)} others`
      await measure(bench, 'usage-consumer', MAX_MS.consumer, {
        what: `one consumer, ${HOURS} hours and ${DAYS} days, ${beside}`,
        run: async () => [
          ...(await ask({ of, by: 'hour' }, HOURS)),
          ...(await ask({ of, by: 'day' }, DAYS * 24)),
        ],
        amount: BigInt(HOURS + DAYS) * amountOf(of.id),
      })
      const largest = Array.from({ length: consumers }, (_, i) => amountOf(BigInt(i + 1)))
        .sort((a, b) => (a > b ? -1 : 1))
        .slice(0, 20)
      await measure(bench, 'usage-top', MAX_MS.top, {
        what: `the 20 largest of a day, of ${formatCount(consumers)} consumers`,
        run: () => ask({ of: { top: 20 }, by: 'day' }, 24),
        amount: largest.reduce((sum, one) => sum + one, 0n),
      })
      await measure(bench, 'usage-sums', MAX_MS.sums, {
        what: `all together, ${MONTH_HOURS} hours`,
        run: () => ask({ of: 'all', by: 'hour' }, MONTH_HOURS),
        amount: BigInt(HOURS) * allOf(consumers),
      })
    })
    await site.stopServer()
  },
}

async function measure(
  bench: Bench,
  name: string,
  bound: number,
  asked: { what: string; run: () => Promise<readonly bigint[]>; amount: bigint },
): Promise<void> {
  const ms: number[] = []
  // The first reads what later ones find in memory.
  for (let turn = 0; turn <= bench.scale.applyRepetitions; turn += 1) {
    let amounts: readonly bigint[] = []
    const seconds = await timed(async () => {
      amounts = await asked.run()
    })
    mustEqual(
      name,
      amounts.reduce((sum, one) => sum + one, 0n),
      asked.amount,
    )
    if (turn > 0) ms.push(seconds * 1_000)
  }
  bench.row({
    ...{ section: 'usage-queries', name, what: asked.what },
    ...judge(medianOf(ms), {
      ...{ side: 'at most', bound, write: value => `${value.toFixed(0)} ms` },
    }),
    figures: { msMedian: medianOf(ms), noise: spreadOf(ms).noise },
  })
}

async function lines(
  session: Session,
  site: Site,
  question: Pick<UsageQuestion, 'of' | 'by'>,
  hours: number,
): Promise<bigint[]> {
  const time = { from: { ms: END_MS - hours * HOUR_MS }, to: { ms: END_MS } }
  const amounts = await readUsage(session, site.config, { ...question, ...time }, async account => {
    const found: bigint[] = []
    for await (const { amount } of account.lines()) found.push(amount)
    return found
  })
  return amounts ?? []
}

/** What each consumer has used in each hour, and in each day. */
function amountOf(id: bigint): bigint {
  return ((id * 7_919n) % 10_007n) + 1n
}

function allOf(consumers: number): bigint {
  let sum = 0n
  for (let id = 1n; id <= consumers; id += 1n) sum += amountOf(id)
  return sum
}

async function fill(bench: Bench, site: Site, session: Session, consumers: number): Promise<void> {
  const n = ledgerNames(site.config)
  const all = allOf(consumers)
  await session.execute(`UPDATE ${n.meta} SET time_zone = 'UTC'`)
  for (let day = 1; day <= DAYS; day += 1) {
    bench.say(`usage: day ${day} of ${DAYS}`)
    const start = new Date(END_MS - day * 24 * HOUR_MS).toISOString().slice(0, 10)
    await session.execute(
      `INSERT INTO ${n.usage_day} SELECT ?, seq, seq * 7919 % 10007 + 1 FROM seq_1_to_${consumers}`,
      [start],
    )
    await session.execute(`INSERT INTO ${n.usage} VALUES ('day', ?, ?)`, [start, `${all}`])
  }
  const ids = BigUint64Array.from({ length: consumers }, (_, i) => BigInt(i + 1))
  const amounts = ids.map(amountOf)
  const kernel = startPacking()
  for (let hour = 1; hour <= HOURS; hour += 1) {
    if (hour % 24 === 0) bench.say(`usage: hour ${hour} of ${HOURS}`)
    const at = new Date(END_MS - hour * HOUR_MS).toISOString()
    const start = at.replace('T', ' ').slice(0, 19)
    const encoder = new BlockEncoder(kernel, hourSeed(start))
    const blocks = [...encoder.add({ ids, amounts }), ...encoder.end()]
    const rows = blocks.map(({ firstId, lastId, pairs, amount, crc, bytes }) => [
      ...[start, firstId, lastId, pairs, `${amount}`, crc, Buffer.from(bytes)],
    ])
    for (let from = 0; from < rows.length; from += BLOCKS_AT_ONCE) {
      await session.executeEach(
        `INSERT INTO ${n.usage_block} VALUES (?, ?, ?, ?, ?, ?, ?)`,
        rows.slice(from, from + BLOCKS_AT_ONCE),
      )
    }
    await session.execute(`INSERT INTO ${n.usage} VALUES ('hour', ?, ?)`, [start, `${all}`])
  }
}
