import type { Config } from '../../../shared/config.ts'
import { CountersinkError, describeError, hasCode } from '../../../shared/errors.ts'
import type { KernelExports } from '../../kernel/index.ts'
import type { Session } from '../connection.ts'
import type { Lease } from '../counting/lease.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { sqlNumber } from '../sql-errors.ts'
import { type ChunkTools, chunkTools } from './chunk.ts'
import { LeftOut } from './left-out.ts'
import { keepUp, type RollUps, readUnrolled, readZone, type Unrolled } from './upkeep.ts'
import { ZoneSetting } from './zone-setting.ts'

/** What came of a while of it. */
export type UsageResult =
  | { readonly kind: 'done' | 'goes on' }
  /** Somebody reads what would have to be altered first. */
  | { readonly kind: 'later' }
  /** Nothing of it is lost; it is to be tried again after a pause. */
  | { readonly kind: 'failed'; readonly why: string }

/**
 * Keeps usage by time for whoever holds the lease: for a while at once, from where it was left. What goes
 * wrong with it holds up nothing else.
 */
export class UsageKeeper {
  readonly #names: LedgerNames
  readonly #config: Config
  readonly #lease: Lease
  readonly #kernel: KernelExports
  readonly #zone: ZoneSetting
  readonly #leftOut = new LeftOut()
  #tools: ChunkTools | undefined
  #work:
    | {
        readonly session: Session
        readonly epoch: bigint | undefined
        readonly parts: AsyncGenerator<void, 'done' | 'later'>
      }
    | undefined

  constructor(options: {
    names: LedgerNames
    config: Config
    lease: Lease
    kernel: KernelExports
    zonePath: string | undefined
  }) {
    this.#zone = new ZoneSetting(options.zonePath)
    this.#names = options.names
    this.#config = options.config
    this.#lease = options.lease
    this.#kernel = options.kernel
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
  async unrolled(session: Session): Promise<Unrolled | undefined> {
    const { usage } = this.#config
    if (usage === 'off') return undefined
    const { timeZone } = await readZone(session, this.#names)
    if (timeZone === null && usage !== 'on') return undefined
    await this.#leftOut.lookAgain(session, this.#names, this.#config.rollUpMs * 2)
    const unrolled = await readUnrolled(session, this.#names, this.#leftOut)
    const { timeZone: setting } = this.#config
    await this.#zone.wanted(setting, timeZone)
    const isOther = setting !== '' && timeZone !== null && timeZone !== setting
    // One that is new is set as soon as this parser counts.
    if (!isOther || (this.#lease.isHeld && !this.#zone.isAgreed)) return unrolled
    return { ...unrolled, zones: { ledger: timeZone, setting } }
  }

  /** @throws CountersinkError LEASE_LOST; the signal's reason; what passes with another connection. */
  async goOn(
    session: Session,
    options: { readonly instance: Uint8Array; readonly between: () => Promise<void> },
    signal: AbortSignal,
    rollUps: RollUps,
  ): Promise<UsageResult> {
    const { epoch } = this.#lease
    // Somebody else may have been at it.
    if (this.#work?.session !== session || this.#work.epoch !== epoch) this.#work = undefined
    this.#work ??= { session, epoch, parts: this.parts(session, options, rollUps) }
    const { parts } = this.#work
    const untilMs = performance.now() + AT_ONCE_MS
    try {
      while (performance.now() < untilMs) {
        const { done, value } = await parts.next()
        if (done !== true) continue
        this.#work = undefined
        return { kind: value }
      }
      return { kind: 'goes on' }
    } catch (error) {
      this.#work = undefined
      if (signal.aborted || hasCode(error, 'LEASE_LOST') || !session.isUsable) throw error
      if (BUSY.has(sqlNumber(error) ?? 0)) return { kind: 'later' }
      return { kind: 'failed', why: describeError(error) }
    }
  }

  /**
   * All that is to be done, as before the books are closed.
   *
   * @throws CountersinkError as `goOn`; BLOCK_UNREADABLE when a file is left out.
   */
  async *allParts(
    session: Session,
    options: { readonly instance: Uint8Array; readonly between: () => Promise<void> },
  ): AsyncGenerator<void, 'done' | 'later'> {
    for (const _ of this.#leftOut.names) {
      await this.#leftOut.lookAgain(session, this.#names, 0)
      yield
    }
    const end = yield* this.parts(session, options, 'all')
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

  parts(
    session: Session,
    options: { readonly instance: Uint8Array; readonly between: () => Promise<void> },
    rollUps: RollUps,
  ): AsyncGenerator<void, 'done' | 'later'> {
    const [names, lease, kernel, config] = [this.#names, this.#lease, this.#kernel, this.#config]
    return keepUp(session, {
      ...{ names, lease, kernel, ...options },
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

/** Then what waits to be counted goes first. */
const AT_ONCE_MS = 250
