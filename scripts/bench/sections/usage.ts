import { ledgerNames } from '../../../parser/ledger/index.ts'
import { formatCount } from '../../../shared/numbers.ts'
import { PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { cpuSeconds } from '../process-cpu.ts'
import { countedSite } from '../recorded.ts'
import { judge, mustEqual } from '../row.ts'

const CPU_SECONDS_MAX = 8

/** What it takes to bring large files into their hour, day and month. */
export const usage: Section = {
  name: 'usage',
  summary: 'rolling large files up into hour, day and month: processor time of both sides',
  diskBytes: ({ rolled }) => rolled.contents * rolled.consumers * 4 + 2 * PRIVATE_MARIADB_BYTES,
  async run(bench) {
    const { contents, consumers } = bench.scale.rolled
    const { site, ledger, sums } = await countedSite(bench, contents, consumers)
    bench.say('rolling them up')
    const before = { client: cpuSeconds('self'), server: site.serverCpuSeconds() }
    const startedMs = performance.now()
    for (let kind = 'goes on'; kind !== 'done'; ) {
      kind = (await ledger.roller.goOn('all')).kind
      if (kind !== 'goes on') mustEqual('what comes of it', kind, 'done')
    }
    const seconds = (performance.now() - startedMs) / 1_000
    const clientCpuSeconds = cpuSeconds('self') - before.client
    const serverCpuSeconds = site.serverCpuSeconds() - before.server
    await ledger.close()
    const names = ledgerNames(site.config)
    const amount = sums.amount * BigInt(contents)
    await site.withSession(async session => {
      for (const table of [names.usage_block, names.usage_day, names.usage_month]) {
        const [row] = await session.query<{ amount: string }>(
          `SELECT SUM(amount) AS amount FROM ${table}`,
        )
        mustEqual(`the amount in ${table}`, row?.amount ?? 'none', amount)
      }
    })
    await site.stopServer()
    bench.row({
      section: 'usage',
      name: 'roll-up',
      what: `rolling up ${formatCount(contents)} contents of ${formatCount(consumers)} consumers into hour, day and month: processor time of parser and server`,
      ...judge(clientCpuSeconds + serverCpuSeconds, {
        side: 'at most',
        bound: CPU_SECONDS_MAX,
        write: value => `${value.toFixed(1)} CPU s`,
      }),
      figures: { seconds, clientCpuSeconds, serverCpuSeconds },
    })
  },
}
