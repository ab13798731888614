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
const TURNS = 3
/** As files come that are published when they are full: of this hour and the one before. */
const HOURS = 2

/**
 * The whole way of files, with usage by time and without: until all are counted, and with it also what it
 * takes until all of them stand in their hour, day and month, but not how long it is waited for more of them.
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
    const [seconds, cpu] = [of('seconds'), of('cpuSeconds')]
    bench.row({
      section: 'usage-ingest',
      name: 'usage-ingest',
      what: `${files.length} files of ${sizeText(stream.bytes)} over ${formatCount(consumers.count)} consumers and ${HOURS} hours: rate to all counted and rolled up, against the rate to all counted without usage by time`,
      ...judge(medianOf(ratios(seconds.off, seconds.on)), {
        side: 'at least',
        bound: AIM,
        write: times,
      }),
      figures: {
        ...{ secondsOn: seconds.on, secondsOff: seconds.off },
        ...{ cpuSecondsOn: cpu.on, cpuSecondsOff: cpu.off },
        ...{ countedSecondsOn: of('countedSeconds').on },
      },
    })
  },
}

interface Counted {
  readonly seconds: number
  readonly countedSeconds: number
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
  const seconds = countedSeconds + (await secondsRolledAfter(site, countedAtMs))
  const cpu = cpuSeconds(parser.pid) + site.serverCpuSeconds()
  await parser.stop()
  await site.checkTotals(expected)
  await site.emptyArchive()
  await site.stopServer()
  return { seconds, countedSeconds, cpuSeconds: cpu }
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

/** What roll-ups have taken since. */
async function secondsRolledAfter(site: Site, sinceMs: number): Promise<number> {
  const { rollup } = ledgerNames(site.config)
  const [row] = await site.withSession(session =>
    session.query<{ us: bigint | string }>(
      `SELECT COALESCE(SUM(TIMESTAMPDIFF(MICROSECOND, GREATEST(begun_at, since), ended_at)), 0) AS us
         FROM ${rollup} JOIN (SELECT FROM_UNIXTIME(? / 1000) AS since) AS moment WHERE ended_at > since`,
      [sinceMs],
    ),
  )
  return Number(row!.us) / 1e6
}
