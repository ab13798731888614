import { closeSync, fstatSync, openSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { DigestWorkers } from '../../../parser/digest/digest.ts'
import { type Expected, NO_HASH, type QueueEntry } from '../../../parser/facts.ts'
import { type FileRead, Judge } from '../../../parser/reading/judge.ts'
import { identityOf } from '../../../shared/file-identity.ts'
import { REJECT_NONE } from '../../../shared/reject-limit.ts'
import { limitsOf, pairsOf, runsDirectoryOf } from '../digest/fixtures/files.ts'
import { sha256 } from '../helpers.ts'
import { digestOf, entryOf, hashOf, openJournal, process as processed } from '../journal/helpers.ts'

// Verdicts on files that were really read; the journal is a real one.

const workers = new DigestWorkers({ sumThreads: 1 })
t.teardown(() => workers.close())

const LATER = new Date('2026-01-01T00:00:00Z')

/** Reads a file of this text, claimed as these facts say, with its sums sealed in a run. */
async function read(t: Test, text: string, facts: Partial<QueueEntry> = {}, runs?: string) {
  const limits = limitsOf(t)
  const path = join(t.testdirName, 'data')
  writeFileSync(path, text)
  const fd = openSync(path, 'r')
  const sizeBytes = Buffer.byteLength(text)
  const entry = entryOf(facts.sequence ?? 1, { sizeBytes, ...facts })
  const digest = await workers.digest({
    ...{ ...limits, fd, sizeBytes, memoryPairsMax: 0, runsPrefix: `work-${entry.sequence}` },
    ...(runs === undefined ? {} : { runsDirectory: runs }),
  })
  const identity = identityOf(fstatSync(fd, { bigint: true }))
  closeSync(fd)
  return { entry, read: { digest, identity }, startedAtMs: 1 } satisfies FileRead
}

const expected = (text: string, more: Partial<Expected> = {}): Expected => ({
  ...{ sha256: sha256(text), sizeBytes: Buffer.byteLength(text), lines: 1, amount: 2n },
  ...more,
})

t.test('in their order: what is new is claimed, what is not is let go of', async t => {
  const runs = runsDirectoryOf(t)
  const journal = openJournal(t)
  processed(journal, 1, '7 5\n')
  const files = [
    await read(t, '1 2\n', { sequence: 2 }, runs),
    await read(t, '7 5\n', { sequence: 3 }, runs),
    await read(t, 'x\n', { sequence: 4 }, runs),
    await read(t, '3 4\n3 5\n', { sequence: 5 }, runs),
  ]
  journal.claim(files.map(({ entry }) => entry))
  const verdicts = await new Judge(journal, {
    unterminated: 'quarantine',
    rejectLines: REJECT_NONE,
  }).judge(files)
  t.match(verdicts, [
    { kind: 'count', entry: { sequence: 2, stage: 'digested' }, largestSum: 2n },
    { kind: 'duplicate', entry: { sequence: 3, stage: 'claimed' } },
    {
      kind: 'quarantine',
      entry: { sequence: 4 },
      reason: { text: /line 1/ },
      evidence: { line: 1 },
    },
    {
      ...{ kind: 'count', largestSum: 9n, entry: { sequence: 5, stage: 'digested' } },
      digest: { sha256: hashOf('3 4\n3 5\n'), lines: 2, amount: 9n, startedAtMs: 1 },
    },
  ])
  for (const verdict of verdicts) {
    const { sequence } = verdict.entry
    t.equal(journal.queued(sequence)?.stage, verdict.entry.stage, `${sequence} in the journal`)
    if (verdict.kind !== 'count') continue
    t.same(verdict.entry.identity, files[sequence - 2]?.read.identity, 'as it was when it was read')
    t.equal(journal.content(verdict.digest.sha256)?.claim, sequence)
    await verdict.sums.close()
  }
  const kept = verdicts.map(({ entry }) => entry.runName).filter(name => name !== undefined)
  t.equal(kept.length, 2)
  t.same(readdirSync(runs).sort(), kept.sort(), 'runs of the others are gone')
})

t.test('of two equal contents the first has the claim, and both are handed on', async t => {
  const journal = openJournal(t)
  const files = [await read(t, '1 2\n', { sequence: 1 }), await read(t, '1 2\n', { sequence: 2 })]
  journal.claim(files.map(({ entry }) => entry))
  const verdicts = await new Judge(journal, {
    unterminated: 'quarantine',
    rejectLines: REJECT_NONE,
  }).judge(files)
  t.match(verdicts, [{ kind: 'count' }, { kind: 'count' }])
  t.equal(journal.content(hashOf('1 2\n'))?.claim, 1)
  for (const verdict of verdicts) {
    if (verdict.kind !== 'count') continue
    t.same(await pairsOf(verdict.sums), [[1n, 2n]])
    await verdict.sums.close()
  }
})

t.test('a file that changed whenever it was read has no hash but the one it had', async t => {
  const judge = new Judge(openJournal(t), { unterminated: 'quarantine', rejectLines: REJECT_NONE })
  const known = digestOf('known')
  const [fresh, again] = await judge.judge(
    [entryOf(1), entryOf(2, { digest: known })].map(entry => ({
      ...{ entry, read: undefined, startedAtMs: 1 },
    })),
  )
  const text = /^10 bytes were claimed; it changed twice/
  const reason = { code: 'CHANGED_AFTER_CLAIM', text }
  t.match(fresh, { kind: 'quarantine', reason, digest: { sha256: NO_HASH } })
  t.match(again, { kind: 'quarantine', reason, digest: { sha256: known.sha256 } })
})

interface Objected {
  readonly text?: string
  readonly facts: Partial<QueueEntry>
  /** undefined: nothing speaks against it. */
  readonly reason: { readonly code: string; readonly text: RegExp } | undefined
  readonly unterminated?: 'accept'
}

const OBJECTIONS: Readonly<Record<string, Objected>> = {
  'a good file': { facts: {}, reason: undefined },
  'all as announced': { facts: { expected: expected('1 2\n') }, reason: undefined },
  'another size than was claimed': {
    facts: { sizeBytes: 9 },
    reason: { code: 'CHANGED_AFTER_CLAIM', text: /9 bytes were claimed, now it has 4/ },
  },
  'another size than was claimed, and its maker says that this is it': {
    facts: { sizeBytes: 9, expected: expected('1 2\n') },
    reason: undefined,
  },
  'another time than when it was claimed': {
    facts: { identity: { ino: 1n, mtimeNs: BigInt(LATER.getTime()) * 1_000_000n } },
    reason: {
      code: 'CHANGED_AFTER_CLAIM',
      text: /when it was claimed .* 2026-01-01T00:00:00.000Z/,
    },
  },
  'another content than before': {
    facts: { digest: digestOf('before') },
    reason: { code: 'CHANGED_AFTER_CLAIM', text: /its sha256 was/ },
  },
  'the same content as before, at another time': {
    facts: { digest: digestOf('1 2\n'), identity: { ino: 1n, mtimeNs: 1n } },
    reason: undefined,
  },
  'a manifest that cannot be used, before what it says': {
    facts: { manifestProblem: 'no JSON', expected: expected('other\n') },
    reason: { code: 'MANIFEST_INVALID', text: /no JSON/ },
  },
  'announced of another size': {
    facts: { expected: expected('1 2\n', { sizeBytes: 5 }) },
    reason: { code: 'MANIFEST_MISMATCH', text: /size is 4, announced were 5/ },
  },
  'announced of another content': {
    facts: { expected: expected('1 3\n') },
    reason: { code: 'MANIFEST_MISMATCH', text: /sha256 is/ },
  },
  'announced of more lines': {
    facts: { expected: expected('1 2\n', { lines: 2 }) },
    reason: { code: 'MANIFEST_MISMATCH', text: /lines are 1, announced were 2/ },
  },
  'announced of a larger amount': {
    facts: { expected: expected('1 2\n', { amount: 3n }) },
    reason: { code: 'MANIFEST_MISMATCH', text: /amount is 2, announced was 3/ },
  },
  'announced without lines and amount': {
    facts: { expected: expected('1 2\n', { lines: undefined, amount: undefined }) },
    reason: undefined,
  },
  'a bad line, before the lines that were announced': {
    ...{ text: '1 2\nx\n', facts: { expected: expected('1 2\nx\n', { lines: 9 }) } },
    reason: { code: 'ID_NOT_DIGITS', text: /line 2.*"x"/ },
  },
  'no line end': {
    text: '1 2',
    facts: {},
    reason: { code: 'UNTERMINATED', text: /the last line/ },
  },
  'no line end, and vouched for': {
    ...{ text: '1 2', facts: { expected: expected('1 2') }, reason: undefined },
  },
  'no line end, and accepted': {
    ...{ text: '1 2', facts: {}, unterminated: 'accept', reason: undefined },
  },
  'an empty file': { text: '', facts: {}, reason: { code: 'UNTERMINATED', text: /it is empty/ } },
}

t.test('what is objected, the most basic first', async t => {
  for (const [name, { text = '1 2\n', facts, reason, unterminated }] of Object.entries(
    OBJECTIONS,
  )) {
    const journal = openJournal(t)
    const file = await read(t, text, facts)
    journal.claim([file.entry])
    const judge = new Judge(journal, {
      unterminated: unterminated ?? 'quarantine',
      rejectLines: REJECT_NONE,
    })
    const [verdict] = await judge.judge([file])
    if (reason === undefined) t.match(verdict, { kind: 'count' }, name)
    else t.match(verdict, { kind: 'quarantine', reason }, name)
    t.equal(verdict?.digest.sizeBytes, Buffer.byteLength(text))
    if (verdict?.kind === 'count') await verdict.sums.close()
    await journal.close()
  }
})
