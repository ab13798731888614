import { readdir } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Bench, PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { cutFile, type Piece } from '../data/cut-file.ts'
import type { KnownFile } from '../data/make-file.ts'
import { processMemory } from '../process-memory.ts'
import { builtFile, startProgram } from '../programs.ts'
import { judge, sizeText, WrongResult } from '../row.ts'
import { Announcer, Site } from '../site.ts'
import { percentileOf, slopeOf } from '../statistics.ts'
import { until } from '../until.ts'

const CONSUMERS = { kind: 'uniform', count: 10_000 } as const
const PIECE_BYTES = 256
const PIECE_EVERY_MS = 25
const REQUESTS_PER_SECOND = 200
/** What a page that is open, and who scrapes, ask for. */
const ASKED = ['/api/v1/status', '/api/v1/files', '/metrics', '/api/v1/quarantine', '/readyz']
const AIM_MS = 10
/** Flat: the line through the samples after the first third grows by no more than this share of its mean. */
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
    const count = Math.ceil((seconds * 1_000) / PIECE_EVERY_MS) + 10
    const small = await bench.newFile(PIECE_BYTES * count * 0.95, CONSUMERS)
    const pieces = await cutFile(small, PIECE_BYTES, workspace.path('pieces'), () => true)
    const site = await Site.make(workspace)
    const parser = await site.startParser()
    const socketPath = workspace.path('web.sock')
    const args = ['serve', '--dir', site.paths.dir, '--listen', `unix:${socketPath}`]
    const web = startProgram(workspace, [builtFile('../countersink'), ...args], site.env)
    await until('it serves', async () => {
      if (!web.isRunning()) throw new Error(`serve ended: ${web.output()}`)
      return (await ask(socketPath, '/readyz').catch(() => undefined)) === 200 ? true : undefined
    })
    const announcer = await Announcer.connect(site)
    bench.say(`asking ${REQUESTS_PER_SECOND} times a second for ${seconds} s`)
    const isOver = over(seconds)
    const measured = Promise.all([
      acknowledgements(site, announcer, pieces, isOver),
      askAllTheTime(socketPath, isOver),
      sampleMemory(web.pid, seconds, isOver),
      keepReading(site, large, isOver),
    ])
    const [acksMs, answers, memory] = await measured.catch(error => {
      throw new Error(`it was not answered: ${web.output()}`, { cause: error })
    })
    announcer.close()
    agent.destroy()
    await web.stop()
    await parser.stop('SIGKILL')
    await site.stopServer()
    report(bench, large, acksMs, answers, memory)
  },
}

function over(seconds: number): () => boolean {
  const endsMs = performance.now() + seconds * 1_000
  return () => performance.now() >= endsMs
}

async function acknowledgements(
  site: Site,
  announcer: Announcer,
  pieces: readonly Piece[],
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

interface Answers {
  readonly tookMs: number[]
  busy: number
}

async function askAllTheTime(socketPath: string, isOver: () => boolean): Promise<Answers> {
  const answers: Answers = { tookMs: [], busy: 0 }
  const underWay = new Set<Promise<void>>()
  const startedMs = performance.now()
  for (let n = 0; !isOver(); n += 1) {
    const askedMs = performance.now()
    const one = ask(socketPath, ASKED[n % ASKED.length]!).then(status => {
      if (status === 503) answers.busy += 1
      else if (status !== 200) throw new WrongResult(`a request was answered with ${status}`)
      answers.tookMs.push(performance.now() - askedMs)
      underWay.delete(one)
    })
    one.catch(() => {
      // Told at the end, with the others.
    })
    underWay.add(one)
    const dueMs = startedMs + ((n + 1) * 1_000) / REQUESTS_PER_SECOND
    await sleep(Math.max(0, dueMs - performance.now()))
  }
  await Promise.all(underWay)
  return answers
}

/** As browsers and Prometheus, which keep their connections. */
const agent = new Agent({ keepAlive: true, maxSockets: 16 })

/** @returns the status of the answer, which is read to its end. */
function ask(socketPath: string, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, agent }, response => {
      response.once('end', () => resolve(response.statusCode ?? 0)).resume()
    })
    asked.once('error', reject).end()
  })
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
  acksMs: readonly number[],
  { tookMs, busy }: Answers,
  memory: readonly MemorySample[],
): void {
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
      requests: tookMs.length,
      requestsRefused: busy,
      requestP50Ms: percentileOf(tookMs, 0.5),
      requestP99Ms: percentileOf(tookMs, 0.99),
    },
  })
  const settled = memory.slice(Math.floor(memory.length / 3))
  const mean = settled.reduce((sum, { y }) => sum + y, 0) / settled.length
  const [first, last] = [settled[0], settled.at(-1)]
  if (first === undefined || last === undefined) throw new Error('no memory was sampled')
  const growth = (slopeOf(settled) * (last.x - first.x)) / mean
  bench.row({
    section: 'serving',
    name: 'serving-rss',
    what: 'resident memory of what serves over that time: growth after the first third',
    reached: `${(growth * 100).toFixed(1)} %`,
    wanted: `flat (≤ ${GROWTH_MAX * 100} %)`,
    verdict:
      bench.scale.serving.seconds < 60 ? 'reported' : growth <= GROWTH_MAX ? 'reached' : 'missed',
    figures: { rssMeanBytes: Math.round(mean), rssLastBytes: last.y },
  })
}
