import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { type Digest, DigestWorkers } from '../../../parser/digest/digest.ts'
import type { Checkpoint } from '../../../parser/facts.ts'
import {
  expectedOf,
  fileOf,
  limitsOf,
  mismatch,
  runsIn,
  saidOf,
  withFile,
} from './fixtures/files.ts'
import { Random, randomLines } from './fixtures/random.ts'
import { stoppedAfter } from './fixtures/stopped.ts'

const KIB = 1024
const workers = new DigestWorkers({ readBytes: 5000 })
t.teardown(() => workers.close())

/** The checkpoint that is left of a digest that is stopped, of a file that is long enough. */
async function checkpointOf(
  options: Parameters<DigestWorkers['digest']>[0],
  commits = 2,
): Promise<Checkpoint> {
  const checkpoint = await stoppedAfter(workers, options, commits)
  if (checkpoint === undefined) throw new Error('the digest was not stopped')
  return checkpoint
}

t.test('checkpoints come in order, one at a time, and tell the truth', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const limits = { ...limitsOf(t), pairsMax: 64, checkpointBytes: KIB }
  const content = Buffer.from(randomLines(random, 1000))
  const kept: Checkpoint[] = []
  let atOnce = 0
  const wrong: unknown[] = []
  const digest = await workers.digest({
    ...limits,
    ...fileOf(t, content),
    async onCheckpoint(checkpoint) {
      if (atOnce++ > 0) wrong.push('two at once')
      await setTimeout(random.below(3))
      const { positionBytes, resumeBytes, runs } = checkpoint
      const cutAt = content.lastIndexOf(0x0a, positionBytes - 1) + 1
      if (resumeBytes !== cutAt) wrong.push({ positionBytes, resumeBytes, cutAt })
      const missing = runs.filter(name => !runsIn(limits.runsDirectory).includes(name))
      if (missing.length > 0) wrong.push({ positionBytes, missing })
      const { lines, amount } = expectedOf(content.subarray(0, cutAt)) as Checkpoint
      if (lines !== checkpoint.lines || amount !== checkpoint.amount) wrong.push({ positionBytes })
      kept.push(checkpoint)
      atOnce--
    },
  })
  t.strictSame(wrong, [])
  const positions = kept.map(checkpoint => checkpoint.positionBytes)
  t.strictSame(
    positions,
    positions.map((_, i) => (i + 1) * KIB),
  )
  t.ok(positions.length > 3)
  t.ok((positions.at(-1) ?? 0) < content.length)
  t.equal(await mismatch(digest, content), undefined)
  const left = runsIn(limits.runsDirectory)
  const named = new Set([digest.runName, ...(kept.at(-1)?.runs ?? [])])
  t.strictSame(left, [...named].sort(), 'the last checkpoint stays usable until release')
  await digest.release()
  t.strictSame(runsIn(limits.runsDirectory), [digest.runName])
  await digest.discard()
})

t.test('a checkpoint inside the file only', async t => {
  const limits = { ...limitsOf(t), checkpointBytes: 4 }
  for (const [text, commits] of [
    ['', 0],
    ['1 2', 0],
    ['1 2\n', 0],
    ['1 2\n3', 1],
    ['1 2\n3 4\n', 1],
    ['1 2\n3 4\n5 6\n', 2],
  ] as const) {
    let found = 0
    const onCheckpoint = () => void found++
    const content = Buffer.from(text)
    await withFile(t, content, async file => {
      const digest = await workers.digest({ ...limits, ...file, onCheckpoint })
      t.equal(await mismatch(digest, content), undefined)
      t.ok(found <= commits, `${found} of ${commits}`)
      await digest.discard()
    })
  }
  t.strictSame(runsIn(limits.runsDirectory), [])
})

