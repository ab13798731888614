import { askFor, findOrder, ledgerNames, pruneOrder } from '../../../parser/ledger/index.ts'
import { formatCount } from '../../../shared/numbers.ts'
import { PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { processMemory } from '../process-memory.ts'
import { countedSite } from '../recorded.ts'
import { judge, mustEqual } from '../row.ts'
import { until } from '../until.ts'

const PEAK_BYTES_MAX = 256 * 2 ** 20

/** What it takes to close the books: time and memory of the parser that does it. */
export const prune: Section = {
  name: 'prune',
  summary: 'closing the books of very many files: time, and memory of the parser',
  diskBytes: ({ pruned }) => pruned.contents * pruned.consumers * 4 + 2 * PRIVATE_MARIADB_BYTES,
  async run(bench) {
    const { contents, consumers } = bench.scale.pruned
    const { site, ledger, sums } = await countedSite(bench, contents, consumers)
    await ledger.close()
    const parser = await site.startParser()
    const idleBytes = processMemory(parser.pid)?.peakRssBytes ?? 0
    const cpuBefore = site.serverCpuSeconds()
    bench.say('closing the books')
    const startedMs = performance.now()
    const names = ledgerNames(site.config)
    const request = await site.withSession(async session => {
      const [row] = await session.query<{ now: bigint | string }>(
        'SELECT ROUND(UNIX_TIMESTAMP(UTC_TIMESTAMP(3)) * 1000) AS now',
      )
      const request = pruneOrder(Number(row?.now), '')
      await askFor(session, names, request)
      return request
    })
    await site.withSession(session =>
      until(
        'the books are closed',
        async () => {
          site.throwIfEnded()
          const standing = await findOrder(session, names, request.id)
          return standing?.state === 'done' ? true : undefined
        },
        { withinMs: 1_800_000, pollMs: 20 },
      ),
    )
    const seconds = (performance.now() - startedMs) / 1_000
    const serverCpuSeconds = site.serverCpuSeconds() - cpuBefore
    const peakBytes = processMemory(parser.pid)?.peakRssBytes ?? Number.POSITIVE_INFINITY
    await parser.stop()
    const left = await site.withSession(async session => {
      const [row] = await session.query<{ pairs: bigint; amount: string }>(
        `SELECT SUM(pairs) AS pairs, SUM(amount) AS amount FROM ${names.sums}`,
      )
      return row!
    })
    mustEqual('consumers in the balance', left.pairs, consumers)
    mustEqual('its amount', left.amount, sums.amount * BigInt(contents))
    await site.stopServer()
    bench.row({
      section: 'prune',
      name: 'prune-memory',
      what: `closing the books of ${formatCount(contents)} contents of ${formatCount(consumers)} consumers: peak memory of the parser`,
      ...judge(peakBytes, {
        side: 'at most',
        bound: PEAK_BYTES_MAX,
        write: value => `${(value / 2 ** 20).toFixed(0)} MiB`,
      }),
      figures: { seconds, serverCpuSeconds, peakBytes, idleBytes },
    })
  },
}
