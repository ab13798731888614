import { setTimeout as sleep } from 'node:timers/promises'
import { PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { cutFile, type Piece } from '../data/cut-file.ts'
import { DiskFloor } from '../disk-floor.ts'
import { judge, sizeText } from '../row.ts'
import { Announcer, Site } from '../site.ts'
import { percentileOf } from '../statistics.ts'
import { until } from '../until.ts'

const CONSUMERS = { kind: 'uniform', count: 10_000 } as const
const PIECE_BYTES = 256
const PIECES_MAX = 8_000
/** Announced before anything large is there, to see what the machine itself takes. */
const IDLE_PIECES = 300
/** How often the disk is asked what it takes by itself. */
const PIECES_PER_FLOOR = 8
/** Fewer are no ground for a 99th percentile. */
const SAMPLES_MIN = 100
const AIMS_MS = { p50: 0.6, p99: 10 }
const LARGE = 'large-'

/** Announcement to durable acknowledgement, the next only after the last, beside a long reading. */
export const latency: Section = {
  name: 'latency',
  summary: 'announcement to durable acknowledgement while a large file is being read',
  diskBytes: scale => scale.latency.bytes + PIECES_MAX * 16_384 + PRIVATE_MARIADB_BYTES,
  async run(bench) {
    const { workspace, scale } = bench
    const large = await bench.newFile(scale.latency.bytes, CONSUMERS)
    const small = await bench.newFile(PIECE_BYTES * PIECES_MAX * 0.95, CONSUMERS)
    // Every second one with a manifest, as the generator's files have; the others announced only,
    // which are synced before they are acknowledged.
    const pieces = await cutFile(small, PIECE_BYTES, workspace.path('pieces'), i => i % 2 === 1)
    const site = await Site.make(workspace)
    const parser = await site.startParser()
    const announcer = await Announcer.connect(site)
    const idle = await acknowledgements(site, announcer, pieces.slice(0, IDLE_PIECES), {
      goOn: () => true,
    })
    // All but the first are duplicates of it, which the parser knows only when it has read them.
    for (let reading = 1; reading <= scale.latency.readings; reading += 1) {
      const name = `${LARGE}${reading}.txt`
      await site.drop(large, name)
      await announcer.announce(name, large)
    }
    await until('the large file is being read', async () => {
      const reading = (await site.health())?.reading
      return reading?.name.startsWith(LARGE) && reading.positionBytes > 0 ? true : undefined
    })
    bench.say('announcing small files beside it')
    const watch = new ReadingWatch(site)
    const floor = new DiskFloor(workspace.path('floor'))
    const found = await acknowledgements(site, announcer, pieces.slice(IDLE_PIECES), {
      goOn: () => watch.isRead,
      floor,
    })
    await watch.stop()
    floor.close()
    const during = found.filter(({ atMs }) => atMs <= watch.readUntilMs)
    const vouchedMs = during.filter(({ hasManifest }) => hasManifest).map(tookMs)
    const announcedOnlyMs = during.filter(({ hasManifest }) => !hasManifest).map(tookMs)
    const floorMs = during.flatMap(({ floorMs }) => floorMs ?? [])
    await parser.stop('SIGKILL')
    announcer.close()
    await site.stopServer()
    if (vouchedMs.length < SAMPLES_MIN) {
      throw new Error(`only ${vouchedMs.length} acknowledgements came while the file was read`)
    }
    for (const [name, share] of [
      ['p50', 0.5],
      ['p99', 0.99],
    ] as const) {
      bench.row({
        section: 'latency',
        name: `ack-${name}`,
        what: `announcement to durable acknowledgement, one at a time, while a file of ${sizeText(large.sizeBytes)} is read: ${name}`,
        ...judge(percentileOf(vouchedMs, share), {
          side: 'at most',
          bound: AIMS_MS[name],
          write: value => `${value.toFixed(2)} ms`,
        }),
        figures: {
          samples: vouchedMs.length,
          p50Ms: percentileOf(vouchedMs, 0.5),
          p90Ms: percentileOf(vouchedMs, 0.9),
          p99Ms: percentileOf(vouchedMs, 0.99),
          maxMs: Math.max(...vouchedMs),
          announcedOnlyP50Ms: percentileOf(announcedOnlyMs, 0.5),
          announcedOnlyP99Ms: percentileOf(announcedOnlyMs, 0.99),
          diskAloneP50Ms: percentileOf(floorMs, 0.5),
          diskAloneP99Ms: percentileOf(floorMs, 0.99),
          beforeP50Ms: percentileOf(idle.map(tookMs), 0.5),
          beforeP99Ms: percentileOf(idle.map(tookMs), 0.99),
        },
      })
    }
  },
}

interface Acknowledged {
  readonly atMs: number
  readonly tookMs: number
  readonly hasManifest: boolean
  /** What the disk alone took right after it. */
  readonly floorMs: number | undefined
}
const tookMs = (one: Acknowledged): number => one.tookMs

/** Announces one file after another, as long as `goOn` says so. */
async function acknowledgements(
  site: Site,
  announcer: Announcer,
  pieces: readonly Piece[],
  { goOn, floor }: { goOn: () => boolean; floor?: DiskFloor },
): Promise<Acknowledged[]> {
  const samples: Acknowledged[] = []
  for (const [i, piece] of pieces.entries()) {
    if (!goOn()) break
    await site.publish(piece)
    const startedMs = performance.now()
    await announcer.announce(piece.name, piece)
    const atMs = performance.now()
    const floorMs = i % PIECES_PER_FLOOR === 0 ? floor?.takeMs() : undefined
    const { hasManifest } = piece
    samples.push({ atMs, tookMs: atMs - startedMs, hasManifest, floorMs })
  }
  return samples
}

const ASK_INTERVAL_MS = 50

/** Asks the parser now and then what it is reading. */
class ReadingWatch {
  /** A large file was being read for certain until then. */
  readUntilMs = performance.now()
  /** False once one of the small files is being read: they come after all the large ones. */
  isRead = true
  readonly #loop: Promise<void>

  constructor(site: Site) {
    this.#loop = this.#run(site)
  }

  async stop(): Promise<void> {
    this.isRead = false
    await this.#loop
  }

  async #run(site: Site): Promise<void> {
    while (this.isRead) {
      const askedMs = performance.now()
      const reading = (await site.health())?.reading?.name
      if (reading?.startsWith(LARGE)) this.readUntilMs = askedMs
      else if (reading !== undefined) this.isRead = false
      await sleep(ASK_INTERVAL_MS)
    }
  }
}
