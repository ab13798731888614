/** Files whose segments several threads share: the same is said of them as by one thread. */

import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { DigestWorkers } from '../../../parser/digest/digest.ts'
import { LEADER, newTeam, SegmentBoard } from '../../../parser/digest/segment-board.ts'
import type { Checkpoint } from '../../../parser/facts.ts'
import { limitsOf, mismatch, runsIn, saidOf, withFile } from './fixtures/files.ts'
import { Random, randomLines } from './fixtures/random.ts'

const MAX = (1n << 64n) - 1n
const alone = new DigestWorkers({ readBytes: 2 ** 22, sumThreads: 1 })
const team = new DigestWorkers({ readBytes: 300, sumThreads: 3 })
t.teardown(() => Promise.all([alone.close(), team.close()]))

/** How many rounds it takes until helpers were quick enough to have taken part in some. */
const HELPED_MIN = 20

t.test('random files, good and bad, with all limits', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const limits = limitsOf(t)
  let rounds = 0
  for (let helped = 0; helped < HELPED_MIN || rounds < 60; rounds++) {
    const content = Buffer.from(randomLines(random, 1000 + random.below(3000)))
    if (random.chance(3)) content[random.below(content.length)] = 0x78
    const options = {
      ...limits,
      pairsMax: random.pick([50, 1000, 100_000]),
      memoryPairsMax: random.pick([0, 100_000]),
      checkpointBytes: random.pick([5000, 50_000, 2 ** 30]),
    }
    const commits: Checkpoint[] = []
    const wrong = await withFile(t, content, async file => {
      const onCheckpoint = (checkpoint: Checkpoint) => void commits.push(checkpoint)
      const digest = await team.digest({ ...options, ...file, onCheckpoint })
      if (digest.helpedLines > 0) helped++
      const found = await mismatch(digest, content)
      await digest.discard()
      return found
    })
    if (wrong !== undefined) return t.fail(`SEED=${random.seed} round ${rounds}`, wrong)
    for (const { positionBytes, resumeBytes, lines } of commits) {
      const cutAt = content.lastIndexOf(10, positionBytes - 1) + 1
      const linesBefore = content.subarray(0, cutAt).toString('latin1').split('\n').length - 1
      if (resumeBytes === cutAt && lines === linesBefore) continue
      return t.fail(`SEED=${random.seed} round ${rounds}`, { positionBytes, resumeBytes, cutAt })
    }
    if (runsIn(limits.runsDirectory).length > 0) return t.fail('runs were left')
  }
  t.pass(`all ${rounds} agree`)
})

t.test('what is wrong with a file does not depend on who read it', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const limits = limitsOf(t)
  for (let round = 0; round < 60; round++) {
    const lines = Array.from({ length: 3000 }, () => `${random.below(500)} ${random.below(900)}`)
    // Several faults, far from each other: the first one counts.
    for (let faults = 1 + random.below(3); faults > 0; faults--) {
      const fault = random.pick([`7 ${MAX}\n7 ${MAX}`, `1 ${'9'.repeat(900)}`, 'x', '', '8 \r'])
      lines[random.below(lines.length)] = fault
    }
    const content = Buffer.from(lines.join('\n'))
    const both = await withFile(t, content, async file => {
      const one = await alone.digest({ ...limits, ...file })
      const many = await team.digest({ ...limits, ...file })
      const said = [one.verdict, await saidOf(one), many.verdict, await saidOf(many)]
      await one.discard()
      await many.discard()
      return said
    })
    const [oneVerdict, one, manyVerdict, many] = both
    if (isDeepStrictEqual([oneVerdict, one], [manyVerdict, many])) continue
    return t.fail(`SEED=${random.seed} round ${round}`, { oneVerdict, manyVerdict })
  }
  t.pass('all agree')
})

t.test('a sum that becomes too large only across threads names its line', async t => {
  const limits = limitsOf(t)
  const filler = '1 1\n'.repeat(4000)
  const content = Buffer.from(`5 ${MAX}\n${filler}5 1\n${filler}`)
  for (let round = 0; round < 20; round++) {
    const wrong = await withFile(t, content, async file =>
      mismatch(await team.digest({ ...limits, ...file }), content),
    )
    if (wrong !== undefined) return t.fail(`round ${round}`, wrong)
  }
  t.pass('always line 4002')
})

