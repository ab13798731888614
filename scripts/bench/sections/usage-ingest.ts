import { ledgerNames } from '../../../parser/ledger/index.ts'
import { formatCount } from '../../../shared/numbers.ts'
import { type Bench, PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { fingerprintOf, type KnownFile } from '../data/make-file.ts'
import { inTurn, ratios } from '../paired.ts'
import { cpuSeconds } from '../process-cpu.ts'
import { judge, sizeText, times } from '../row.ts'
import { Site } from '../site.ts'
import { medianOf } from '../statistics.ts'
import { until } from '../until.ts'

const AIM = 0.9
const TURNS = 2
/** As files come that are published when they are full: of this hour and the one before. */
const HOURS = 2

/**
 * Files that come without a pause, counted with usage by time and without. Roll-ups go on beside counting; what
 * they cost it is what all of them would: of those behind the last file nothing is seen in the time to count
 * them, so it is made longer by as much as they are more. Where there was none before, the time until all
 * stand in their hour, day and month is taken instead, but not how long it is waited for more of them.
 */
export const usageIngest: Section = {
  name: 'usage-ingest',
  summary: 'files counted with usage by time, in turn with none',
  diskBytes: ({ stream }) => stream.files * stream.bytes * 2 + 2 * PRIVATE_MARIADB_BYTES,
  async run(bench) {
    const { stream } = bench.scale
    const consumers = { kind: 'uniform', count: stream.consumers } as const
    const totals = new Float64Array(consumers.count)
    const files: KnownFile[] = []
    bench.say(`making ${stream.files} files of ${sizeText(stream.bytes)}`)
    while (files.length < stream.files) {
      files.push(await bench.newFile(stream.bytes, consumers, totals))
    }
    const { pairs, text } = fingerprintOf(consumers, totals)
    const count = (usage: 'on' | 'off') => countAll(bench, files, usage, { pairs, text })
    const { ours, theirs } = await inTurn(
      TURNS,
      () => count('on'),
      () => count('off'),
    )
    const of = (key: keyof Counted) => ({
      on: ours.map(one => one[key]),
      off: theirs.map(one => one[key]),
    })
    const [seconds, cpu, counted] = [of('seconds'), of('cpuSeconds'), of('countedSeconds')]
    const shares = of('rolledShare').on
    const slowed = counted.on.map((on, i) => {
      const off = counted.off[i]!
      return shares[i] === 0 ? seconds.on[i]! : off + (on - off) / shares[i]!
    })
    bench.row({
      section: 'usage-ingest',
      name: 'usage-ingest',
      what: `${files.length} files of ${sizeText(stream.bytes)} over ${formatCount(consumers.count)} consumers and ${HOURS} hours: rate of counting them with usage by time, against that without`,
      ...judge(medianOf(ratios(counted.off, slowed)), {
        side: 'at least',
        bound: AIM,
        write: times,
      }),
      figures: {
        ...{ countedSecondsOn: counted.on, countedSecondsOff: counted.off },
        ...{ rolledBeforeShare: shares, rolledSecondsOn: seconds.on },
        ...{ cpuSecondsOn: cpu.on, cpuSecondsOff: cpu.off },
      },
    })
  },
}

interface Counted {
  readonly countedSeconds: number
  /** Of the pairs, those that stood in their periods when all were counted. */
  readonly rolledShare: number
  /** Until all do. */
  readonly seconds: number
  /** Of parser and server. */
  readonly cpuSeconds: number
}

async function countAll(
  bench: Bench,
  files: readonly KnownFile[],
  usage: 'on' | 'off',
  expected: { readonly pairs: number; readonly text: string },
): Promise<Counted> {
  bench.say(`counting them with usage ${usage}`)
  const site = await Site.make(bench.workspace, { COUNTERSINK_USAGE: usage })
  const dayBeforeMs = Math.floor(Date.now() / 86_400_000 - 1) * 86_400_000
  for (const [i, file] of files.entries()) {
    const usedAtMs = dayBeforeMs + (i % HOURS) * 3_600_000
    await site.drop(file, `ingest-${i}.txt`, { usedAtMs })
  }
  const startedMs = performance.now()
  const parser = await site.startParser()
  await site.untilApplied(files.length, 1_800_000)
  const countedSeconds = (performance.now() - startedMs) / 1_000
  const countedAtMs = Date.now()
  if (usage === 'on') await untilRolledUp(site)
  const rolled = await rolledUp(site, countedAtMs)
  const seconds = countedSeconds + rolled.secondsSince
  const cpu = cpuSeconds(parser.pid) + site.serverCpuSeconds()
  await parser.stop()
  await site.checkTotals(expected)
  await site.emptyArchive()
  await site.stopServer()
  const { rolledShare } = rolled
  return { countedSeconds, rolledShare, seconds, cpuSeconds: cpu }
}

async function untilRolledUp(site: Site): Promise<void> {
  const { posting, rollup } = ledgerNames(site.config)
  await until(
    'all is rolled up',
    () =>
      site.withSession(async session => {
        const [row] = await session.query<{ left: bigint }>(
          `SELECT (SELECT COUNT(*) FROM ${posting} WHERE folded = 0 AND rolled IS NULL)
                + (SELECT COUNT(*) FROM ${rollup} WHERE state <> 'applied') AS \`left\``,
        )
        return Number(row?.left) === 0 ? true : undefined
      }),
    { withinMs: 600_000, pollMs: 50 },
  )
}

/** What share roll-ups had before a moment, and what they have taken since. */
async function rolledUp(
  site: Site,
  momentMs: number,
): Promise<{ readonly rolledShare: number; readonly secondsSince: number }> {
  const { rollup } = ledgerNames(site.config)
  const [row] = await site.withSession(session =>
    session.query<Record<'before' | 'pairs' | 'us', bigint | string>>(
      `SELECT COALESCE(SUM(IF(ended_at <= moment, pairs_applied, 0)), 0) AS \`before\`,
              COALESCE(SUM(pairs_applied), 0) AS pairs,
              COALESCE(SUM(IF(ended_at > moment,
                TIMESTAMPDIFF(MICROSECOND, GREATEST(begun_at, moment), ended_at), 0)), 0) AS us
         FROM ${rollup} JOIN (SELECT FROM_UNIXTIME(? / 1000) AS moment) AS m`,
      [momentMs],
    ),
  )
  const { before, pairs, us } = row!
  return {
    rolledShare: Number(pairs) === 0 ? 0 : Number(before) / Number(pairs),
    secondsSince: Number(us) / 1e6,
  }
}
