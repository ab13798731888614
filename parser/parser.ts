import type { Config } from '../shared/config.ts'
import { CountersinkError, hasCode, toError } from '../shared/errors.ts'
import { deferred, Handoff } from '../shared/handoff.ts'
import type { Service } from '../shared/lifecycle.ts'
import type { Log } from '../shared/log.ts'
import type { StatePaths } from '../shared/paths.ts'
import type { ParserHealth } from '../shared/protocol.ts'
import { asDiskFull } from '../shared/room.ts'
import { refuseDirectoriesOfOthers } from '../shared/state-directory.ts'
import { Answers } from './answers.ts'
import { BatchMaker } from './counting/batch-maker.ts'
import { BatchResumer } from './counting/batch-resumer.ts'
import { CountingStage } from './counting/counting-stage.ts'
import { reconcileWithLedger } from './counting/reconcile-journal.ts'
import { Refuser } from './counting/refuser.ts'
import { SameNameNotices } from './counting/same-names.ts'
import { DigestWorkers } from './digest/digest.ts'
import { DiskWatch } from './disk-watch.ts'
import type { QueueEntry } from './facts.ts'
import { loadInstance } from './instance.ts'
import { adoptWork } from './intake/adopt.ts'
import { Inbox } from './intake/inbox.ts'
import { InboxScanner } from './intake/inbox-scanner.ts'
import { Listener } from './intake/listener.ts'
import { QueueTally } from './intake/queue-tally.ts'
import { Sealer } from './intake/sealer.ts'
import { Journal } from './journal/journal.ts'
import { type JournalLock, ownJournal } from './journal/journal-lock.ts'
import type { DatabaseAddress } from './ledger/connection.ts'
import { Ledger } from './ledger/ledger.ts'
import { makeOwnDirectories, OwnDirectories, requireOneMount } from './own-directories.ts'
import { HealthReport } from './parser-health.ts'
import { ReadingStage } from './reading/reading-stage.ts'
import type { Verdict } from './reading/verdict.ts'
import { ArchiveLimit } from './settling/archive-limit.ts'
import { GrowthWatch } from './settling/growth-watch.ts'
import { type Ending, Settler } from './settling/settler.ts'

/**
 * The parser as a whole: builds the parts, starts the loops, and ends them in order.
 *
 * - **starting**: it owns the journal (an earlier parser that still has it is ended), answers pings and takes files (an ack needs the journal
 *   alone); it waits for MariaDB, as long as that takes, and makes the two agree.
 * - **running**: inbox → digest stage → ledger stage, each a loop of its own.
 * - **stopping**: nothing new is taken, the file being read is left, the chunk being applied is
 *   finished, then everything closes. Whatever is left is durable and goes on at the next start.
 *
 * An error in any loop ends the whole parser; a new start finds everything on disk.
 */
export class Parser implements Service {
  readonly #end = deferred()
  readonly finished = this.#end.promise
  readonly #log: Log
  readonly #abort = new AbortController()
  readonly #journalLock: JournalLock
  readonly #journal: Journal
  readonly #queue = new QueueTally()
  readonly #ledger: Ledger
  readonly #listener: Listener
  readonly #scanner: InboxScanner
  readonly #inbox: Inbox
  readonly #readingStage: ReadingStage
  readonly #countingStage: CountingStage
  readonly #settler: Settler
  readonly #maker: BatchMaker
  readonly #resumer: BatchResumer
  readonly #disk: DiskWatch
  readonly #directories: OwnDirectories
  readonly #sameNames: SameNameNotices
  readonly #growth: GrowthWatch
  readonly #memory: { readonly path: string; readonly config: Config }
  readonly #health: HealthReport
  #state: ParserHealth['state'] = 'starting'
  #loops: Promise<unknown> = Promise.resolve()
  #stopping: Promise<void> | undefined

  /** Prepares the state directory, takes over the journal and starts. */
  static async start(options: {
    paths: StatePaths
    config: Config
    address: DatabaseAddress
    log: Log
  }): Promise<Parser> {
    try {
      return await Parser.#start(options)
    } catch (error) {
      throw asDiskFull(error, options.paths.dir)
    }
  }