t.test('a helper without room leaves the rest to others', async t => {
  const limits = { ...limitsOf(t), pairsMax: 4_000_000, memoryPairsMax: 4_000_000 }
  // More consumers than a helper takes, so far apart that no window serves them.
  const workers = new DigestWorkers({ readBytes: 65_536, sumThreads: 2 })
  t.teardown(() => workers.close())
  const pieces: string[] = []
  const lines = 2_500_000
  for (let i = 0; i < lines; i++) pieces.push(`${i}00000000 1`)
  const content = Buffer.from(pieces.join('\n'))
  await withFile(t, content, async file => {
    const digest = await workers.digest({ ...limits, ...file })
    t.match(digest, { lines, verdict: { ok: true, amount: BigInt(lines), largestSum: 1n } })
    if (digest.verdict.ok) t.equal(digest.verdict.sums.pairs, lines)
    await digest.discard()
  })
})

t.test('progress never goes back and ends at the end', async t => {
  const limits = limitsOf(t)
  const good = Buffer.from('12 34\n'.repeat(20_000))
  const bad = Buffer.concat([good, Buffer.from('x\n'), good])
  for (const content of [good, bad]) {
    const positions: number[] = []
    const onProgress = (position: number) => positions.push(position)
    await withFile(t, content, async file =>
      (await team.digest({ ...limits, ...file, onProgress })).discard(),
    )
    t.strictSame(
      positions,
      [...positions].sort((a, b) => a - b),
    )
    t.equal(positions.at(-1), content.length)
  }
})

t.test('an abort ends all threads, and they are ready for the next file', async t => {
  const limits = limitsOf(t)
  const content = Buffer.from('12 34\n'.repeat(200_000))
  await withFile(t, content, async file => {
    for (let round = 0; round < 10; round++) {
      const stop = new AbortController()
      const onProgress = () => stop.abort(new Error('enough'))
      const digesting = team.digest({ ...limits, ...file, signal: stop.signal, onProgress })
      await t.rejects(digesting, { message: 'enough' })
    }
    t.equal(await mismatch(await team.digest({ ...limits, ...file }), content), undefined)
  })
})

t.test('a board gives each segment to one, and knows how far all have come', async t => {
  const { lead, helps } = newTeam(2)
  const board = new SegmentBoard(lead.shared, 100)
  t.teardown(() => {
    for (const port of lead.ports) port.close()
  })
  t.equal(helps.length, 2)
  t.equal(board.claim(1), undefined, 'nothing is open')

  board.open({ startBytes: 50, endBytes: 420 })
  t.strictSame(board.claim(LEADER), { startBytes: 50, endBytes: 150 })
  t.equal(board.wasHelped, false)
  t.strictSame(board.claim(1), { startBytes: 150, endBytes: 250 })
  t.equal(board.wasHelped, true)
  t.strictSame(board.claim(LEADER), { startBytes: 250, endBytes: 350 })
  t.equal(board.reachedBytes, 150, 'the helper is still at its first')
  t.strictSame(board.claim(2), { startBytes: 350, endBytes: 420 })
  t.equal(board.claim(1), undefined)
  t.equal(board.reachedBytes, 250)
  t.equal(board.claim(LEADER), undefined)
  t.equal(board.claim(2), undefined)
  t.equal(board.reachedBytes, 420)

  board.spoil()
  board.close()
  board.open({ startBytes: 420, endBytes: 1000 })
  t.strictSame([board.isSpoiled, board.wasHelped], [false, false], 'another span, another story')
  t.strictSame(board.claim(2), { startBytes: 420, endBytes: 520 })
  board.close()
  t.equal(board.claim(1), undefined, 'closed')
  board.enter()
  let turns = 0
  board.waitUntilAlone(() => {
    if (++turns === 2) board.leave()
  })
  t.equal(turns, 2, 'it looks now and then whether it was given up')
  const seen = board.spansSeen
  board.end()
  t.equal(board.isEnded, true)
  board.waitForSpan(seen) // returns at once: this is the end
  t.equal(board.claim(1), undefined)
})
