import type { Config } from '../../../shared/config.ts'
import { CountersinkError, describeError, hasCode } from '../../../shared/errors.ts'
import { startPacking } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import type { Lease } from '../counting/lease.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { sqlNumber } from '../sql-errors.ts'
import { Turns } from '../turns.ts'
import { type ChunkTools, chunkTools } from './chunk.ts'
import { LeftOut } from './left-out.ts'
import { keepUp, type RollUps, readUnrolled, readZone, type Unrolled } from './upkeep.ts'
import { ZoneSetting } from './zone-setting.ts'

/** What came of a while of it. */
export type UsageResult =
  | { readonly kind: 'done' | 'goes on' }
  /** Somebody reads what would have to be altered first, or is at it. */
  | { readonly kind: 'later' }
  /** Nothing of it is lost; it is to be tried again after a pause. */
  | { readonly kind: 'failed'; readonly why: string }

/**
 * Keeps usage by time for whoever holds the lease: for a while at once, from where it was left, on one
 * connection at a time. What goes wrong with it holds up nothing else.
 */
export class UsageKeeper {
  readonly #names: LedgerNames
  readonly #config: Config
  readonly #instance: Uint8Array
  readonly #signal: AbortSignal
  readonly #lease: Lease
  /** Packs hours: those beside who count or record have others. */
  readonly #kernel = startPacking()
  readonly #zone: ZoneSetting
  readonly #leftOut = new LeftOut()
  readonly #turns = new Turns()
  /** Until then, by `performance.now`, who closes the books has it: in turn both would begin anew each time. */
  #isClosingUntilMs = 0
  #tools: ChunkTools | undefined
  #work:
    | {
        readonly session: Session
        readonly epoch: bigint | undefined
        readonly rollUps: RollUps
        readonly parts: AsyncGenerator<void, 'done' | 'later'>
      }
    | undefined

  constructor(options: {
    names: LedgerNames
    config: Config
    instance: Uint8Array
    /** Ends it between two parts. */
    signal: AbortSignal
    lease: Lease
    zonePath: string | undefined
  }) {
    this.#zone = new ZoneSetting(options.zonePath)
    this.#names = options.names
    this.#config = options.config
    this.#instance = options.instance
    this.#signal = options.signal
    this.#lease = options.lease
  }

  /** Whether it is to be, where the ledger has it. */
  get isKept(): boolean {
    return this.#config.usage !== 'off'
  }

  /** Before anything is asked of the ledger. */
  async noteSettings(): Promise<void> {
    await this.#zone.note(this.#config.timeZone)
  }

  /** undefined: usage is not kept by time. */
  unrolled(session: Session): Promise<Unrolled | undefined> {
    return this.#turns.take(() => this.#unrolled(session))
  }

  async #unrolled(session: Session): Promise<Unrolled | undefined> {
    const { timeZone } = await readZone(session, this.#names)
    if (timeZone === null && this.#config.usage !== 'on') return undefined
    await this.#leftOut.lookAgain(session, this.#names, this.#config.rollUpMs * 2)
    const unrolled = await readUnrolled(session, this.#names, this.#leftOut)
    const { timeZone: setting } = this.#config
    await this.#zone.wanted(setting, timeZone)
    const isOther = setting !== '' && timeZone !== null && timeZone !== setting
    // One that is new is set as soon as this parser counts.
    if (!isOther || (this.#lease.isHeld && !this.#zone.isAgreed)) return unrolled
    return { ...unrolled, zones: { ledger: timeZone, setting } }
  }

  /**
   * @throws CountersinkError LEASE_LOST; IO_FAILED of what is remembered here; the signal's reason; what passes
   *   with another connection.
   */
  async goOn(session: Session, rollUps: RollUps): Promise<UsageResult> {
    if (performance.now() < this.#isClosingUntilMs) return { kind: 'later' }
    try {
      return { kind: await this.#forAWhile(session, rollUps) }
    } catch (error) {
      const isPassedOn = this.#signal.aborted || hasCode(error, 'LEASE_LOST', 'IO_FAILED')
      if (isPassedOn || !session.isUsable) throw error
      if (BUSY.has(sqlNumber(error) ?? 0)) return { kind: 'later' }
      return { kind: 'failed', why: describeError(error) }
    }
  }

  /**
   * All that is to be done, as before the books are closed.
   *
   * @throws CountersinkError as `goOn`; USAGE_UNLIKE; BLOCK_UNREADABLE when a file is left out.
   */
  async *all(session: Session): AsyncGenerator<void, 'done' | 'later'> {
    for (const _ of this.#leftOut.names) {
      await this.#turns.take(() => this.#leftOut.lookAgain(session, this.#names, 0))
      yield
    }
    const goOn = (): Promise<'done' | 'later' | 'goes on'> => {
      this.#isClosingUntilMs = performance.now() + CLOSING_MS
      return this.#forAWhile(session, 'all')
    }
    let end = await goOn()
    while (end === 'goes on') {
      yield
      end = await goOn()
    }
    this.#isClosingUntilMs = 0
    const { names } = this.#leftOut
    if (names.length === 0) return end
    const named = names.slice(0, NAMED_MAX).join(', ')
    throw new CountersinkError(
      'BLOCK_UNREADABLE',
      `${named}: what is recorded of it is not what was counted`,
      {
        advice:
          'Have the rows of the ledger restored; "countersink verify --full" names all of them.',
      },
    )
  }

  /** Where somebody else was at it meanwhile, it is begun anew by what the ledger says. */
  #forAWhile(session: Session, rollUps: RollUps): Promise<'done' | 'later' | 'goes on'> {
    return this.#turns.take(async () => {
      const { epoch } = this.#lease
      const isSame =
        this.#work?.session === session &&
        this.#work.epoch === epoch &&
        this.#work.rollUps === rollUps
      const work = isSame
        ? this.#work!
        : { session, epoch, rollUps, parts: this.#parts(session, rollUps) }
      this.#work = undefined
      const untilMs = performance.now() + AT_ONCE_MS
      do {
        const { done, value } = await work.parts.next()
        if (done === true) return value
      } while (performance.now() < untilMs)
      this.#work = work
      return 'goes on'
    })
  }

  #parts(session: Session, rollUps: RollUps): AsyncGenerator<void, 'done' | 'later'> {
    const [names, kernel, config] = [this.#names, this.#kernel, this.#config]
    return keepUp(session, {
      ...{ names, lease: this.#lease.holding(), kernel, instance: this.#instance },
      // Nobody else is let go first: they might have to wait for this one to end.
      between: async () => {
        this.#signal.throwIfAborted()
        await this.#lease.keep(session)
      },
      tools: () => (this.#tools ??= chunkTools(names, kernel)),
      leftOut: this.#leftOut,
      wantedZone: there => this.#zone.wanted(config.timeZone, there),
      ...{ usage: config.usage, rollUps },
      keeping: { hour: config.keepHours, day: config.keepDays, month: config.keepMonths },
    })
  }
}

const NAMED_MAX = 5

/** A lock that was not free, a deadlock. */
const BUSY: ReadonlySet<number> = new Set([1205, 1213])

/** Between two turns of it whole batches may be counted. */
const CLOSING_MS = 60_000

/** Then whoever has only one connection for everything counts what waits. */
const AT_ONCE_MS = 250
