import { setTimeout as sleep } from 'node:timers/promises'
import { formatCount } from '../../../shared/numbers.ts'
import { PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { cutFile } from '../data/cut-file.ts'
import { giveJournalPast, giveLedgerPast } from '../past.ts'
import { judge } from '../row.ts'
import { Announcer, Site } from '../site.ts'
import { medianOf } from '../statistics.ts'
import { until } from '../until.ts'
import { startUp } from '../up.ts'

const AIM_SECONDS = 1

/** The supervisor has asked the parser at least once in this time, and seen its progress. */
const SEEN_MS = 3_000

/**
 * From the kill of the parser to its successor answering that it counts, under the supervisor. A file
 * is counted before each kill: deaths without progress between them are answered with ever longer
 * pauses.
 */
export const restart: Section = {
  name: 'restart',
  summary: 'SIGKILL of the parser → healthy again, with many processed contents',
  diskBytes: scale => scale.processedContents * 2_000 + PRIVATE_MARIADB_BYTES,
  async run(bench) {
    const { workspace, scale } = bench
    const contents = scale.processedContents
    const site = await Site.make(workspace)
    // Makes the ledger's tables and binds a journal to it, which then gets its past.
    await (await site.startParser()).stop()
    bench.say(`giving journal and ledger ${formatCount(contents)} contents`)
    await giveLedgerPast(workspace, site, contents)
    await giveJournalPast(site.paths.journal, contents, BigInt(contents))
    await site.stopServer()
    const file = await bench.newFile(scale.restarts * 4_096, { kind: 'uniform', count: 100 })
    const cut = await cutFile(file, 4_096, workspace.path('pieces'))
    const pieces = cut.slice(0, scale.restarts)
    const up = await startUp(workspace, site, ['--no-generator'])
    const seconds: number[] = []
    for (const [i, piece] of pieces.entries()) {
      await site.publish(piece)
      const announcer = await Announcer.connect(site)
      await announcer.announce(piece.name, piece)
      announcer.close()
      await until('the file is counted', async () => {
        const health = await site.health()
        return health?.ever.applied === contents + i + 1 ? true : undefined
      })
      await sleep(SEEN_MS)
      const before = await until('the parser is healthy', () => site.health())
      process.kill(before.pid, 'SIGKILL')
      const startedMs = performance.now()
      const after = await until(
        'its successor is healthy',
        async () => {
          const health = await site.health()
          const isWell = health?.state === 'running' && health.database === 'ready'
          return isWell && health.pid !== before.pid ? health : undefined
        },
        { pollMs: 2 },
      )
      seconds.push((performance.now() - startedMs) / 1_000)
      if (after.ever.applied !== contents + i + 1)
        throw new Error(`it knows ${after.ever.applied} files`)
    }
    await up.stop()
    bench.row({
      section: 'restart',
      name: 'restart',
      what: `SIGKILL of the parser → healthy again, ${formatCount(contents)} processed contents`,
      ...judge(medianOf(seconds), {
        side: 'at most',
        bound: AIM_SECONDS,
        write: value => `${value.toFixed(2)} s`,
      }),
      figures: {
        kills: seconds.length,
        secondsMedian: medianOf(seconds),
        secondsMin: Math.min(...seconds),
        secondsMax: Math.max(...seconds),
      },
    })
  },
}
