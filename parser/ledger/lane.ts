import type { Availability, LongStatement } from '../../shared/events.ts'
import type { Session } from './connection.ts'
import type { Hosts } from './hosts.ts'
import { SessionKeeper } from './session-keeper.ts'
import { Turns } from './turns.ts'

/**
 * One connection to the ledger, given to one action at a time, in the order in which they ask. One of
 * many transactions lets the others go first between any two of them.
 */
export class Lane {
  readonly #signal: AbortSignal
  readonly #keeper: SessionKeeper
  readonly #inspectAnew: (session: Session) => Promise<void>
  readonly #turns = new Turns()

  /**
   * @param options.inspect looks at each new connection.
   * @param options.inspectAnew does so before each action that writes, as far as that is needed.
   * @param options.wasFit another lane's connection was found fit: what is wrong with this one is waited for.
   */
  constructor(options: {
    readonly hosts: Hosts
    readonly signal: AbortSignal
    readonly inspect: (session: Session) => Promise<void>
    readonly inspectAnew: (session: Session) => Promise<void>
    readonly onChange: (availability: Availability) => void
    readonly onLongStatement: (statement: LongStatement | undefined) => void
    readonly wasFit: boolean
  }) {
    this.#signal = options.signal
    this.#keeper = new SessionKeeper(options)
    this.#inspectAnew = options.inspectAnew
  }

  /** Makes its connection. @throws what stands in the way, at the first try */
  open(): Promise<void> {
    return this.#turns.take(() => this.#keeper.open())
  }

  /**
   * Runs an action once the others before it have ended; see `SessionKeeper.run`. It must be safe to
   * run again after a lost connection.
   */
  read<T>(action: (session: Session) => Promise<T>): Promise<T> {
    return this.#turns.take(() => this.#keeper.run(action))
  }

  /** The same for what writes, once it is certain that the database is still the one, and writable. */
  write<T>(action: (session: Session) => Promise<T>): Promise<T> {
    return this.read(async session => {
      await this.#inspectAnew(session)
      return action(session)
    })
  }

  /**
   * Between two transactions of a long action: the others that wait now go first. What they do to the
   * session, the action may find: it begins anew on another one.
   *
   * @throws the signal's reason
   */
  async between(): Promise<void> {
    this.#signal.throwIfAborted()
    await this.#turns.giveWay()
    this.#signal.throwIfAborted()
  }

  /** @param last what is done before, if there is a connection. */
  close(last?: (session: Session) => Promise<void>): Promise<void> {
    return this.#keeper.close(last)
  }
}
