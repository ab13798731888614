import t from 'tap'
import type { Checkpoint, QueueEntry } from '../../../parser/facts.ts'
import { Journal } from '../../../parser/journal/journal.ts'
import { failureOf, tempDir } from '../../shared/helpers.ts'
import { digestOf, digestOne, entryOf, hashOf, openJournal, settlementOf } from './helpers.ts'

// What the journal keeps so that a file need not be read from its beginning, and of many at once.

const checkpointAt = (positionBytes: number): Checkpoint => ({
  ...{ positionBytes, prefixSha256: hashOf(`${positionBytes}`), resumeBytes: positionBytes - 1 },
  ...{ lines: positionBytes, amount: 2n ** 100n, runs: ['a.run', `${positionBytes}.run`] },
})

t.test('the history tells of all checkpoints', async t => {
  const path = `${tempDir(t)}/j`
  const first = openJournal(t, path)
  const provenance = { origin: Buffer.alloc(16, 7), publishedAtMs: 5, announcedAtMs: 6 }
  const claimed = entryOf(1, { provenance })
  first.claim([claimed])
  first.checkpoint(1, checkpointAt(100))
  await first.close()
  const second = openJournal(t, path)
  second.checkpoint(1, checkpointAt(200))
  const digested = digestOne(second, claimed, digestOf('x'), undefined)
  const [file] = second.settle([settlementOf(digested, 'applied')])
  const told = { origin: '07'.repeat(16), publishedAtMs: 5, announcedAtMs: 6 }
  t.match(file, { ...told, checkpoints: { count: 2, lastPositionBytes: 200 } })
  t.same(second.processed(file!.number), file)
})

t.test('the newest checkpoint counts, through a restart', async t => {
  const path = `${tempDir(t)}/j`
  const journal = Journal.open(path, 1)
  journal.claim([entryOf(1), entryOf(2)])
  journal.checkpoint(1, checkpointAt(64))
  journal.checkpoint(1, checkpointAt(128))
  await journal.close()
  const again = openJournal(t, path)
  const entry = again.queued(1)
  t.match(entry, { stage: 'claimed', checkpoint: { ...checkpointAt(128), prefixSha256: Object } })
  t.ok(hashOf('128').equals(entry!.checkpoint!.prefixSha256))
  t.equal(again.queued(2)?.checkpoint, undefined)
  const digested = digestOne(again, entry!, digestOf('x'), 'sealed.run')
  t.match(digested, { stage: 'digested', checkpoint: undefined, runName: 'sealed.run' })
  t.match(again.queued(1), { stage: 'digested', checkpoint: undefined, runName: 'sealed.run' })
})

t.test('a checkpoint of what is digested, settled or unknown is nothing', async t => {
  const journal = openJournal(t)
  journal.claim([entryOf(1), entryOf(2)])
  const digested = digestOne(journal, entryOf(1), digestOf('x'), 'x.run')
  journal.checkpoint(1, checkpointAt(64))
  t.match(journal.queued(1), { stage: 'digested', checkpoint: undefined, runName: 'x.run' })
  journal.settle([settlementOf(digested, 'applied')])
  journal.checkpoint(1, checkpointAt(64))
  t.match(journal.queued(1), { stage: 'settling', outcome: 'applied', checkpoint: undefined })
  journal.moved(1)
  journal.checkpoint(1, checkpointAt(64))
  t.equal(journal.queued(1), undefined, 'it does not come back')
  journal.checkpoint(77, checkpointAt(64))
  t.equal(journal.queued(77), undefined)
  t.same(
    [...journal.queuedFrom(0, 9)].map(({ sequence }) => sequence),
    [2],
  )
})

t.test('a file whose sums are lost is read again; its content stays claimed by it', async t => {
  const journal = openJournal(t)
  journal.claim([entryOf(1), entryOf(2)])
  const digested = digestOne(journal, entryOf(1), digestOf('x'), 'x.run')
  const claimed = journal.undigest(digested)
  const digest = { sha256: hashOf('x') }
  const expected = { stage: 'claimed', digest, runName: undefined, name: 'f1' }
  t.match(claimed, expected)
  t.match(journal.queued(1), expected)
  t.match(journal.content(hashOf('x')), { claim: 1 })
  journal.checkpoint(1, checkpointAt(64))
  t.match(journal.queued(1), { checkpoint: { positionBytes: 64 } }, 'and has checkpoints again')
  digestOne(journal, journal.queued(1)!, digestOf('x'), undefined)
  digestOne(journal, entryOf(2), digestOf('x'), undefined)
  t.same(journal.content(hashOf('x')), { applied: 0, last: 0, claim: 1 })
})

