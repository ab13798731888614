import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { BatchMaker } from '../../../parser/counting/batch-maker.ts'
import { BatchResumer } from '../../../parser/counting/batch-resumer.ts'
import { CountingStage } from '../../../parser/counting/counting-stage.ts'
import { Refuser } from '../../../parser/counting/refuser.ts'
import { DigestWorkers } from '../../../parser/digest/digest.ts'
import { DiskWatch } from '../../../parser/disk-watch.ts'
import { QueueTally } from '../../../parser/intake/queue-tally.ts'
import { OwnDirectories } from '../../../parser/own-directories.ts'
import type { Verdict } from '../../../parser/reading/verdict.ts'
import { ArchiveLimit } from '../../../parser/settling/archive-limit.ts'
import { GrowthWatch } from '../../../parser/settling/growth-watch.ts'
import { Settler } from '../../../parser/settling/settler.ts'
import type { Sums } from '../../../parser/sums/sums.ts'
import { CountersinkError } from '../../../shared/errors.ts'
import { deferred, Handoff } from '../../../shared/handoff.ts'
import { workName } from '../../../shared/paths.ts'
import { eventually, failureOf } from '../../shared/helpers.ts'
import { drop, eventsToldTo, manifestOf, openScene } from '../helpers.ts'
import { digestOf, entryOf } from '../journal/helpers.ts'
import {
  asTotals,
  batchFor,
  openLedgerScene,
  type Pairs,
  pairSource,
  startServer,
} from '../ledger/helpers.ts'

const server = await startServer(t)

/** The stage alone, on a real journal and a real ledger; what it hands back is written down. */
async function scene(t: Test, filesMax = 100) {
  const { paths, journal, log } = openScene(t)
  const env = { COUNTERSINK_CHUNK_PAIRS_MAX: '1' }
  const ledgerScene = await openLedgerScene(t, await server.database(), { env })
  const { ledger, config, totals, rows, abort } = ledgerScene
  await ledger.open()
  const events = eventsToldTo(log)
  const stop = new AbortController()
  const { signal } = stop
  const disk = new DiskWatch({ directories: [], reserveBytes: 0, events })
  const growth = new GrowthWatch({ paths, journal, log })
  const maker = new BatchMaker({ runsDirectory: paths.parser, chunkPairsMax: 1 })
  const settler = new Settler({
    ...{ paths, journal, growth, disk, events, signal, log },
    ...{ queue: new QueueTally(), directories: new OwnDirectories(paths, events, log) },
    archiveLimit: await ArchiveLimit.open(paths.archiveDisposable, 1_000, log),
  })
  const input = new Handoff<Verdict>(1_000)
  const readAgain: number[] = []
  const steppedBack: string[] = []
  const closed: string[] = []
  const stage = new CountingStage({
    ...{ input, journal, ledger, settler, maker, disk, growth, filesMax, log },
    resumer: new BatchResumer({
      ...{ paths, config, journal, ledger, maker, log },
      newWorkers: () => new DigestWorkers({ sumThreads: 1 }),
    }),
    refuser: new Refuser({ journal, ledger }),
    readAgain: sequence => readAgain.push(sequence),
    stepBack: ({ name }) => steppedBack.push(name),
    onNamesakes: () => {},
  })
  const outcomes: Record<string, string> = {}
  const stages: Record<string, object> = {}
  events.on('settled', ({ file, stages: took }) => {
    outcomes[file.name] = file.outcome
    stages[file.name] = took
  })
  const running = stage.run(signal)
  t.teardown(async () => {
    stop.abort(new Error('stopped'))
    await running
  })
  return {
    ...{ paths, journal, ledger, stage, totals, rows, readAgain, steppedBack, closed },
    ...{ outcomes, stages, input, events, running },
    /** As the parser does: what is in hand ends between two chunks. */
    stop(): void {
      const reason = new Error('stopped')
      stop.abort(reason)
      abort.abort(reason)
    },
    /** A file in work/ that was read, with these sums. */
    read(name: string, pairs: Pairs, sums: Partial<Verdict & { kind: 'count' }> = {}): Verdict {
      const sequence = journal.nextSequence
      const claimed = entryOf(sequence, { name })
      drop(paths.work, workName(sequence, name), '0123456789', manifestOf('0123456789'))
      journal.claim([claimed])
      const amount = pairs.reduce((sum, [, one]) => sum + one, 0n)
      const digest = digestOf(name, { amount })
      const [entry] = journal.digested([{ entry: claimed, digest, runName: undefined }])
      const source = pairSource(pairs)
      const close = async () => void closed.push(name)
      const largestSum = pairs.reduce((most, [, one]) => (one > most ? one : most), 0n)
      return {
        ...{ kind: 'count', entry: entry!, digest, largestSum },
        ...{ sums: { ...source, close } },
        ...sums,
      }
    },
    async hand(...verdicts: readonly Verdict[]): Promise<void> {
      for (const verdict of verdicts) await input.put(verdict, signal)
    },
    settled: (count: number) =>
      eventually(`${count} are settled`, () => Object.keys(outcomes).length >= count),
  }
}

