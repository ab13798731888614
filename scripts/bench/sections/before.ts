import { formatCount } from '../../../shared/numbers.ts'
import { type ApplyFigures, ROUNDS } from '../apply-figures.ts'
import { type Bench, PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { type Build, THIS_BUILD } from '../builds.ts'
import { digestKnown } from '../digest-file.ts'
import { inTurn, type Paired, ratios } from '../paired.ts'
import { makeSumsOfLines } from '../pairs-table.ts'
import { plainWriteSeconds } from '../plain-write.ts'
import { runForJson } from '../programs.ts'
import {
  type Aim,
  judge,
  megabytesPerSecond,
  mustEqual,
  type Row,
  sizeText,
  times,
} from '../row.ts'
import { Site } from '../site.ts'
import { medianOf, spreadOf } from '../statistics.ts'
import {
  announceSmallFiles,
  describeSmallFiles,
  filesPerSecond,
  manyLines,
  type SmallFilesFigures,
} from './small-files.ts'

/**
 * What keeping the sums of every file costs: the same work by an earlier build (`--before`) in turn.
 * Without one the figures stand for themselves.
 */
export const before: readonly Section[] = [
  {
    name: 'before-small-files',
    summary: 'small files, in turn with an earlier build (--before)',
    diskBytes: () => 2 * PRIVATE_MARIADB_BYTES,
    run: smallFilesAgain,
  },
  {
    name: 'before-digest',
    summary: 'digests of files with very many consumers for their size, in the same way',
    diskBytes: ({ digestAgainBytes }) => Math.max(...digestAgainBytes) * 2,
    async run(bench) {
      for (const sizeBytes of bench.scale.digestAgainBytes) await digestAgain(bench, sizeBytes)
    },
  },
  {
    name: 'before-apply',
    summary: 'sums recorded and added, in the same way',
    diskBytes: () => 2 * PRIVATE_MARIADB_BYTES,
    run: applyAgain,
  },
]

/** By the earlier build as well, if there is one. */
async function both<T>(
  bench: Bench,
  turns: number,
  measure: (build: Build) => Promise<T>,
): Promise<Paired<T, T>> {
  const earlier = bench.before
  if (earlier !== undefined) {
    return await inTurn(
      turns,
      () => measure(THIS_BUILD),
      () => measure(earlier),
    )
  }
  const ours: T[] = []
  for (let turn = 0; turn < turns; turn += 1) ours.push(await measure(THIS_BUILD))
  return { ours, theirs: [] }
}

/** The ratio of each turn against the aim; without an earlier build what stands for itself. */
function verdict(
  { ours, theirs }: Paired<number, number>,
  aim: Aim,
  alone: string,
): Pick<Row, 'reached' | 'wanted' | 'verdict'> {
  return theirs.length === 0
    ? { reached: alone, wanted: '–', verdict: 'reported' }
    : judge(medianOf(ratios(ours, theirs)), { ...aim, write: times })
}

/** Medians and minima of one figure, of both. */
function figuresOf<T>({ ours, theirs }: Paired<T, T>, name: string, of: (one: T) => number) {
  const own = ours.map(of)
  const figures = {
    [`${name}Median`]: medianOf(own),
    [`${name}Min`]: Math.min(...own),
    [`${name}Noise`]: spreadOf(own).noise,
  }
  if (theirs.length === 0) return figures
  const their = theirs.map(of)
  return {
    ...figures,
    [`${name}BeforeMedian`]: medianOf(their),
    [`${name}BeforeMin`]: Math.min(...their),
    [`${name}BeforeNoise`]: spreadOf(their).noise,
    [`${name}Ratio`]: medianOf(ratios(own, their)),
  }
}

function mapped<T>({ ours, theirs }: Paired<T, T>, of: (one: T) => number) {
  return { ours: ours.map(of), theirs: theirs.map(of) }
}

async function smallFilesAgain(bench: Bench): Promise<void> {
  const known = await manyLines(bench)
  const found = await both(bench, bench.scale.turnsBefore, build =>
    announceSmallFiles(bench, known, build),
  )
  const files = found.ours[0]!.files
  const rate = (one: SmallFilesFigures): number => one.files / one.seconds
  const rates = mapped(found, rate)
  bench.row({
    section: 'before-small-files',
    name: 'before-small-files',
    what: `${describeSmallFiles(files)}: rate against the earlier build's`,
    ...verdict(rates, { side: 'at least', bound: 0.9 }, filesPerSecond(medianOf(rates.ours))),
    figures: {
      ...figuresOf(found, 'seconds', one => one.seconds),
      ...figuresOf(found, 'cpuSeconds', one => one.parserCpuSeconds + one.serverCpuSeconds),
      ...figuresOf(found, 'parserCpuSeconds', one => one.parserCpuSeconds),
      ...figuresOf(found, 'serverCpuSeconds', one => one.serverCpuSeconds),
      ...figuresOf(found, 'batches', one => one.batches),
    },
  })
}

async function digestAgain(bench: Bench, sizeBytes: number): Promise<void> {
  const consumers = { kind: 'uniform', count: bench.scale.digestAgainConsumers } as const
  const file = await bench.newFile(sizeBytes, consumers)
  bench.say(`digests of ${sizeText(sizeBytes)}`)
  const found = await both(bench, bench.scale.turnsBefore * 3, build =>
    digestKnown(bench.workspace, file, { build }),
  )
  const seconds = mapped(found, one => one.seconds)
  const writes = found.ours.map(({ ids }) =>
    plainWriteSeconds(bench.workspace.path('zeros'), ids * PAIR_BYTES),
  )
  bench.row({
    section: 'before-digest',
    name: `before-digest-${sizeBytes / 1e6}mb`,
    what: `digest, ${sizeText(sizeBytes)}, ${formatCount(consumers.count)} consumers: time against the earlier build's`,
    ...verdict(
      seconds,
      { side: 'at most', bound: 0.5 },
      megabytesPerSecond(sizeBytes / 1e6 / medianOf(seconds.ours)),
    ),
    figures: {
      ids: file.ids,
      plainWriteSecondsMedian: medianOf(writes),
      ...figuresOf(found, 'seconds', one => one.seconds),
      ...figuresOf(found, 'sumSeconds', one => one.parts.sumSeconds),
      ...figuresOf(found, 'hashSeconds', one => one.parts.hashSeconds),
    },
  })
}

/** Of a sealed run, which an earlier build syncs. */
const PAIR_BYTES = 16

/** Onto rows that are present. The first of both rounds of a process is not measured. */
async function applyAgain(bench: Bench): Promise<void> {
  const count = bench.scale.applyPairs
  const sites = new Map<Build, Site>()
  const siteOf = async (build: Build): Promise<Site> => {
    const site = sites.get(build) ?? (await Site.make(bench.workspace, {}, build))
    sites.set(build, site)
    return site
  }
  const turns = bench.scale.turnsBefore
  const found = await both(bench, turns, async build => {
    const { paths, serverPid } = await siteOf(build)
    bench.say(`adding ${formatCount(count)} pairs, ${build.name}`)
    const args = [build.dist, paths.dir, String(serverPid), String(count)]
    return await runForJson<ApplyFigures>(bench.workspace, 'apply-child', args)
  })
  const { amount } = makeSumsOfLines(count)
  for (const site of sites.values()) {
    await checkAmount(site, count, amount * BigInt(turns * ROUNDS))
    await site.stopServer()
  }
  const cpu = (one: ApplyFigures): number => one.clientCpuSeconds + one.serverCpuSeconds
  const seconds = mapped(found, one => one.seconds)
  bench.row({
    section: 'before-apply',
    name: 'before-apply',
    what: `${formatCount(count)} present pairs recorded and added: time against the earlier build's, which only adds`,
    ...verdict(
      seconds,
      { side: 'at most', bound: 1.1 },
      `${formatCount(Math.round(count / medianOf(seconds.ours)))} pairs/s`,
    ),
    figures: {
      ...figuresOf(found, 'seconds', one => one.seconds),
      ...figuresOf(found, 'cpuSeconds', cpu),
      ...figuresOf(found, 'serverCpuSeconds', one => one.serverCpuSeconds),
    },
  })
}

async function checkAmount(site: Site, pairs: number, amount: bigint): Promise<void> {
  const { totalsTable, totalsAmountColumn } = site.config
  const [row] = await site.withSession(session =>
    session.query<{ found: bigint; amount: string }>(
      `SELECT COUNT(*) AS found, SUM(${totalsAmountColumn}) AS amount FROM ${totalsTable}`,
    ),
  )
  mustEqual('rows of the totals', row?.found ?? 0, pairs)
  mustEqual('their amount', row?.amount ?? 0, amount)
}
