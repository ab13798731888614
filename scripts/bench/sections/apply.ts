import type { Session } from '../../../parser/ledger/index.ts'
import { formatCount } from '../../../shared/numbers.ts'
import { applyOnce, checkSums, emptyTable, ledgerOf, ourTotals, SOURCE } from '../apply-once.ts'
import { type Bench, PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { inTurn, ratios, timed } from '../paired.ts'
import { createPairsTable, loadPairs, makePairs, type Pairs } from '../pairs-table.ts'
import { type Aim, judge, times } from '../row.ts'
import { Site } from '../site.ts'
import { medianOf, spreadOf } from '../statistics.ts'
import { measureHoles } from './holes.ts'

/**
 * The ledger's apply, from sums in memory to the last commit, against the server's own statement
 * from a table that is loaded already: no client, no text, nothing to parse.
 */
export const apply: Section = {
  name: 'apply',
  summary: "sums into MariaDB, against the server's own INSERT … SELECT … ON DUPLICATE KEY UPDATE",
  diskBytes: scale => scale.applyPairs * 1_000 + PRIVATE_MARIADB_BYTES,
  async run(bench) {
    const site = await Site.make(bench.workspace)
    const count = bench.scale.applyPairs
    const dense = makePairs({ kind: 'uniform', count })
    const sparse = makePairs({ kind: 'sparse', count })
    await compare(bench, site, {
      name: 'apply-present',
      what: 'dense ids onto rows that are present: times as fast',
      pairs: dense,
      present: true,
      aim: { side: 'at least', bound: 2.5 },
    })
    const slower = { side: 'at most', bound: 1.25 } as const
    await compare(bench, site, {
      name: 'apply-absent',
      what: 'dense ids onto absent rows: time',
      pairs: dense,
      present: false,
      aim: slower,
    })
    await compare(bench, site, {
      name: 'apply-sparse',
      what: 'sparse ids onto rows that are present: time',
      pairs: sparse,
      present: true,
      aim: slower,
    })
    await compare(bench, site, {
      name: 'apply-sparse-absent',
      what: 'sparse ids onto absent rows: time',
      pairs: sparse,
      present: false,
      aim: slower,
    })
    await measureHoles(bench, site, dense)
    await site.stopServer()
  },
}

interface Comparison {
  readonly name: string
  readonly what: string
  readonly pairs: Pairs
  readonly present: boolean
  readonly aim: Aim
}

const THEIRS = 'bench_totals'
const FLOOR = 'bench_floor'

async function compare(bench: Bench, site: Site, comparison: Comparison): Promise<void> {
  const { pairs, present, aim } = comparison
  const count = pairs.ids.length
  const ledger = ledgerOf(site)
  await site.withSession(async session => {
    await ledger.open()
    bench.say(`${comparison.name}: loading ${formatCount(count)} pairs`)
    await loadPairs(bench.workspace, session, SOURCE, pairs)
    for (const table of [THEIRS, FLOOR]) await createPairsTable(session, table)
    const ours = ourTotals(site)
    const theirs = { table: THEIRS, amount: 'amount' }
    const prepare = async (table: string): Promise<void> => {
      await emptyTable(session, table)
      if (present) await session.execute(`INSERT INTO ${table} SELECT id, 1 FROM ${SOURCE}`)
    }
    const opening = present ? 1 : 0
    if (present) for (const table of [ours.table, THEIRS]) await prepare(table)
    const turns = bench.scale.applyRepetitions
    const found = await inTurn(
      turns,
      async turn => {
        bench.say(`${comparison.name}: ${turn + 1} of ${turns}`)
        if (!present) await prepare(ours.table)
        const seconds = await timed(() => applyOnce(ledger, pairs))
        const rounds = present ? turn + 1 : 1
        await checkSums(session, ours, { pairs: count, rounds, opening })
        return seconds
      },
      async turn => {
        if (!present) await prepare(THEIRS)
        const seconds = await timed(() => serverStatement(session))
        const rounds = present ? turn + 1 : 1
        await checkSums(session, theirs, { pairs: count, rounds, opening })
        return seconds
      },
    )
    const slowdown = medianOf(ratios(found.ours, found.theirs))
    const value = aim.side === 'at least' ? medianOf(ratios(found.theirs, found.ours)) : slowdown
    const floor = present ? await floorSeconds(session, prepare) : undefined
    bench.row({
      section: 'apply',
      name: comparison.name,
      what: `${formatCount(count)} pairs, ${comparison.what} against the server's own statement`,
      ...judge(value, { ...aim, write: times }),
      figures: {
        secondsMedian: medianOf(found.ours),
        secondsMin: Math.min(...found.ours),
        noise: spreadOf(found.ours).noise,
        pairsPerSecond: Math.round(count / medianOf(found.ours)),
        serverSecondsMedian: medianOf(found.theirs),
        serverSecondsMin: Math.min(...found.theirs),
        serverNoise: spreadOf(found.theirs).noise,
        ...(floor === undefined ? {} : { plainUpdateSeconds: floor }),
      },
    })
  })
  await ledger.close()
}

async function serverStatement(session: Session): Promise<void> {
  await session.execute(
    `INSERT INTO ${THEIRS} (id, amount) SELECT id, amount FROM ${SOURCE}
     ON DUPLICATE KEY UPDATE ${THEIRS}.amount = ${THEIRS}.amount + VALUES(amount)`,
  )
}

/** What the engine needs to change each of the rows once, told nothing about each. */
async function floorSeconds(
  session: Session,
  prepare: (table: string) => Promise<void>,
): Promise<number> {
  await prepare(FLOOR)
  return await timed(() => session.execute(`UPDATE ${FLOOR} SET amount = amount + 5`))
}
