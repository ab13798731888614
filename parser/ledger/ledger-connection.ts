import type { Config } from '../../shared/config.ts'
import type { ParserEvents } from '../../shared/events.ts'
import type { Session } from './connection.ts'
import { Hosts } from './hosts.ts'
import { assertNoOtherLedger } from './schema/first-contact.ts'
import { seemsUnchanged } from './schema/glance.ts'
import { type Known, type LedgerIdentity, openLedger } from './schema/opening.ts'
import { type OpeningTaken, takeOpening } from './schema/opening-balance.ts'
import { checkRights } from './schema/rights.ts'
import { type LedgerNames, ledgerNames } from './schema/tables.ts'
import { NewestCounted } from './schema/witnesses.ts'
import { SessionKeeper } from './session-keeper.ts'
import { limitIdleTransactions } from './session-settings.ts'
import { SideSession } from './side-session.ts'
import { databaseUnavailable } from './sql-errors.ts'
import { Turns } from './turns.ts'
import type { DatabaseAddress } from './way-in.ts'

export interface LedgerConnectionOptions {
  readonly config: Config
  /** Asked at each new connection: a password may have changed. */
  readonly address: () => DatabaseAddress
  /** 16 bytes that name this state directory's parser. */
  readonly instance: Uint8Array
  /** Ends waiting for a database that is away, and a batch between two of its chunks. */
  readonly signal: AbortSignal
  readonly events: ParserEvents
}

/**
 * The one connection through which a parser writes to its ledger: kept, looked at whenever it is new,
 * and given to one action at a time, in the order in which they ask. One of many transactions lets the
 * others go first between any two of them, so that whoever records and whoever counts take turns.
 */
export class LedgerConnection {
  readonly names: LedgerNames
  readonly config: Config
  readonly instance: Uint8Array
  readonly events: ParserEvents
  readonly signal: AbortSignal
  readonly #hosts: Hosts
  readonly #keeper: SessionKeeper
  readonly #counted = new NewestCounted()
  readonly #side: SideSession
  #uuid: string | undefined
  #identity: LedgerIdentity | undefined
  #hasOpening = false
  readonly #turns = new Turns()

  constructor(options: LedgerConnectionOptions) {
    this.names = ledgerNames(options.config)
    this.config = options.config
    this.instance = options.instance
    this.events = options.events
    this.signal = options.signal
    this.#hosts = new Hosts(options.address, host => options.events.emit('host', host))
    this.#keeper = new SessionKeeper({
      hosts: this.#hosts,
      signal: options.signal,
      inspect: async session => {
        await this.#inspectOwn(session)
        await session.execute(limitIdleTransactions(this.config.takeoverMs))
        // Only here: what people ask for must not wait for whoever locks the tables against writing.
        await checkRights(session, this.names)
      },
      onChange: availability => options.events.emit('database', availability),
      onLongStatement: statement => options.events.emit('statement', statement),
    })
    this.#side = new SideSession(this.#hosts, session => this.#inspect(session))
  }

  /** What is known of the ledger from before: each connection from now on must lead to that one. */
  expect({ uuid, applied }: Known): void {
    this.#uuid = uuid
    for (const witness of [...applied].reverse()) this.#counted.add(witness)
  }

  /**
   * Takes the opening balance, unless it is taken: before anything is claimed. From then on each new
   * connection does: a database may have been put back to a time before it.
   */
  async takeOpening(): Promise<OpeningTaken | undefined> {
    const taken = await this.write(session => takeOpening(session, this.config, this.identity.uuid))
    this.#hasOpening = true
    return taken
  }

  /** A content has been counted just now. */
  counted(sha256: Uint8Array, sequence: bigint | undefined): void {
    this.#counted.add({ sha256, sequence })
  }

  /** As the newest connection has found it. */
  get identity(): LedgerIdentity {
    if (this.#identity === undefined) throw databaseUnavailable('no connection was made yet')
    return this.#identity
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
      const { newest } = this.#counted
      const isSame = await seemsUnchanged(session, this.names, this.identity.uuid, newest)
      // Throws what is wrong with it; a ledger that has nothing counted yet has no totals either.
      if (!isSame) await this.#inspectOwn(session)
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
    this.signal.throwIfAborted()
    await this.#turns.giveWay()
    this.signal.throwIfAborted()
  }

  /**
   * Asks on a connection of its own, which waits for nobody.
   *
   * @throws CountersinkError DATABASE_UNAVAILABLE, and all that is wrong with the ledger: within a few
   *   seconds.
   */
  aside<T>(action: (session: Session) => Promise<T>): Promise<T> {
    // Until the journal was compared with it, it is not known that this is the ledger.
    if (this.#identity === undefined) throw databaseUnavailable('no connection was made yet')
    return this.#side.ask(action)
  }

  /** @param last what is done before, if there is a connection. */
  async close(last: (session: Session) => Promise<void>): Promise<void> {
    await Promise.all([this.#keeper.close(last), this.#side.close()])
  }

  async #inspectOwn(session: Session): Promise<void> {
    await this.#inspect(session)
    if (this.#hasOpening) await takeOpening(session, this.config, this.identity.uuid)
  }

  async #inspect(session: Session): Promise<void> {
    const { newestFirst: applied } = this.#counted
    const known = { uuid: this.#uuid, applied }
    const mayBegin = () => assertNoOtherLedger(this.#hosts.others(session), this.config)
    this.#identity = await openLedger(session, this.config, { ...known, mayBegin })
    this.#uuid = this.#identity.uuid
  }
}
