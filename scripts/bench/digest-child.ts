/**
 * A process of its own that digests one file exactly as the parser does (hash, validation, sums,
 * checkpoints, runs), says what it found, how long it took and what it needed, and ends.
 *
 *     digest-child FILE RUNS_DIRECTORY [--threads N] [--fingerprint]
 *
 * `--threads`: so many threads that sum (the hash has one of its own); else as many as the parser has.
 *
 * The threads are started and have their code compiled before the clock starts, by a small file of
 * lines: the parser is a long-lived process. A bad file: status 1 and the reason.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Digest, DigestWorkers, describeBadLine } from '../../parser/digest/index.ts'
import { readConfig } from '../../shared/config.ts'
import { describeError } from '../../shared/errors.ts'
import type { DigestFigures } from './digest-file.ts'
import { PairsFingerprint } from './pairs-fingerprint.ts'
import { processMemory } from './process-memory.ts'

const { values, positionals } = parseArgs({
  options: { threads: { type: 'string' }, fingerprint: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const [path = '', runsDirectory = ''] = positionals
const config = readConfig(process.env)
const workers = new DigestWorkers({
  sumThreads: values.threads === undefined ? config.sumThreads : Number(values.threads),
})

try {
  mkdirSync(runsDirectory, { recursive: true })
  await warmUp()
  const { digest, seconds } = await digestFile(path, 'measured')
  const { verdict, sha256, sizeBytes, lines } = digest
  if (!verdict.ok) {
    process.stderr.write(`${path}: ${describeBadLine(verdict.bad)}\n`)
    process.exitCode = 1
  } else {
    const peakRssBytes = processMemory('self')?.peakRssBytes ?? 0
    const fingerprint = values.fingerprint ? await fingerprintOf(verdict.sums) : undefined
    const figures: DigestFigures = {
      bytes: sizeBytes,
      lines,
      ids: verdict.sums.pairs,
      amount: verdict.amount.toString(),
      sha256: Buffer.from(sha256).toString('hex'),
      seconds,
      peakRssBytes,
      parts: { hashSeconds: digest.hashMs / 1_000, sumSeconds: digest.sumMs / 1_000 },
      ...(fingerprint === undefined ? {} : { fingerprint }),
    }
    process.stdout.write(`${JSON.stringify(figures)}\n`)
  }
  await digest.discard()
} catch (error) {
  process.stderr.write(`${describeError(error)}\n`)
  process.exitCode = 1
} finally {
  await workers.close()
}

async function digestFile(
  file: string,
  runsPrefix: string,
): Promise<{ digest: Digest; seconds: number }> {
  const handle = await open(file, 'r')
  try {
    const { size } = await handle.stat()
    const startedMs = performance.now()
    const digest = await workers.digest({
      ...{ fd: handle.fd, sizeBytes: size, runsDirectory, runsPrefix },
      pairsMax: config.pairsMax,
      memoryPairsMax: config.memoryPairsMax,
      checkpointBytes: config.checkpointBytes,
      // The parser's is a commit of half a millisecond; the runs that it refers to are made here too.
      onCheckpoint: () => {},
    })
    return { digest, seconds: (performance.now() - startedMs) / 1_000 }
  } finally {
    await handle.close()
  }
}

/** A little of each kind of number, several times over. */
async function warmUp(): Promise<void> {
  const file = join(runsDirectory, 'warm-up.txt')
  const lines = Array.from({ length: 40_000 }, (_, i) => `${(i * 7919) % 30_011} ${i * 31}\n`)
  writeFileSync(file, lines.join(''))
  for (let round = 0; round < 3; round += 1) {
    const { digest } = await digestFile(file, `warm-up-${round}`)
    await digest.discard()
  }
  rmSync(file)
}

async function fingerprintOf(
  sums: Extract<Digest['verdict'], { ok: true }>['sums'],
): Promise<string> {
  const fingerprint = new PairsFingerprint()
  for await (const chunk of sums.chunks(65_536)) fingerprint.addAll(chunk)
  return fingerprint.text
}
