import { formatCount } from '../../../shared/numbers.ts'
import { applyOnce, checkSums, emptyTable, ledgerOf, ourTotals, SOURCE } from '../apply-once.ts'
import type { Bench } from '../bench-context.ts'
import { inTurn, ratios, timed } from '../paired.ts'
import { loadPairs, type Pairs } from '../pairs-table.ts'
import { cpuSeconds } from '../process-cpu.ts'
import { judge, times } from '../row.ts'
import type { Site } from '../site.ts'
import { medianOf, spreadOf } from '../statistics.ts'

/** About what files of seven lines a consumer leave out of the consumers there are: one in 1,400. */
const HASH = 'CRC32(s.id) MOD 1400'

/**
 * Rows of the totals that are missing here and there: what dense sums take then, against the same
 * sums onto totals that have them all. Processor seconds, of the server and of us, stand beside the
 * time: they hardly depend on what else the machine does.
 */
export async function measureHoles(bench: Bench, site: Site, pairs: Pairs): Promise<void> {
  const count = pairs.ids.length
  const ledger = ledgerOf(site)
  await site.withSession(async session => {
    await ledger.open()
    bench.say(`apply-holes: loading ${formatCount(count)} pairs`)
    await loadPairs(bench.workspace, session, SOURCE, pairs)
    const totals = ourTotals(site)
    const measure = async (rows: 'all' | 'with holes'): Promise<Cost> => {
      const isThere = rows === 'all' ? 'TRUE' : `${HASH} <> 0`
      await emptyTable(session, totals.table)
      await session.execute(
        `INSERT INTO ${totals.table} SELECT s.id, 1 FROM ${SOURCE} s WHERE ${isThere}`,
      )
      const cpuBefore = site.serverCpuSeconds() + cpuSeconds('self')
      const seconds = await timed(() => applyOnce(ledger, pairs))
      const cpu = site.serverCpuSeconds() + cpuSeconds('self') - cpuBefore
      await checkSums(session, totals, { pairs: count, rounds: 1, opening: `(${isThere})` })
      return { seconds, cpu }
    }
    const turns = bench.scale.applyRepetitions
    const found = await inTurn(
      turns,
      turn => {
        bench.say(`apply-holes: ${turn + 1} of ${turns}`)
        return measure('with holes')
      },
      () => measure('all'),
    )
    const secondsOf = (costs: readonly Cost[]): number[] => costs.map(({ seconds }) => seconds)
    const cpuOf = (costs: readonly Cost[]): number[] => costs.map(({ cpu }) => cpu)
    const slowdown = medianOf(ratios(secondsOf(found.ours), secondsOf(found.theirs)))
    bench.row({
      section: 'apply',
      name: 'apply-holes',
      what: `${formatCount(count)} pairs, dense ids of which one row in 1,400 is missing: time against all rows present`,
      ...judge(slowdown, { side: 'at most', bound: 2, write: times }),
      figures: {
        secondsMedian: medianOf(secondsOf(found.ours)),
        noise: spreadOf(secondsOf(found.ours)).noise,
        cpuSecondsMedian: medianOf(cpuOf(found.ours)),
        allPresentSecondsMedian: medianOf(secondsOf(found.theirs)),
        allPresentNoise: spreadOf(secondsOf(found.theirs)).noise,
        allPresentCpuSecondsMedian: medianOf(cpuOf(found.theirs)),
        cpuRatio: medianOf(ratios(cpuOf(found.ours), cpuOf(found.theirs))),
      },
    })
  })
  await ledger.close()
}

interface Cost {
  readonly seconds: number
  /** Processor seconds of the server and of this process. */
  readonly cpu: number
}
