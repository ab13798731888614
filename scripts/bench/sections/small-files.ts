import { formatBytes, formatCount } from '../../../shared/numbers.ts'
import { PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { cutFile, type Piece } from '../data/cut-file.ts'
import { judge, mustEqual } from '../row.ts'
import { Announcer, Site } from '../site.ts'
import { until } from '../until.ts'

const PIECE_BYTES = 4_096
/** What a piece that ends at a line's end holds of it on average. */
const CONTENT_BYTES = PIECE_BYTES - 5.5
const CONSUMERS = 10_000
/** Announcements without an answer, as many as the generator's own. */
const IN_FLIGHT = 64
const AIM_FILES_PER_SECOND = 1_000

/** From the first announcement to the last file counted, each file announced by itself. */
export const smallFiles: Section = {
  name: 'small-files',
  summary: `files of ${formatBytes(PIECE_BYTES)}, announced one by one: from announcement to applied`,
  diskBytes: scale => scale.smallFiles * PIECE_BYTES * 6 + PRIVATE_MARIADB_BYTES,
  async run(bench) {
    const { workspace, scale } = bench
    const known = await bench.newFile(scale.smallFiles * CONTENT_BYTES, {
      kind: 'uniform',
      count: CONSUMERS,
    })
    const pieces = await cutFile(known, PIECE_BYTES, workspace.path('pieces'))
    const site = await Site.make(workspace)
    const parser = await site.startParser()
    const announcer = await Announcer.connect(site)
    bench.say(`announcing ${pieces.length} files`)
    const startedMs = performance.now()
    await announceAll(site, announcer, pieces)
    const acknowledgedMs = performance.now()
    await until(
      'all files are settled',
      () => {
        site.throwIfEnded()
        return announcer.settled >= pieces.length ? true : undefined
      },
      { withinMs: 600_000, pollMs: 2 },
    )
    const endedMs = performance.now()
    mustEqual('files that were not counted', announcer.objections.length, 0)
    announcer.close()
    await parser.stop()
    await site.checkTotals({ pairs: known.ids, text: known.fingerprint })
    const batches = await batchesOf(site)
    await site.stopServer()
    const seconds = (endedMs - startedMs) / 1_000
    bench.row({
      section: 'small-files',
      name: 'small-files',
      what: `${pieces.length} files of ${formatBytes(PIECE_BYTES)}, ${formatCount(CONSUMERS)} consumers, announced one by one (at most ${IN_FLIGHT} unanswered), to all applied`,
      ...judge(pieces.length / seconds, {
        side: 'at least',
        bound: AIM_FILES_PER_SECOND,
        write: value => `${value.toFixed(0)} files/s`,
      }),
      figures: {
        files: pieces.length,
        seconds,
        secondsToLastAck: (acknowledgedMs - startedMs) / 1_000,
        batches,
      },
    })
  },
}

async function announceAll(
  site: Site,
  announcer: Announcer,
  pieces: readonly Piece[],
): Promise<void> {
  let next = 0
  const announcing = async (): Promise<void> => {
    for (let piece = pieces[next++]; piece !== undefined; piece = pieces[next++]) {
      await site.publish(piece)
      await announcer.announce(piece.name, piece)
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, announcing))
}

async function batchesOf(site: Site): Promise<number> {
  return await site.withSession(async session => {
    const [row] = await session.query<{ batches: bigint }>(
      `SELECT COUNT(*) AS batches FROM ${site.config.tablePrefix}batch`,
    )
    return Number(row?.batches ?? 0)
  })
}
