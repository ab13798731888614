/** Bad lines that are put aside: which, where, what they leave, and when there are too many of them. */

import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import t, { type Test } from 'tap'
import type { Digest, DigestOptions, DigestWorkers } from '../../../parser/digest/digest.ts'
import type { Checkpoint } from '../../../parser/facts.ts'
import { isOverLimit, parseRejectLimit } from '../../../shared/reject-limit.ts'
import { DEFECTS } from './fixtures/defect-cases.ts'
import { limitsOf, pairsOf, runsIn, withFile, workersOf } from './fixtures/files.ts'
import { Random, randomLines } from './fixtures/random.ts'
import { type RejectModel, rejectModelOf } from './fixtures/reject-model.ts'
import { stoppedAfter } from './fixtures/stopped.ts'

const NAME = 'usage ü\\.txt'
const ALL = '100%'

/** What a digest needs to put bad lines aside, in a directory of its own. */
function tolerantOf(t: Test): {
  limits: Omit<DigestOptions, 'fd' | 'sizeBytes'>
  draftPath: string
} {
  const limits = limitsOf(t)
  return { limits, draftPath: join(limits.runsDirectory, '.draft') }
}

function rejectsFor(draftPath: string, limit: string): NonNullable<DigestOptions['rejects']> {
  return { draftPath, name: NAME, limit: parseRejectLimit(limit)! }
}

function modelOf(content: Buffer): RejectModel {
  return rejectModelOf(content, createHash('sha256').update(content).digest('hex'), NAME)
}

/** Where it differs from the model; undefined: nowhere. Lets go of the digest. */
async function mismatch(
  digest: Digest,
  content: Buffer,
  { draftPath, limit }: { draftPath: string; limit: string },
): Promise<object | undefined> {
  const model = modelOf(content)
  const { lines, rejected, verdict } = digest
  const isThere = digest.verdict.ok && existsSync(draftPath)
  const draft = isThere ? readFileSync(draftPath, 'latin1') : undefined
  const common = { lines, rejected, draft }
  let found: object
  if (verdict.ok) {
    const { amount, sums } = verdict
    found = { ...common, amount, sums: await pairsOf(sums) }
  } else {
    const { line, offset, reason } = verdict.bad
    const isSum = reason === 'CONSUMER_SUM_OVERFLOW'
    found = { ...common, line, offset, isSum, isOver: verdict.isOverLimit === true }
  }
  await digest.discard()
  if (existsSync(draftPath) && !digest.verdict.ok) return { left: draftPath }
  rmSync(draftPath, { force: true })
  const expected = expectedOf(model, limit)
  if (model.overflow !== undefined && !verdict.ok && verdict.isOverLimit) return undefined // before it
  return isDeepStrictEqual(found, expected) ? undefined : shown({ found, expected })
}

/** As much of it as a person reads. */
function shown(wrong: object): object {
  return {
    wrong: JSON.stringify(wrong, (_, value) => (typeof value === 'bigint' ? `${value}` : value))
      .replace(/(.)\1{20,}/g, '$1…$1')
      .slice(0, 4000),
  }
}

function expectedOf(model: RejectModel, limit: string): object {
  const none = { rejected: { lines: 0, bytes: 0 }, draft: undefined }
  const { overflow, first, rejected } = model
  if (overflow !== undefined) {
    const { line, offset, lines } = overflow
    return { ...none, line, offset, lines, isSum: true, isOver: false }
  }
  if (isOverLimit(parseRejectLimit(limit)!, rejected.lines, rejected.lines + model.lines)) {
    const { line, offset } = first!
    return { ...none, line, offset, lines: line - 1, isSum: false, isOver: true }
  }
  const { lines, amount, sums } = model
  return { lines, amount, sums, rejected, draft: rejected.lines === 0 ? undefined : model.text }
}

/** Good lines and bad ones of all kinds, some longer than all that is read at once. */
function mixedLines(random: Random, count: number, oneIn: number): Buffer {
  const good = randomLines(random, count).split('\n')
  const lines = good.map(line => {
    if (!random.chance(oneIn)) return line
    if (random.chance(8)) return 'y'.repeat(random.below(700))
    if (random.chance(4)) return randomBytesText(random, random.below(90))
    return random.pick(DEFECTS)[0]
  })
  return Buffer.from(lines.join('\n'), 'latin1')
}