t.test('resumed at every checkpoint, the digest is the same', async t => {
  const random = new Random()
  const limits = limitsOf(t)
  const cases = [
    { pairsMax: 2, checkpointBytes: 100, lines: 40 },
    { pairsMax: 64, checkpointBytes: KIB, lines: 500 },
    { pairsMax: 100_000, checkpointBytes: 64 * KIB, lines: 9000 },
  ]
  let resumed = 0
  for (const { lines, ...sizes } of cases) {
    for (const spoiled of [false, true]) {
      const content = Buffer.from(randomLines(random, lines))
      if (spoiled) content[Math.floor(content.length * 0.9)] = 0x78
      const wrong = await withFile(t, content, async file => {
        const options = { ...limits, ...sizes, ...file }
        const expected = expectedOf(content)
        const checkpoints = Math.floor((file.sizeBytes * 0.9 - 100) / sizes.checkpointBytes)
        const step = Math.ceil(checkpoints / 12)
        for (let commits = 1; commits <= checkpoints; commits += step) {
          const resume = await stoppedAfter(workers, options, commits)
          if (resume === undefined) continue
          resumed += 1
          const stopped = runsIn(limits.runsDirectory)
          if (!isDeepStrictEqual(stopped, [...resume.runs].sort())) return { stopped, resume }
          const digest = await workers.digest({ ...options, resume, onCheckpoint() {} })
          const found = await saidOf(digest)
          if (digest.resumedFromBytes !== resume.resumeBytes) return { resume, digest }
          if (!isDeepStrictEqual(found, expected)) return { resume, found, expected }
          await digest.discard()
          const left = runsIn(limits.runsDirectory)
          if (left.length > 0) return { left }
        }
        return undefined
      })
      if (wrong !== undefined) return t.fail(`SEED=${random.seed}`, { sizes, spoiled, ...wrong })
    }
  }
  t.ok(resumed > 20, `resumed ${resumed} times`)
})

t.test('stopped again and again, a file is read to its end', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const limits = { ...limitsOf(t), pairsMax: 8, checkpointBytes: 200 }
  const content = Buffer.from(randomLines(random, 400))
  const options = { ...limits, ...fileOf(t, content) }
  let resume: Checkpoint | undefined
  let digest: Digest | undefined
  let stops = 0
  for (; digest === undefined; stops++) {
    let left = 3
    const stop = new AbortController()
    const attempt = workers.digest({
      ...options,
      ...(resume === undefined ? {} : { resume }),
      signal: stop.signal,
      onCheckpoint(checkpoint) {
        if (checkpoint.positionBytes <= (resume?.positionBytes ?? 0)) t.fail('it went back')
        resume = checkpoint
        if (--left === 0) stop.abort()
      },
    })
    digest = await attempt.catch((error: Error) => {
      if (error.name !== 'AbortError') throw error
      return undefined
    })
  }
  t.ok(stops > 5, `${stops} stops`)
  t.equal(await mismatch(digest, content), undefined)
  await digest.discard()
  t.strictSame(runsIn(limits.runsDirectory), [])
})

t.test('a checkpoint that does not fit is dropped, and the file read from its start', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const limits = { ...limitsOf(t), pairsMax: 16, checkpointBytes: KIB }
  const content = Buffer.from(randomLines(random, 300))
  const options = { ...limits, ...fileOf(t, content) }
  const path = (name: string | undefined) => join(limits.runsDirectory, name ?? '')
  const cases: Record<string, (kept: Checkpoint) => Checkpoint> = {
    'another prefix': kept => ({ ...kept, prefixSha256: new Uint8Array(32) }),
    'beyond the end': kept => ({ ...kept, positionBytes: content.length + 1 }),
    'resumes behind': kept => ({ ...kept, resumeBytes: kept.positionBytes + 1 }),
    'another amount': kept => ({ ...kept, amount: kept.amount + 1n }),
    'a path': kept => ({ ...kept, runs: ['../x.run'] }),
    'a short hash': kept => ({ ...kept, prefixSha256: new Uint8Array(3) }),
    'a broken number': kept => ({ ...kept, lines: 0.5 }),
    'a missing run': kept => {
      rmSync(path(kept.runs[0]))
      return kept
    },
    'a truncated run': kept => {
      truncateSync(path(kept.runs.at(-1)), 4100)
      return kept
    },
    'an empty run': kept => {
      writeFileSync(path(kept.runs[0]), '')
      return kept
    },
  }
  for (const [name, spoil] of Object.entries(cases)) {
    const resume = spoil(await checkpointOf(options))
    const digest = await workers.digest({ ...options, resume })
    t.type(digest.checkpointDropped, 'string', `${name}: ${digest.checkpointDropped}`)
    t.equal(digest.resumedFromBytes, 0)
    t.equal(await mismatch(digest, content), undefined)
    await digest.discard()
    for (const left of runsIn(limits.runsDirectory)) rmSync(path(left))
  }
  const good = await workers.digest({ ...options, resume: await checkpointOf(options) })
  t.equal(good.checkpointDropped, undefined)
  await good.discard()

  const changed = Buffer.from(content)
  const wrong: unknown[] = []
  const onCheckpoint = (told: Checkpoint) => {
    const { lines, amount } = expectedOf(changed.subarray(0, told.resumeBytes)) as Checkpoint
    if (lines !== told.lines || amount !== told.amount) wrong.push(told)
  }
  const kept = await checkpointOf(options)
  changed[content.indexOf(0x20) + 1]! ^= 1 // another digit
  await withFile(t, changed, async file => {
    const digest = await workers.digest({ ...options, ...file, resume: kept, onCheckpoint })
    t.match(digest.checkpointDropped, /first 2048 bytes/)
    t.strictSame(wrong, [], 'no checkpoint rests on the one that was dropped')
    t.equal(await mismatch(digest, changed), undefined)
    await digest.discard()
  })
})

