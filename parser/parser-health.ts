import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Availability, LongStatement, ParserEvents } from '../shared/events.ts'
import type { ParserHealth } from '../shared/protocol.ts'
import type {
  HeldFilesWatch,
  Orders,
  SameNameNotices,
  StagedBatches,
  UsageUpkeep,
} from './counting/index.ts'
import type { DiskWatch } from './disk-watch.ts'
import { Figures } from './figures.ts'
import type { InboxScanner, QueueTally } from './intake/index.ts'
import type { Journal } from './journal/index.ts'
import type { Ledger } from './ledger/index.ts'
import type { OwnDirectories } from './own-directories.ts'
import type { ParserState } from './parser-states.ts'
import type { ReadingStage } from './reading/index.ts'
import type { Decider } from './recording/index.ts'
import type { GrowthWatch, Settler } from './settling/index.ts'

/** Whom a pong asks; each says for itself what waits there, and for what. */
export interface HealthSources {
  readonly journal: Journal
  readonly ledger: Ledger
  readonly queue: QueueTally
  readonly scanner: InboxScanner
  readonly directories: OwnDirectories
  readonly disk: DiskWatch
  readonly readingStage: ReadingStage
  readonly decider: Decider
  readonly staged: StagedBatches
  readonly settler: Settler
  readonly growth: GrowthWatch
  readonly sameNames: SameNameNotices
  readonly orders: Orders
  readonly usage: UsageUpkeep
  readonly held: HeldFilesWatch
}

/**
 * What the parser says of itself in a pong, and what it hears of the database meanwhile. `paused` is
 * said when nothing can be written: a directory or the disk, or a database that is not the one. Any
 * other reason is of something that waits while its neighbours go on.
 */
export class HealthReport {
  readonly #startedAtMs = Date.now()
  readonly #loopDelay = monitorEventLoopDelay({ resolution: 10 })
  #lastProgressAtMs = Date.now()
  #database: Availability = { awayBecause: 'not connected yet', isUnfit: false }
  #host: string | undefined
  #statement: LongStatement | undefined
  readonly #figures: Figures

  constructor(events: ParserEvents) {
    this.#loopDelay.enable()
    this.#figures = new Figures(events)
    for (const progress of PROGRESS) {
      events.on(progress, () => {
        this.#lastProgressAtMs = Date.now()
      })
    }
    events.on('database', availability => {
      this.#database = availability
    })
    events.on('host', ({ host }) => {
      this.#host = host
    })
    events.on('statement', statement => {
      this.#statement = statement
    })
  }

  close(): void {
    this.#loopDelay.disable()
  }

  of(state: ParserState, sources: HealthSources): ParserHealth {
    const { journal, queue, scanner, directories, disk, readingStage, decider } = sources
    const eventLoopDelayMs = this.#loopDelay.mean / 1e6
    this.#loopDelay.reset()
    const { awayBecause, isUnfit } = this.#database
    const paused = directories.reason ?? disk.reason ?? (isUnfit ? awayBecause : undefined)
    const reason = paused ?? sources.staged.reason ?? readingStage.reason ?? decider.reason
    return {
      role: 'parser',
      pid: process.pid,
      state: shownState(state, paused !== undefined),
      uptimeSeconds: Math.round((Date.now() - this.#startedAtMs) / 1_000),
      lastProgressAtMs: this.#lastProgressAtMs,
      eventLoopDelayMs: Number.isFinite(eventLoopDelayMs) ? eventLoopDelayMs : 0,
      queue: { files: queue.files, bytes: queue.bytes },
      database: awayBecause === undefined ? 'ready' : isUnfit ? 'unfit' : 'unavailable',
      sinceStart: journal.sinceStart,
      ever: journal.ever,
      done: this.#figures.done,
      isCounter: sources.ledger.counter.isCounter,
      processed: journal.state.nextNumber - 1,
      ...present({
        reason,
        oldestClaimedAtMs: queue.oldestClaimedAtMs,
        reading: readingStage.reading,
        databaseReason: awayBecause,
        databaseHost: this.#host,
        statement: this.#statement,
        sameNames: sources.sameNames.report,
        grewAfterwards: sources.growth.report,
        leftInInbox: scanner.left,
        inboxAway: scanner.awayBecause,
        noRoom: disk.reason,
        blockedBatch: sources.staged.reason,
        unmoved: sources.settler.unmoved,
        orders: sources.orders.report,
        usage: sources.usage.report,
        held: sources.held.report,
      }),
    }
  }
}

function shownState(state: ParserState, isPaused: boolean): ParserHealth['state'] {
  if (state === 'running' && isPaused) return 'paused'
  return state === 'stopped' ? 'stopping' : state
}

/** Something durable, or a piece of a file, was done. */
const PROGRESS = [
  'claimed',
  'reading',
  'checkpointed',
  'digested',
  'begun',
  'chunk',
  'applied',
  'settled',
] as const

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

/** Without what is undefined. */
function present<T extends object>(fields: T): Present<T> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Present<T>
}
