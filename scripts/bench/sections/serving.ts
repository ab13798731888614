import { readdir } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Bench, PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { cutFile, type Piece } from '../data/cut-file.ts'
import type { KnownFile } from '../data/make-file.ts'
import type { HttpAnswers } from '../http-child.ts'
import { processMemory } from '../process-memory.ts'
import { builtFile, runForJson, startProgram } from '../programs.ts'
import { judge, sizeText } from '../row.ts'
import { Announcer, Site } from '../site.ts'
import { percentileOf, slopeOf } from '../statistics.ts'
import { until } from '../until.ts'

const CONSUMERS = { kind: 'uniform', count: 10_000 } as const
const PIECE_BYTES = 256
const PIECE_EVERY_MS = 25
const REQUESTS_PER_SECOND = 200
/** For this share of the time nobody asks, for comparison. */
const UNASKED = 0.5
/** What a page that is open, and who scrapes, ask for. */
const ASKED = ['/api/v1/status', '/api/v1/files', '/metrics', '/api/v1/quarantine', '/readyz']
const NONE: HttpAnswers = { tookMs: [], busy: 0 }
const AIM_MS = 10
/** Flat: the line through the samples of the second half grows by no more than this share of its mean. */
const GROWTH_MAX = 0.05
const SAMPLES = 120

/** Readers over HTTP beside large files that follow one another. */
export const serving: Section = {
  name: 'serving',
  summary:
    'acknowledgements while 200 requests a second are answered over HTTP and large files are read',
  diskBytes: scale => 2 * scale.serving.bytes + 64_000_000 + PRIVATE_MARIADB_BYTES,
  async run(bench) {
    const { workspace, scale } = bench
    const { seconds, bytes } = scale.serving
    const large = await bench.newFile(bytes, CONSUMERS)
    const count = Math.ceil(((seconds + seconds * UNASKED) * 1_000) / PIECE_EVERY_MS) + 10
    const small = await bench.newFile(PIECE_BYTES * count * 0.95, CONSUMERS)
    const pieces = await cutFile(small, PIECE_BYTES, workspace.path('pieces'), () => true)
    const site = await Site.make(workspace)
    const parser = await site.startParser()
    const socketPath = workspace.path('web.sock')
    const args = ['serve', '--dir', site.paths.dir, '--listen', `unix:${socketPath}`]
    const web = startProgram(workspace, [builtFile('../countersink'), ...args], site.env)
    const asked = (seconds: number, paths: readonly string[]): Promise<HttpAnswers> => {
      const args = [socketPath, String(seconds), String(REQUESTS_PER_SECOND), ...paths]
      return runForJson<HttpAnswers>(workspace, 'http-child', args)
    }
    await until('it serves', async () => {
      if (!web.isRunning()) throw new Error(`serve ended: ${web.output()}`)
      const { tookMs, busy } = await asked(1 / REQUESTS_PER_SECOND, ['/readyz']).catch(() => NONE)
      return tookMs.length > busy ? true : undefined
    })
    const announcer = await Announcer.connect(site)
    const left = pieces.values()
    bench.say('asking nothing at first')
    const isBegun = over(seconds * UNASKED)
    const [unaskedMs] = await Promise.all([
      acknowledgements(site, announcer, left, isBegun),
      keepReading(site, large, isBegun),
    ])
    bench.say(`asking ${REQUESTS_PER_SECOND} times a second for ${seconds} s`)
    const isOver = over(seconds)
    const measured = Promise.all([
      acknowledgements(site, announcer, left, isOver),
      asked(seconds, ASKED),
      sampleMemory(web.pid, seconds, isOver),
      keepReading(site, large, isOver),
    ])
    const [acksMs, answers, memory] = await measured.catch(error => {
      throw new Error(`it was not answered: ${web.output()}`, { cause: error })
    })
    announcer.close()
    await web.stop()
    await parser.stop('SIGKILL')
    await site.stopServer()
    report(bench, large, { acksMs, unaskedMs, answers, memory })
  },
}

