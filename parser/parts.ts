import type { Config } from '../shared/config.ts'
import type { ParserEvents } from '../shared/events.ts'
import { Handoff } from '../shared/handoff.ts'
import type { Log } from '../shared/log.ts'
import type { StatePaths } from '../shared/paths.ts'
import {
  CountingStage,
  EarlierBatches,
  Follower,
  HeldFilesWatch,
  Orders,
  SameNameNotices,
  StagedBatches,
  UsageUpkeep,
  usagePace,
} from './counting/index.ts'
import { DigestWorkers } from './digest/index.ts'
import { DiskWatch, filledDirectories } from './disk-watch.ts'
import { Inbox, InboxScanner, QueueTally, Sealer } from './intake/index.ts'
import type { Journal } from './journal/index.ts'
import { type DatabaseAddress, Ledger } from './ledger/index.ts'
import { OwnDirectories } from './own-directories.ts'
import { ReadingStage, type Verdict } from './reading/index.ts'
import { Decider, NamePolicy, type ReadFile, RecordingStage, Refuser } from './recording/index.ts'
import { type ArchiveLimit, GrowthWatch, Settler } from './settling/index.ts'

/** What everything in the parser is made of. */
export interface Ground {
  readonly paths: StatePaths
  readonly config: Config
  readonly address: () => DatabaseAddress
  readonly log: Log
  readonly instance: Buffer
  readonly journal: Journal
  readonly archiveLimit: ArchiveLimit
  readonly events: ParserEvents
  /** Raised when the parser stops. */
  readonly signal: AbortSignal
}

export type Parts = ReturnType<typeof makeParts>

/**
 * Makes the parser's parts and lets each know those that it works with. Nothing runs yet. Data goes
 * from the inbox through the stages that read, record and count to the settler; what goes back is what
 * those behind have found out.
 */
export function makeParts(ground: Ground) {
  const { paths, config, log, events } = ground
  const around = {
    queue: new QueueTally(),
    disk: new DiskWatch({
      directories: filledDirectories(paths),
      get reserveBytes() {
        return config.reserveBytes
      },
      get reserveInodes() {
        return config.reserveInodes
      },
      events,
    }),
    directories: new OwnDirectories(paths, events, log),
  }
  const verdicts = new Handoff(VERDICTS_WEIGHT_MAX, weightOf)
  const readingStage = new ReadingStage({ ...ground, output: verdicts, ...around })
  events.on('claimed', () => readingStage.wake())
  events.on('settled', ({ sequence }) => readingStage.settled(sequence))
  return {
    ...around,
    readingStage,
    ...makeIntake(ground, around),
    ...makeCounting(ground, around, verdicts, readingStage),
  }
}

type Around = Readonly<{ queue: QueueTally; disk: DiskWatch; directories: OwnDirectories }>

function makeIntake({ paths, config, journal, log, events }: Ground, around: Around) {
  const sealer = new Sealer()
  const scanner = new InboxScanner({
    ...{ inbox: paths.inbox, log, sealer },
    get quietMs() {
      return config.quietMs
    },
    get cutHoldMs() {
      return config.cutHoldMs
    },
    onSealed: () => inbox.lookSoon(),
  })
  const inbox: Inbox = new Inbox({
    ...{ paths, journal, log, events, sealer, scanner, ...around },
    get scanIntervalMs() {
      return config.scanIntervalMs
    },
    get queueFilesMax() {
      return config.queueFilesMax
    },
  })
  return { scanner, inbox }
}

function makeCounting(
  ground: Ground,
  { queue, disk, directories }: Around,
  input: Handoff<Verdict>,
  readingStage: ReadingStage,
) {
  const { paths, config, journal, log, events } = ground
  const ledger = new Ledger(ground)
  const growth = new GrowthWatch({ paths, journal, log })
  const settler = new Settler({ ...ground, growth, directories, disk, queue, events })
  const sameNames = new SameNameNotices(log)
  const refuser = new Refuser({ journal, ledger })
  const { batchFilesMax: filesMax, chunkPairsMax } = config
  const namePolicy = new NamePolicy({ ledger, policy: config.sameName })
  const decider = new Decider({
    ...{ journal, ledger, settler, refuser, namePolicy, filesMax, log },
    runsDirectory: paths.runs,
    stalledMs: () => config.takeoverMs,
    readAgain: sequence => readingStage.readAgain(sequence),
    onNamesakes: names => sameNames.note(names),
  })
  const read = new Handoff<ReadFile>(READ_WEIGHT_MAX, weightOf)
  const common = { ledger, decider, refuser, filesMax, chunkPairsMax }
  const recordingStage = new RecordingStage({
    ...{ ...common, namePolicy, input, output: read, settler, disk, growth },
  })
  const earlier = new EarlierBatches({
    ...{ ...ground, ledger },
    newWorkers: () => new DigestWorkers({ sumThreads: config.sumThreads }),
  })
  const staged = new StagedBatches({ ledger, earlier, log, pauseMs: () => config.takeoverMs })
  const orders = new Orders({ ledger, log })
  const countingStage = new CountingStage({
    ...{ ...common, input: read, staged, orders },
    record: files => recordingStage.record(files),
    onCounted: () => recordingStage.lookSoon(),
  })
  const usage = new UsageUpkeep({
    ...{ ledger, log, pauseMs: () => config.takeoverMs },
    pace: usagePace(config.rollUpMs),
    isIdle: () => countingStage.isIdle,
  })
  const follower = new Follower({ ...ground, ledger })
  const held = new HeldFilesWatch({ ledger })
  return {
    ...{ ledger, growth, settler, sameNames, decider, recordingStage, staged, countingStage },
    ...{ follower, orders, usage, held },
  }
}

/** Read, and not looked at yet: a weight is a pair held in memory, 16 bytes. */
const VERDICTS_WEIGHT_MAX = 200_000
/** To be counted here, and not brought to the ledger yet. */
const READ_WEIGHT_MAX = 800_000
/** What a verdict weighs besides its sums. */
const VERDICT_WEIGHT = 200
/** Sums in run files need a descriptor and a buffer. */
const SEALED_WEIGHT = 20_000

function weightOf(verdict: Verdict): number {
  if (verdict.kind !== 'count') return VERDICT_WEIGHT
  const isSealed = verdict.entry.runName !== undefined
  return VERDICT_WEIGHT + (isSealed ? SEALED_WEIGHT : verdict.sums.pairs)
}
