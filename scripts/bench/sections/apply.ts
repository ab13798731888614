import { randomBytes } from 'node:crypto'
import { MemorySums } from '../../../parser/digest/sums.ts'
import { type Batch, newBatchId } from '../../../parser/ledger/batch.ts'
import type { Session } from '../../../parser/ledger/connection.ts'
import { Ledger } from '../../../parser/ledger/ledger.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { formatCount } from '../../../shared/numbers.ts'
import { type Bench, PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { inTurn, ratios, timed } from '../paired.ts'
import { createPairsTable, loadPairs, makePairs, type Pairs } from '../pairs-table.ts'
import { type Aim, judge, mustEqual, times } from '../row.ts'
import { Site } from '../site.ts'
import { medianOf, spreadOf } from '../statistics.ts'

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

const SOURCE = 'bench_source'
const THEIRS = 'bench_totals'
const FLOOR = 'bench_floor'

async function compare(bench: Bench, site: Site, comparison: Comparison): Promise<void> {
  const { pairs, present, aim } = comparison
  const count = pairs.ids.length
  const ledger = new Ledger({
    config: site.config,
    address: site.address,
    instance: randomBytes(16),
    signal: new AbortController().signal,
    onAvailability: () => {},
    onProgress: () => {},
  })
  await site.withSession(async session => {
    await ledger.open()
    bench.say(`${comparison.name}: loading ${formatCount(count)} pairs`)
    await loadPairs(bench.workspace, session, SOURCE, pairs)
    for (const table of [THEIRS, FLOOR]) await createPairsTable(session, table)
    const ours = ourTable(site)
    const prepare = async (table: string): Promise<void> => {
      await session.execute(`TRUNCATE TABLE ${table}`)
      // Into totals without a row nothing would be counted: they would seem to have been emptied.
      await session.execute(`INSERT INTO ${table} VALUES (${BYSTANDER}, 0)`)
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
        await checkSums(session, ours.table, ours.amount, { pairs: count, rounds, opening })
        return seconds
      },
      async turn => {
        if (!present) await prepare(THEIRS)
        const seconds = await timed(() => serverStatement(session))
        const rounds = present ? turn + 1 : 1
        await checkSums(session, THEIRS, 'amount', { pairs: count, rounds, opening })
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

/** One batch of one content that nobody has seen. */
async function applyOnce(ledger: Ledger, { ids, amounts, amount, largest }: Pairs): Promise<void> {
  const sums = new MemorySums(ids, amounts)
  const nowMs = Date.now()
  const batch: Batch = {
    id: newBatchId(),
    amount,
    sums,
    files: [
      {
        ...{ sums, amount, largestSum: largest, lines: ids.length, sizeBytes: 1 },
        ...{ sha256: randomBytes(32), workSequence: nowMs, name: 'bench' },
        ...{ claimedAtMs: nowMs, digestedAtMs: nowMs },
      },
    ],
  }
  const result = await ledger.apply(batch)
  mustEqual('the outcome of the batch', result.kind, 'applied')
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

/** Row by row in the server: every total is what it must be. */
/** The id of a row that is in no set of pairs. */
const BYSTANDER = U64_MAX

async function checkSums(
  session: Session,
  table: string,
  amount: string,
  { pairs, rounds, opening }: { pairs: number; rounds: number; opening: number },
): Promise<void> {
  const [row] = await session.query<{ matching: bigint; found: bigint }>(
    `SELECT COUNT(*) AS matching, (SELECT COUNT(*) FROM ${table} WHERE id <> ${BYSTANDER}) AS found
       FROM ${SOURCE} s JOIN ${table} t ON t.id = s.id AND t.${amount} = ${opening} + s.amount * ${rounds}`,
  )
  mustEqual(`rows of ${table}`, row?.found ?? 0, pairs)
  mustEqual(`right rows of ${table}`, row?.matching ?? 0, pairs)
}

function ourTable({ config }: Site): { readonly table: string; readonly amount: string } {
  return { table: config.totalsTable, amount: config.totalsAmountColumn }
}
