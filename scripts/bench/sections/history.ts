import { statSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { Journal } from '../../../parser/journal/index.ts'
import { formatCount } from '../../../shared/numbers.ts'
import { type Bench, PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { inTurn } from '../paired.ts'
import { giveJournalPast, giveLedgerPast, pastSha256 } from '../past.ts'
import { judge, mustEqual, times } from '../row.ts'
import { Site } from '../site.ts'
import { medianOf, percentileOf, spreadOf } from '../statistics.ts'

const AIM_LOOKUP_US = 20
const AIM_BYTES = 250e6
/** "Not slower", with room for the noise of starting a process. */
const AIM_START = 1.1
const LOOKUPS = 50_000

/** What very many processed contents cost: a lookup, the journal's file, a start. */
export const history: Section = {
  name: 'history',
  summary: 'a million processed contents: lookup, size of the journal, start-up',
  diskBytes: scale => scale.historyContents * 2_500 + PRIVATE_MARIADB_BYTES,
  async run(bench) {
    const { workspace, scale } = bench
    const contents = scale.historyContents
    const site = await Site.make(workspace)
    const { journal } = site.paths
    // Two journals of this ledger, which has the long past of one of them.
    await (await site.startParser()).stop()
    const [empty, full] = [`${journal}-empty`, `${journal}-full`]
    await rename(journal, empty)
    await (await site.startParser()).stop()
    await rename(journal, full)
    bench.say(`giving journal and ledger ${formatCount(contents)} contents`)
    await giveLedgerPast(workspace, site, contents)
    await giveJournalPast(full, contents, 0n)
    await measureLookups(bench, full, contents)
    measureSize(bench, full, contents)
    const start = async (which: string): Promise<number> => {
      await rename(which, journal)
      const startedMs = performance.now()
      const parser = await site.startParser(2)
      const seconds = (performance.now() - startedMs) / 1_000
      await parser.stop()
      await rename(journal, which)
      return seconds
    }
    bench.say('starting parsers')
    const found = await inTurn(
      scale.starts,
      () => start(full),
      () => start(empty),
    )
    await site.stopServer()
    bench.row({
      section: 'history',
      name: 'history-start',
      what: `start of the parser with ${formatCount(contents)} processed contents against none, the fastest of each`,
      // Whatever else runs makes a start of a fraction of a second slower, never faster.
      ...judge(Math.min(...found.ours) / Math.min(...found.theirs), {
        side: 'at most',
        bound: AIM_START,
        write: times,
      }),
      figures: {
        secondsMedian: medianOf(found.ours),
        secondsMin: Math.min(...found.ours),
        noise: spreadOf(found.ours).noise,
        emptySecondsMedian: medianOf(found.theirs),
        emptySecondsMin: Math.min(...found.theirs),
      },
    })
  },
}

/** What a file's digest asks: whether its content is known; and the record of it. */
async function measureLookups(bench: Bench, path: string, contents: number): Promise<void> {
  const journal = Journal.open(path)
  // Every second hash is of no content in there. Made before the clock starts.
  const wanted = Array.from({ length: LOOKUPS }, (_, i) => {
    const number = 1 + ((Math.imul(i, 0x9e3779b1) >>> 0) % contents)
    return { number, isKnown: i % 2 === 0, hash: pastSha256(i % 2 === 0 ? number : -i) }
  })
  const microseconds: number[] = []
  let found = 0
  for (const { number, isKnown, hash } of wanted) {
    const startedMs = performance.now()
    const applied = journal.content(hash)?.applied ?? 0
    const record = applied === 0 ? undefined : journal.processed(applied)
    microseconds.push((performance.now() - startedMs) * 1_000)
    if (record?.number === (isKnown ? number : undefined)) found += 1
  }
  await journal.close()
  mustEqual('right lookups', found, LOOKUPS)
  const mean = microseconds.reduce((sum, one) => sum + one, 0) / LOOKUPS
  bench.row({
    section: 'history',
    name: 'history-lookup',
    what: `lookup of a content and its record among ${formatCount(contents)}, mean`,
    ...judge(mean, {
      side: 'at most',
      bound: AIM_LOOKUP_US,
      write: value => `${value.toFixed(1)} µs`,
    }),
    figures: {
      lookups: LOOKUPS,
      meanUs: mean,
      p50Us: percentileOf(microseconds, 0.5),
      p99Us: percentileOf(microseconds, 0.99),
    },
  })
}

function measureSize(bench: Bench, path: string, contents: number): void {
  const { size } = statSync(join(path, 'data.mdb'))
  bench.row({
    section: 'history',
    name: 'history-size',
    what: `the journal's file with ${formatCount(contents)} processed contents, scaled to a million`,
    ...judge((size * 1e6) / contents, {
      side: 'at most',
      bound: AIM_BYTES,
      write: value => `${(value / 1e6).toFixed(0)} MB`,
    }),
    figures: { bytes: size, bytesPerContent: size / contents },
  })
}
