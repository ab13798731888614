import { statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { formatBytes, formatCount } from '../../../shared/numbers.ts'
import { closingReport } from '../../reports/index.ts'
import { type Bench, PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { processMemory } from '../process-memory.ts'
import { megabytesPerSecond, sizeText, WrongResult } from '../row.ts'
import { Site } from '../site.ts'
import { slopeOf } from '../statistics.ts'
import { until } from '../until.ts'
import { readSupervisorStatus, startUp } from '../up.ts'

/** The default limit of archived files that are generated. */
const ARCHIVE_BYTES = 2 ** 30
const SAMPLES = 240
const SAY_EVERY_SECONDS = 60
/** What comes before belongs to filling caches and tables. */
const WARM_UP_SHARE = 1 / 3
/** Flat: the line through what follows grows by no more than this share of its mean. */
const GROWTH_MAX = 0.05

/** In less time nothing can be told to be flat. */
const JUDGED_SECONDS_MIN = 300
/** The history keeps each counted content for ever, in so many bytes (see the section `history`). */
const HISTORY_BYTES_PER_CONTENT = 250

/** A queue goes up and down by whole files, the journal's file by whole pages: what is less is nothing. */
const MEAN_MIN: { readonly [key in Watched]?: number } = {
  queueFiles: 10,
  journalRestBytes: 2 ** 20,
}

interface Sample {
  readonly seconds: number
  readonly appliedBytes: number
  readonly parserRssBytes: number
  readonly generatorRssBytes: number
  readonly journalBytes: number
  /** Less the history. */
  readonly journalRestBytes: number
  readonly queueFiles: number
}
type Watched = 'parserRssBytes' | 'generatorRssBytes' | 'journalRestBytes' | 'queueFiles'

/** Everything together, as `countersink up` runs it: generator, parser, private MariaDB. */
export const sustained: Section = {
  name: 'sustained',
  summary: 'generator and parser together under `countersink up`, for minutes',
  diskBytes: scale => 20 * scale.sustainedFileBytes + ARCHIVE_BYTES + PRIVATE_MARIADB_BYTES,
  async run(bench) {
    const { workspace, scale } = bench
    const site = await Site.make(workspace)
    await site.stopServer()
    const size = String(scale.sustainedFileBytes)
    const up = await startUp(workspace, site, [
      '--generator',
      ...['--file-size', `${size}-${size}`],
      ...['--consumers', String(scale.sustainedConsumers)],
      ...['--seed', '1'],
    ])
    const samples = await watch(bench, site, scale.sustainedMinutes * 60)
    await up.stop()
    await proveExactness(site)
    report(bench, samples)
  },
}

async function watch(bench: Bench, site: Site, duration: number): Promise<Sample[]> {
  await until('the first file is applied', async () =>
    (await site.health())?.ever.applied ? true : undefined,
  )
  bench.say(`watching for ${duration.toFixed(0)} s`)
  const samples: Sample[] = []
  const startedMs = performance.now()
  const seconds = (): number => (performance.now() - startedMs) / 1_000
  for (let said = 0; seconds() < duration; ) {
    const sample = await sampleNow(site, seconds())
    if (sample !== undefined) samples.push(sample)
    if (seconds() - said > SAY_EVERY_SECONDS) {
      said = seconds()
      bench.say(`${said.toFixed(0)} s, ${formatBytes(sample?.appliedBytes ?? 0)} applied`)
    }
    await sleep((duration / SAMPLES) * 1_000)
  }
  return samples
}

/** undefined: the parser did not answer, or is another one than before. */
async function sampleNow(site: Site, seconds: number): Promise<Sample | undefined> {
  const health = await site.health()
  const generator = readSupervisorStatus(site)?.generator?.pid
  if (health === undefined || generator === undefined) return undefined
  const journalBytes = statSync(join(site.paths.journal, 'data.mdb')).size
  return {
    seconds,
    appliedBytes: health.ever.bytes,
    parserRssBytes: processMemory(health.pid)?.rssBytes ?? 0,
    generatorRssBytes: processMemory(generator)?.rssBytes ?? 0,
    journalBytes,
    journalRestBytes: journalBytes - health.ever.applied * HISTORY_BYTES_PER_CONTENT,
    queueFiles: health.queue.files,
  }
}

/** What was published is counted to its end; then totals, ledger and generator must agree. */
async function proveExactness(site: Site): Promise<void> {
  await site.startServer()
  const parser = await site.startParser()
  await until('everything published is applied', async () => {
    site.throwIfEnded()
    const health = await site.health()
    return health?.queue.files === 0 ? true : undefined
  })
  await parser.stop()
  const { addsUp, lines } = await closingReport(site.paths, site.config)
  await site.stopServer()
  if (!addsUp) throw new WrongResult(lines.slice(-4).join(' '))
}

function report(bench: Bench, samples: readonly Sample[]): void {
  const settled = samples.slice(Math.floor(samples.length * WARM_UP_SHARE))
  const [first] = samples
  const last = samples[samples.length - 1]
  if (first === undefined || last === undefined || settled.length < 10) {
    throw new Error(`only ${samples.length} samples were taken`)
  }
  const rate = slopeOf(
    samples.map(({ seconds, appliedBytes }) => ({ x: seconds, y: appliedBytes })),
  )
  const minutes = (last.seconds / 60).toFixed(last.seconds < 60 ? 1 : 0)
  const what = `generator and parser together for ${minutes} minutes, files of ${sizeText(bench.scale.sustainedFileBytes)}, ${formatCount(bench.scale.sustainedConsumers)} consumers`
  bench.row({
    section: 'sustained',
    name: 'sustained',
    what: `${what}: applied`,
    reached: megabytesPerSecond(rate / 1e6),
    wanted: 'reported',
    verdict: 'reported',
    figures: {
      ...{ bytes: last.appliedBytes, seconds: last.seconds, samples: samples.length },
      journalBytesFirst: first.journalBytes,
      journalBytesLast: last.journalBytes,
    },
  })
  const names: readonly (readonly [Watched, string])[] = [
    ['parserRssBytes', "the parser's resident memory"],
    ['generatorRssBytes', "the generator's resident memory"],
    [
      'journalRestBytes',
      `the journal’s file less ${HISTORY_BYTES_PER_CONTENT} bytes a counted content`,
    ],
    ['queueFiles', 'the queue'],
  ]
  const isJudged = last.seconds >= JUDGED_SECONDS_MIN
  for (const [key, label] of names) {
    const values = settled.map(sample => sample[key])
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    const span = last.seconds - settled[0]!.seconds
    const slope = slopeOf(settled.map(sample => ({ x: sample.seconds, y: sample[key] })))
    const growth = (slope * span) / Math.max(mean, MEAN_MIN[key] ?? 0)
    bench.row({
      section: 'sustained',
      name: `sustained-${key}`,
      what: `${label} over that time: growth after the first third`,
      reached: `${(growth * 100).toFixed(1)} %`,
      wanted: `flat (≤ ${GROWTH_MAX * 100} %)`,
      verdict: isJudged ? (growth <= GROWTH_MAX ? 'reached' : 'missed') : 'reported',
      figures: {
        mean,
        min: Math.min(...values),
        max: Math.max(...values),
        everyTenth: samples
          .filter((_, i) => i % Math.ceil(samples.length / 10) === 0)
          .map(sample => sample[key]),
      },
    })
  }
}
