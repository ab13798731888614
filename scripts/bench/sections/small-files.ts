import { rm } from 'node:fs/promises'
import { formatBytes, formatCount } from '../../../shared/numbers.ts'
import { type Bench, PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { type Build, THIS_BUILD } from '../builds.ts'
import { cutFile, type Piece } from '../data/cut-file.ts'
import type { KnownFile } from '../data/make-file.ts'
import { cpuSeconds } from '../process-cpu.ts'
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
    const known = await manyLines(bench)
    const found = await announceSmallFiles(bench, known, THIS_BUILD)
    bench.row({
      section: 'small-files',
      name: 'small-files',
      what: describeSmallFiles(found.files),
      ...judge(found.files / found.seconds, {
        side: 'at least',
        bound: AIM_FILES_PER_SECOND,
        write: filesPerSecond,
      }),
      figures: { ...found },
    })
  },
}

export const filesPerSecond = (value: number): string => `${value.toFixed(0)} files/s`

export const describeSmallFiles = (files: number): string =>
  `${files} files of ${formatBytes(PIECE_BYTES)}, ${formatCount(CONSUMERS)} consumers, announced one by one (at most ${IN_FLIGHT} unanswered), to all applied`

/** What is cut into the small files. */
export function manyLines(bench: Bench): Promise<KnownFile> {
  const sizeBytes = bench.scale.smallFiles * CONTENT_BYTES
  return bench.newFile(sizeBytes, { kind: 'uniform', count: CONSUMERS })
}

export interface SmallFilesFigures {
  readonly files: number
  readonly seconds: number
  readonly secondsToLastAck: number
  readonly parserCpuSeconds: number
  readonly serverCpuSeconds: number
  readonly batches: number
}

/** A new parser of this build gets them all, on a new database. */
export async function announceSmallFiles(
  { workspace, say }: Bench,
  known: KnownFile,
  build: Build,
): Promise<SmallFilesFigures> {
  const directory = workspace.path('pieces')
  const pieces = await cutFile(known, PIECE_BYTES, directory)
  const site = await Site.make(workspace, {}, build)
  const parser = await site.startParser()
  const announcer = await Announcer.connect(site)
  say(`announcing ${pieces.length} files`)
  const before = { parser: cpuSeconds(parser.pid), server: site.serverCpuSeconds() }
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
  const parserCpuSeconds = cpuSeconds(parser.pid) - before.parser
  const serverCpuSeconds = site.serverCpuSeconds() - before.server
  mustEqual('files that were not counted', announcer.objections.length, 0)
  announcer.close()
  await parser.stop()
  await site.checkTotals({ pairs: known.ids, text: known.fingerprint })
  const batches = await batchesOf(site)
  await site.stopServer()
  await rm(site.paths.dir, { recursive: true })
  return {
    files: pieces.length,
    seconds: (endedMs - startedMs) / 1_000,
    secondsToLastAck: (acknowledgedMs - startedMs) / 1_000,
    ...{ parserCpuSeconds, serverCpuSeconds, batches },
  }
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
