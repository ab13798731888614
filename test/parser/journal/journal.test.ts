import { rmSync } from 'node:fs'
import { open } from 'lmdb'
import t from 'tap'
import { Journal } from '../../../parser/journal/journal.ts'
import { readJournal } from '../../../parser/journal/reading.ts'
import { numberKey } from '../../../parser/journal/sealed-record.ts'
import { failureOf, runModule, tempDir } from '../../shared/helpers.ts'
import { process as bring, digestOf, digestOne, entryOf, hashOf, openJournal } from './helpers.ts'

t.test('a journal counts from the clock on, at each start, and never backwards', async t => {
  const path = `${tempDir(t)}/j`
  const first = Journal.open(path, 1_700_000_000_000)
  t.ok(first.isNew)
  t.equal(first.nextSequence, 1_700_000_000_000)
  t.match(first.state, { epoch: 1, nextNumber: 1, ledgerUuid: '', rebuiltTo: 0n })
  first.claim([entryOf(1_700_000_000_000), entryOf(1_700_000_000_005)])
  t.equal(first.nextSequence, 1_700_000_000_006)
  await first.close()
  const second = Journal.open(path, 5)
  t.notOk(second.isNew)
  t.equal(second.nextSequence, 1_700_000_000_006, 'whatever the clock says')
  t.equal(second.state.epoch, 2)
  second.skipSequences(5)
  t.equal(second.nextSequence, 1_700_000_000_006)
  second.skipSequences(1_700_000_000_100)
  t.equal(second.nextSequence, 1_700_000_000_101)
  await second.close()
  t.equal(openJournal(t, path, 1_900_000_000_000).nextSequence, 1_900_000_000_000)
})

t.test('from the claim to the end', async t => {
  const path = `${tempDir(t)}/j`
  const journal = Journal.open(path, 100)
  journal.claim([entryOf(100), entryOf(101, { name: 'ü' })])
  t.match(journal.queued(101), { name: 'ü', stage: 'claimed' })
  const entry = digestOne(journal, entryOf(100), digestOf('x'), 'x.run')
  t.match(journal.queued(100), {
    stage: 'digested',
    digest: { lines: 2, amount: 5n },
    runName: 'x.run',
  })
  t.same(journal.content(hashOf('x')), { applied: 0, last: 0, claim: 100 })
  digestOne(journal, entryOf(101), digestOf('x'), undefined)
  t.match(journal.content(hashOf('x')), { claim: 100 }, 'the first claim stays')
  const facts = {
    ...{ sha256: hashOf('x').toString('hex'), sizeBytes: 10, lines: 2, amount: '5' },
    ...{ digestStartedAtMs: 1, digestedAtMs: 2, settledAtMs: 3 },
  }
  const [file] = journal.settle([
    { entry, outcome: 'applied', facts: { ...facts, ledgerSequence: '44' } },
  ])
  t.match(file, { number: 1, name: 'f100', outcome: 'applied', claimedAtMs: entry.claimedAtMs })
  t.match(journal.queued(100), { stage: 'settling', outcome: 'applied', runName: undefined })
  t.same(journal.content(hashOf('x')), { applied: 1, last: 1, claim: 0 })
  journal.moved(100)
  t.ok(journal.queued(100), 'forgotten with the next commit')
  const late = { entry: entryOf(101), outcome: 'duplicate' } as const
  journal.settle([{ ...late, facts: { ...facts, reason: 'r' } }])
  t.equal(journal.queued(100), undefined)
  t.same(journal.content(hashOf('x')), { applied: 1, last: 2, claim: 0 })
  const counts = {
    ...{ applied: 1, duplicate: 1, quarantined: 0, reverted: 0, held: 0 },
    ...{ bytes: 10, lines: 2, rejectedLines: 0 },
  }
  t.same(journal.sinceStart, counts)
  t.same(journal.ever, counts)
  t.match(journal.newestApplied(5), [{ number: 1, ledgerSequence: '44' }])
  journal.moved(101)
  await journal.close()

  const again = openJournal(t, path)
  t.equal(again.queued(101), undefined, 'the close made the last move durable')
  t.same(again.ever, counts)
  t.same(again.sinceStart, {
    applied: 0,
    duplicate: 0,
    quarantined: 0,
    reverted: 0,
    held: 0,
    bytes: 0,
    lines: 0,
    rejectedLines: 0,
  })
  t.same(again.processed(1), file)
  t.match(again.processed(2), { reason: 'r', outcome: 'duplicate' })
  t.equal(again.processed(3), undefined)
  t.same(again.newestApplied(5), [file])
})

t.test('the queue in the order of sequences', async t => {
  const journal = openJournal(t)
  journal.claim([300, 5, 70_000, 256].map(sequence => entryOf(sequence)))
  const sequences = (from: number, limit: number): number[] =>
    [...journal.queuedFrom(from, limit)].map(entry => entry.sequence)
  t.same(sequences(0, 10), [5, 256, 300, 70_000])
  t.same(sequences(256, 2), [256, 300])
  t.same(sequences(70_001, 5), [])
})