  static async #start(options: {
    paths: StatePaths
    config: Config
    address: DatabaseAddress
    log: Log
  }): Promise<Parser> {
    const { paths, config, log } = options
    await makeOwnDirectories(
      ...[paths.inbox, paths.work, paths.archive, paths.archiveDisposable, paths.quarantine],
      ...[paths.duplicate, paths.parser, paths.runs, paths.run],
    )
    await refuseDirectoriesOfOthers(paths.dir, paths.run)
    requireOneMount(paths)
    const parser = new Parser({
      ...options,
      journalLock: await ownJournal(paths.journal, log),
      instance: await loadInstance(paths.instance),
      journal: Journal.open(paths.journal),
      archiveLimit: await ArchiveLimit.open(paths.archiveDisposable, config.archiveBytesMax, log),
    })
    await parser.#begin(paths)
    return parser
  }

  private constructor(options: {
    paths: StatePaths
    config: Config
    address: DatabaseAddress
    log: Log
    instance: Buffer
    journalLock: JournalLock
    journal: Journal
    archiveLimit: ArchiveLimit
  }) {
    const { paths, config, log, journal, archiveLimit } = options
    const health = new HealthReport(log)
    this.#health = health
    const onProgress = (): void => health.progressed()
    const verdicts = new Handoff(VERDICTS_WEIGHT_MAX, weightOf)
    this.#log = log
    this.#sameNames = new SameNameNotices(log)
    this.#journalLock = options.journalLock
    this.#memory = { path: paths.rememberedLedger, config }
    this.#journal = journal
    this.#ledger = new Ledger({
      config,
      address: options.address,
      instance: options.instance,
      signal: this.#abort.signal,
      onAvailability: availability => health.databaseChanged(availability),
      onLongStatement: statement => health.statementTakesLong(statement),
      onProgress,
    })
    this.#disk = new DiskWatch({
      directories: [paths.work, paths.journal, paths.runs, paths.mariadb],
      reserveBytes: config.reserveBytes,
      reserveInodes: config.reserveInodes,
      log,
    })
    this.#directories = new OwnDirectories(paths, log)
    this.#maker = new BatchMaker({
      runsDirectory: paths.runs,
      chunkPairsMax: config.chunkPairsMax,
    })
    this.#resumer = new BatchResumer({
      ...{ paths, config, journal, log },
      ledger: this.#ledger,
      maker: this.#maker,
      newWorkers: () => new DigestWorkers({ sumThreads: config.sumThreads }),
    })
    this.#readingStage = new ReadingStage({
      ...{ paths, config, journal, log, onProgress },
      output: verdicts,
      ...{ disk: this.#disk, directories: this.#directories },
    })
    const sealer = new Sealer()
    this.#scanner = new InboxScanner({
      ...{ inbox: paths.inbox, log, sealer },
      quietMs: config.quietMs,
      cutHoldMs: config.cutHoldMs,
      onSealed: () => this.#inbox.lookSoon(),
    })
    this.#inbox = new Inbox({
      ...{ paths, journal, log, sealer },
      queue: this.#queue,
      scanner: this.#scanner,
      scanIntervalMs: config.scanIntervalMs,
      queueFilesMax: config.queueFilesMax,
      ...{ disk: this.#disk, directories: this.#directories },
      onClaimed: () => {
        onProgress()
        this.#readingStage.wake()
      },
    })
    const answers = new Answers({
      ...{ journal, queue: this.#queue, ledger: this.#ledger },
      isProvisional: () => this.#state === 'starting',
    })
    this.#listener = new Listener({
      announce: announce => this.#inbox.announce(announce),
      health: () =>
        health.of(this.#state, {
          ...{ journal, growth, scanner: this.#scanner, queue: this.#queue, disk: this.#disk },
          ...{ directories: this.#directories, readingStage: this.#readingStage },
          ...{ countingStage: this.#countingStage, resumer: this.#resumer, settler: this.#settler },
          sameNames: this.#sameNames,
        }),
      answer: question => answers.answer(question),
    })
    const growth = new GrowthWatch({ paths, journal, log })
    this.#growth = growth
    this.#settler = new Settler({
      ...{ paths, journal, log, archiveLimit, growth, signal: this.#abort.signal },
      ...{ directories: this.#directories, disk: this.#disk },
      queue: this.#queue,
      onSettled: (file, sequence) => {
        onProgress()
        this.#readingStage.settled(sequence)
        this.#listener.settled(file, sequence)
      },
    })
    this.#countingStage = new CountingStage({
      ...{ journal, log, growth },
      input: verdicts,
      ledger: this.#ledger,
      settler: this.#settler,
      maker: this.#maker,
      resumer: this.#resumer,
      refuser: new Refuser({ journal, ledger: this.#ledger }),
      disk: this.#disk,
      filesMax: config.batchFilesMax,
      readAgain: sequence => this.#readingStage.readAgain(sequence),
      stepBack: (entry, reason) => this.#readingStage.stepBack(entry, reason),
      onNamesakes: names => this.#sameNames.note(names),
    })
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#drainAndClose()
    return this.#stopping
  }

  async #begin(paths: StatePaths): Promise<void> {
    await this.#listener.listen(paths.parserSocket, this.#log)
    for await (const slice of this.#journal.queueInSlices()) {
      for (const entry of slice) this.#queue.add(entry)
    }
    for (const entry of await adoptWork(paths, this.#journal, this.#log)) this.#queue.add(entry)
    for await (const slice of this.#journal.queueInSlices()) {
      await this.#settler.move(slice.filter(entry => entry.stage === 'settling'))
    }
    await this.#disk.look()
    this.#log.info('started', { queued: this.#queue.files, epoch: this.#journal.state.epoch })
    const { signal } = this.#abort
    this.#loops = Promise.all([
      this.#inbox.run(signal),
      this.#disk.run(signal),
      this.#growth.run(signal),
      this.#journalLock.mind(signal, this.#log),
      this.#directories.run(signal),
      this.#settler.run(),
      this.#countWhenLedgerIsOpen(signal),
    ])
    this.#loops.catch(error => this.#end.reject(this.#reasonOfEnd(error)))
  }

  /** Whatever failed in a parser that was replaced, failed because of that. */
  #reasonOfEnd(error: unknown): Error {
    try {
      this.#journal.assertOwner()
    } catch (lost) {
      if (hasCode(lost, 'OWNERSHIP_LOST')) return toError(lost)
    }
    return toError(error)
  }

  async #countWhenLedgerIsOpen(signal: AbortSignal): Promise<void> {
    try {
      await reconcileWithLedger(this.#journal, this.#ledger, this.#log, this.#memory)
      await this.#goOnFromLedger(signal)
    } catch (error) {
      if (signal.aborted && error === signal.reason) return
      throw error
    }
    if (this.#state === 'starting') this.#state = 'running'
    await Promise.all([this.#readingStage.run(signal), this.#countingStage.run(signal)])
  }

  /** What was begun before this start: batches are finished, their files settled, runs swept. */
  async #goOnFromLedger(signal: AbortSignal): Promise<void> {
    const needed = new Set(await this.#resumer.resumeAll(signal))
    this.#ledger.resumed()
    for await (const slice of this.#journal.queueInSlices()) {
      await this.#settleApplied(slice, needed)
    }
    // Runs that came since are a successor's.
    this.#journal.assertOwner()
    const swept = await this.#maker.sweep(needed)
    if (swept > 0) this.#log.info('removed sums that nobody needs', { files: swept })
  }

  /** Of these entries, the files that are in the totals already; runs of others are needed. */
  async #settleApplied(entries: readonly QueueEntry[], needed: Set<string>): Promise<void> {
    const digested = entries.flatMap(({ stage, digest }) =>
      stage === 'digested' && digest ? [digest.sha256] : [],
    )
    const rows = digested.length === 0 ? undefined : await this.#ledger.findAll(digested)
    const endings: Ending[] = []
    for (const entry of entries) {
      const { digest, stage, checkpoint, runName } = entry
      const row =
        stage === 'digested' && digest
          ? rows?.get(Buffer.from(digest.sha256).toString('hex'))
          : undefined
      if (digest && row?.state === 'applied' && this.#ledger.isOwn(row, entry.sequence)) {
        endings.push({ entry, digest, outcome: 'applied', ledgerSequence: row.sequence })
        continue
      }
      for (const name of [...(checkpoint?.runs ?? []), runName]) if (name) needed.add(name)
    }
    await this.#settler.settle(endings)
  }

  async #drainAndClose(): Promise<void> {
    this.#state = 'stopping'
    this.#abort.abort(new CountersinkError('STOPPED', 'the parser is stopping'))
    await this.#loops
    await this.#listener.close()
    await this.#ledger.close()
    await this.#readingStage.close()
    await this.#journal.close()
    this.#health.close()
    const isReplaced = this.#journalLock.isWanted()
    this.#journalLock.release()
    if (isReplaced) this.#end.reject(replaced())
    else this.#end.resolve()
  }
}

/** Read, not yet brought to the ledger: a weight is a pair held in memory, 16 bytes. */
const VERDICTS_WEIGHT_MAX = 1_000_000
/** What a verdict weighs besides its sums. */
const VERDICT_WEIGHT = 200
/** Sums in run files need a descriptor and a buffer. */
const SEALED_WEIGHT = 20_000

function weightOf(verdict: Verdict): number {
  if (verdict.kind !== 'count') return VERDICT_WEIGHT
  const isSealed = verdict.entry.runName !== undefined
  return VERDICT_WEIGHT + (isSealed ? SEALED_WEIGHT : verdict.sums.pairs)
}

function replaced(): CountersinkError {
  return new CountersinkError(
    'OWNERSHIP_LOST',
    'another parser has taken over this state directory and asked this one to end',
    { advice: 'Nothing was lost or counted twice. Run one parser per state directory.' },
  )
}
