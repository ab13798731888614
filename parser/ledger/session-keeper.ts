/**
 * Keeps one session open for a loop that must not give up: opens it when needed, has every new one
 * looked at before anything else is done with it, and after a failure that may pass closes it and
 * tries the whole action again, with growing, jittered pauses.
 *
 * - **starting**, until the first session was found fit: what a person has to mend (an account without
 *   rights, an unfit table, another ledger) is thrown, and ends the process with advice.
 * - **working**: the same is waited for, because it was fit before: somebody may just be changing it,
 *   and the others must not suffer. `onChange` tells it.
 *
 * Our own faults are thrown in both.
 */

import { CountersinkError, describeError } from '../../shared/errors.ts'
import type { Availability, LongStatement } from '../../shared/events.ts'
import type { Session } from './connection.ts'
import type { Hosts } from './hosts.ts'
import { databaseFailed, isUnfit, judgeSqlError, type SqlJudgement } from './sql-errors.ts'
import { watchStatements } from './statement-watch.ts'

export class SessionKeeper {
  readonly #hosts: Hosts
  readonly #signal: AbortSignal
  readonly #inspect: (session: Session) => Promise<void>
  readonly #onChange: (availability: Availability) => void
  readonly #onLongStatement: (statement: LongStatement | undefined) => void
  readonly #random: () => number
  #session: Session | undefined
  #wasFit: boolean

  constructor(options: {
    hosts: Hosts
    /** Ends the waiting; the action in hand is not interrupted. */
    signal: AbortSignal
    /** Looks at each new session before it is used; throws what is wrong with it. */
    inspect?: (session: Session) => Promise<void>
    /** Told when the database goes away and comes back. */
    onChange?: (availability: Availability) => void
    /** Told while a statement takes long, and what it waits for. */
    onLongStatement?: (statement: LongStatement | undefined) => void
    /** A session was found fit before: it begins by working. */
    wasFit?: boolean
    random?: () => number
  }) {
    this.#hosts = options.hosts
    this.#signal = options.signal
    this.#inspect = options.inspect ?? (async () => {})
    this.#onChange = options.onChange ?? (() => {})
    this.#onLongStatement = options.onLongStatement ?? (() => {})
    this.#wasFit = options.wasFit ?? false
    this.#random = options.random ?? Math.random
  }

  /**
   * Runs `action` until it succeeds or fails for good. It must be safe to run again after a lost
   * connection: it asks the ledger what is there before it writes.
   *
   * @throws the abort reason once the signal is raised between two tries; what is no matter of the
   *   database; CountersinkError DATABASE_FAILED for our own fault; while starting also DATABASE_UNFIT,
   *   LEDGER_UNFIT, LEDGER_BEHIND.
   */
  async run<T>(action: (session: Session) => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries += 1) {
      this.#signal.throwIfAborted()
      let session: Session | undefined
      try {
        session = await this.#fitSession()
        const result = await this.#watched(session, action)
        this.#onChange({ awayBecause: undefined, isUnfit: false })
        return result
      } catch (error) {
        // A stop between two transactions: the connection is as good as before, and may have to say more.
        if (this.#signal.aborted && error === this.#signal.reason) throw error
        // Another action may have opened a new one since.
        if (session === undefined || session === this.#session) this.#drop()
        const [from, to] = this.#waitFor(error).pauseMs
        await pause(pauseMs(tries, from, to, this.#random), this.#signal)
      }
    }
  }

  /** Opens the session, if there is none. @throws what stands in the way, at the first try */
  async open(): Promise<void> {
    await this.#fitSession()
  }

  /** @param last what is done before, if there is a connection; nothing waits for it to succeed. */
  async close(last?: (session: Session) => Promise<void>): Promise<void> {
    const session = this.#session
    this.#session = undefined
    if (session === undefined) return
    try {
      if (session.isUsable) await last?.(session)
    } catch (error) {
      if (judgeSqlError(error) === undefined) throw error
    }
    await session.close()
  }

  async #fitSession(): Promise<Session> {
    if (this.#session !== undefined && !this.#session.isUsable) this.#drop()
    if (this.#session !== undefined) return this.#session
    this.#session = await this.#hosts.open(session =>
      this.#watched(session, () => this.#inspect(session)),
    )
    this.#wasFit = true
    return this.#session
  }

  async #watched<T>(session: Session, action: (session: Session) => Promise<T>): Promise<T> {
    const watch = watchStatements(session, this.#onLongStatement)
    try {
      return await action(session)
    } finally {
      watch.stop()
    }
  }

  /** Tells what is waited for. @throws the error, if waiting is of no use. */
  #waitFor(error: unknown): Pick<SqlJudgement, 'pauseMs'> {
    if (isUnfit(error)) {
      if (!this.#wasFit) throw error
      this.#onChange({ awayBecause: describeError(error), isUnfit: true })
      return { pauseMs: UNFIT_PAUSE_MS }
    }
    const judged = judgeSqlError(error)
    if (judged === undefined) throw error
    if (judged.meaning === 'ours') throw databaseFailed('a statement', error)
    if (judged.meaning === 'refused' && !this.#wasFit) {
      throw new CountersinkError(
        'DATABASE_UNFIT',
        `this MariaDB cannot be used: ${judged.reason}`,
        {
          advice:
            'Have the database administrator run what "countersink schema" prints: the tables, and the rights that this account needs. One that makes them itself needs SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER and INDEX on the database.',
        },
      )
    }
    this.#onChange({ awayBecause: judged.reason, isUnfit: judged.meaning === 'refused' })
    return judged
  }

  #drop(): void {
    this.#session?.destroy()
    this.#session = undefined
  }
}

const UNFIT_PAUSE_MS: readonly [number, number] = [250, 10_000]

/** Doubling from the first to the longest pause, each shortened by up to half at random. */
function pauseMs(tries: number, fromMs: number, toMs: number, random: () => number): number {
  return Math.min(toMs, fromMs * 2 ** Math.min(tries, 20)) * (0.5 + random() / 2)
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
