import t from 'tap'
import {
  decodeContent,
  decodeProcessed,
  decodeQueueEntry,
  decodeState,
  encodeContent,
  encodeProcessed,
  encodeQueueEntry,
  encodeState,
  type JournalState,
  keyNumber,
  numberKey,
} from '../../../parser/journal/records.ts'
import type { ProcessedFile } from '../../../shared/protocol.ts'
import { failureOf } from '../../shared/helpers.ts'
import { digestOf, entryOf, hashOf } from './helpers.ts'

const U128_MAX = 2n ** 128n - 1n
const LONG = 'ü🚀'.repeat(50)
const sha256 = hashOf('x').toString('hex')

const processed: ProcessedFile = {
  number: 12,
  name: LONG,
  sha256,
  sizeBytes: 2 ** 53 - 1,
  lines: 2 ** 53 - 1,
  amount: String(U128_MAX),
  outcome: 'quarantined',
  reason: 'r'.repeat(300),
  claimedAtMs: Date.now(),
  digestStartedAtMs: Date.now() - 5,
  digestedAtMs: Date.now() + 2 ** 40,
  settledAtMs: Date.now() + 2 ** 41,
}
const state: JournalState = {
  epoch: 3,
  nextSequence: 2 ** 47,
  nextNumber: 9,
  ledgerUuid: '0'.repeat(36),
  rebuiltTo: 2n ** 64n - 1n,
  applied: 1,
  duplicate: 2,
  quarantined: 3,
  reverted: 0,
  held: 0,
  bytes: 2 ** 53 - 1,
  lines: 2 ** 52,
  rejectedLines: 2 ** 50,
}

t.test('records come out as they went in', async t => {
  t.same(decodeProcessed(12, encodeProcessed(processed)), processed)
  for (const outcome of ['applied', 'duplicate'] as const) {
    const { reason: _none, ...file } = { ...processed, outcome }
    t.same(decodeProcessed(12, encodeProcessed(file)), file)
    const counted = { ...file, ledgerSequence: String(2n ** 64n - 1n), usedAtMs: 2 ** 41 }
    t.same(decodeProcessed(12, encodeProcessed(counted)), counted)
    const traced = {
      ...{ ...counted, origin: '00ff'.repeat(8), publishedAtMs: file.claimedAtMs - 2 ** 40 },
      checkpoints: { count: 2 ** 40, lastAtMs: Date.now(), lastPositionBytes: 2 ** 53 - 1 },
    }
    t.same(decodeProcessed(12, encodeProcessed(traced)), traced)
    const tolerated = { ...counted, rejectedLines: 2 ** 53 - 1 }
    t.same(decodeProcessed(12, encodeProcessed(tolerated)), tolerated)
    const announced = { ...file, announcedAtMs: file.claimedAtMs - 1 }
    t.same(decodeProcessed(12, encodeProcessed(announced)), announced)
  }
  const entries = [
    entryOf(5),
    entryOf(6, { name: LONG, disposable: true, manifestProblem: 'odd' }),
    entryOf(7, { expected: { sha256, sizeBytes: 0, lines: undefined, amount: undefined } }),
    entryOf(8, {
      expected: { sha256, sizeBytes: 2 ** 53 - 1, lines: 0, amount: U128_MAX },
      stage: 'settling',
      outcome: 'duplicate',
      digest: digestOf('x', { amount: U128_MAX }),
    }),
    entryOf(8, {
      provenance: { origin: Buffer.alloc(16, 7), publishedAtMs: 5, announcedAtMs: undefined },
      checkpoints: { count: 3, lastAtMs: Date.now(), lastPositionBytes: 2 ** 53 - 1 },
    }),
    entryOf(8, {
      terms: { supersedes: sha256, parent: sha256, rejectLines: { kind: 'lines', count: 3 } },
    }),
    ...[{}, { terms: { supersedes: sha256 } }].map(asked =>
      entryOf(8, {
        ...{ stage: 'settling', outcome: 'applied', digest: digestOf('x'), ...asked },
        settledAtMs: Date.now(),
      }),
    ),
    entryOf(8, {
      provenance: { origin: undefined, publishedAtMs: undefined, announcedAtMs: Date.now() },
    }),
    entryOf(9, { stage: 'digested', digest: digestOf('x'), runName: 'f9.run' }),
    entryOf(9, {
      checkpoint: {
        ...{ positionBytes: 9, prefixSha256: hashOf('y'), resumeBytes: 2, lines: 1, amount: 1n },
        ...{
          runs: [],
          rejects: { lines: 2 ** 50, bytes: 2 ** 53, draftBytes: 7, draftCrc: 2 ** 32 - 1 },
        },
      },
    }),
    entryOf(9, { isPlain: false, identity: { ino: 2n ** 64n - 1n, mtimeNs: -(2n ** 62n) } }),
    ...[[], ['a.1.run', 'a.2.run']].map(runs =>
      entryOf(10, {
        checkpoint: {
          ...{ positionBytes: 2 ** 53 - 1, prefixSha256: hashOf('y'), resumeBytes: 2 ** 52 },
          ...{ lines: 2 ** 51, amount: U128_MAX, runs },
        },
      }),
    ),
  ]
  for (const entry of entries) {
    const decoded = decodeQueueEntry(entry.sequence, encodeQueueEntry(entry))
    t.same({ ...decoded, digest: undefined }, { ...entry, digest: undefined })
    t.equal(decoded.digest?.amount, entry.digest?.amount)
    if (entry.digest) t.ok(Buffer.from(decoded.digest!.sha256).equals(entry.digest.sha256))
  }
  const content = { applied: 2 ** 48, last: 5, claim: Date.now() }
  t.same(decodeContent(encodeContent(content)), content)
  t.same(decodeState(encodeState(state)), state)
})

t.test('what is decoded does not live in the memory of the database', async t => {
  const record = encodeQueueEntry(entryOf(1, { stage: 'digested', digest: digestOf('x') }))
  const { digest } = decodeQueueEntry(1, record)
  record.fill(0)
  t.ok(Buffer.from(digest!.sha256).equals(hashOf('x')))
  const kept = { positionBytes: 1, prefixSha256: hashOf('y'), resumeBytes: 0, lines: 0 }
  const other = encodeQueueEntry(entryOf(1, { checkpoint: { ...kept, amount: 0n, runs: [] } }))
  const { checkpoint } = decodeQueueEntry(1, other)
  other.fill(0)
  t.ok(Buffer.from(checkpoint!.prefixSha256).equals(hashOf('y')))
})

t.test('any flipped bit, any cut, and other versions are noticed', async t => {
  const record = encodeProcessed(processed)
  const unreadable = { code: 'JOURNAL_UNREADABLE', advice: String }
  for (let at = 0; at < record.length; at += 1) {
    const wrong = Buffer.from(record)
    wrong[at]! ^= 1 << (at % 8)
    t.match(await failureOf(() => decodeProcessed(12, wrong)), unreadable, `byte ${at}`)
  }
  for (const length of [0, 1, 5, 6, record.length - 1]) {
    t.match(await failureOf(() => decodeProcessed(12, record.subarray(0, length))), unreadable)
  }
})

t.test('keys sort as their numbers do', async t => {
  const numbers = [0, 1, 255, 256, 65_536, 2 ** 32, Date.now(), 2 ** 48 - 1]
  const keys = numbers.map(numberKey)
  t.same([...keys].sort(Buffer.compare), keys)
  t.same(keys.map(keyNumber), numbers)
})
