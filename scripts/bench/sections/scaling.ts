import { rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { type Bench, PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import type { Consumers } from '../data/consumers.ts'
import type { KnownFile } from '../data/make-file.ts'
import { digestKnown } from '../digest-file.ts'
import { sizeText } from '../row.ts'

const MANY = 1_000_000
const TURNS_MAX = 3

/** Throughput of the digest against what it depends on: the plots of BENCHMARKS.md. */
export const scaling: Section = {
  name: 'scaling',
  summary: 'the plots: throughput against file size, consumers, workers',
  diskBytes: scale =>
    Math.max(scale.scalingBytes * 2, ...scale.scalingSizes) + PRIVATE_MARIADB_BYTES,
  async run(bench) {
    await againstSize(bench)
    await againstConsumers(bench)
    await againstWorkers(bench)
  },
}

async function againstSize(bench: Bench): Promise<void> {
  for (const count of [10_000, MANY]) {
    const points = []
    for (const sizeBytes of bench.scale.scalingSizes) {
      const file = await bench.newFile(sizeBytes, { kind: 'uniform', count })
      points.push({ x: sizeBytes, y: await bestRate(bench, file) })
      await rm(file.path)
    }
    bench.series({
      plot: 'file-size',
      label: count < 1e6 ? `${count / 1e3} thousand consumers` : `${count / 1e6} million consumers`,
      points,
    })
  }
}

async function againstConsumers(bench: Bench): Promise<void> {
  for (const kind of ['uniform', 'sparse'] as const) {
    const points = []
    for (const count of bench.scale.scalingConsumers) {
      const file = await bench.newFile(bench.scale.scalingBytes, { kind, count } as Consumers)
      points.push({ x: count, y: await bestRate(bench, file) })
      await rm(file.path)
    }
    const label = kind === 'uniform' ? 'dense ids' : 'sparse 64-bit ids'
    bench.series({ plot: 'consumers', label, points })
  }
}

/** One file by more threads, and more files side by side, each in a process of its own. */
async function againstWorkers(bench: Bench): Promise<void> {
  const file = await bench.newFile(bench.scale.scalingBytes, { kind: 'uniform', count: 10_000 })
  const workers = Array.from({ length: availableParallelism() }, (_, i) => i + 1)
  const byThreads = []
  for (const threads of workers) {
    byThreads.push({ x: threads, y: await bestRate(bench, file, ['--threads', String(threads)]) })
  }
  bench.series({ plot: 'workers', label: 'summing threads', points: byThreads })
  bench.say(`digests of ${sizeText(file.sizeBytes)} side by side`)
  const points = []
  for (const count of workers) {
    const together = Array.from({ length: count }, () => digestKnown(bench.workspace, file))
    const rates = (await Promise.all(together)).map(({ seconds }) => file.sizeBytes / 1e6 / seconds)
    points.push({ x: count, y: rates.reduce((sum, rate) => sum + rate, 0) })
  }
  bench.series({ plot: 'workers', label: 'files side by side', points })
  await rm(file.path)
}

/** MB/s of the fastest of a few: what the code can do when nothing disturbs it. */
async function bestRate(
  bench: Bench,
  file: KnownFile,
  options: readonly string[] = [],
): Promise<number> {
  const { kind, count } = file.plan.consumers
  bench.say(`digest of ${sizeText(file.sizeBytes)}, ${count} consumers, ${kind}`)
  let best = 0
  for (let turn = 0; turn < Math.min(TURNS_MAX, bench.scale.repetitions); turn += 1) {
    const { seconds } = await digestKnown(bench.workspace, file, { options })
    best = Math.max(best, file.sizeBytes / 1e6 / seconds)
  }
  return best
}
