import {
  appendFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { DiskWatch } from '../../../parser/disk-watch.ts'
import type { QueueEntry } from '../../../parser/facts.ts'
import { OwnDirectories } from '../../../parser/own-directories.ts'
import { FileReader } from '../../../parser/reading/file-reader.ts'
import type { Verdict } from '../../../parser/reading/verdict.ts'
import { readConfig } from '../../../shared/config.ts'
import { workName } from '../../../shared/paths.ts'
import { failureOf } from '../../shared/helpers.ts'
import { pairsOf } from '../digest/fixtures/files.ts'
import { eventsToldTo, openScene } from '../helpers.ts'
import { entryOf, hashOf, process as processed } from '../journal/helpers.ts'

// Files in work/ to verdicts, with a real journal, real threads and real runs.

const CONSUMERS = 100

/** Lines of these consumers in turn, each with an amount of one. */
function linesOf(bytes: number): string {
  const turn = Array.from({ length: CONSUMERS }, (_, n) => `${n} 1\n`).join('')
  return turn.repeat(Math.ceil(bytes / turn.length))
}

/** The sums of such lines. */
function pairsIn(text: string): [bigint, bigint][] {
  const turns = BigInt((text.split('\n').length - 1) / CONSUMERS)
  return Array.from({ length: CONSUMERS }, (_, n) => [BigInt(n), turns])
}

/** Beyond what is read together with others. */
const LARGE = linesOf(200_000)

// One reader for all: its threads take long to start with the test runner's loader.
const { paths, journal, log } = openScene(t)
mkdirSync(paths.runs)
const MEMORY_PAIRS_MAX = 10
const CHECKPOINT_BYTES = 1_000_000
let onProgress = (): void => {}
const events = eventsToldTo(log)
for (const one of ['reading', 'checkpointed'] as const) events.on(one, () => onProgress())
const reader = new FileReader({
  ...{ paths, journal, log, events, isDecidedByRow: () => false, sumBytesMax: 16 * 2 ** 20 },
  directories: new OwnDirectories(paths, events, log),
  config: {
    ...{ ...readConfig({}), sumThreads: 1 },
    ...{ memoryPairsMax: MEMORY_PAIRS_MAX, checkpointBytes: CHECKPOINT_BYTES },
  },
  disk: new DiskWatch({ directories: [], reserveBytes: 0, events }),
})
t.teardown(() => reader.close())
t.beforeEach(() => {
  log.lines.length = 0
  onProgress = () => {}
})

const pathOf = ({ sequence, name }: QueueEntry) => join(paths.work, workName(sequence, name))

/** A file of this text in work/, under the next sequence. */
function claimed(text: string): QueueEntry {
  const entry = entryOf(journal.nextSequence, { sizeBytes: Buffer.byteLength(text) })
  writeFileSync(pathOf(entry), text)
  journal.claim([entry])
  return entry
}

async function read(t: Test, entries: readonly QueueEntry[]): Promise<Verdict[]> {
  const { verdicts, left } = await reader.read(entries, new AbortController().signal)
  t.equal(left, undefined)
  t.equal(reader.reading, undefined, 'nothing is being read any more')
  return verdicts
}

const inJournal = ({ sequence }: QueueEntry) => journal.queued(sequence)!
const runsOf = ({ sequence }: QueueEntry) =>
  readdirSync(paths.runs).filter(name => name.startsWith(workName(sequence, 'sums')))

/** The sums of a file that is to be counted; they are let go of. */
async function countedOf(verdict: Verdict | undefined): Promise<[bigint, bigint][]> {
  if (verdict?.kind !== 'count') throw new Error(`it is not counted: ${verdict?.kind}`)
  const pairs = await pairsOf(verdict.sums)
  await verdict.sums.close()
  return pairs
}

t.test('verdicts in the order of the files, small ones read together', async t => {
  processed(journal, journal.nextSequence, '7 7\n')
  const entries = ['1 2\n', '7 7\n', '5 x\n', '3 4\n', LARGE, '8 9\n'].map(claimed)
  t.equal(reader.portionOf(entries), 4, 'up to the large one')
  t.equal(reader.portionOf(entries.slice(4)), 1, 'which is alone')
  const verdicts = await read(t, entries)
  const kinds = ['count', 'duplicate', 'quarantine', 'count', 'count', 'count']
  t.same(
    verdicts.map(({ kind, entry }) => [entry.sequence, kind]),
    entries.map(({ sequence }, n) => [sequence, kinds[n]]),
  )
  t.same(
    entries.map(entry => inJournal(entry).stage),
    kinds.map(kind => (kind === 'count' ? 'digested' : 'claimed')),
  )
  t.match(verdicts[2], { evidence: { line: 1 } })
  t.same(await countedOf(verdicts[0]), [[1n, 2n]])
  t.same(await countedOf(verdicts[3]), [[3n, 4n]])
  t.same(await countedOf(verdicts[4]), pairsIn(LARGE))
  t.same(await countedOf(verdicts[5]), [[8n, 9n]])
})

t.test('what is not there, or is no file, says so, and the others are read', async t => {
  const [gone, link, directory, good] = ['1 1\n', '2 2\n', '3 3\n', '4 4\n'].map(claimed)
  for (const entry of [gone!, link!, directory!]) rmSync(pathOf(entry))
  symlinkSync('/etc/passwd', pathOf(link!))
  mkdirSync(pathOf(directory!))
  const verdicts = await read(t, [gone!, link!, directory!, good!])
  t.match(verdicts, [
    { kind: 'quarantine', reason: { code: 'WORK_FILE_MISSING' }, isMissing: true },
    { kind: 'quarantine', reason: { code: 'FILE_UNFIT', text: /it is a link/ }, isMissing: false },
    {
      kind: 'quarantine',
      reason: { code: 'FILE_UNFIT', text: /it is not a regular file/ },
      isMissing: false,
    },
    { kind: 'count' },
  ])
  await countedOf(verdicts[3])
})

t.test('a file that changes while it is read is read once more', async t => {
  const entry = claimed(LARGE)
  let changes = 0
  onProgress = () => {
    if (changes === 0) writeFileSync(pathOf(entry), LARGE)
    changes += 1
  }
  const [verdict] = await read(t, [entry])
  t.same(log.warnedOf(), [entry.name])
  const { mtimeNs } = lstatSync(pathOf(entry), { bigint: true })
  t.match(verdict, { kind: 'count', entry: { identity: { mtimeNs } } })
  t.same(await countedOf(verdict), pairsIn(LARGE))
})

t.test('one that changes each time is put aside, and none of it is kept', async t => {
  const entry = claimed(LARGE)
  onProgress = () => writeFileSync(pathOf(entry), LARGE)
  const [verdict] = await read(t, [entry])
  t.match(verdict, {
    kind: 'quarantine',
    reason: { code: 'CHANGED_AFTER_CLAIM', text: /.* changed twice/ },
  })
  t.same(log.warnedOf(), [entry.name, entry.name])
  t.same(runsOf(entry), [])
  t.equal(inJournal(entry).stage, 'claimed')
})

t.test('one that grows behind its claim is not what was claimed', async t => {
  const entry = claimed('1 4\n')
  appendFileSync(pathOf(entry), '3 4\n')
  const [verdict] = await read(t, [entry])
  t.match(verdict, {
    kind: 'quarantine',
    reason: { code: 'CHANGED_AFTER_CLAIM', text: /4 bytes .* has 8/ },
  })
})

t.test('a stop leaves it claimed, and the next reading goes on from its checkpoint', async t => {
  const text = linesOf(4 * CHECKPOINT_BYTES)
  const entry = claimed(text)
  const stop = new AbortController()
  onProgress = () => {
    if (inJournal(entry).checkpoint !== undefined) stop.abort(new Error('stopped'))
  }
  t.match(await failureOf(reader.read([entry], stop.signal)), { message: 'stopped' })
  const left = inJournal(entry)
  t.equal(left.stage, 'claimed')
  t.equal(left.checkpoint?.positionBytes, CHECKPOINT_BYTES)
  t.match(log.lines, [{ message: 'left in mid-file; the next start goes on' }])
  let resumedFromBytes: number | undefined
  onProgress = () => {
    resumedFromBytes ??= reader.reading?.resumedFromBytes
  }
  const [verdict] = await read(t, [left])
  t.equal(resumedFromBytes, left.checkpoint?.resumeBytes)
  t.match(verdict, { kind: 'count', digest: { sha256: hashOf(text) } })
  t.same(await countedOf(verdict), pairsIn(text))
  t.same(runsOf(entry), [inJournal(entry).runName], 'one run is left')
})

/** Of more consumers than may stay in memory. */
const SEALED = linesOf(1)

t.test('a digested file is opened from its run, or read again if that is no use', async t => {
  const entry = claimed(SEALED)
  await countedOf((await read(t, [entry]))[0])
  const digested = inJournal(entry)
  t.match(digested, { stage: 'digested', runName: String })
  let isRead = false
  onProgress = () => {
    isRead = true
  }
  t.same(await countedOf((await read(t, [digested]))[0]), pairsIn(SEALED))
  t.notOk(isRead, 'from its run')
  const run = join(paths.runs, digested.runName!)
  const bytes = readFileSync(run)
  bytes[bytes.length - 1]! ^= 1
  writeFileSync(run, bytes)
  t.same(await countedOf((await read(t, [digested]))[0]), pairsIn(SEALED))
  t.ok(isRead, 'from the file')
  t.match(log.lines.at(-1), { message: 'sealed sums cannot be used; the file is read again' })
})

t.test('one that changed after it was digested is read again, and its hash decides', async t => {
  const entry = claimed(SEALED)
  await countedOf((await read(t, [entry]))[0])
  const digested = inJournal(entry)
  writeFileSync(pathOf(entry), SEALED.replace('1 1', '1 2'))
  const [verdict] = await read(t, [digested])
  t.match(verdict, {
    kind: 'quarantine',
    reason: { code: 'CHANGED_AFTER_CLAIM', text: /its sha256 was/ },
  })
  t.match(log.lines, [{ message: 'a digested file has changed and is read again' }])
})
