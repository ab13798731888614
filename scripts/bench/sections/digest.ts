import { rm } from 'node:fs/promises'
import { formatCount } from '../../../shared/numbers.ts'
import { type Bench, PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import type { Consumers } from '../data/consumers.ts'
import type { KnownFile } from '../data/make-file.ts'
import { type DigestFigures, digestKnown } from '../digest-file.ts'
import { ratios } from '../paired.ts'
import { DUCKDB_THREADS, duckdbFigures } from '../peers/duckdb.ts'
import { mawkSeconds } from '../peers/mawk.ts'
import { opensslSeconds } from '../peers/openssl.ts'
import { judge, megabytesPerSecond, type Row, sizeText, times } from '../row.ts'
import { medianOf, spreadOf } from '../statistics.ts'

/** The digest (hash + validate + sum) against openssl, which only hashes, and DuckDB, which only sums. */
export const digest: Section = {
  name: 'digest',
  summary: 'hash + validate + sum of one file, against openssl, DuckDB and mawk',
  diskBytes: scale => 4 * scale.digestBytes + PRIVATE_MARIADB_BYTES,
  async run(bench) {
    const { consumers } = bench.scale
    const [few, many, most] = consumers
    await compare(bench, { kind: 'uniform', count: few }, { openssl: 1.6, duckdb: 2.5 })
    await compare(bench, { kind: 'uniform', count: many }, { openssl: 1.8, duckdb: 3 })
    await compare(bench, { kind: 'uniform', count: most }, { openssl: 6, duckdb: 2 })
    await compare(bench, { kind: 'sparse', count: many }, undefined)
    if (bench.scale.name === 'full') await compare(bench, { kind: 'zipf', count: many }, undefined)
    await compareWithMawk(bench, { kind: 'uniform', count: many })
  },
}

interface Aims {
  /** Our time is at most so many times its time. */
  readonly openssl: number
  /** Its time is at least so many times ours. */
  readonly duckdb: number
}

async function compare(bench: Bench, consumers: Consumers, aims: Aims | undefined): Promise<void> {
  const { workspace, scale, duckdb } = bench
  // What has an aim is read by the memory section as well.
  const file =
    aims === undefined
      ? await bench.newFile(scale.digestBytes, consumers)
      : await bench.sharedFile(scale.digestBytes, consumers)
  const ours: DigestFigures[] = []
  const openssl: number[] = []
  const duckdbSeconds: number[] = []
  let duckdbPeakRssBytes = 0
  for (let turn = 0; turn < scale.repetitions; turn += 1) {
    bench.say(`digest of ${describe(file)}: ${turn + 1} of ${scale.repetitions}`)
    ours.push(await digestKnown(workspace, file, { every: turn === 0 }))
    const hashed = await opensslSeconds(workspace, file)
    if (hashed !== undefined) openssl.push(hashed)
    if (duckdb === undefined || aims === undefined) continue
    const found = await duckdbFigures(workspace, duckdb, file)
    duckdbSeconds.push(found.seconds)
    duckdbPeakRssBytes = Math.max(duckdbPeakRssBytes, found.peakRssBytes)
  }
  const seconds = ours.map(one => one.seconds)
  const common = {
    ...figuresOf(file),
    secondsMedian: medianOf(seconds),
    secondsMin: Math.min(...seconds),
    noise: spreadOf(seconds).noise,
    hashSecondsMedian: medianOf(ours.map(({ parts }) => parts.hashSeconds)),
    sumSecondsMedian: medianOf(ours.map(({ parts }) => parts.sumSeconds)),
    peakRssBytes: Math.max(...ours.map(one => one.peakRssBytes)),
  }
  const name = `digest-${nameOf(consumers)}`
  bench.row({
    section: 'digest',
    name,
    what: `digest, ${describe(file)}: time against openssl dgst -sha256`,
    ...(openssl.length === 0
      ? notCompared(file, seconds, aims && `≤ ${times(aims.openssl)}`)
      : aimed(medianOf(ratios(seconds, openssl)), 'at most', aims?.openssl)),
    figures: {
      ...common,
      ...(openssl.length === 0
        ? {}
        : {
            opensslSecondsMedian: medianOf(openssl),
            opensslSecondsMin: Math.min(...openssl),
            opensslNoise: spreadOf(openssl).noise,
            ratioOfMinima: Math.min(...seconds) / Math.min(...openssl),
          }),
    },
  })
  if (aims === undefined) {
    await rm(file.path)
    return
  }
  bench.row({
    section: 'digest',
    name: `duckdb-${nameOf(consumers)}`,
    what: `the same against DuckDB read_csv + GROUP BY, ${DUCKDB_THREADS} threads`,
    ...(duckdbSeconds.length === 0
      ? notCompared(file, seconds, `≥ ${times(aims.duckdb)} faster`)
      : aimed(medianOf(ratios(duckdbSeconds, seconds)), 'at least', aims.duckdb)),
    figures: {
      ...common,
      ...(duckdbSeconds.length === 0
        ? {}
        : {
            duckdbSecondsMedian: medianOf(duckdbSeconds),
            duckdbSecondsMin: Math.min(...duckdbSeconds),
            duckdbNoise: spreadOf(duckdbSeconds).noise,
            duckdbPeakRssBytes,
          }),
    },
  })
}

/** On a smaller file, because it is slow: both rates are of that file. */
async function compareWithMawk(bench: Bench, consumers: Consumers): Promise<void> {
  const { workspace, scale } = bench
  const file = await bench.newFile(scale.mawkBytes, consumers)
  const ours: number[] = []
  const theirs: number[] = []
  for (let turn = 0; turn < scale.repetitions; turn += 1) {
    ours.push((await digestKnown(workspace, file)).seconds)
    const seconds = await mawkSeconds(workspace, file)
    if (seconds !== undefined) theirs.push(seconds)
  }
  bench.row({
    section: 'digest',
    name: `mawk-${nameOf(consumers)}`,
    what: `digest, ${describe(file)}: against mawk '{s[$1]+=$2}'`,
    ...(theirs.length === 0
      ? notCompared(file, ours, undefined)
      : {
          reached: `${times(medianOf(ratios(theirs, ours)))} faster`,
          wanted: '–',
          verdict: 'reported',
        }),
    figures: {
      ...figuresOf(file),
      secondsMedian: medianOf(ours),
      ...(theirs.length === 0 ? {} : { mawkSecondsMedian: medianOf(theirs) }),
    },
  })
}

type Judged = Pick<Row, 'reached' | 'wanted' | 'verdict'>

function aimed(value: number, side: 'at most' | 'at least', bound: number | undefined): Judged {
  return bound === undefined
    ? { reached: times(value), wanted: '–', verdict: 'reported' }
    : judge(value, { side, bound, write: times })
}

function notCompared(file: KnownFile, seconds: readonly number[], wanted: string | undefined) {
  return {
    reached: megabytesPerSecond(file.sizeBytes / 1e6 / medianOf(seconds)),
    wanted: wanted ?? '–',
    verdict: 'not compared',
  } satisfies Judged
}

function figuresOf(file: KnownFile): Row['figures'] {
  return { bytes: file.sizeBytes, lines: file.lines, ids: file.ids }
}

export function describe(file: KnownFile): string {
  const { kind, count } = file.plan.consumers
  return `${sizeText(file.sizeBytes)}, ${formatCount(count)} ${kind} consumers`
}

/** `10k`, `1.28m`, `sparse-1m` */
export function nameOf({ kind, count }: Consumers): string {
  const amount = count >= 1e6 ? `${count / 1e6}m` : `${count / 1e3}k`
  return kind === 'uniform' ? amount : `${kind}-${amount}`
}
