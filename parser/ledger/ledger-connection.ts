import type { Config } from '../../shared/config.ts'
import type { Availability, LongStatement, ParserEvents } from '../../shared/events.ts'
import type { Session } from './connection.ts'
import { Hosts } from './hosts.ts'
import { Lane } from './lane.ts'
import { assertNoOtherLedger } from './schema/first-contact.ts'
import { seemsUnchanged } from './schema/glance.ts'
import { type Known, type LedgerIdentity, openLedger } from './schema/opening.ts'
import { type OpeningTaken, takeOpening } from './schema/opening-balance.ts'
import { checkRights } from './schema/rights.ts'
import { type LedgerNames, ledgerNames } from './schema/tables.ts'
import { NewestCounted } from './schema/witnesses.ts'
import { limitIdleTransactions } from './session-settings.ts'
import { SideSession } from './side-session.ts'
import { databaseUnavailable, hasNoneLeft, isUnfit, judgeSqlError } from './sql-errors.ts'
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
 * The connections of a parser to its ledger, each kept, and looked at whenever it is new: one for whoever
 * counts, whose transactions are long, one for all that is about files, so that recording goes on beside
 * counting and nobody who asks for a row waits for a batch, and one for what brings usage into its periods.
 * All must lead to the same ledger.
 */
export class LedgerConnection {
  readonly names: LedgerNames
  readonly config: Config
  readonly instance: Uint8Array
  readonly events: ParserEvents
  readonly signal: AbortSignal
  /** For all that is about files: their rows, their sums, what was seen of them. The first to be used. */
  readonly files: Lane
  #counting: Lane
  #usage: Lane
  readonly #hosts: Hosts
  readonly #counted = new NewestCounted()
  readonly #side: SideSession
  readonly #availability = new Map<string, Availability>()
  readonly #longStatements = new Map<string, LongStatement | undefined>()
  #uuid: string | undefined
  #identity: LedgerIdentity | undefined
  #hasOpening = false

  constructor(options: LedgerConnectionOptions) {
    this.names = ledgerNames(options.config)
    this.config = options.config
    this.instance = options.instance
    this.events = options.events
    this.signal = options.signal
    this.#hosts = new Hosts(options.address, host => options.events.emit('host', host))
    this.files = this.#lane('files', { wasFit: false })
    this.#counting = this.#lane('counting', { wasFit: true })
    this.#usage = this.#lane('usage', { wasFit: true })
    this.#side = new SideSession(this.#hosts, session => this.#inspect(session))
  }

  /** For what moves totals. */
  get counting(): Lane {
    return this.#counting
  }

  /** For what brings usage into its periods. */
  get usage(): Lane {
    return this.#usage
  }

  /** First of all: connects. Where an account may not have so many, they are shared. */
  async open(): Promise<LedgerIdentity> {
    await this.files.read(async () => {})
    this.#counting = await opened(this.#counting, this.files)
    if (this.config.usage !== 'off') this.#usage = await opened(this.#usage, this.#counting)
    return this.identity
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
    const taken = await this.files.write(session =>
      takeOpening(session, this.config, this.identity.uuid),
    )
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

  /** @param last what whoever counts does before, if there is a connection. */
  async close(last: (session: Session) => Promise<void>): Promise<void> {
    // The first of all: it may be the connection of the others too.
    await this.#counting.close(last)
    await Promise.all([this.files.close(), this.#usage.close(), this.#side.close()])
  }

  #lane(name: string, { wasFit }: { readonly wasFit: boolean }): Lane {
    return new Lane({
      ...{ hosts: this.#hosts, signal: this.signal, wasFit },
      inspect: async session => {
        await this.#inspectOwn(session)
        await session.execute(limitIdleTransactions(this.config.takeoverMs))
        // Only here: what people ask for must not wait for whoever locks the tables against writing.
        await checkRights(session, this.names)
      },
      inspectAnew: async session => {
        const { newest } = this.#counted
        const isSame = await seemsUnchanged(session, this.names, this.identity.uuid, newest)
        // Throws what is wrong with it; a ledger that has nothing counted yet has no totals either.
        if (!isSame) await this.#inspectOwn(session)
      },
      onChange: availability => {
        this.#availability.set(name, availability)
        const all = [...this.#availability.values()]
        const worst = all.find(({ awayBecause }) => awayBecause !== undefined)
        this.events.emit('database', worst ?? availability)
      },
      onLongStatement: statement => {
        this.#longStatements.set(name, statement)
        const all = [...this.#longStatements.values()]
        this.events.emit(
          'statement',
          all.find(one => one !== undefined),
        )
      },
    })
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

/**
 * Once one lane's connection was found fit. What stands in the way of this one's is waited for when it is
 * used, also what a person has to mend: somebody may just be changing it.
 *
 * @returns the other one, if this may not be.
 */
async function opened(lane: Lane, other: Lane): Promise<Lane> {
  try {
    await lane.open()
  } catch (error) {
    if (hasNoneLeft(error)) return other
    if (judgeSqlError(error) === undefined && !isUnfit(error)) throw error
  }
  return lane
}
