import { setMaxListeners } from 'node:events'
import type { Config } from '../shared/config.ts'
import { CountersinkError, hasCode, toError } from '../shared/errors.ts'
import { ParserEvents } from '../shared/events.ts'
import { deferred } from '../shared/handoff.ts'
import type { Service } from '../shared/lifecycle.ts'
import type { Log } from '../shared/log.ts'
import type { StatePaths } from '../shared/paths.ts'
import { asDiskFull } from '../shared/room.ts'
import { refuseDirectoriesOfOthers } from '../shared/state-directory.ts'
import { StateMachine } from '../shared/state-table.ts'
import { Answers } from './answers.ts'
import { logEvents } from './event-log.ts'
import { loadInstance } from './instance.ts'
import { Listener } from './intake/index.ts'
import { Journal, type JournalLock, ownJournal } from './journal/index.ts'
import type { DatabaseAddress } from './ledger/index.ts'
import { makeOwnDirectories, requireOneMount } from './own-directories.ts'
import { HealthReport } from './parser-health.ts'
import { PARSER_STATES } from './parser-states.ts'
import { type Ground, makeParts, type Parts } from './parts.ts'
import { ArchiveLimit } from './settling/index.ts'
import { goOnFromJournal, goOnFromLedger } from './start-up.ts'
import { Summary } from './summary.ts'

export interface ParserOptions {
  readonly paths: StatePaths
  readonly config: Config
  readonly address: () => DatabaseAddress
  readonly log: Log
}

/**
 * The parser as a whole: has its parts made, starts the loops, and ends them in order. Its states are
 * in `parser-states.ts`.
 */
export class Parser implements Service {
  readonly #end = deferred()
  readonly finished = this.#end.promise
  readonly #state = new StateMachine('the parser', PARSER_STATES, 'starting')
  readonly #abort: AbortController
  readonly #ground: Ground
  readonly #journalLock: JournalLock
  readonly #parts: Parts
  readonly #listener: Listener
  readonly #health: HealthReport
  readonly #summary: Summary
  #loops: Promise<unknown> = Promise.resolve()
  #stopping: Promise<void> | undefined

  /** Prepares the state directory, takes over the journal and starts. */
  static async start(options: ParserOptions): Promise<Parser> {
    try {
      return await Parser.#start(options)
    } catch (error) {
      throw asDiskFull(error, options.paths.dir)
    }
  }

  static async #start(options: ParserOptions): Promise<Parser> {
    const { paths, config, log } = options
    await makeOwnDirectories(
      ...[paths.inbox, paths.work, paths.archive, paths.archiveDisposable, paths.quarantine],
      ...[paths.duplicate, paths.reverted, paths.held, paths.rejects],
      ...[paths.parser, paths.runs, paths.run],
    )
    await refuseDirectoriesOfOthers(paths.dir, paths.run)
    requireOneMount(paths)
    const abort = new AbortController()
    setMaxListeners(WAITING_MAX, abort.signal)
    const journalLock = await ownJournal(paths.journal, log)
    const ground = {
      ...options,
      ...{ events: new ParserEvents(), signal: abort.signal },
      instance: await loadInstance(paths.instance),
      journal: Journal.open(paths.journal),
      archiveLimit: await ArchiveLimit.open(paths.archiveDisposable, config.archiveBytesMax, log),
    }
    const parser = new Parser(ground, abort, journalLock)
    await parser.#begin()
    return parser
  }

  private constructor(ground: Ground, abort: AbortController, journalLock: JournalLock) {
    this.#ground = ground
    this.#abort = abort
    this.#journalLock = journalLock
    const { journal, events, log } = ground
    logEvents(events, log)
    this.#health = new HealthReport(events)
    const parts = makeParts(ground)
    this.#parts = parts
    this.#summary = new Summary({ events, log, queue: parts.queue })
    const answers = new Answers({
      ...{ journal, queue: parts.queue, scanner: parts.scanner, ledger: parts.ledger },
      isProvisional: () => this.#state.state === 'starting',
    })
    const listener = new Listener({
      announce: announce => parts.inbox.announce(announce),
      health: () => this.#health.of(this.#state.state, { ...parts, journal }),
      answer: question => answers.answer(question),
    })
    this.#listener = listener
    events.on('settled', ({ file, sequence }) => listener.settled(file, sequence))
  }

  /** The configuration has changed: a look that was to come much later may be due now. */
  reconsider(): void {
    this.#parts.inbox.lookSoon()
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#drainAndClose()
    return this.#stopping
  }

  async #begin(): Promise<void> {
    const { paths, journal, log, signal } = this.#ground
    const { queue, disk, inbox, growth, directories, settler } = this.#parts
    await this.#listener.listen(paths.parserSocket, log)
    await goOnFromJournal({ ...this.#ground, ...this.#parts })
    await disk.look()
    log.notice('started', { queued: queue.files, epoch: journal.state.epoch })
    this.#loops = Promise.all([
      inbox.run(signal),
      disk.run(signal),
      growth.run(signal),
      this.#summary.run(signal),
      this.#journalLock.mind(signal, log),
      directories.run(signal),
      settler.run(),
      this.#countOnceAgreed(),
    ])
    this.#loops.catch(error => this.#end.reject(this.#reasonOfEnd(error)))
  }

  async #countOnceAgreed(): Promise<void> {
    const { signal } = this.#ground
    const { readingStage, recordingStage, countingStage, usage, follower, held } = this.#parts
    try {
      await goOnFromLedger({ ...this.#ground, ...this.#parts })
    } catch (error) {
      if (signal.aborted && error === signal.reason) return
      throw error
    }
    this.#state.on('agreed')
    await Promise.all([
      readingStage.run(signal),
      recordingStage.run(signal),
      countingStage.run(signal),
      usage.run(signal),
      follower.run(signal),
      held.run(signal),
    ])
  }

  /** Whatever failed in a parser that was replaced, failed because of that. */
  #reasonOfEnd(error: unknown): Error {
    try {
      this.#ground.journal.assertOwner()
    } catch (lost) {
      if (hasCode(lost, 'OWNERSHIP_LOST')) return toError(lost)
    }
    return toError(error)
  }

  async #drainAndClose(): Promise<void> {
    this.#state.on('stop')
    this.#abort.abort(new CountersinkError('STOPPED', 'the parser is stopping'))
    await this.#loops
    this.#summary.tell()
    await this.#listener.close()
    await this.#parts.ledger.close()
    await this.#parts.readingStage.close()
    await this.#ground.journal.close()
    this.#health.close()
    const isReplaced = this.#journalLock.isWanted()
    this.#journalLock.release()
    this.#state.on('closed')
    if (isReplaced) this.#end.reject(replaced())
    else this.#end.resolve()
  }
}

/** Each loop, and each reader, waits for the end too: beyond so many they are a leak. */
const WAITING_MAX = 40

function replaced(): CountersinkError {
  return new CountersinkError(
    'OWNERSHIP_LOST',
    'another parser has taken over this state directory and asked this one to end',
    { advice: 'Nothing was lost or counted twice. Run one parser per state directory.' },
  )
}
