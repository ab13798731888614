import { rm } from 'node:fs/promises'
import { formatBytes } from '../../../shared/numbers.ts'
import { type Bench, PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import type { KnownFile } from '../data/make-file.ts'
import { processMemory } from '../process-memory.ts'
import { judge, mustEqual } from '../row.ts'
import { Site } from '../site.ts'
import { describe, nameOf } from './digest.ts'

const AIM_BYTES = 256 * 2 ** 20
/** A line of the file of very many consumers, roughly: each is to occur a few times. */
const BYTES_PER_CONSUMER = 80

/** The largest resident size of the built parser's process, from its start until the file is applied. */
export const memory: Section = {
  name: 'memory',
  summary: "the parser process's peak resident memory over a whole file",
  diskBytes: scale =>
    3 * scale.digestBytes +
    Math.max(scale.memoryBytes.large, scale.memoryConsumers * (BYTES_PER_CONSUMER + 200)) +
    2 * PRIVATE_MARIADB_BYTES,
  async run(bench) {
    const { scale } = bench
    const [few, many, most] = scale.consumers
    const site = await Site.make(bench.workspace)
    const shared = [
      await bench.sharedFile(scale.digestBytes, { kind: 'uniform', count: few }),
      await bench.sharedFile(scale.digestBytes, { kind: 'uniform', count: many }),
      await bench.sharedFile(scale.memoryBytes.most, { kind: 'uniform', count: most }),
    ]
    let applied = 0n
    let files = 0
    const measure = async (file: KnownFile): Promise<void> => {
      await peakOf(bench, site, file, ++files)
      applied += file.amount
      await checkAmount(site, applied)
    }
    for (const file of shared) await measure(file)
    await bench.dropSharedFiles()
    const { large } = scale.memoryBytes
    const more = [
      ...(large === 0 ? [] : [{ sizeBytes: large, count: many }]),
      ...(scale.memoryConsumers === 0
        ? []
        : [
            {
              sizeBytes: scale.memoryConsumers * BYTES_PER_CONSUMER,
              count: scale.memoryConsumers,
            },
          ]),
    ]
    for (const { sizeBytes, count } of more) {
      const file = await bench.newFile(sizeBytes, { kind: 'uniform', count })
      await measure(file)
      await rm(file.path)
    }
    await site.stopServer()
  },
}

async function peakOf(bench: Bench, site: Site, file: KnownFile, number: number): Promise<void> {
  bench.say(`the parser's memory over ${describe(file)}`)
  const parser = await site.startParser()
  const startedMs = performance.now()
  const atRest = processMemory(parser.pid)?.rssBytes ?? 0
  await site.drop(file, `memory-${number}.txt`)
  await site.untilApplied(number, 3_600_000)
  const seconds = (performance.now() - startedMs) / 1_000
  const found = processMemory(parser.pid)
  await parser.stop()
  // The second name of the file, which would keep it on the disk.
  await site.emptyArchive()
  if (found === undefined) throw new Error('the parser ended before its memory was read')
  bench.row({
    section: 'memory',
    name: `memory-${nameOf(file.plan.consumers)}-${Math.round(file.sizeBytes / 1e6)}mb`,
    what: `peak resident memory of the parser process, ${describe(file)}`,
    ...judge(found.peakRssBytes, { side: 'at most', bound: AIM_BYTES, write: formatBytes }),
    figures: {
      peakRssBytes: found.peakRssBytes,
      atRestBytes: atRest,
      afterwardsBytes: found.rssBytes,
      bytes: file.sizeBytes,
      ids: file.ids,
      seconds,
    },
  })
}

async function checkAmount(site: Site, expected: bigint): Promise<void> {
  const { totalsTable, totalsAmountColumn } = site.config
  const [row] = await site.withSession(session =>
    session.query<{ amount: string }>(
      `SELECT SUM(${totalsAmountColumn}) AS amount FROM ${totalsTable}`,
    ),
  )
  mustEqual('the amount of all totals', row?.amount ?? 0, expected)
}
