import { formatCount } from '../../../shared/numbers.ts'
import { PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { fingerprintOf, type KnownFile } from '../data/make-file.ts'
import { judge, sizeText, times } from '../row.ts'
import { Site } from '../site.ts'

const AIM = 5

/** Rows of MariaDB touched for files that wait together, against each file by itself. */
export const backlog: Section = {
  name: 'backlog',
  summary: 'files over the same consumers that wait together: rows touched in MariaDB',
  diskBytes: scale => scale.backlog.files * scale.backlog.bytes * 2 + PRIVATE_MARIADB_BYTES,
  async run(bench) {
    const { workspace, scale } = bench
    const consumers = { kind: 'uniform', count: scale.backlog.consumers } as const
    const totals = new Float64Array(consumers.count)
    const files: KnownFile[] = []
    bench.say(`making ${scale.backlog.files} files of ${sizeText(scale.backlog.bytes)}`)
    while (files.length < scale.backlog.files) {
      files.push(await bench.newFile(scale.backlog.bytes, consumers, totals))
    }
    const site = await Site.make(workspace)
    for (const [i, file] of files.entries()) await site.drop(file, `backlog-${i}.txt`)
    const startedMs = performance.now()
    const parser = await site.startParser()
    await site.untilApplied(files.length, 1_800_000)
    const seconds = (performance.now() - startedMs) / 1_000
    await parser.stop()
    const { rows, batches } = await touched(site)
    const { pairs, text } = fingerprintOf(consumers, totals)
    await site.checkTotals({ pairs, text })
    await site.stopServer()
    const onePerFile = files.reduce((sum, file) => sum + file.ids, 0)
    bench.row({
      section: 'backlog',
      name: 'backlog',
      what: `${files.length} waiting files of ${sizeText(scale.backlog.bytes)} over ${formatCount(consumers.count)} consumers: rows touched one file at a time, against together`,
      ...judge(onePerFile / rows, { side: 'at least', bound: AIM, write: times }),
      figures: { rowsTouched: rows, rowsOneFileAtATime: onePerFile, batches, seconds },
    })
  },
}

/** What the server has written to rows since it began: next to nothing of it to other tables. */
async function touched(site: Site): Promise<{ rows: number; batches: number }> {
  return await site.withSession(async session => {
    const written = await session.query<{ Value: string }>(
      `SHOW GLOBAL STATUS WHERE Variable_name IN ('Handler_write', 'Handler_update')`,
    )
    const [row] = await session.query<{ batches: bigint }>(
      `SELECT COUNT(*) AS batches FROM ${site.config.tablePrefix}batch`,
    )
    const rows = written.reduce((sum, { Value }) => sum + Number(Value), 0)
    return { rows, batches: Number(row?.batches ?? 0) }
  })
}