const A: Pairs = [
  [1n, 5n],
  [2n, 6n],
]

t.test('what waits together is counted in one batch, and settled', async t => {
  const { read, hand, settled, totals, rows, outcomes, stages, closed } = await scene(t)
  await hand(read('a', A), read('b', [[2n, 1n]]), read('c', [[9n, 9n]]))
  await settled(3)
  t.same(outcomes, { a: 'applied', b: 'applied', c: 'applied' })
  t.same(await totals(), { 1: '5', 2: '7', 9: '9' })
  t.equal(await rows('file'), 3)
  t.ok((await rows('batch')) <= 2, 'whatever waits while a batch is applied goes into the next')
  t.same([...closed].sort(), ['a', 'b', 'c'], 'their sums are let go of')
  for (const took of Object.values(stages)) {
    t.match(took, { queuedMs: Number, readMs: Number, waitedMs: Number, countMs: Number })
  }
})

t.test('the ledger decides what the journal calls counted', async t => {
  const { read, hand, settled, outcomes, ledger, journal, readAgain } = await scene(t)
  const here = read('here', A)
  await ledger.apply(batchFor(A, { sha256: here.digest.sha256, workSequence: 5 }))
  const absent = read('absent', A)
  const { entry, digest } = absent
  const facts = { ...digest, sha256: Buffer.from(digest.sha256).toString('hex'), amount: '11' }
  journal.learn([
    {
      ...{ ...facts, name: 'once', outcome: 'applied', claimedAtMs: 1, settledAtMs: 1 },
      ...{ digestStartedAtMs: 1, digestedAtMs: 1 },
    },
  ])
  await hand(here, { kind: 'duplicate', entry, digest })
  await settled(1)
  t.same(outcomes, { here: 'duplicate' })
  await eventually('it is read again', () => readAgain.length > 0)
  t.same(readAgain, [entry.sequence])
  t.equal(journal.content(digest.sha256)?.applied, 0, 'and called counted no longer')
})

t.test('a content in the batch of somebody else waits, and others go on', async t => {
  const { read, hand, settled, outcomes, stage, ledger, closed } = await scene(t)
  const waiting = read('waiting', A)
  const theirs = batchFor(A, { sha256: waiting.digest.sha256, workSequence: 5 })
  const dies = (chunk: number): void => {
    if (chunk === 1) throw new Error('the process ends')
  }
  await failureOf(ledger.apply({ ...theirs, sums: pairSource(A, dies) }))
  await hand(waiting, read('other', [[9n, 9n]]))
  await settled(1)
  t.same(outcomes, { other: 'applied' })
  t.match(stage.reason, /^1 wait until a batch is finished/)
  t.ok(closed.includes('waiting'), 'it holds no sums meanwhile')
  await ledger.apply(theirs, true)
  await settled(2)
  t.same(outcomes, { other: 'applied', waiting: 'duplicate' })
  t.equal(stage.reason, undefined)
})

t.test('a file for whose sums there is no room steps back, and others go on', async t => {
  const { read, hand, settled, outcomes, steppedBack, totals } = await scene(t)
  const full: Pairs = [[3n, 3n]]
  const sums = {
    ...pairSource([...full, [4n, 4n]]),
    // biome-ignore lint/correctness/useYield: there is no room before the first.
    async *chunks() {
      throw new CountersinkError('DISK_FULL', 'no room')
    },
  }
  await hand(read('large', full, { sums }), read('a', A))
  await settled(1)
  await eventually('it steps back', () => steppedBack.length > 0)
  t.same([outcomes, steppedBack], [{ a: 'applied' }, ['large']])
  t.same(await totals(), asTotals(A))
})

t.test('one that is not any more what was read is quarantined', async t => {
  const { read, hand, settled, outcomes, paths, totals, journal } = await scene(t)
  const changed = read('changed', A)
  const { sequence, name } = changed.entry
  writeFileSync(join(paths.work, workName(sequence, name)), 'longer than it was')
  await hand(changed)
  await settled(1)
  t.same(outcomes, { changed: 'quarantined' })
  t.match(journal.processed(1), {
    reason: /^CHANGED_AFTER_CLAIM: 10 bytes were read, now it has 18/,
  })
  t.same(await totals(), {})
})

t.test('a stop lets go of all sums, in hand and not yet taken', async t => {
  const { read, hand, closed, outcomes, stop, running, journal } = await scene(t)
  const asked = deferred()
  const goesOn = deferred()
  const close = async () => void closed.push('held')
  const held = read('held', A, {
    sums: {
      ...{ ...pairSource(A), close },
      async *chunks(...which: Parameters<Sums['chunks']>) {
        asked.resolve()
        await goesOn.promise
        yield* pairSource(A).chunks(...which)
      },
    },
  })
  await hand(held)
  await asked.promise
  const late = read('late', [[9n, 9n]])
  await hand(late)
  stop()
  goesOn.resolve()
  await running
  t.same([...closed].sort(), ['held', 'late'])
  t.same(outcomes, {})
  for (const { entry } of [held, late]) {
    t.match(journal.queued(entry.sequence), { stage: 'digested' }, 'the next start goes on')
  }
})
