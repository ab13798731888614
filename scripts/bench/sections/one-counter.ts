import { formatCount } from '../../../shared/numbers.ts'
import { type Bench, PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { type Build, THIS_BUILD } from '../builds.ts'
import { fingerprintOf, type KnownFile } from '../data/make-file.ts'
import { judge, type Row, sizeText, times } from '../row.ts'
import { Site } from '../site.ts'
import { until } from '../until.ts'

const PARSERS = 8
const AIM = 5

/**
 * What several parsers ask of one database when one of them counts for all, against each file counted
 * by itself, and against an earlier build (`--before`) of which each parser counts its own.
 */
export const oneCounter: Section = {
  name: 'one-counter',
  summary: `files over the same consumers, from ${PARSERS} parsers into one database: its processor time`,
  diskBytes: ({ oneCounter: { files, bytes } }) => files * bytes * 2 + 2 * PRIVATE_MARIADB_BYTES,
  async run(bench) {
    const { files: count, bytes, consumers: consumerCount } = bench.scale.oneCounter
    const consumers = { kind: 'uniform', count: consumerCount } as const
    const totals = new Float64Array(consumerCount)
    const files: KnownFile[] = []
    bench.say(`making ${count} files of ${sizeText(bytes)}`)
    while (files.length < count) files.push(await bench.newFile(bytes, consumers, totals))
    const expected = fingerprintOf(consumers, totals)
    const ours = await countTogether(bench, files, expected, THIS_BUILD)
    const theirs = bench.before && (await countTogether(bench, files, expected, bench.before))
    const aloneSeconds = await countAlone(bench, files)
    const verdict: Pick<Row, 'reached' | 'wanted' | 'verdict'> = judge(
      (theirs?.serverCpuSeconds ?? aloneSeconds) / ours.serverCpuSeconds,
      { side: 'at least', bound: AIM, write: times },
    )
    const against =
      theirs === undefined ? 'each file counted by itself' : 'each parser counting its own'
    bench.row({
      section: 'one-counter',
      name: 'one-counter',
      what: `${count} files of ${sizeText(bytes)} over ${formatCount(consumerCount)} consumers from ${PARSERS} parsers: processor time of the database of ${against}, against one counter for all`,
      ...verdict,
      figures: {
        ...ours,
        ...(theirs === undefined
          ? {}
          : {
              secondsBefore: theirs.seconds,
              serverCpuSecondsBefore: theirs.serverCpuSeconds,
              batchesBefore: theirs.batches,
            }),
        serverCpuSecondsOneByOne: aloneSeconds,
        oneByOneRatio: aloneSeconds / ours.serverCpuSeconds,
      },
    })
  },
}

interface TogetherFigures {
  readonly seconds: number
  readonly serverCpuSeconds: number
  readonly batches: number
}

/** All wait when the parsers start, the same number for each. */
async function countTogether(
  bench: Bench,
  files: readonly KnownFile[],
  expected: { readonly pairs: number; readonly text: string },
  build: Build,
): Promise<TogetherFigures> {
  const site = await Site.make(bench.workspace, {}, build)
  // Makes the ledger's tables.
  await (await site.startParser()).stop()
  const sites = await Promise.all(Array.from({ length: PARSERS }, () => site.neighbour()))
  for (const [i, file] of files.entries()) await sites[i % PARSERS]!.drop(file, `usage-${i}.txt`)
  bench.say(`counting ${files.length} files by ${PARSERS} parsers, ${build.name}`)
  const startedMs = performance.now()
  const cpuBefore = site.serverCpuSeconds()
  const parsers = await Promise.all(sites.map(one => one.startParser()))
  await until(
    'all files are counted',
    async () => {
      const health = await Promise.all(sites.map(one => one.health()))
      for (const one of sites) one.throwIfEnded()
      const applied = health.reduce((sum, one) => sum + (one?.ever.applied ?? 0), 0)
      return applied >= files.length ? true : undefined
    },
    { withinMs: 1_800_000, pollMs: 100 },
  )
  const seconds = (performance.now() - startedMs) / 1_000
  const serverCpuSeconds = site.serverCpuSeconds() - cpuBefore
  await Promise.all(parsers.map(parser => parser.stop()))
  await site.checkTotals(expected)
  const batches = await site.withSession(async session => {
    const [row] = await session.query<{ batches: bigint }>(
      `SELECT COUNT(*) AS batches FROM ${site.config.tablePrefix}batch`,
    )
    return Number(row?.batches ?? 0)
  })
  await site.stopServer()
  return { seconds, serverCpuSeconds, batches }
}

const ALONE_MAX = 8

/** One parser, one file after the other, onto rows that are there; a few of them, scaled. */
async function countAlone(bench: Bench, files: readonly KnownFile[]): Promise<number> {
  const site = await Site.make(bench.workspace)
  const parser = await site.startParser()
  const [first, ...others] = files.slice(0, ALONE_MAX + 1)
  bench.say(`counting ${others.length} files one by one`)
  await site.drop(first!, 'usage-first.txt')
  await site.untilApplied(1, 600_000)
  const cpuBefore = site.serverCpuSeconds()
  for (const [i, file] of others.entries()) {
    await site.drop(file, `usage-${i}.txt`)
    await site.untilApplied(i + 2, 600_000)
  }
  const each = (site.serverCpuSeconds() - cpuBefore) / others.length
  await parser.stop()
  await site.stopServer()
  return each * files.length
}