function withOverflow(random: Random, content: Buffer): Buffer {
  const lines = content.toString('latin1').split('\n')
  lines.splice(random.below(lines.length), 0, '77 3')
  return Buffer.from([`77 ${(1n << 64n) - 1n}`, ...lines].join('\n'), 'latin1')
}

function randomBytesText(random: Random, size: number): string {
  let text = ''
  for (let i = 0; i < size; i++) text += String.fromCharCode(random.below(256))
  return text
}

t.test('every kind of bad line, cut anywhere, is put aside and nothing else is', async t => {
  const { limits, draftPath } = tolerantOf(t)
  const long = `${'9'.repeat(300)}\r`
  const texts = ['1 2', '\0', ...DEFECTS.map(([text]) => text.slice(0, 200)), long, '18 4\r', '']
  const content = Buffer.from(texts.join('\n'), 'latin1')
  const contents = [content, content.subarray(0, -1), content.subarray(0, -5), Buffer.from('x')]
  for (const readBytes of [1, 64, 65, 200]) {
    const workers = workersOf(t, { sumThreads: 1, sumBytesMax: 2 ** 20, readBytes })
    for (const some of contents) {
      const digest = await withFile(t, some, file =>
        workers.digest({ ...limits, ...file, rejects: rejectsFor(draftPath, ALL) }),
      )
      const wrong = await mismatch(digest, some, { draftPath, limit: ALL })
      if (wrong !== undefined) return t.fail(`${readBytes} bytes at once`, wrong)
    }
    await workers.close()
  }
  t.strictSame(runsIn(limits.runsDirectory), [], 'nothing is left')
})

t.test('random files, threads, room and checkpoints; stopped and resumed anywhere', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const { limits: usual, draftPath } = tolerantOf(t)
  const teams: DigestWorkers[] = [
    workersOf(t, { sumThreads: 1, sumBytesMax: 2 ** 20, readBytes: 64 }),
    workersOf(t, { sumThreads: 3, sumBytesMax: 2 ** 20, readBytes: 90 }),
    workersOf(t, { sumThreads: 2, sumBytesMax: 2 ** 20, readBytes: 1000 }),
  ]
  let [over, overflows, good] = [0, 0, 0]
  for (let round = 0; round < 110; round++) {
    const count = random.pick([3, 40, 400])
    const lines = mixedLines(random, count, random.pick([1, 2, 5, 100]))
    const content = random.chance(5) ? withOverflow(random, lines) : lines
    const limit = random.pick(['3', '12', '5%', '33.3333%', ALL, ALL, ALL])
    const rejects = rejectsFor(draftPath, limit)
    const workers = random.pick(teams)
    const limits = {
      ...usual,
      ...{ rejects, pairsMax: random.pick([1, 9, 100_000]) },
      ...{ checkpointBytes: random.pick([70, 500, 3000]), memoryPairsMax: random.pick([0, 99]) },
    }
    const where = `SEED=${random.seed} round ${round}`
    const wrong = await withFile(t, content, async file => {
      let resume: Checkpoint | undefined
      for (let stops = random.below(4); stops > 0; stops--) {
        const from: DigestOptions = { ...limits, ...file, ...(resume && { resume }) }
        resume = await stoppedAfter(workers, from, 1 + random.below(3))
        if (resume === undefined) rmSync(draftPath, { force: true })
        // What a crash leaves behind the last checkpoint.
        else if (existsSync(draftPath)) {
          writeFileSync(draftPath, '7\t7\tEMPTY_LINE\t0\t\n', { flag: 'a' })
        }
      }
      const digest = await workers.digest({
        ...{ ...limits, ...file, onCheckpoint() {} },
        ...(resume && { resume }),
      })
      if (digest.checkpointDropped !== undefined) return { dropped: digest.checkpointDropped }
      if (digest.verdict.ok) good += 1
      else if (digest.verdict.isOverLimit) over += 1
      else overflows += 1
      await digest.release()
      return mismatch(digest, content, { draftPath, limit })
    })
    if (wrong !== undefined) return t.fail(where, wrong)
    t.strictSame(runsIn(usual.runsDirectory), [])
  }
  t.ok(over > 10 && overflows > 2 && good > 30, `${over} over, ${overflows} sums, ${good} good`)
})