t.test('a run of another work file is not taken', async t => {
  const limits = { ...limitsOf(t), pairsMax: 2, checkpointBytes: 400 }
  const options = { ...limits, ...fileOf(t, '1 1\n2 2\n3 3\n4 4\n5 5\n'.repeat(200)) }
  const resume = await checkpointOf(options, 1)
  const digest = await workers.digest({ ...options, runsPrefix: 'work-2', resume })
  t.match(digest.checkpointDropped, /belongs to work-1/)
  await digest.discard()
})

t.test('a commit that fails, or never ends, holds the digest', async t => {
  const limits = { ...limitsOf(t), pairsMax: 4, checkpointBytes: 100 }
  const random = new Random()
  const content = Buffer.from(randomLines(random, 600))
  const options = { ...limits, ...fileOf(t, content) }
  const failing = workers.digest({
    ...options,
    onCheckpoint() {
      throw new Error('no journal')
    },
  })
  await t.rejects(failing, { message: 'no journal' })
  t.strictSame(runsIn(limits.runsDirectory), [])

  let release = () => {}
  const held = new Promise<void>(resolve => {
    release = resolve
  })
  let furthest = 0
  let calls = 0
  const digesting = workers.digest({
    ...options,
    onProgress: position => {
      furthest = position
    },
    onCheckpoint: () => (++calls === 1 ? held : undefined),
  })
  await setTimeout(300)
  t.equal(calls, 1)
  t.ok(furthest < content.length / 2, `the threads wait at ${furthest} of ${content.length}`)
  release()
  const digest = await digesting
  t.equal(await mismatch(digest, content), undefined)
  await digest.discard()
})

t.test('a bad line early, with checkpoints: the hash does not wait for the sum', async t => {
  const limits = { ...limitsOf(t), checkpointBytes: 100 }
  const content = Buffer.from(`1 1\nx\n${'2 2\n'.repeat(20_000)}`)
  const onCheckpoint = () => void t.fail('nothing to commit')
  const digest = await workers.digest({ ...limits, ...fileOf(t, content), onCheckpoint })
  t.equal(await mismatch(digest, content), undefined)
})

t.test('a full disk fails the digest and leaves the last checkpoint usable', async t => {
  const limits = limitsOf(t)
  const small = mkdtempSync(join(tmpdir(), 'countersink-small-'))
  try {
    // Room for the runs of more checkpoints than may be on their way: one is committed before it is full.
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', small], { stdio: 'ignore' })
  } catch {
    rmdirSync(small)
    return t.comment('no small filesystem can be made here')
  }
  t.teardown(() => {
    execFileSync('umount', ['-l', small]) // lazily: whatever a failed test has left open
    rmdirSync(small)
  })
  const lines = Array.from({ length: 40_000 }, (_, i) => `${i} 1\n`)
  const content = Buffer.from(lines.join(''))
  const options = {
    ...limits,
    ...fileOf(t, content),
    runsDirectory: small,
    checkpointBytes: 10 * KIB,
  }
  let resume: Checkpoint | undefined
  const full = workers.digest({
    ...options,
    onCheckpoint(checkpoint) {
      resume = checkpoint
    },
  })
  await t.rejects(full, { code: 'DISK_FULL', advice: /room/ })
  if (resume === undefined) return t.fail('no checkpoint')
  t.strictSame(runsIn(small), [...resume.runs].sort(), 'no partial run is left')
  execFileSync('mount', ['-o', 'remount,size=10m', small])
  const digest = await workers.digest({ ...options, resume })
  t.equal(digest.resumedFromBytes, resume.resumeBytes)
  t.match(digest.verdict, { ok: true, amount: 40_000n, sums: { pairs: 40_000 } })
  await digest.discard()
  t.strictSame(runsIn(small), [])
})
