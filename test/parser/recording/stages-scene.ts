import type { Test } from 'tap'
import { CountingStage } from '../../../parser/counting/counting-stage.ts'
import { EarlierBatches } from '../../../parser/counting/earlier-batches.ts'
import { Orders } from '../../../parser/counting/orders.ts'
import { type Rest, StagedBatches } from '../../../parser/counting/staged-batches.ts'
import { DigestWorkers } from '../../../parser/digest/digest.ts'
import { DiskWatch } from '../../../parser/disk-watch.ts'
import type { QueueEntry } from '../../../parser/facts.ts'
import { QueueTally } from '../../../parser/intake/queue-tally.ts'
import type { DatabaseAddress } from '../../../parser/ledger/way-in.ts'
import { OwnDirectories } from '../../../parser/own-directories.ts'
import type { Verdict } from '../../../parser/reading/verdict.ts'
import { Decider, type ReadFile } from '../../../parser/recording/decider.ts'
import { NamePolicy } from '../../../parser/recording/name-policy.ts'
import { RecordingStage } from '../../../parser/recording/recording-stage.ts'
import { Refuser } from '../../../parser/recording/refuser.ts'
import { ArchiveLimit } from '../../../parser/settling/archive-limit.ts'
import { GrowthWatch } from '../../../parser/settling/growth-watch.ts'
import { Settler } from '../../../parser/settling/settler.ts'
import { Handoff } from '../../../shared/handoff.ts'
import { workName } from '../../../shared/paths.ts'
import { eventually } from '../../shared/helpers.ts'
import { drop, eventsToldTo, manifestOf, openScene } from '../helpers.ts'
import { digestOf, entryOf } from '../journal/helpers.ts'
import { openLedgerScene, type Pairs, pairSource } from '../ledger/helpers.ts'

/**
 * The stages that record and count, on a real journal and a real ledger; what they hand back is
 * written down.
 *
 * @param address of the ledger; other parsers may be on it.
 */
export async function stagesScene(
  t: Test,
  address: DatabaseAddress,
  options: {
    readonly env?: Record<string, string>
    readonly instance?: Uint8Array
    readonly filesMax?: number
    /** As one that is busy with something else. */
    readonly countsNothing?: boolean
    readonly rest?: Rest
  } = {},
) {
  const { paths, journal, log } = openScene(t)
  const env = { COUNTERSINK_CHUNK_PAIRS_MAX: '2', COUNTERSINK_TAKEOVER_MS: '300', ...options.env }
  const { instance } = options
  const ledgerScene = await openLedgerScene(t, address, {
    ...{ env, ...(instance === undefined ? {} : { instance }) },
  })
  const { ledger, config, abort } = ledgerScene
  await ledger.open()
  const events = eventsToldTo(log)
  const stop = new AbortController()
  const { signal } = stop
  const disk = new DiskWatch({ directories: [], reserveBytes: 0, events })
  const growth = new GrowthWatch({ paths, journal, log })
  const settler = new Settler({
    ...{ paths, journal, growth, disk, events, signal, log },
    ...{ queue: new QueueTally(), directories: new OwnDirectories(paths, events, log) },
    archiveLimit: await ArchiveLimit.open(paths.archiveDisposable, 1_000, log),
  })
  const refuser = new Refuser({ journal, ledger })
  const readAgain: number[] = []
  const namesakes: string[] = []
  const { filesMax = 100 } = options
  const namePolicy = new NamePolicy({ ledger, policy: config.sameName })
  const decider = new Decider({
    ...{
      journal,
      ledger,
      settler,
      refuser,
      namePolicy,
      filesMax,
      log,
      runsDirectory: paths.parser,
    },
    stalledMs: () => config.takeoverMs,
    readAgain: sequence => readAgain.push(sequence),
    onNamesakes: names => namesakes.push(...names.keys()),
  })
  const input = new Handoff<Verdict>(1_000)
  const output = new Handoff<ReadFile>(1_000)
  const common = { ledger, decider, refuser, filesMax, chunkPairsMax: config.chunkPairsMax }
  const recording = new RecordingStage({
    ...{ ...common, namePolicy, input, output, settler, disk, growth },
  })
  const earlier = new EarlierBatches({
    ...{ paths, config, journal, ledger, signal, log },
    newWorkers: () => new DigestWorkers({ sumThreads: 1 }),
  })
  const staged = new StagedBatches({
    ...{ ledger, earlier, log, pauseMs: () => config.takeoverMs },
    ...(options.rest === undefined ? {} : { rest: options.rest }),
  })
  const counting = new CountingStage({
    ...{ ...common, input: output, staged, orders: new Orders({ ledger, log }) },
    record: files => recording.record(files),
    onCounted: () => recording.lookSoon(),
  })
  const outcomes: Record<string, string> = {}
  const stages: Record<string, object> = {}
  events.on('settled', ({ file, stages: took }) => {
    outcomes[file.name] = file.outcome
    stages[file.name] = took
  })
  const loops = [recording.run(signal), ...(options.countsNothing ? [] : [counting.run(signal)])]
  const running = Promise.all(loops)
  t.teardown(async () => {
    stop.abort(new Error('stopped'))
    await running
  })
  const closed: string[] = []
  return {
    ...{ ...ledgerScene, paths, journal, log, decider, staged, readAgain, closed, namesakes },
    ...{ outcomes, stages, running },
    /** As the parser does: what is in hand ends between two chunks. */
    stop(): void {
      const reason = new Error('stopped')
      stop.abort(reason)
      abort.abort(reason)
    },
    /** A file in work/ that was read, with these sums. */
    read(name: string, pairs: Pairs, more: Partial<ReadFile> = {}): ReadFile {
      const sequence = journal.nextSequence
      const claimed = entryOf(sequence, { name })
      drop(paths.work, workName(sequence, name), '0123456789', manifestOf('0123456789'))
      journal.claim([claimed])
      const amount = pairs.reduce((sum, [, one]) => sum + one, 0n)
      const digest = more.digest ?? digestOf(name, { amount })
      const [entry] = journal.digested([{ entry: claimed, digest, runName: undefined }])
      const close = async () => void closed.push(name)
      const largestSum = pairs.reduce((most, [, one]) => (one > most ? one : most), 0n)
      return {
        ...{ kind: 'count', entry: entry as QueueEntry, digest, largestSum },
        ...{ sums: { ...pairSource(pairs), close } },
        ...more,
      }
    },
    async hand(...verdicts: readonly Verdict[]): Promise<void> {
      for (const verdict of verdicts) await input.put(verdict, signal)
    },
    settled: (count: number) =>
      eventually(`${count} are settled`, () => Object.keys(outcomes).length >= count),
    row: (file: ReadFile) => ledger.find(file.digest.sha256),
  }
}