t.test('a commit is whole or nothing', async t => {
  const journal = openJournal(t)
  const error = await failureOf(() => journal.claim([entryOf(7), entryOf(-1)]))
  t.match(error, { code: 'JOURNAL_FAILED' })
  t.equal(journal.queued(7), undefined)
})

t.test('made again from the ledger', async t => {
  const journal = openJournal(t)
  const row = bring(journal, journal.nextSequence, 'own')
  const { number: _number, ...facts } = row
  const others = ['a', 'b'].map(text => ({ ...facts, sha256: hashOf(text).toString('hex') }))
  journal.learn(others, 9n)
  journal.bindLedger('u'.repeat(36))
  t.match(journal.state, { rebuiltTo: 9n, ledgerUuid: 'u'.repeat(36), nextNumber: 4 })
  t.same(journal.content(hashOf('b')), { applied: 3, last: 3, claim: 0 })
  t.match(journal.ever, { applied: 3, bytes: 30, lines: 6 })
  t.match(journal.sinceStart, { applied: 1 })
  journal.learn([{ ...facts, sha256: hashOf('c').toString('hex') }])
  t.match(journal.state, { rebuiltTo: 9n, nextNumber: 5 }, 'more of it later')
  journal.unlearn(hashOf('b'))
  t.same(journal.content(hashOf('b')), { applied: 0, last: 3, claim: 0 }, 'to be counted again')
  journal.unlearn(hashOf('never seen'))
  t.equal(journal.content(hashOf('never seen')), undefined)
})

t.test('a restored journal gives no sequence a second time', async t => {
  const path = `${tempDir(t)}/j`
  const first = Journal.open(path, 1_000)
  first.claim([entryOf(1_000)])
  await first.close()
  const restored = openJournal(t, path, 5_000)
  t.equal(restored.nextSequence, 5_000, 'it goes on from the clock')
  t.equal(restored.recordedSequence, 1_001, 'what it cannot know begins here')
  t.equal(openJournal(t, `${tempDir(t)}/j`, 7).recordedSequence, 0)
})

t.test('a second owner in another process: the first ends at its next commit', async t => {
  const path = `${tempDir(t)}/j`
  const journal = openJournal(t, path)
  journal.claim([entryOf(1)])
  const child = runModule(
    t,
    `import { Journal } from '@/parser/journal/journal.ts'
     const journal = Journal.open('${path}')
     console.log('epoch', journal.state.epoch, journal.queued(1)?.name)
     process.stdin.once('data', async () => {
       journal.bindLedger('mine')
       await journal.close()
       process.exit(0)
     })`,
  )
  await child.says('epoch 2 f1')
  for (const commit of [
    () => journal.assertOwner(),
    () => journal.claim([entryOf(2)]),
    () => digestOne(journal, entryOf(1), digestOf('x'), undefined),
    () => journal.bindLedger('not mine'),
  ]) {
    t.match(await failureOf(commit), { code: 'OWNERSHIP_LOST', exitCode: 78 })
  }
  child.process.stdin?.write('go\n')
  t.match(await child.ended, { code: 0 }, child.err())
  const state = await readJournal(path, (view, state) => ({ ...state, two: view.queued(2) }))
  t.match(state, { ledgerUuid: 'mine', epoch: 2, two: undefined }, 'nothing of the first came in')
})

t.test('deleted or replaced under its owner', async t => {
  const path = `${tempDir(t)}/j`
  const journal = openJournal(t, path)
  journal.claim([entryOf(1)])
  rmSync(path, { recursive: true })
  t.match(await failureOf(() => journal.claim([entryOf(2)])), { code: 'JOURNAL_FAILED' })
  const successor = openJournal(t, path)
  t.ok(successor.isNew)
  t.match(await failureOf(() => journal.claim([entryOf(3)])), { code: 'JOURNAL_FAILED' })
  successor.claim([entryOf(4)])
})

t.test('a garbled record is noticed, a garbled file too', async t => {
  const path = `${tempDir(t)}/j`
  const journal = Journal.open(path, 10)
  bring(journal, 10, 'x')
  await journal.close()
  const root = open({ path, maxDbs: 4, encoding: 'binary', keyEncoding: 'binary' })
  const table = root.openDB<Buffer, Buffer>({
    ...{ name: 'processed', encoding: 'binary', keyEncoding: 'binary' },
  })
  const record = Buffer.from(table.get(numberKey(1))!)
  record[record.length - 1]! ^= 1
  await table.put(numberKey(1), record)
  await root.close()
  const again = openJournal(t, path)
  t.match(await failureOf(() => again.processed(1)), { code: 'JOURNAL_UNREADABLE' })
  t.match(await failureOf(() => again.answer({ kind: 'after', number: 0 })), {
    code: 'JOURNAL_UNREADABLE',
    advice: String,
  })
})