t.test(
  'a file that is found to be another than before claims the first content no longer',
  async t => {
    const journal = openJournal(t)
    journal.claim([entryOf(1), entryOf(2)])
    const again = journal.undigest(digestOne(journal, entryOf(1), digestOf('x'), 'x.run'))
    journal.settle([settlementOf({ ...again, digest: digestOf('y') }, 'quarantined')])
    t.match(journal.content(hashOf('x')), { claim: 0 })
    const changed = digestOne(journal, entryOf(2), digestOf('z'), undefined)
    journal.settle([settlementOf(changed, 'quarantined')])
    t.match(journal.content(hashOf('z')), { claim: 0 })
  },
)

t.test('many settlements are one commit: numbers in order, all or nothing', async t => {
  const path = `${tempDir(t)}/j`
  const journal = Journal.open(path, 1)
  const entries: QueueEntry[] = [1, 2, 3, 4].map(sequence => entryOf(sequence))
  journal.claim(entries)
  const digested = entries.map((entry, i) =>
    // Two of them have one content.
    digestOne(journal, entry, digestOf(i === 3 ? 't0' : `t${i}`), `${i}.run`),
  )
  const outcomes = ['applied', 'quarantined', 'applied', 'duplicate'] as const
  const settlements = digested.map((entry, i) =>
    settlementOf(entry, outcomes[i]!, { reason: `r${i}` }),
  )
  const bad = settlementOf({ ...digested[0]!, sequence: -1 }, 'applied')
  const before = { ...journal.state }
  t.match(await failureOf(() => journal.settle([...settlements, bad])), { code: 'JOURNAL_FAILED' })
  t.same(journal.state, before)
  t.equal(journal.processed(1), undefined)
  t.match(journal.sinceStart, { applied: 0, duplicate: 0, quarantined: 0 })
  t.match(journal.queued(1), { stage: 'digested' })

  const files = journal.settle(settlements)
  t.match(
    files,
    outcomes.map((outcome, i) => ({ number: i + 1, name: `f${i + 1}`, outcome, reason: `r${i}` })),
  )
  for (const [i, outcome] of outcomes.entries()) {
    t.match(journal.queued(i + 1), { stage: 'settling', outcome, runName: undefined })
  }
  t.same(journal.content(hashOf('t0')), { applied: 1, last: 4, claim: 0 })
  t.same(journal.content(hashOf('t1')), { applied: 0, last: 2, claim: 0 })
  const counts = {
    applied: 2,
    duplicate: 1,
    quarantined: 1,
    reverted: 0,
    held: 0,
    bytes: 20,
    lines: 4,
    rejectedLines: 0,
  }
  t.same(journal.sinceStart, counts)
  t.same(journal.settle([]), [])
  await journal.close()
  const again = openJournal(t, path)
  t.same(again.ever, counts)
  t.same(
    [1, 2, 3, 4, 5].map(number => again.processed(number)),
    [...files, undefined],
  )
})

t.test('sequences that are in no commit are told from those that are', async t => {
  const path = `${tempDir(t)}/j`
  const journal = Journal.open(path, 100)
  t.equal(journal.firstUncommittedSequence, 100)
  journal.skipSequences(109)
  t.same([journal.nextSequence, journal.firstUncommittedSequence], [110, 100])
  journal.claim([entryOf(105)])
  t.same([journal.nextSequence, journal.firstUncommittedSequence], [110, 110])
  journal.skipSequences(119)
  await failureOf(() => journal.claim([entryOf(-1)]))
  t.equal(journal.firstUncommittedSequence, 110, 'a commit that failed is none')
  await journal.close()
  const again = openJournal(t, path, 5)
  t.same([again.nextSequence, again.firstUncommittedSequence], [110, 110])
})

t.test('a long queue is walked in slices, with others in between', async t => {
  const journal = openJournal(t)
  journal.claim(Array.from({ length: 1_000 }, (_, i) => entryOf(i + 1)))
  journal.settle([settlementOf(entryOf(1_000), 'duplicate')])
  const found: number[] = []
  let slices = 0
  let turns = 0
  const count = (): void => {
    turns += 1
    if (found.length < 999) setImmediate(count)
  }
  setImmediate(count)
  for await (const slice of journal.queueInSlices()) {
    slices += 1
    found.push(...slice.map(({ sequence }) => sequence))
    // What is settled meanwhile is not met any more.
    if (slices === 1) journal.moved(1_000)
    if (slices === 2) journal.checkpoint(1, checkpointAt(64))
  }
  t.same(
    found,
    Array.from({ length: 999 }, (_, i) => i + 1),
  )
  t.ok(slices > 4 && turns >= slices - 1, `${slices} slices, ${turns} turns`)
})