t.test('a limit that is just met, and passed by one', async t => {
  const { limits, draftPath } = tolerantOf(t)
  const workers = workersOf(t, { sumThreads: 1, sumBytesMax: 2 ** 20, readBytes: 100 })
  const lines = Array.from({ length: 1000 }, (_, i) => (i % 100 === 7 ? 'x' : `${i} 1`))
  const content = Buffer.from(`${lines.join('\n')}\n`)
  for (const [limit, isMet] of [
    ['10', true],
    ['9', false],
    ['1%', true],
    ['0.9999%', false],
    ['1.5%', true],
    ['100%', true],
    ['0.0001%', false],
  ] as const) {
    const digest = await withFile(t, content, file =>
      workers.digest({ ...limits, ...file, rejects: rejectsFor(draftPath, limit) }),
    )
    t.equal(digest.verdict.ok, isMet, limit)
    t.equal(await mismatch(digest, content, { draftPath, limit }), undefined, limit)
  }
})

t.test('a draft that is not what it was makes the file be read from its beginning', async t => {
  const { limits: usual, draftPath } = tolerantOf(t)
  const workers = workersOf(t, { sumThreads: 1, sumBytesMax: 2 ** 20, readBytes: 100 })
  const content = mixedLines(new Random('5'), 300, 2)
  const rejects = rejectsFor(draftPath, ALL)
  const limits = { ...usual, rejects, checkpointBytes: 1000 }
  const damages: Record<string, (keptBytes: number) => void> = {
    gone: () => rmSync(draftPath),
    cut: kept => writeFileSync(draftPath, readFileSync(draftPath).subarray(0, kept - 1)),
    changed: () => {
      const bytes = readFileSync(draftPath)
      bytes.writeUInt8(bytes.readUInt8(200) ^ 1, 200)
      writeFileSync(draftPath, bytes)
    },
  }
  for (const [what, damage] of Object.entries(damages)) {
    await withFile(t, content, async file => {
      const resume = (await stoppedAfter(workers, { ...limits, ...file }, 1))!
      t.ok(resume.rejects !== undefined && resume.rejects.lines > 0)
      damage(resume.rejects!.draftBytes)
      const digest = await workers.digest({ ...limits, ...file, resume, onCheckpoint() {} })
      t.ok(digest.checkpointDropped, what)
      await digest.release()
      t.equal(await mismatch(digest, content, { draftPath, limit: ALL }), undefined, what)
    })
  }
  await withFile(t, content, async file => {
    const resume = (await stoppedAfter(workers, { ...limits, ...file }, 1))!
    const { rejects: _, ...strict } = limits
    const digest = await workers.digest({ ...strict, ...file, resume })
    t.match(digest.checkpointDropped, /may not be/, 'none may be put aside any more')
    t.equal(digest.verdict.ok, false)
    await digest.discard()
  })
})

t.test('a line of any length: its beginning is kept, and how long it is', async t => {
  const { limits, draftPath } = tolerantOf(t)
  const workers = workersOf(t, { sumThreads: 2, sumBytesMax: 2 ** 20, readBytes: 10_000 })
  const content = Buffer.from(`1 2\n${'a'.repeat(65_536)}\n${'b\0'.repeat(300_000)}\r\n3 4\nc`)
  const digest = await withFile(t, content, file =>
    workers.digest({ ...limits, ...file, rejects: rejectsFor(draftPath, '3') }),
  )
  t.strictSame(digest.rejected.lines, 3)
  t.equal(await mismatch(digest, content, { draftPath, limit: '3' }), undefined)
})

t.test('so many bad lines cost little each, and too many end the reading early', async t => {
  const { limits, draftPath } = tolerantOf(t)
  const workers = workersOf(t, { sumThreads: 1 })
  const content = Buffer.from('12 34x\n'.repeat(200_000))
  const startMs = performance.now()
  const all = await withFile(t, content, file =>
    workers.digest({ ...limits, ...file, rejects: rejectsFor(draftPath, ALL) }),
  )
  t.comment(`${Math.round(((performance.now() - startMs) * 1e6) / 200_000)} ns a bad line`)
  t.strictSame(all.rejected, { lines: 200_000, bytes: content.length })
  await all.discard()
  for (const limit of ['5', '0.5%']) {
    const digest = await withFile(t, content, file =>
      workers.digest({ ...limits, ...file, rejects: rejectsFor(draftPath, limit) }),
    )
    t.match(digest.verdict, { ok: false, isOverLimit: true, bad: { line: 1, offset: 0 } })
    t.ok(digest.sumMs < all.sumMs / 4, `${limit}: ${digest.sumMs} ms of ${all.sumMs}`)
    await digest.discard()
  }
})