function over(seconds: number): () => boolean {
  const endsMs = performance.now() + seconds * 1_000
  return () => performance.now() >= endsMs
}

async function acknowledgements(
  site: Site,
  announcer: Announcer,
  pieces: Iterable<Piece>,
  isOver: () => boolean,
): Promise<number[]> {
  const tookMs: number[] = []
  for (const piece of pieces) {
    if (isOver()) break
    await site.publish(piece)
    const startedMs = performance.now()
    await announcer.announce(piece.name, piece)
    tookMs.push(performance.now() - startedMs)
    await sleep(PIECE_EVERY_MS)
  }
  return tookMs
}

/** One is being read, and one waits. All but the first are duplicates, which is known when they are read. */
async function keepReading(site: Site, large: KnownFile, isOver: () => boolean): Promise<void> {
  for (let n = 1; !isOver(); ) {
    const { inbox, work } = site.paths
    const names = [...(await readdir(inbox)), ...(await readdir(work))]
    const there = names.filter(name => /large-\d+\.txt$/.test(name)).length
    if (there < 2) {
      await site.drop(large, `large-${n}.txt`)
      n += 1
    } else await sleep(100)
  }
}

interface MemorySample {
  readonly x: number
  readonly y: number
}

async function sampleMemory(
  pid: number,
  seconds: number,
  isOver: () => boolean,
): Promise<MemorySample[]> {
  const samples: MemorySample[] = []
  while (!isOver()) {
    const memory = processMemory(pid)
    if (memory !== undefined) samples.push({ x: performance.now() / 1_000, y: memory.rssBytes })
    await sleep((seconds / SAMPLES) * 1_000)
  }
  return samples
}

function report(
  bench: Bench,
  large: KnownFile,
  measured: {
    readonly acksMs: readonly number[]
    readonly unaskedMs: readonly number[]
    readonly answers: HttpAnswers
    readonly memory: readonly MemorySample[]
  },
): void {
  const { acksMs, unaskedMs, memory } = measured
  const { tookMs, busy } = measured.answers
  const beside = `${REQUESTS_PER_SECOND} requests a second over HTTP and files of ${sizeText(large.sizeBytes)} one after the other`
  bench.row({
    section: 'serving',
    name: 'serving-ack-p99',
    what: `announcement to durable acknowledgement beside ${beside}: p99`,
    ...judge(percentileOf(acksMs, 0.99), {
      side: 'at most',
      bound: AIM_MS,
      write: value => `${value.toFixed(2)} ms`,
    }),
    figures: {
      samples: acksMs.length,
      ackP50Ms: percentileOf(acksMs, 0.5),
      ackP99Ms: percentileOf(acksMs, 0.99),
      unaskedAckP50Ms: percentileOf(unaskedMs, 0.5),
      unaskedAckP99Ms: percentileOf(unaskedMs, 0.99),
      requests: tookMs.length,
      requestsRefused: busy,
      requestP50Ms: percentileOf(tookMs, 0.5),
      requestP99Ms: percentileOf(tookMs, 0.99),
    },
  })
  // A heap takes half a minute of requests to find its size.
  const settled = memory.slice(Math.floor(memory.length / 2))
  const mean = settled.reduce((sum, { y }) => sum + y, 0) / settled.length
  const [first, last] = [settled[0], settled.at(-1)]
  if (first === undefined || last === undefined) throw new Error('no memory was sampled')
  const growth = (slopeOf(settled) * (last.x - first.x)) / mean
  bench.row({
    section: 'serving',
    name: 'serving-rss',
    what: 'resident memory of what serves over that time: growth in its second half',
    reached: `${(growth * 100).toFixed(1)} %`,
    wanted: `flat (≤ ${GROWTH_MAX * 100} %)`,
    verdict:
      bench.scale.serving.seconds < 60 ? 'reported' : growth <= GROWTH_MAX ? 'reached' : 'missed',
    figures: { rssMeanBytes: Math.round(mean), rssLastBytes: last.y },
  })
}
