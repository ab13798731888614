import { rm } from 'node:fs/promises'
import type { Session } from '../../../parser/ledger/index.ts'
import { formatCount } from '../../../shared/numbers.ts'
import { PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { inTurn, ratios, timed } from '../paired.ts'
import { createPairsTable } from '../pairs-table.ts'
import { cpuSeconds } from '../process-cpu.ts'
import { judge, mustEqual, sizeText, times } from '../row.ts'
import { Site } from '../site.ts'
import { medianOf } from '../statistics.ts'
import { publishAndWait } from './whole-way.ts'

const AIM = 1.5
const FLOOR = 'bench_floor'
/** In one transaction, as many as the parser changes. */
const RANGE_IDS = 250_000

/**
 * The whole way of a file with very many consumers, whose rows are there, against what the server
 * takes to change as many rows, range by range, told nothing about each.
 */
export const manyConsumers: Section = {
  name: 'many-consumers',
  summary: 'publish → applied of a file with very many consumers, against a plain range UPDATE',
  diskBytes: ({ manyConsumers: { consumers, bytes } }) =>
    consumers * 250 + bytes + PRIVATE_MARIADB_BYTES,
  async run(bench) {
    const { workspace, scale } = bench
    const { consumers: count, bytes } = scale.manyConsumers
    const site = await Site.make(workspace)
    // Makes the tables. Rows of nothing that come later are no part of the opening balance.
    const parser = await site.startParser()
    bench.say(`making ${formatCount(count)} totals, twice`)
    await site.withSession(async session => {
      await fill(session, site.config.totalsTable, count)
      await createPairsTable(session, FLOOR)
      await fill(session, FLOOR, count)
    })
    const file = await bench.newFile(bytes, { kind: 'uniform', count })
    const found = await inTurn(
      1,
      async () => {
        bench.say(`publishing ${sizeText(file.sizeBytes)}`)
        const before = { server: site.serverCpuSeconds(), parser: cpuSeconds(parser.pid) }
        const seconds = await publishAndWait(site, file, 'many-consumers.txt')
        const serverCpuSeconds = site.serverCpuSeconds() - before.server
        return {
          seconds,
          serverCpuSeconds,
          parserCpuSeconds: cpuSeconds(parser.pid) - before.parser,
        }
      },
      async () => {
        bench.say(`changing ${formatCount(count)} rows`)
        const before = site.serverCpuSeconds()
        const seconds = await timed(() => site.withSession(session => updateRanges(session, count)))
        return { seconds, serverCpuSeconds: site.serverCpuSeconds() - before }
      },
    )
    await parser.stop()
    const { totalsTable, totalsAmountColumn } = site.config
    const [row] = await site.withSession(session =>
      session.query<{ amount: string }>(
        `SELECT SUM(${totalsAmountColumn}) AS amount FROM ${totalsTable}`,
      ),
    )
    mustEqual('the amount of all totals', row?.amount ?? 0, file.amount)
    await site.stopServer()
    await rm(file.path)
    const ours = found.ours.map(one => one.seconds)
    const theirs = found.theirs.map(one => one.seconds)
    bench.row({
      section: 'many-consumers',
      name: 'many-consumers',
      what: `publish → applied, ${sizeText(bytes)} and ${formatCount(count)} present ids: time against a plain UPDATE of as many rows, range by range`,
      ...judge(medianOf(ratios(ours, theirs)), { side: 'at most', bound: AIM, write: times }),
      figures: {
        seconds: medianOf(ours),
        parserCpuSeconds: medianOf(found.ours.map(one => one.parserCpuSeconds)),
        serverCpuSeconds: medianOf(found.ours.map(one => one.serverCpuSeconds)),
        updateSeconds: medianOf(theirs),
        updateServerCpuSeconds: medianOf(found.theirs.map(one => one.serverCpuSeconds)),
        ids: file.ids,
      },
    })
  },
}

async function fill(session: Session, table: string, count: number): Promise<void> {
  for (const { from, to } of rangesOf(count)) {
    await session.execute(`INSERT INTO ${table} SELECT seq, 0 FROM seq_${from}_to_${to}`)
  }
}

async function updateRanges(session: Session, count: number): Promise<void> {
  for (const { from, to } of rangesOf(count)) {
    await session.execute(
      `UPDATE ${FLOOR} SET amount = amount + 5 WHERE id BETWEEN ${from} AND ${to}`,
    )
  }
}

function* rangesOf(count: number): Generator<{ from: number; to: number }> {
  for (let from = 1; from <= count; from += RANGE_IDS) {
    yield { from, to: Math.min(from + RANGE_IDS - 1, count) }
  }
}
